"""Box-constrained L-BFGS: the attack with which adversarial examples were discovered."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from striate.explaining.adversarial.attack import Attempt, attack_method
from striate.explaining.adversarial.attacked import AttackedModel, Levels
from striate.explaining.adversarial.goal import ResolvedGoal
from striate.explaining.adversarial.norms import NORMS
from striate.explaining.adversarial.pixels import AttackError

_FACTOR = 4.0
"""Factor by which the weight c is raised or lowered until it is bounded from both sides."""


@attack_method(title="Box-constrained L-BFGS", paper="Szegedy et al. 2013, section 4.1")
def lbfgs(
    attacked: AttackedModel, pixels: Levels, goal: ResolvedGoal, *, searches: int = 8, steps: int = 25
) -> Attempt:
    """Find a small change in L2: minimize c ‖r‖² + J(x + r) over r, with x + r in the box.

    J is the cross-entropy of the target class or, in an untargeted attack, that of all other classes together:
    log(1 + e^(-progress)), see `ResolvedGoal.progress`. x and r are fractions of full intensity. A larger c gives a
    smaller r, so the search is for the largest c whose minimum fools the network after rounding. (In the paper c
    multiplies J, and the search is for the smallest.) The shortest change that fools is returned.

    `searches`: number of values of c. `steps`: iterations of L-BFGS-B for each. `price` in the result is the c of the
    change. Requires SciPy.
    """
    if searches < 1 or steps < 1:
        raise AttackError(f"L-BFGS needs at least one search of one step; received {searches} and {steps}.")
    minimize = _minimizer()
    alone = [slice(row, row + 1) for row in range(len(pixels))]
    kept = [_Search(attacked, pixels[one], goal[one], steps, minimize).run(searches) for one in alone]
    prices = torch.tensor([price for _, price in kept], dtype=torch.float64, device=pixels.device)
    return Attempt(torch.cat([whole for whole, _ in kept]), {"price": prices})


class _Search:
    """The search for the price of one image (1 c h w)."""

    def __init__(
        self, attacked: AttackedModel, image: Levels, goal: ResolvedGoal, steps: int, minimize: Callable[..., Any]
    ) -> None:
        self._attacked, self._image, self._goal = attacked, image, goal
        self._steps, self._minimize = steps, minimize
        self._full = attacked.spec.maximum
        shares = image.flatten().double().cpu().numpy() / self._full
        self._box = np.stack([-shares, 1 - shares], axis=1)

    def run(self, searches: int) -> tuple[Levels, float]:
        """Return the image with the shortest change that fools, or else the last one tried, and its price."""
        price, too_dear, paid = self._first_price(), np.inf, 0.0
        best, best_price, shortest = self._image, np.nan, np.inf
        begin = np.zeros(len(self._box))
        for _ in range(searches):
            shares = self._cheapest(price, begin)
            whole = self._attacked.boxed(self._image + NORMS["l2"].rounded(self._change(shares)))
            fools = self._goal.reached(self._attacked.answers(whole)).item()
            length = NORMS["l2"].size(whole - self._image).item()
            if fools and length <= shortest:
                best, best_price, shortest, begin = whole, price, length, shares
            elif np.isinf(shortest):
                best, best_price = whole, price
            paid, too_dear = (price, too_dear) if fools else (paid, price)
            price = _between(paid, too_dear)
        return best, best_price

    def _first_price(self) -> float:
        """Return the price that would be right if progress were linear, with its gradient at the image.

        On the border progress is 0 and J falls half as fast as progress rises, so that 2 c r = ∇progress / 2.
        """
        gradient, logits = self._attacked.ascent(self._image, self._goal)
        slope = gradient.double().norm().item() * self._full
        missing = max(-self._goal.progress(logits).item(), 1e-6)
        return max(slope**2 / (4 * missing), 1e-12)

    def _cheapest(self, price: float, begin: np.ndarray) -> np.ndarray:
        """Minimize for `price`, starting from the best change known so far, as fractions of full intensity."""
        options = {"maxiter": self._steps}
        found = self._minimize(
            self._cost, begin, args=(price,), jac=True, method="L-BFGS-B", bounds=self._box, options=options
        )
        return found.x

    def _cost(self, shares: np.ndarray, price: float) -> tuple[float, np.ndarray]:
        gradient, logits = self._attacked.ascent(self._image + self._change(shares), self._goal)
        progress = self._goal.progress(logits)
        loss = F.softplus(-progress).item()
        slope = -torch.sigmoid(-progress).item() * self._full * gradient.double().flatten().cpu().numpy()
        return price * float(shares @ shares) + loss, 2 * price * shares + slope

    def _change(self, shares: np.ndarray) -> Tensor:
        levels = torch.from_numpy(shares * self._full).to(self._image.device, self._image.dtype)
        return levels.view_as(self._image)


def _between(paid: float, too_dear: float) -> float:
    """Return a price above one that fooled and below one that was too high."""
    if not paid:
        return too_dear / _FACTOR
    return paid * _FACTOR if np.isinf(too_dear) else float(np.sqrt(paid * too_dear))


def _minimizer() -> Callable[..., Any]:
    try:
        from scipy.optimize import minimize
    except ImportError as error:
        raise AttackError("L-BFGS within a box needs SciPy: pip install 'striate[explain]'.") from error
    return minimize

"""Gradients, integrated along the way from a baseline to the picture."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from striate.core.errors import ConfigError
from striate.explaining._explains import NotFiniteError, Relevance, explains
from striate.explaining._share import shares
from striate.explaining.gradient import gradient
from striate.explaining.target import Aim

_FIRST = 8
"""Steps tried first."""


@explains(
    title="Integrated gradients",
    paper="Sundararajan et al. 2017, arXiv:1703.01365, equation 1",
    signed=True,
    additive=True,
    variants=True,
)
def integrated_gradients(
    model: nn.Module,
    images: Float[Tensor, "n c h w"],
    aim: Aim,
    *,
    baseline: float | Tensor = 0.0,
    tolerance: float = 0.01,
    most_steps: int = 1024,
) -> Relevance:
    """What each value of the picture adds to the score on the straight way from a baseline x′ to the picture x.

        values = (x - x′) ⊙ ∫₀¹ ∂S/∂x (x′ + α (x - x′)) dα

    Values (n c h w), in units of the score; as one map, their sum over the channels. They add up to S(x) - S(x′), as
    far as the integral is exact: it is taken by the trapezoidal rule, whose steps are doubled until, picture by
    picture, the sum is within `tolerance` of that difference (what was computed is used again), or `most_steps` are
    reached. The residue is in the result, and where it is more than asked for, a note says so. (The paper takes 20 to
    300 steps, and the sum at the ends of the steps.)

    The baseline is in prepared numbers, the same for all pictures or one for each: 0, by default, is the mean of the
    data where they are prepared so.

    Raises:
        ConfigError: the baseline does not fit the pictures, or there is no positive tolerance or number of steps.
        NotFiniteError: the score or its gradient is infinite or undefined somewhere on the way.
    """
    if not tolerance > 0 or most_steps < _FIRST:
        raise ConfigError(
            f"Integrated gradients need a tolerance above 0 and {_FIRST} steps or more; received {tolerance:g} and "
            f"{most_steps}."
        )
    start = _baseline(baseline, images)
    with torch.no_grad():
        difference = aim(model(images)).float() - aim(model(start)).float()
    way = images - start
    sums = _Sums(model, start, way, aim)
    pending, steps = list(range(len(images))), _FIRST
    sums.add(pending, [0.0, 1.0], weight=0.5)
    sums.add(pending, [step / steps for step in range(1, steps)])
    values = torch.zeros_like(way, dtype=torch.float32)
    while True:
        values[pending] = way[pending].float() * sums.of(pending) / steps
        missing = (values.sum((1, 2, 3), dtype=torch.float64) - difference).abs()
        if not missing.isfinite().all():
            raise NotFiniteError(
                "Between the baseline and the picture the score or its gradient is infinite or undefined, so there is "
                "nothing to integrate. Another baseline may do."
            )
        pending = [picture for picture in pending if missing[picture] > tolerance * difference[picture].abs()]
        if not pending or 2 * steps > most_steps:
            break
        steps *= 2
        sums.add(pending, [step / steps for step in range(1, steps, 2)])
    remarks = {
        image: f"after {steps} steps the values still miss the difference of scores, {difference[image]:.3g}, by "
        f"{missing[image]:.2g}."
        for image in pending
    }
    return Relevance(values, remarks=remarks, difference=difference)


class _Sums:
    """The gradients of each picture at places on its way, added up."""

    def __init__(
        self, model: nn.Module, start: Float[Tensor, "n c h w"], way: Float[Tensor, "n c h w"], aim: Aim
    ) -> None:
        self._model, self._start, self._way, self._aim = model, start, way, aim
        self._summed = torch.zeros_like(way, dtype=torch.float32)

    def add(self, pictures: Sequence[int], places: Sequence[float], weight: float = 1.0) -> None:
        """Add the gradients of `pictures` at `places` from 0, the baseline, to 1, the picture."""
        pairs = [(picture, place) for picture in pictures for place in places]

        def run(share: slice) -> None:
            rows = [picture for picture, _ in pairs[share]]
            along = self._way.new_tensor([place for _, place in pairs[share]])[:, None, None, None]
            on_the_way = self._start[rows] + along * self._way[rows]
            found = gradient(self._model, on_the_way, lambda logits: self._aim(logits, rows))
            self._summed.index_add_(0, torch.tensor(rows, device=found.device), weight * found.float())

        for _ in shares(len(pairs), run):
            pass

    def of(self, pictures: Sequence[int]) -> Float[Tensor, "m c h w"]:
        return self._summed[list(pictures)]


def _baseline(baseline: float | Tensor, images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
    given = torch.as_tensor(baseline, dtype=images.dtype, device=images.device)
    try:
        return given.expand_as(images)
    except RuntimeError:
        raise ConfigError(
            f"The baseline is one number, or a tensor that fits the pictures {tuple(images.shape)}; received one of "
            f"shape {tuple(given.shape)}."
        ) from None

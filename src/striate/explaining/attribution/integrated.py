"""Gradients integrated along the line from a baseline to the image."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import repeat

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from striate.core.errors import ConfigError
from striate.explaining._batching import in_batches
from striate.explaining.attribution._method import NotFiniteError, RawAttribution, attribution_method
from striate.explaining.attribution.gradient import gradient
from striate.explaining.target import ResolvedTarget

_OF_THE_SUM = (
    "The number of steps was chosen so that the values add up to within {:.3g} of the difference of scores; single "
    "values may be off by more: nodes=… sets how finely each is integrated."
)

_FIRST = 8
"""Steps tried first."""


@attribution_method(
    title="Integrated gradients",
    paper="Sundararajan et al. 2017, arXiv:1703.01365, equation 1",
    signed=True,
    additive=True,
    variants=True,
)
def integrated_gradients(
    model: nn.Module,
    images: Float[Tensor, "n c h w"],
    target: ResolvedTarget,
    *,
    baseline: float | Tensor = 0.0,
    tolerance: float = 0.01,
    most_steps: int = 1024,
    nodes: int | None = None,
) -> RawAttribution:
    """Integrate the gradient of the score on the line from a baseline x′ to the image x.

        values = (x - x′) ⊙ ∫₀¹ ∂S/∂x (x′ + α (x - x′)) dα

    The values (n c h w) have the unit of the score; a map is their sum over the channels. If the integral is exact,
    they sum to S(x) - S(x′). The trapezoidal rule is applied with twice as many steps each time, and gradients are
    reused, until the sum of each image is within `tolerance` of that difference or `most_steps` are reached. The result
    holds the residue, and a note where it exceeds the tolerance. The paper uses 20 to 300 steps of the rectangle rule.

    `tolerance` bounds the error of the sum over an image. Errors of opposite signs cancel in it, so single values may
    have several times this error. If single values matter, pass `nodes`, the number of nodes of the Gauss-Legendre
    rule: the error for a smooth network decreases fast, that for a network with ReLUs about as 1/nodes.

    `baseline` is a number or a tensor in the scale of the network's input, for all images or for each. The default 0
    is the mean of the data if the input is standardised.

    Raises:
        ConfigError: the baseline does not fit the images, or the tolerance or a number of steps or nodes is not
            positive.
        NotFiniteError: the score or its gradient is infinite or undefined between baseline and image.
    """
    if not tolerance > 0 or most_steps < _FIRST:
        raise ConfigError(
            f"Integrated gradients need a tolerance above 0 and {_FIRST} steps or more; received {tolerance:g} and "
            f"{most_steps}."
        )
    if nodes is not None and nodes < 1:
        raise ConfigError(f"The integral is taken at 1 node or more; received nodes={nodes}.")
    start = baseline_of(baseline, images)
    with torch.no_grad():
        difference = target(model(images)).float() - target(model(start)).float()
    way = images - start
    sums = _Sums(model, start, way, target)
    if nodes is not None:
        places, weights = np.polynomial.legendre.leggauss(nodes)
        sums.add(range(len(images)), (places + 1) / 2, weights / 2)
        return RawAttribution(_finite(way.float() * sums.of(range(len(images)))), difference=difference)
    values, missing, steps = _doubling(sums, way, difference, tolerance, most_steps)
    remarks = {
        image: f"after {steps} steps the sum of the values still differs from the difference of scores, "
        f"{difference[image]:.3g}, by {missing[image]:.2g}."
        for image in _beyond(missing, difference, tolerance)
    }
    return RawAttribution(values, notes=(_OF_THE_SUM.format(tolerance),), remarks=remarks, difference=difference)


def _doubling(
    sums: _Sums, way: Tensor, difference: Tensor, tolerance: float, most_steps: int
) -> tuple[Tensor, Tensor, int]:
    """Return the values, the errors of their sums, and the last number of steps."""
    pending, steps = list(range(len(way))), _FIRST
    sums.add(pending, [0.0, 1.0], [0.5, 0.5])
    sums.add(pending, [step / steps for step in range(1, steps)])
    values = torch.zeros_like(way, dtype=torch.float32)
    while True:
        values[pending] = _finite(way[pending].float() * sums.of(pending) / steps)
        missing = (values.sum((1, 2, 3), dtype=torch.float64) - difference).abs()
        pending = _beyond(missing, difference, tolerance)
        if not pending or 2 * steps > most_steps:
            return values, missing, steps
        steps *= 2
        sums.add(pending, [step / steps for step in range(1, steps, 2)])


def _beyond(missing: Tensor, difference: Tensor, tolerance: float) -> list[int]:
    """Return the images whose sums are not within the tolerance."""
    return [image for image, error in enumerate(missing) if not error <= tolerance * difference[image].abs()]


def _finite(values: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
    if not values.isfinite().all():
        raise NotFiniteError(
            "Between the baseline and the image the score or its gradient is infinite or undefined, so there is "
            "no finite integral: try another baseline."
        )
    return values


class _Sums:
    """Sums of the gradients of each image at points on its line."""

    def __init__(
        self, model: nn.Module, start: Float[Tensor, "n c h w"], way: Float[Tensor, "n c h w"], target: ResolvedTarget
    ) -> None:
        self._model, self._start, self._way, self._aim = model, start, way, target
        self._summed = torch.zeros_like(way, dtype=torch.float32)

    def add(self, images: Sequence[int], places: Iterable[float], weights: Iterable[float] = repeat(1.0)) -> None:
        """Add the gradients of `images` at `places` from 0, the baseline, to 1, the image, each times its weight."""
        weighted = list(zip(places, weights, strict=False))
        nodes = [(image, *node) for image in images for node in weighted]

        def run(share: slice) -> None:
            rows, places, weights = zip(*nodes[share], strict=True)
            rows = list(rows)
            along, weight = self._way.new_tensor([places, weights])[:, :, None, None, None]
            on_the_way = self._start[rows] + along * self._way[rows]
            found = gradient(self._model, on_the_way, lambda logits: self._aim(logits, rows))
            self._summed.index_add_(0, torch.tensor(rows, device=found.device), (weight * found).float())

        for _ in in_batches(len(nodes), run):
            pass

    def of(self, images: Sequence[int]) -> Float[Tensor, "m c h w"]:
        return self._summed[list(images)]


def baseline_of(baseline: float | Tensor, images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
    given = torch.as_tensor(baseline, dtype=images.dtype, device=images.device)
    try:
        return given.expand_as(images)
    except RuntimeError:
        raise ConfigError(
            f"The baseline is one number, or a tensor that fits the images {tuple(images.shape)}; received one of "
            f"shape {tuple(given.shape)}."
        ) from None

"""How far a network's features move when its image is transformed: Zeiler and Fergus 2014, figure 5."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from striate.core.errors import ConfigError, nearest
from striate.explaining._batching import checked_batching, in_batches
from striate.explaining._repr import ShortRepr
from striate.explaining.inspection.layers import Places, as_map, places_of
from striate.explaining.model_input import as_model_input, borrowed_with_copies
from striate.explaining.target import ResolvedTarget
from striate.hooks import capture
from striate.tasks import CLASSIFICATION, Task

Change = Literal["shift", "scale", "rotation"]


@dataclass(frozen=True, eq=False, repr=False)
class Invariance(ShortRepr):
    """The effect of a transformation on features and answer: n images, a amounts, p places.

    `amounts` (a) are pixels downwards for "shift", a factor for "scale", degrees counterclockwise for "rotation".
    `distances` (p a n): Euclidean, between the features of the changed image and those of the unchanged image, whose
    own lengths are `norms` (p n). `target`: the class whose probability is `probability` (a n), by default the class
    predicted for the unchanged image.
    """

    change: str
    amounts: Float[np.ndarray, " a"]
    places: tuple[str, ...]
    distances: Float[np.ndarray, "p a n"]
    norms: Float[np.ndarray, "p n"]
    target: tuple[int, ...]
    probability: Float[np.ndarray, "a n"]

    def relative(self) -> Float[np.ndarray, "p a n"]:
        """Return the distances as fractions of the features' own lengths, so that layers can be compared."""
        norms = self.norms[:, None]
        return np.divide(self.distances, norms, out=np.zeros_like(self.distances), where=norms > 0)


def invariance(
    model: nn.Module,
    images: Float[Tensor, "n c h w"],
    change: Change | str = "shift",
    *,
    amounts: Sequence[int | float] | None = None,
    target: int | Sequence[int] | None = None,
    places: Places | None = None,
    task: Task = CLASSIFICATION,
) -> Invariance:
    """Shift, scale or rotate the images by each of `amounts`, and measure how far features and answer move.

    All changes are about the centre of the image, bilinear; what comes in from beyond its border is 0, the mean of
    images prepared in the usual way. Without `amounts`: shifts by up to a quarter of the height both ways, scales
    from 1 to 1.8 and all angles in steps of 15°, about as in the paper. Without `places`, the declared feature maps,
    and for a network that declares none, its `layers`.

    The paper shows distances in layers 1 and 7 for five images; here they are those of all given places.

    Raises:
        ConfigError: there is no such change, or a scale is not above 0.
        TargetError: the network has no such class.
        PlaceError: a place does not exist, or its value is not a map.
    """
    _check(change, amounts)
    images = as_model_input(model, images)
    places = places_of(model, images, places)
    chosen = [float(amount) for amount in (_usual(change, images.shape[2]) if amounts is None else amounts)]
    resolved = ResolvedTarget(target, task)

    def look(images: Float[Tensor, "m c h w"]) -> tuple[list[Tensor], Tensor]:
        logits = model(images)
        return [as_map(captured[place], place).flatten(1).float() for place in places], logits.float()

    with (
        borrowed_with_copies(model),
        checked_batching(model, images),
        torch.no_grad(),
        capture(model, places) as captured,
    ):
        clean, logits = _joined(in_batches(len(images), lambda part: look(images[part])))
        resolved(logits)
        classes = torch.tensor(resolved.classes, device=images.device)

        def run(part: slice) -> tuple[list[Tensor], Tensor]:
            which, items = zip(*(divmod(number, len(images)) for number in range(part.start, part.stop)), strict=True)
            changed = _changed(images[list(items)], change, [chosen[one] for one in which])
            features, logits = look(changed)
            distances = [(now - was[list(items)]).norm(dim=1) for now, was in zip(features, clean, strict=True)]
            return distances, task.answers(logits).gather(1, classes[list(items), None])[:, 0]

        distances, probability = _joined(in_batches(len(chosen) * len(images), run))
    shape = len(chosen), len(images)
    return Invariance(
        change,
        np.array(chosen, np.float32),
        places,
        np.stack([_array(one).reshape(shape) for one in distances]),
        np.stack([_array(one.norm(dim=1)) for one in clean]),
        resolved.classes or (),
        _array(probability).reshape(shape),
    )


def _check(change: str, amounts: Sequence[int | float] | None) -> None:
    if change not in get_args(Change):
        raise ConfigError(
            f"A change must be shift, scale or rotation; received {change!r}. {nearest(change, get_args(Change))}"
        )
    if change == "scale" and amounts is not None and min(amounts, default=1) <= 0:
        raise ConfigError(f"A scale must be a factor above 0; received {min(amounts)}.")


def _joined(parts: Iterable[tuple[list[Tensor], Tensor]]) -> tuple[list[Tensor], Tensor]:
    places, rest = zip(*parts, strict=True)
    return [torch.cat(place) for place in zip(*places, strict=True)], torch.cat(rest)


def _changed(images: Float[Tensor, "m c h w"], change: str, amounts: Sequence[float]) -> Float[Tensor, "m c h w"]:
    """Transform each image by its own amount.

    In float64 (on the CPU: not all devices have it), so that a shift by 0 or a whole number of pixels is exact.
    """
    height, width = images.shape[2:]
    back = torch.tensor([_back(change, amount, height, width) for amount in amounts], dtype=torch.float64)
    grid = F.affine_grid(back, list(images.shape), align_corners=False)
    sources = images.to("cpu", torch.float64)
    return F.grid_sample(sources, grid, padding_mode="zeros", align_corners=False).to(images)


def _back(change: str, amount: float, height: int, width: int) -> list[list[float]]:
    """Return the map from a transformed pixel to its source, in halves of the width and height."""
    if change == "shift":
        return [[1.0, 0.0, 0.0], [0.0, 1.0, -2 * amount / height]]
    if change == "scale":
        return [[1 / amount, 0.0, 0.0], [0.0, 1 / amount, 0.0]]
    cosine, sine = math.cos(math.radians(amount)), math.sin(math.radians(amount))
    return [[cosine, -sine * height / width, 0.0], [sine * width / height, cosine, 0.0]]


def _usual(change: str, height: int) -> list[float]:
    if change == "shift":
        step = max(1, height // 32)
        return [float(step * count) for count in range(-(height // 4 // step), height // 4 // step + 1)]
    return [1.0 + tenth / 10 for tenth in range(9)] if change == "scale" else [15.0 * step for step in range(24)]


def _array(values: Tensor) -> np.ndarray:
    return values.to("cpu", torch.float32).numpy()

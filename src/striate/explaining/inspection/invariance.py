"""How far a network's features move when its picture is moved: Zeiler and Fergus 2014, figure 5."""

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
from striate.explaining._apart import sharing
from striate.explaining._batching import shares
from striate.explaining._borrowed import lent
from striate.explaining._repr import ShortRepr
from striate.explaining.inspection.layers import Places, as_map, places_of
from striate.explaining.model_input import suited
from striate.explaining.target import Aim
from striate.hooks import capture
from striate.tasks import CLASSIFICATION, Task

Change = Literal["shift", "scale", "rotation"]


@dataclass(frozen=True, eq=False, repr=False)
class Invariance(ShortRepr):
    """What a change of each of n pictures, at each of a amounts, does to the features of p places and to the answer.

    `amounts` (a) are pixels downwards for "shift", a factor for "scale", degrees counterclockwise for "rotation".
    `distances` (p a n): Euclidean, between the features of the changed picture and those of the picture as it is, whose
    own lengths are `norms` (p n). `target`: the class whose probability is `probability` (a n), without one asked for
    that which the network takes the picture for as it is.
    """

    change: str
    amounts: Float[np.ndarray, " a"]
    places: tuple[str, ...]
    distances: Float[np.ndarray, "p a n"]
    norms: Float[np.ndarray, "p n"]
    target: tuple[int, ...]
    probability: Float[np.ndarray, "a n"]

    def relative(self) -> Float[np.ndarray, "p a n"]:
        """The distances as shares of the features' own lengths, so that layers can be compared."""
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
    """Shift, scale or rotate the pictures by each of `amounts`, and measure how far features and answer move.

    All changes are about the centre of the picture, bilinear; what comes in from beyond its border is 0, the mean of
    pictures prepared in the usual way. Without `amounts`: shifts by up to a quarter of the height both ways, scales
    from 1 to 1.8 and all angles in steps of 15°, about as in the paper. Without `places`, the declared feature maps,
    and for a network that declares none, its `layers`.

    The paper shows distances in layers 1 and 7 for five pictures; here they are those of all places asked for.

    Raises:
        ConfigError: there is no such change, or a scale is not above 0.
        TargetError: the network has no such class.
        PlaceError: a place does not exist, or gives no map.
    """
    if change not in get_args(Change):
        raise ConfigError(f"There is no change {change!r}. {nearest(change, get_args(Change))}")
    if change == "scale" and amounts is not None and min(amounts, default=1) <= 0:
        raise ConfigError(f"A scale is a factor above 0, 1 for the picture as it is; received {min(amounts)}.")
    images = suited(model, images)
    places = places_of(model, images, places)
    height = images.shape[2]
    chosen = [float(amount) for amount in (_usual(change, height) if amounts is None else amounts)]
    aim = Aim(target, task)

    def look(pictures: Float[Tensor, "m c h w"]) -> tuple[list[Tensor], Tensor]:
        logits = model(pictures)
        return [as_map(captured[place], place).flatten(1).float() for place in places], logits.float()

    with lent(model), sharing(model, images), torch.no_grad(), capture(model, places) as captured:
        clean, logits = _joined(shares(len(images), lambda part: look(images[part])))
        aim(logits)
        classes = torch.tensor(aim.classes, device=images.device)

        def run(part: slice) -> tuple[list[Tensor], Tensor]:
            which, items = zip(*(divmod(number, len(images)) for number in range(part.start, part.stop)), strict=True)
            changed = _changed(images[list(items)], change, [chosen[one] for one in which])
            features, logits = look(changed)
            distances = [(now - was[list(items)]).norm(dim=1) for now, was in zip(features, clean, strict=True)]
            return distances, task.answers(logits).gather(1, classes[list(items), None])[:, 0]

        distances, probability = _joined(shares(len(chosen) * len(images), run))
    shape = len(chosen), len(images)
    return Invariance(
        change,
        np.array(chosen, np.float32),
        places,
        np.stack([_array(one).reshape(shape) for one in distances]),
        np.stack([_array(one.norm(dim=1)) for one in clean]),
        aim.classes or (),
        _array(probability).reshape(shape),
    )


def _joined(parts: Iterable[tuple[list[Tensor], Tensor]]) -> tuple[list[Tensor], Tensor]:
    places, rest = zip(*parts, strict=True)
    return [torch.cat(place) for place in zip(*places, strict=True)], torch.cat(rest)


def _changed(images: Float[Tensor, "m c h w"], change: str, amounts: Sequence[float]) -> Float[Tensor, "m c h w"]:
    """Each picture changed by its own amount, in float64 (on the CPU: not all devices have it), so that a shift by 0 or
    a whole number of pixels is exact.
    """
    height, width = images.shape[2:]
    back = torch.tensor([_back(change, amount, height, width) for amount in amounts], dtype=torch.float64)
    grid = F.affine_grid(back, list(images.shape), align_corners=False)
    sources = images.to("cpu", torch.float64)
    return F.grid_sample(sources, grid, padding_mode="zeros", align_corners=False).to(images)


def _back(change: str, amount: float, height: int, width: int) -> list[list[float]]:
    """The way back from a changed pixel to its source: x and y from (x, y, 1), in halves of the width and height."""
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

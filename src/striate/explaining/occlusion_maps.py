"""The three maps of Zeiler and Fergus's figure 7: what a grey patch does to the answer and to a feature map."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from striate.explaining._repr import ShortRepr
from striate.explaining._share import shares
from striate.explaining.occluders import Fill, Positions, Sides, covers, positions
from striate.explaining.occlusion import under_patches
from striate.explaining.pictures import suited
from striate.explaining.places import last_map
from striate.explaining.target import Aim, Target, TargetError
from striate.hooks import Captured, PlaceError, borrow, capture


@dataclass(frozen=True, eq=False, repr=False)
class OcclusionMaps(ShortRepr):
    """What a patch at each position of a grid (r rows, c columns) does, for each of n pictures.

    `probability`: that of the true class, or of the one aimed at, `target` (figure 7 d); `activation`: the sum over the
    feature map `unit` of the place `at`, the one with the largest sum on the clean picture (figure 7 b); `answer`: the
    class that is most probable (figure 7 e). The `clean_…` are those without a patch. `places` tells where the patches
    lay, `centres` where on the picture each value is to be drawn, `size` the picture's height and width.
    """

    target: tuple[int, ...]
    probability: Float[np.ndarray, "n r c"]
    clean_probability: Float[np.ndarray, " n"]
    at: str
    unit: tuple[int, ...]
    activation: Float[np.ndarray, "n r c"]
    clean_activation: Float[np.ndarray, " n"]
    answer: Int[np.ndarray, "n r c"]
    clean_answer: tuple[int, ...]
    places: Positions
    size: tuple[int, int]

    @property
    def centres(self) -> tuple[Float[np.ndarray, " r"], Float[np.ndarray, " c"]]:
        """In pixels from the upper left corner of the picture: of the rows, and of the columns."""
        return (self.places.tops + self.places.bottoms) / 2.0, (self.places.lefts + self.places.rights) / 2.0


@torch.no_grad()
def occlusion_maps(
    model: nn.Module,
    images: Float[Tensor, "n c h w"],
    target: Target = None,
    *,
    at: str | None = None,
    patch: Sides | None = None,
    stride: Sides | None = None,
    fill: Fill | str = "grey",
    seed: int = 0,
) -> OcclusionMaps:
    """The maps of figure 7 of Zeiler and Fergus 2014 (arXiv:1311.2901), section 4.2, position by position.

    Probabilities are the softmax of the logits. `target` is the true class of each picture; None takes the one that the
    network answers. `at` is the place whose most excited feature map is followed: by default the last map that has the
    plan of the picture (the paper's is layer 5 of its network). The patch is that of `occlusion`. Unlike there, the
    values belong to positions of the patch, as in the paper, and are not laid upon pixels.

    Raises:
        TargetError: there is no such class, or the target is a function.
        PlaceError: there is no such place, or it gives no maps.
        ConfigError: the patch or its stride do not fit the pictures.
    """
    if callable(target):
        raise TargetError("These maps show the probability of a class: give its number, not a function of the logits.")
    aim = Aim(target)
    with borrow(model):
        images = suited(model, images)
        places = positions((images.shape[2], images.shape[3]), patch, stride)
        at = last_map(model, images) if at is None else at
        shown = covers(images, fill, places, seed)
        with capture(model, [at]) as captured:
            logits = model(images)
            aim(logits)
            classes = aim.classes or ()
            clean = logits.softmax(1)[torch.arange(len(images)), list(classes)]
            sums = _sums(captured, at)
            units = sums.argmax(1)
            found = [
                _one(model, captured, at, pair, places, one, unit)
                for *pair, one, unit in zip(images, shown, classes, units.tolist(), strict=True)
            ]
    probability, activation, answer = (
        torch.stack(maps).reshape(len(images), *places.grid).cpu().numpy() for maps in zip(*found, strict=True)
    )
    return OcclusionMaps(
        classes, probability, _array(clean), at, tuple(units.tolist()), activation,
        _array(sums.gather(1, units[:, None])[:, 0]), answer, tuple(logits.argmax(1).tolist()), places,
        (images.shape[2], images.shape[3]),
    )  # fmt: skip


def _one(
    model: nn.Module, captured: Captured, at: str, pair: Sequence[Tensor], places: Positions, target: int, unit: int
) -> tuple[Tensor, Tensor, Tensor]:
    """For one picture and each position: the probability of `target`, the sum of `unit`, and the answer."""
    image, cover = pair

    def run(numbers: slice) -> tuple[Tensor, Tensor, Tensor]:
        logits = model(under_patches(image, cover, places, range(len(places))[numbers]))
        return logits.softmax(1)[:, target].float(), _sums(captured, at)[:, unit].float(), logits.argmax(1)

    probability, activation, answer = zip(*shares(len(places), run), strict=True)
    return torch.cat(probability), torch.cat(activation), torch.cat(answer)


def _sums(captured: Captured, at: str) -> Float[Tensor, "m k"]:
    """The total activation of each feature map of the place."""
    maps = captured[at]
    if maps.ndim != 4:
        raise PlaceError(f"Place {at!r} gives {tuple(maps.shape)}, not feature maps (n, k, h, w): name one before it.")
    return maps.sum((2, 3))


def _array(values: Tensor) -> np.ndarray:
    return values.detach().float().cpu().numpy()

"""RISE: random masks, each weighted by the network's answer to the masked image."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from striate.core.errors import ConfigError
from striate.core.rng import Stream
from striate.explaining._batching import in_batches
from striate.explaining.attribution._method import RawAttribution, attribution_method
from striate.explaining.target import ResolvedTarget


@attribution_method(
    title="RISE", paper="Petsiuk et al. 2018, arXiv:1806.07421, equation 6", signed=False, variants=True
)
@torch.no_grad()
def rise(
    model: nn.Module,
    images: Float[Tensor, "n c h w"],
    target: ResolvedTarget,
    *,
    masks: int = 2000,
    cells: int = 7,
    shown: float = 0.5,
    seed: int = 0,
) -> RawAttribution:
    """Average random masks, weighted by the probability of the class in the masked image.

        values = 1/(shown · masks) · Σ P(x ⊙ M) · M

    Values (n h w). Each mask is a grid of `cells` × `cells`, each cell 1 with probability `shown`, else 0, enlarged
    bilinearly by the size of a cell to one cell more than the image, of which a part at random is taken. The network
    is only evaluated, so it can be of any kind. Hidden means 0 in prepared numbers, usually the mean of the data.

    As in the paper the score is a probability, the softmax of the logits (of a target that is a function, its own
    value); the `score` in the result is the logit, as everywhere. The paper takes 4,000 to 8,000 masks; fewer leave
    more noise. The cells are ⌈h / cells⌉ pixels high, where the paper rounds down, so that the masks suffice for
    images of every size. Every image meets the same masks.

    Raises:
        ConfigError: there are no masks or cells, or all is shown, or nothing.
    """
    if masks < 1 or cells < 1 or not 0 < shown < 1:
        raise ConfigError(
            f"RISE needs masks and cells from 1 on and a share shown between 0 and 1; received {masks}, {cells} and "
            f"{shown:g}."
        )
    target(model(images))
    drawn = _Masks(masks, cells, shown, images.shape[2:], Stream(seed, "explaining.rise").torch_generator())
    values = torch.zeros(len(images), *images.shape[2:], device=images.device)

    def run(share: slice) -> None:
        rows = [number // masks for number in range(share.start, share.stop)]
        hiding = drawn.of([number % masks for number in range(share.start, share.stop)]).to(images.device)
        logits = model(images[rows] * hiding[:, None].to(images.dtype))
        score = target.probability(logits, rows)
        weighted = score.float()[:, None, None] * hiding
        values.index_add_(0, torch.tensor(rows, device=values.device), weighted)

    for _ in in_batches(len(images) * masks, run):
        pass
    return RawAttribution(values / (shown * masks))


class _Masks:
    """Random masks by their number; only their grids are kept."""

    def __init__(self, count: int, cells: int, shown: float, size: torch.Size, generator: torch.Generator) -> None:
        self._size = size
        self._cell = [-(-side // cells) for side in size]
        self._grids = (torch.rand(count, 1, cells, cells, generator=generator) < shown).float()
        begins = [torch.randint(side, (count,), generator=generator) for side in self._cell]
        self._begins = torch.stack(begins, 1).tolist()
        self._whole = [(cells + 1) * side for side in self._cell]

    def of(self, numbers: list[int]) -> Float[Tensor, "m h w"]:
        enlarged = F.interpolate(self._grids[numbers], self._whole, mode="bilinear", align_corners=False)[:, 0]
        height, width = self._size
        parts = zip(enlarged, (self._begins[number] for number in numbers), strict=True)
        return torch.stack([mask[top : top + height, left : left + width] for mask, (top, left) in parts])

"""Integrated gradients from many baselines: how an image differs from those of a background."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from striate.core.errors import ConfigError
from striate.core.rng import Stream
from striate.explaining._batching import in_batches
from striate.explaining.attribution._method import RawAttribution, attribution_method
from striate.explaining.attribution.gradient import gradient
from striate.explaining.target import ResolvedTarget


@attribution_method(
    title="Expected gradients",
    paper="Erion et al. 2021, arXiv:1906.10670, equation 4",
    signed=True,
    additive=True,
    variants=True,
)
def expected_gradients(
    model: nn.Module,
    images: Float[Tensor, "n c h w"],
    target: ResolvedTarget,
    *,
    background: float | Tensor = 0.0,
    samples: int = 200,
    seed: int = 0,
) -> RawAttribution:
    """Average integrated gradients over the images of a background, by random samples.

        values = E [(x - x′) ⊙ ∂S/∂x (x′ + α (x - x′))],   x′ from the background, α from 0 to 1

    Values (n c h w), in units of the score; as one map, their sum over the channels. They add up to S(x) less the mean
    score of the background, up to the error of sampling, which the residue shows. No single colour is then invisible,
    as that of the baseline is for integrated gradients.

    `background` is a batch (b c h w) of prepared images, of the training set, say; or a number, which makes the method
    integrated gradients from that baseline. Where the paper draws every x′ and α by itself, here each image of
    the background is used equally often, with `samples` rounded up to a multiple of b, and α lies at random in each of
    as many equal parts of the way: the same mean, with less noise. Every image meets the same draws.

    Raises:
        ConfigError: the background is not a batch of such images, or there is no sample.
    """
    others = _background(background, images)
    if samples < 1:
        raise ConfigError(f"Expected gradients need samples from 1 on; received {samples}.")
    rounds = -(-samples // len(others))
    count = rounds * len(others)
    alphas = _alphas(rounds, len(others), seed).to(images)
    with torch.no_grad():
        score = target(model(images)).float()
    values = torch.zeros_like(images, dtype=torch.float32)
    of_others = torch.zeros(len(images), dtype=torch.float32, device=images.device)

    def run(share: slice) -> None:
        rows, drawn = map(list, zip(*(divmod(number, count) for number in range(share.start, share.stop)), strict=True))
        start = others[[number % len(others) for number in drawn]]
        way = images[rows] - start
        found = gradient(model, start + alphas[drawn, None, None, None] * way, lambda answer: target(answer, rows))
        values.index_add_(0, torch.tensor(rows, device=values.device), (way * found).float())

    def compare(share: slice) -> None:
        rows, number = map(
            list, zip(*(divmod(one, len(others)) for one in range(share.start, share.stop)), strict=True)
        )
        with torch.no_grad():
            of_others.index_add_(
                0, torch.tensor(rows, device=images.device), target(model(others[number]), rows).float()
            )

    for work, number in ((run, count), (compare, len(others))):
        for _ in in_batches(len(images) * number, work):
            pass
    return RawAttribution(values / count, difference=score - of_others / len(others))


def _alphas(rounds: int, others: int, seed: int) -> Float[Tensor, " samples"]:
    """Draw, for each image of the background, one place in each of `rounds` equal parts of the way, round by round."""
    drawn = torch.rand(rounds, others, generator=Stream(seed, "explaining.expected").torch_generator())
    return ((torch.arange(rounds)[:, None] + drawn) / rounds).flatten()


def _background(background: float | Tensor, images: Float[Tensor, "n c h w"]) -> Float[Tensor, "b c h w"]:
    if not isinstance(background, Tensor):
        return torch.full_like(images[:1], background)
    others = background.detach().to(images)
    if others.ndim != 4 or not len(others) or others.shape[1:] != images.shape[1:]:
        raise ConfigError(
            f"The background is a batch of prepared images (b, {', '.join(map(str, images.shape[1:]))}) or a number; "
            f"received a tensor of shape {tuple(background.shape)}."
        )
    return others

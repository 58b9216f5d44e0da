"""Mixup and cutmix: the label's share is the share of pixels, whatever the batch's order."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from striate.core.config import override
from striate.core.errors import ConfigError
from striate.core.rng import Stream
from striate.data.augmentation.augment import mix
from striate.data.augmentation.augmentations import Flip
from striate.data.augmentation.mixing import Cutmix, Mixing, Mixup, partners, soft
from striate.runs.recipes import RECIPES
from striate.training.losses import LOSSES, Hinge

COUNT, HEIGHT, WIDTH = 24, 9, 14
KNOWN: dict[str, Any] = {"epoch": 3, "seed": 5, "blank": (0.5,), "channels": ("grey",)}
MIXES = [Mixup(alpha=0.4), Cutmix(), Cutmix(alpha=0.3, probability=0.6)]

every_mix = pytest.mark.parametrize("used", MIXES, ids=lambda used: f"{used.name}-{used.probability}")


def mixed(used: Mixing, index: np.ndarray, *others: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """Mix images of one value each, their index, with a class each."""
    images = torch.from_numpy(index).float().view(-1, 1, 1, 1).expand(-1, 1, HEIGHT, WIDTH)
    targets = soft(torch.from_numpy(index), COUNT)
    return mix(images, targets, index, augmentations=(*others, used), **KNOWN)


def drawn(used: Mixing) -> np.ndarray:
    stream = Stream(KNOWN["seed"], f"augment.{used.name}")
    return stream.uniform(epoch=KNOWN["epoch"], index=np.arange(COUNT), draws=used.draws)


@every_mix
def test_the_share_of_a_label_is_the_share_of_its_pixels(used: Mixing) -> None:
    images, targets = mixed(used, np.arange(COUNT))
    draws = drawn(used)
    order = sorted(range(COUNT), key=lambda row: draws[row, 0])
    for row in range(COUNT):
        partner = order[(order.index(row) + 1) % COUNT]
        share = np.random.Generator(np.random.Philox(key=int(draws[row, 1] * 2**53))).beta(used.alpha, used.alpha)
        share = share if draws[row, 2] < used.probability else 1.0
        expected, own = np.empty((HEIGHT, WIDTH)), 0.0
        side_y, side_x = (round(size * (1 - share) ** 0.5) for size in (HEIGHT, WIDTH))
        top, left = int(draws[row, 3] * HEIGHT) - side_y // 2, int(draws[row, 4] * WIDTH) - side_x // 2
        for y in range(HEIGHT):
            for x in range(WIDTH):
                pasted = top <= y < top + side_y and left <= x < left + side_x
                of_image = share if isinstance(used, Mixup) else float(not pasted)
                expected[y, x] = of_image * row + (1 - of_image) * partner
                own += of_image / (HEIGHT * WIDTH)
        np.testing.assert_allclose(images[row, 0].numpy(), expected, atol=1e-5)
        labels = np.zeros(COUNT)
        labels[row], labels[partner] = own, 1 - own
        np.testing.assert_allclose(targets[row].numpy(), labels, atol=1e-6)


@every_mix
def test_a_batch_in_another_order_gives_the_same_images_and_targets(used: Mixing) -> None:
    images, targets = mixed(used, np.arange(COUNT), Flip())
    order = np.random.default_rng(0).permutation(COUNT)
    again, soft_again = mixed(used, order, Flip())
    assert torch.equal(again, images[order])
    assert torch.equal(soft_again, targets[order])


def test_every_image_is_the_partner_of_one() -> None:
    found = partners(np.random.default_rng(0).random(COUNT))
    assert sorted(found) == list(range(COUNT))
    assert not (found == np.arange(COUNT)).any()


def test_shares_have_the_mean_and_variance_of_beta() -> None:
    index = np.arange(4000)
    _, received = mix(torch.zeros(4000, 1, 1, 1), torch.eye(4000), index, augmentations=(Mixup(alpha=0.5),), **KNOWN)
    shares = received.diagonal()
    assert float(shares.mean()) == pytest.approx(0.5, abs=0.02)
    assert float(shares.var()) == pytest.approx(1 / (4 * 2), abs=0.01)


def test_a_loss_without_soft_targets_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    class Hard(Hinge):
        soft_targets = False

    monkeypatch.setattr(LOSSES, "_entries", {**LOSSES._entries, "hard": Hard})
    with pytest.raises(ConfigError, match="mixup makes soft targets, which loss 'hard' does not take"):
        override(RECIPES["photos"](), ["augmentation.mixup=0.2", "loss.name=hard"])
    assert all(loss.soft_targets for name, loss in LOSSES.items() if name != "hard")

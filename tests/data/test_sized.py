"""Batches of sizes of their own: each size is prepared once for all loaders that are made of one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from striate.core.progress import Progress
from striate.core.spec import GREY, InputSpec
from striate.data.dataset import ArrayStore, Dataset, numbered
from striate.data.loading.loader import Loader
from striate.data.loading.sized import SizedLoader

SPEC = InputSpec(channels=GREY, height=8, width=8, mean=(0.1,), std=(0.5,), maximum=255.0)


def test_a_size_is_prepared_once_for_a_loader_and_those_made_of_it() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (10, 8, 8, 1), dtype=np.uint8)
    data = Dataset("array", ArrayStore(pixels, numbered("train", 10), GREY), ("a", "b"), np.arange(10) % 2)
    made: list[int] = []

    def make(spec: InputSpec, progress: Progress) -> Loader:
        made.append(spec.height)
        return Loader(data, np.arange(10), spec, batch_size=4, threads=0)

    loader = SizedLoader(3, lambda epoch: replace(SPEC, height=4 + 2 * epoch, width=4 + 2 * epoch), make)
    whole, there = loader.undivided(), loader.on("meta")
    for epoch, side in enumerate((4, 6, 8)):
        first, second = (list(each.epoch(epoch)) for each in (loader, whole))
        assert [batch.images.shape[2] for batch in first] == [side] * 3
        assert all(torch.equal(one.images, other.images) for one, other in zip(first, second, strict=True))
        assert [batch.images.device.type for batch in there.epoch(epoch, start=1)] == ["meta"] * 2
    assert made == [4, 6, 8]

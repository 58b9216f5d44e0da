"""Features of images: the same for any number of threads."""

from __future__ import annotations

import numpy as np
import torch

from striate.core.device import ExecutionPlan
from striate.core.spec import RGB, InputSpec
from striate.data.dataset import ArrayStore, Dataset, numbered
from striate.models import create_model
from striate.runs.features import features_of


def test_features_are_the_same_to_the_bit_for_any_number_of_threads() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (22, 16, 16, 3), np.uint8)
    data = Dataset("noise", ArrayStore(pixels, numbered("image", 22)), ("all",), np.zeros(22, np.int64))
    spec = InputSpec(channels=RGB, height=16, width=16, mean=(0.5,) * 3, std=(0.2,) * 3)
    network = create_model("resnet20", classes=10, size=(16, 16), seed=3)
    network.train()
    found = []
    for threads in (1, 2, 3):
        with ExecutionPlan(threads=threads).in_effect():
            computed = features_of(network, spec, data, np.arange(22), device="cpu")
            assert torch.get_num_threads() == threads
        found.append(np.concatenate(list(computed.places.values()), axis=1))
    assert network.training
    assert len(np.unique(found[0], axis=0)) == 22
    for other in found[1:]:
        np.testing.assert_array_equal(other, found[0])

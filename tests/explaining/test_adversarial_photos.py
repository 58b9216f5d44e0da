"""Real photos and a network that knows ImageNet: a grey level or two turn its answers, on the grid and the photo."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from striate.data.images.decode import decode
from striate.data.images.encode import to_png
from striate.data.preparation.arrays import prepare, reread
from striate.data.preparation.colour import arrange
from striate.data.preparation.tensors import prepare_tensors
from striate.explaining.adversarial import ThroughPreparation, accuracy_curve, pgd
from striate.models import Network, create_model
from striate.models.weights import DIALECTS, load_weights
from striate.models.weights.dialects.caffe import SQUEEZENET_INPUT

SPEC = SQUEEZENET_INPUT


@pytest.fixture(scope="module")
def network() -> Network:
    return create_model("squeezenet1_0", classes=1000, channels=3, size=SPEC.size).eval()


@pytest.fixture
def photos(real_data: Callable[[str], Path], network: Network) -> list[Path]:
    (file,) = (real_data("weights") / "squeezenet1_0").glob("*.npz")
    with np.load(file) as arrays:
        tensors = {name: torch.from_numpy(arrays[name]) for name in arrays.files}
    load_weights(network, DIALECTS["caffe"].convert(tensors, network))
    return sorted(real_data("imagenet-samples").glob("*.jpg"))[10:40:10]


def test_one_grey_level_is_enough(photos: list[Path], network: Network) -> None:
    pixels = np.stack([prepare(decode(photo, SPEC), SPEC).transpose(1, 2, 0) for photo in photos])
    labels = [int(photo.name[:4]) for photo in photos]
    curve = accuracy_curve(network, SPEC, pixels, labels, epsilons=(0, 1), steps=10)
    assert [one.correct for one in curve.accuracies] == [3, 0]


def test_a_photo_fools_after_its_file_and_preparation(photos: list[Path], network: Network) -> None:
    picture = decode(photos[0])
    given = np.ascontiguousarray(arrange(picture.pixels[None], picture.channels, SPEC))
    result = pgd(
        network,
        ThroughPreparation(SPEC, partial(prepare_tensors, spec=SPEC), partial(reread, spec=SPEC)),
        given,
        epsilon=2,
    )
    assert result.fooled.all()
    assert result.linf.max() <= 2
    again = prepare(decode(to_png(result.adversarial[0], SPEC.channels)), SPEC).transpose(1, 2, 0)[None].copy()
    assert pgd(network, SPEC, again, epsilon=0).before.classes == result.after.classes

"""What every registered view promises: its slow reference, weights that sum to 1, a text that is read back."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from reference import views as reference
from striate.core.errors import ConfigError
from striate.core.spec import RGB, InputSpec
from striate.data.images.decoded import DecodedImage
from striate.data.preparation.arrays import prepare
from striate.data.views import VIEWS, Crops, Flip, Look, Shift, View, looks_count, looks_of, read_views, views_text

# Every option away from its default.
OPTIONS: dict[str, dict[str, Any]] = {
    "flip": {},
    "shift": {"pixels": 2},
    "scale": {"fraction": 0.3},
    "crops": {"share": 0.75},
    "sizes": {"step": 0.25},
}
SPEC = InputSpec(channels=RGB, height=12, width=12, mean=(0.5,) * 3, std=(0.25,) * 3)
PHOTO = DecodedImage(np.random.default_rng(0).integers(0, 256, (40, 30, 3), np.uint8), RGB, (40, 30))


def prepared(spec: InputSpec) -> Tensor:
    return torch.from_numpy(prepare(PHOTO, spec)).float()[None]


def shown(view: View, spec: InputSpec = SPEC) -> list[tuple[float, np.ndarray]]:
    return [(look.weight, look(prepared(look.spec))[0].numpy()) for look in looks_of([view], spec)]


def same(ours: list[tuple[float, np.ndarray]], theirs: list[tuple[float, np.ndarray]], atol: float = 0.0) -> None:
    assert [weight for weight, _ in ours] == pytest.approx([weight for weight, _ in theirs])
    for (_, mine), (_, yours) in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(mine, yours, rtol=0, atol=atol)


@pytest.mark.parametrize("name", VIEWS)
def test_weights_sum_to_one_and_the_text_is_read_back(name: str) -> None:
    view = VIEWS[name](**OPTIONS[name])
    looks = looks_of([view], SPEC)
    assert len(looks) == view.count == looks_count([view])
    assert sum(look.weight for look in looks) == pytest.approx(1)
    assert read_views(views_text([view])) == (view,)
    assert read_views(name) == (VIEWS[name](),)


@pytest.mark.parametrize("name", ["flip", "shift", "scale"])
def test_equals_its_slow_reference(name: str) -> None:
    image = prepare(PHOTO, SPEC).astype(np.float32)
    same(shown(VIEWS[name](**OPTIONS[name])), getattr(reference, name)(image, **OPTIONS[name]), atol=2e-3)


@pytest.mark.parametrize(("share", "crop", "side"), [(0.75, 1.0, 16), (None, 1.0, 14), (None, 0.8, 15)])
def test_crops_are_cut_from_the_image_without_its_centre_crop(share: float | None, crop: float, side: int) -> None:
    # 12 of 16 pixels; 12 of round(12 / 0.875); and what the preparation itself cuts its centre from, 12 / 0.8.
    spec = InputSpec(channels=RGB, height=12, width=12, mean=(0.5,) * 3, std=(0.25,) * 3, crop=crop)
    larger = InputSpec(channels=RGB, height=side, width=side, mean=(0.5,) * 3, std=(0.25,) * 3)
    same(shown(Crops(share=share), spec), reference.crops(prepare(PHOTO, larger).astype(np.float32), 12))


def test_the_ten_crops_of_alexnet_are_224_of_256_at_the_corners_and_the_centre_and_mirrored() -> None:
    spec = InputSpec(channels=RGB, height=224, width=224, mean=(0.5,) * 3, std=(0.25,) * 3, resized=(256, 256))
    looks = looks_of(read_views("crops,flip"), spec)
    assert {look.spec.size for look in looks} == {(256, 256)}
    numbered = torch.arange(256.0 * 256).view(1, 1, 256, 256).expand(1, 3, 256, 256)
    corners = [int(look(numbered)[0, 0, 0, 0]) for look in looks]
    places = [(0, 0), (0, 32), (32, 0), (32, 32), (16, 16)]
    assert corners == [start for y, x in places for start in (256 * y + x, 256 * y + x + 223)]
    assert [look.weight for look in looks] == pytest.approx([0.1] * 10)


def test_sizes_are_those_of_vgg() -> None:
    spec = InputSpec(channels=RGB, height=224, width=224, mean=(0.5,) * 3, std=(0.25,) * 3, crop=0.875)
    looks = looks_of(read_views("sizes"), spec)
    assert [look.spec.size for look in looks] == [(224, 224), (256, 256), (288, 288)]  # S - 32, S, S + 32 for S = 256
    assert all(look.spec.crop == 1 and not look.changes for look in looks)


def test_shift_and_flip_are_the_views_of_airbench94() -> None:
    images = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    weights = torch.randn(3 * 8 * 8, 10, generator=torch.Generator().manual_seed(2))

    def net(inputs: Tensor) -> Tensor:
        return inputs.flatten(1) @ weights

    def mirrored(inputs: Tensor) -> Tensor:  # infer_mirror of its code
        return 0.5 * net(inputs) + 0.5 * net(inputs.flip(-1))

    padded = F.pad(images, (1,) * 4, "reflect")  # infer_mirror_translate, of 32 pixels there
    moved = torch.stack([mirrored(padded[:, :, 0:8, 0:8]), mirrored(padded[:, :, 2:10, 2:10])]).mean(0)
    spec = InputSpec(channels=RGB, height=8, width=8, mean=(0.5,) * 3, std=(0.25,) * 3)
    ours = sum((look.weight * net(look(images)) for look in looks_of([Shift(), Flip()], spec)), torch.zeros(()))
    np.testing.assert_allclose(ours, 0.5 * mirrored(images) + 0.5 * moved, rtol=1e-4, atol=1e-4)


def test_without_views_an_image_is_shown_once_as_it_is() -> None:
    assert looks_of(read_views("none"), SPEC) == looks_of((), SPEC) == (Look(SPEC),)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("flp", "There is no view 'flp'. Did you mean 'flip'?"),
        ("shift=0", "views.shift.pixels must be at least 1; received 0."),
        ("flip,shift=1,flip", "holds each view once"),
        ("crops=1", "views.crops.share must be at least 0.5 and below 1; received 1."),
        ("sizes=much", "views.sizes.step is a number; received 'much'."),
    ],
)
def test_a_list_that_cannot_be_is_one_sentence(text: str, sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_views(text)
    assert sentence in str(caught.value)


def test_a_shift_beyond_the_image_is_one_sentence() -> None:
    with pytest.raises(ConfigError, match="fewer pixels than their sides have, 12; received 12"):
        looks_of([Shift(pixels=12)], SPEC)

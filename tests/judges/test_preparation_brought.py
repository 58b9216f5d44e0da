"""Preparation that models define, compared with that of the libraries that they come from."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
import torchvision
from PIL import Image
from timm.data.config import resolve_data_config
from timm.data.transforms_factory import create_transform

import striate
from striate.core.errors import ConfigError
from striate.core.spec import RGB, InputSpec
from striate.data.images.decode import decode
from striate.data.images.decoded import DecodedImage
from striate.data.preparation.arrays import prepare, scale
from striate.models.weights.preparation import input_spec_of, input_spec_of_preset
from striate.reporting.sheets.own_preparation import brought

CONFIGS: list[dict[str, Any]] = [
    {"input_size": (3, 224, 224), "crop_pct": 0.95, "interpolation": "bicubic"},  # 235, not 236
    {"input_size": (3, 224, 224), "crop_pct": 0.875, "interpolation": "bilinear"},
    {"input_size": (3, 99, 99), "crop_pct": 0.9, "interpolation": "nearest"},
    {"input_size": (3, 224, 224), "crop_pct": 1.15, "interpolation": "bicubic"},  # resized to less than the crop
    {"input_size": (3, 160, 224), "crop_pct": 0.9, "interpolation": "bicubic"},  # timm's own resize
    {"input_size": (3, 224, 200), "crop_pct": 0.95, "interpolation": "bicubic", "crop_mode": "squash"},
    {"input_size": (3, 225, 225), "crop_pct": 1.0, "interpolation": "bicubic", "crop_mode": "border"},
    {"input_size": (3, 160, 224), "crop_pct": 0.9, "interpolation": "bilinear", "crop_mode": "border"},
    {"input_size": (3, 96, 96), "test_input_size": (3, 111, 111), "crop_pct": 0.9, "test_crop_pct": 1.0},
]


def _photo() -> Image.Image:
    y, x = np.mgrid[:300, :410] / 25
    soft = [np.sin(y + shift) * np.cos(x - shift) for shift in (0.0, 1.0, 2.0)]
    return Image.fromarray((128 + 80 * np.stack(soft, -1)).astype(np.uint8))


def _noise(height: int, width: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(height * width).integers(0, 256, (height, width, 3), np.uint8))


def _pixels(image: Image.Image, spec: object) -> np.ndarray:
    assert isinstance(spec, InputSpec)
    pixels = np.asarray(image)
    return prepare(DecodedImage(pixels, RGB, (pixels.shape[0], pixels.shape[1])), spec)


def _scaled(image: Image.Image, spec: object) -> torch.Tensor:
    assert isinstance(spec, InputSpec)
    return scale(torch.from_numpy(_pixels(image, spec).copy()[None]), spec)


def _by_timm(config: dict[str, Any], **choice: bool) -> Callable[[Image.Image], torch.Tensor]:
    transform: Any = create_transform(**resolve_data_config(pretrained_cfg=config, **choice), normalize=False)
    return transform


def _sizes() -> list[tuple[int, int]]:
    return [
        (30, 501),
        (225, 224),
        (224, 224),
        (300, 200),
        *np.random.default_rng(7).integers(40, 420, (4, 2)).tolist(),
    ]


@pytest.mark.parametrize(
    "config", CONFIGS, ids=lambda config: f"{config.get('crop_mode', 'center')}-{config['crop_pct']}"
)
def test_pixels_prepared_for_weights_of_timm_are_timms_to_the_byte(config: dict[str, Any]) -> None:
    for choice in (False, True):
        spec, judge = input_spec_of(config, test_size=choice), _by_timm(config, use_test_size=choice)
        for size in _sizes():
            image = _noise(*size)
            np.testing.assert_array_equal(_pixels(image, spec), judge(image).numpy(), err_msg=str(size))


@pytest.mark.parametrize(
    "weights",
    [
        torchvision.models.ResNet50_Weights.IMAGENET1K_V1,
        torchvision.models.ResNet50_Weights.IMAGENET1K_V2,
        torchvision.models.Inception_V3_Weights.DEFAULT,
        torchvision.models.Swin_T_Weights.DEFAULT,
    ],
)
def test_pixels_prepared_for_weights_of_torchvision_are_torchvisions_to_the_byte(
    weights: torchvision.models.WeightsEnum,
) -> None:
    preset = weights.transforms()
    spec = input_spec_of_preset(preset)
    preset.mean, preset.std = [0.0] * 3, [1.0] * 3
    for size in _sizes():
        judge = preset(_noise(*size)).mul(255).round().to(torch.uint8)
        np.testing.assert_array_equal(_pixels(_noise(*size), spec), judge.numpy(), err_msg=str(size))


def test_photos_decode_and_prepare_as_with_pillow(real_data: Callable[[str], Path]) -> None:
    """From the file on: our decoder, compared with Pillow's image. `benchmarks/preparation.py` has 100 photos."""
    files = sorted(real_data("photos-dog-cat").glob("*/*.jpg"))[::70]
    assert len(files) == 6
    for config in CONFIGS[:2]:
        spec, judge = input_spec_of(config), _by_timm(config)
        for file in files:
            with Image.open(file) as image:
                np.testing.assert_array_equal(prepare(decode(file, spec), spec), judge(image.convert("RGB")).numpy())


@pytest.mark.parametrize(
    "weights", [torchvision.models.ResNet50_Weights.IMAGENET1K_V2, torchvision.models.Swin_T_Weights.DEFAULT]
)
def test_torchvisions_weights_prepare_as_torchvision_does(weights: torchvision.models.WeightsEnum) -> None:
    judge = weights.transforms()(_photo())[None]
    for given in ({"weights": weights}, {"preparation": weights.transforms()}):
        found = brought(torch.nn.Identity(), **given)
        torch.testing.assert_close(_scaled(_photo(), found.preparation), judge, atol=1e-5, rtol=0)
    assert len(set(brought(torch.nn.Identity(), weights=weights).classes or ())) == 1000


@pytest.mark.parametrize("name", ["resnet18", "mobilenetv3_small_050", "vit_tiny_patch16_224"])
def test_timms_models_bring_their_preparation(name: str) -> None:
    model = timm.create_model(name)
    transform: Any = create_transform(**resolve_data_config({}, model=model))
    found = _scaled(_photo(), brought(model).preparation)
    torch.testing.assert_close(found, transform(_photo())[None], atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ({"interpolation": "random"}, "received 'random'"),
        ({"crop_mode": "top"}, "center, squash or border; received 'top'"),
        ({"crop_pct": 0}, None),  # timm's default, as timm has it
        ({"crop_pct": -1}, "crop_pct is a number"),
        ({"input_size": [224, 224]}, "channels, height and width; received [224, 224]"),
    ],
)
def test_a_configuration_that_timm_does_not_write_is_refused(config: dict[str, Any], says: str | None) -> None:
    if says is None:
        assert input_spec_of(config) == input_spec_of({"crop_pct": 0.875})
        return
    with pytest.raises(ConfigError) as caught:
        input_spec_of(config)
    assert says in str(caught.value)


def test_the_answer_is_that_of_the_model_called_by_hand() -> None:
    torch.manual_seed(0)
    weights = torchvision.models.SqueezeNet1_1_Weights.DEFAULT
    model = torchvision.models.squeezenet1_1().eval()
    with torch.no_grad():
        judge = model(weights.transforms()(_photo())[None]).softmax(1)[0]
    found = striate.explain(model, _photo(), weights=weights, target=3)
    assert found.target == weights.meta["categories"][3]
    assert found.probability == pytest.approx(float(judge[3]), rel=1e-5)

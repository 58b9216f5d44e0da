"""Preparation that models bring, beside the libraries that they come from."""

from __future__ import annotations

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
from striate.core.spec import InputSpec
from striate.data.images.decoded import DecodedImage
from striate.data.preparation.arrays import prepare, scale
from striate.reporting.sheets.own_preparation import brought

TOLERANCE = 0.1
"""Five grey levels after division by std: others cut a longer side that is no whole number, and we round it."""


def _photo() -> Image.Image:
    y, x = np.mgrid[:300, :410] / 25
    soft = [np.sin(y + shift) * np.cos(x - shift) for shift in (0.0, 1.0, 2.0)]
    return Image.fromarray((128 + 80 * np.stack(soft, -1)).astype(np.uint8))


def _prepared(spec: object) -> torch.Tensor:
    assert isinstance(spec, InputSpec)
    picture = DecodedImage(np.asarray(_photo()), ("red", "green", "blue"), (300, 410))
    return scale(torch.from_numpy(prepare(picture, spec).copy()[None]), spec)


@pytest.mark.parametrize(
    "weights",
    [
        torchvision.models.ResNet50_Weights.IMAGENET1K_V1,
        torchvision.models.ResNet50_Weights.IMAGENET1K_V2,
        torchvision.models.Inception_V3_Weights.DEFAULT,
        torchvision.models.Swin_T_Weights.DEFAULT,
    ],
)
def test_torchvisions_weights_prepare_as_torchvision_does(weights: torchvision.models.WeightsEnum) -> None:
    judge = weights.transforms()(_photo())[None]
    for given in ({"weights": weights}, {"preparation": weights.transforms()}):
        found = brought(torch.nn.Identity(), **given)
        torch.testing.assert_close(_prepared(found.preparation), judge, atol=TOLERANCE, rtol=0)
    assert len(set(brought(torch.nn.Identity(), weights=weights).classes or ())) == 1000


@pytest.mark.parametrize("name", ["resnet18", "mobilenetv3_small_050", "vit_tiny_patch16_224"])
def test_timms_models_bring_their_preparation(name: str) -> None:
    model = timm.create_model(name)
    transform: Any = create_transform(**resolve_data_config({}, model=model))
    torch.testing.assert_close(_prepared(brought(model).preparation), transform(_photo())[None], atol=TOLERANCE, rtol=0)


def test_the_answer_is_that_of_the_model_called_by_hand() -> None:
    torch.manual_seed(0)
    weights = torchvision.models.SqueezeNet1_1_Weights.DEFAULT
    model = torchvision.models.squeezenet1_1().eval()
    with torch.no_grad():
        judge = model(weights.transforms()(_photo())[None]).softmax(1)[0]
    found = striate.explain(model, _photo(), weights=weights, target=3)
    assert found.target == weights.meta["categories"][3]
    assert found.probability == pytest.approx(float(judge[3]), rel=1e-3)

"""Weights of other libraries in our networks: the library's own state dict, converted, gives the library's logits."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from judges.parity import apart, ask, calibrating, is_keras, randomise
from striate.models import create_model, meta_model
from striate.models.weights import load_weights, read_file, recognise

import keras  # isort: skip (judges.parity chooses its backend)
import timm  # isort: skip
from torchvision import models as torchvision  # isort: skip

SMALL = (64, 64)


@dataclass(frozen=True)
class Case:
    """A network of the zoo and the same one of a library; `always` those that prove a kind of rule."""

    dialect: str
    model: str
    build: Callable[[], Any]
    size: tuple[int, int] = SMALL
    always: bool = False


def _torchvision(model: str, name: str = "", *, always: bool = False, **settings: Any) -> Case:
    size = settings.pop("size", SMALL)
    return Case("torchvision", model, lambda: getattr(torchvision, name or model)(**settings), size, always)


def _timm(model: str, name: str = "", *, always: bool = False, size: tuple[int, int] = SMALL) -> Case:
    dialect = "tensorflow" if name.startswith("tf_") else "timm"
    return Case(dialect, model, lambda: timm.create_model(name or model), size, always)


def _keras(model: str, name: str, *, always: bool = False, size: tuple[int, int] = SMALL, **settings: Any) -> Case:
    def build() -> Any:
        function = getattr(keras.applications, name)
        return function(weights=None, classifier_activation=None, input_shape=(*size, 3), **settings)

    return Case("keras", model, build, size, always)


_UNDRAWN: dict[str, Any] = {"init_weights": False}
CASES = (
    _torchvision("alexnet", size=(224, 224)),
    _torchvision("squeezenet1_0"),
    _torchvision("squeezenet1_1", always=True),
    _torchvision("vgg11_bn", size=(224, 224)),
    _torchvision("vgg16", size=(224, 224)),
    _torchvision("resnet18"),
    _torchvision("resnet50"),
    _torchvision("resnext50_32x4d"),
    _torchvision("wide_resnet50_2"),
    _torchvision("densenet121"),
    _torchvision("googlenet_bn", "googlenet", **_UNDRAWN),
    _torchvision("inception_v3", size=(96, 96), **_UNDRAWN),
    _torchvision("mobilenet_v2", always=True),
    _torchvision("efficientnet_b0", always=True),
    _torchvision("efficientnet_b5"),
    _torchvision("efficientnet_v2_s"),
    _torchvision("convnext_tiny"),
    _timm("resnet18"),
    _timm("resnet50d"),
    _timm("resnet_rs50", "resnetrs50"),
    _timm("resnet50_v2", "resnetv2_50"),
    _timm("se_resnet50", "legacy_seresnet50"),
    _timm("se_resnext50_32x4d", "legacy_seresnext50_32x4d"),
    _timm("senet154", "legacy_senet154"),
    _timm("densenet121"),
    _timm("inception_v3", size=(96, 96)),
    _timm("inception_v4", size=(96, 96)),
    _timm("inception_resnet_v2", size=(96, 96)),
    _timm("vgg11", size=(224, 224)),
    _timm("xception", "legacy_xception"),
    _timm("convnext_tiny"),
    _timm("mobilenet_v1", "mobilenetv1_100", always=True),
    _timm("mobilenet_v2_050", "mobilenetv2_050"),
    _timm("efficientnet_b0"),
    _timm("efficientnet_b0", "tf_efficientnet_b0", always=True),
    _timm("efficientnet_lite0", "tf_efficientnet_lite0"),
    _timm("efficientnet_v2_b0", "tf_efficientnetv2_b0"),
    _timm("efficientnet_v2_s", "tf_efficientnetv2_s"),
    _keras("mobilenet_v1_025", "MobileNet", alpha=0.25, always=True),
    _keras("mobilenet_v2_035", "MobileNetV2", alpha=0.35),
    _keras("resnet50_2015", "ResNet50"),
    _keras("vgg16", "VGG16", size=(224, 224)),
    _keras("densenet121", "DenseNet121"),
    _keras("xception", "Xception", size=(96, 75)),
    _keras("inception_resnet_v2", "InceptionResNetV2", size=(96, 96)),
    _keras("efficientnet_b0", "EfficientNetB0"),
    _keras("efficientnet_v2_b0", "EfficientNetV2B0"),
    _keras("efficientnet_v2_s", "EfficientNetV2S"),
    _keras("convnext_tiny", "ConvNeXtTiny"),
)
CHOSEN = [case for case in CASES if case.always or os.environ.get("STRIATE_FAMILIES") == "all"]


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
@pytest.mark.parametrize("case", CHOSEN, ids=lambda case: f"{case.dialect}-{case.model}")
def test_converted_weights_give_the_logits_of_their_library(case: Case, tmp_path: Path) -> None:
    theirs = case.build()
    images = torch.randn(1, 3, *case.size, generator=torch.Generator().manual_seed(1))
    if not is_keras(theirs):  # norms of few pixels magnify rounding
        images, theirs = images.double(), theirs.double()
    tensors = _drawn_keras(theirs) if is_keras(theirs) else _drawn(theirs, images)
    sketch = meta_model(case.model, size=case.size)
    dialect = recognise(tensors, sketch, source="tf_" if case.dialect == "tensorflow" else "")
    assert dialect.name in (case.dialect, "torchvision")  # timm keeps torchvision's names
    ours = create_model(dialect.model(sketch), size=case.size, seed=0).to(images.dtype)
    state = dialect.convert(tensors, sketch)
    if is_keras(theirs):
        theirs.save_weights(tmp_path / "model.weights.h5")
        written = dialect.convert(read_file(tmp_path / "model.weights.h5").tensors, sketch)
        assert all(torch.equal(written[path], value) for path, value in state.items())
    load_weights(ours, state)
    with torch.no_grad():
        expected = ask(theirs.eval(), _undone(case, images))
        assert float(expected.std()) > 1e-4
        assert apart(ours.eval()(images), expected) <= 1e-5


def _drawn(network: torch.nn.Module, images: Tensor) -> Mapping[str, Tensor]:
    """Random weights, and statistics of batch norms with which no activation vanishes."""
    randomise(network, 0)
    with torch.no_grad(), calibrating(network, 0):
        network.eval()(images)
    return network.state_dict()


def _drawn_keras(network: Any) -> Mapping[str, Tensor]:
    """Random weights of a Keras model, by `layer/variable`, as its files have them."""
    generator = torch.Generator().manual_seed(0)
    tensors = {}
    for layer in network.layers:
        for variable in layer.weights:
            shape = tuple(variable.shape)
            drawn = torch.randn(shape, generator=generator)
            if layer.name.startswith("normalization"):
                continue
            if len(shape) > 1:
                fan_in = drawn.numel() // (shape[-1] if drawn.ndim == 2 or shape[-1] > 1 else shape[-2])
                drawn *= (1 / fan_in) ** 0.5
            elif any(part in variable.name for part in ("gamma", "variance", "variable")):
                drawn = 0.5 + torch.rand(shape, generator=generator)
            else:
                drawn *= 0.1
            variable.assign(drawn)
            tensors[f"{layer.name}/{variable.name}"] = variable.value.detach()
    return tensors


def _undone(case: Case, images: Tensor) -> Tensor:
    """The images before the preparation that Keras has inside of some networks."""
    if case.dialect != "keras" or not case.model.startswith(("efficientnet", "convnext")):
        return images
    if case.model == "efficientnet_v2_s":
        return images * 128 + 128
    standard = not case.model.startswith("efficientnet_b")  # there the file holds mean and variance
    mean = torch.tensor([0.485, 0.456, 0.406] if standard else [0.0] * 3).reshape(1, 3, 1, 1)
    std = torch.tensor([0.229, 0.224, 0.225] if standard else [1.0] * 3).reshape(1, 3, 1, 1)
    return (images * std + mean) * 255

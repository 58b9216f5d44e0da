"""VGG against tables 1 and 2 of its paper, for the configurations that no judge has too."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import nn

from striate.layers import LocalResponseNorm
from striate.models import create_model, meta_model
from striate.tracing import describe

# Table 1: the convolutions of each configuration, kernel and filters, "M" where a pooling stands.
_TABLE_1 = {
    "vgg11": "3-64 M 3-128 M 3-256 3-256 M 3-512 3-512 M 3-512 3-512 M",
    "vgg13": "3-64 3-64 M 3-128 3-128 M 3-256 3-256 M 3-512 3-512 M 3-512 3-512 M",
    "vgg16_1x1": "3-64 3-64 M 3-128 3-128 M 3-256 3-256 1-256 M 3-512 3-512 1-512 M 3-512 3-512 1-512 M",
    "vgg16": "3-64 3-64 M 3-128 3-128 M 3-256 3-256 3-256 M 3-512 3-512 3-512 M 3-512 3-512 3-512 M",
    "vgg19": "3-64 3-64 M 3-128 3-128 M 3-256 3-256 3-256 3-256 M 3-512 3-512 3-512 3-512 M 3-512 3-512 3-512 3-512 M",
}
_TABLE_1["vgg11_lrn"] = _TABLE_1["vgg11"].replace("3-64 M", "3-64 LRN M")


def _read(module: nn.Module) -> str:
    match module:
        case nn.Conv2d():
            assert module.stride == (1, 1)
            assert module.padding[0] == module.kernel_size[0] // 2  # the size is kept
            return f"{module.kernel_size[0]}-{module.out_channels}"
        case nn.MaxPool2d():
            assert (module.kernel_size, module.stride) == (2, 2)
            return "M"
        case LocalResponseNorm():
            return "LRN"
        case _:
            return ""


@pytest.mark.parametrize("name", list(_TABLE_1))
def test_each_configuration_is_its_column_of_table_1(name: str) -> None:
    network = meta_model(name, classes=1000, size=(224, 224))
    layers = [_read(module) for module in network.get_submodule("features").children()]
    assert " ".join(filter(None, layers)) == _TABLE_1[name]
    dense = [module for module in network.modules() if isinstance(module, nn.Linear)]
    assert [(layer.in_features, layer.out_features) for layer in dense] == [(25088, 4096), (4096, 4096), (4096, 1000)]


@pytest.mark.parametrize("name", ["vgg11", "vgg13", "vgg16_1x1", "vgg16", "vgg19"])
def test_batch_norm_follows_each_convolution_and_changes_nothing_else(name: str) -> None:
    network = meta_model(f"{name}_bn", classes=1000, size=(224, 224))
    kinds = [type(module).__name__ for module in network.get_submodule("features").children()]
    assert all(after == "BatchNorm2d" for kind, after in itertools.pairwise(kinds) if kind == "Conv2d")
    plain = meta_model(name, classes=1000, size=(224, 224))
    without = [module for module in network.get_submodule("features").children() if type(module) is not nn.BatchNorm2d]
    assert [repr(module) for module in without] == [repr(m) for m in plain.get_submodule("features").children()]


def test_response_normalisation_without_effect_leaves_a() -> None:
    normalised = create_model("vgg11_lrn", classes=3, size=(32, 32), seed=1).eval()
    plain = create_model("vgg11", classes=3, size=(32, 32), seed=1).eval()
    pictures = torch.randn(2, 3, 32, 32)
    norm = normalised.get_submodule("features.norm1")
    assert isinstance(norm, LocalResponseNorm)
    with torch.no_grad():
        assert not torch.allclose(normalised(pictures), plain(pictures))
        norm.alpha, norm.k = 0.0, 1.0
        torch.testing.assert_close(normalised(pictures), plain(pictures))


def test_three_small_kernels_see_as_much_as_one_of_seven() -> None:
    """Section 2.3: and with 27 C² weights for 49 C²."""
    network = meta_model("vgg16", classes=10, size=(64, 64))
    description = describe(network, (3, 64, 64))
    fields = [description.row(f"features.conv1_{i}").receptive_field for i in (1, 2)]
    assert fields == [(3, 3), (5, 5)]
    before, after = (description.row(f"features.{path}").receptive_field for path in ("pool2", "conv3_3"))
    assert before is not None
    assert after is not None
    assert (after[0] - before[0]) // 4 + 1 == 7

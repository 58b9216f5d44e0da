"""The courses' own networks against the numbers that their courses print."""

from __future__ import annotations

import torch

from striate.core.protocols import Constrained
from striate.models import MODELS, create_model, meta_model
from striate.tracing import describe


def test_the_dogs_and_cats_network_has_the_courses_sizes_and_parameters() -> None:
    description = describe(meta_model("dogs_and_cats", classes=1, size=(150, 150)), (3, 150, 150))
    assert description.totals.parameters == 5_615_553
    weighted = [row for row in description.rows if row.parameters]
    assert [row.parameters for row in weighted] == [896, 18_496, 73_856, 147_584, 5_308_928, 65_664, 129]
    assert [row.output_shape for row in description.rows if row.kind == "MaxPool2d"] == [
        *((32, 75, 75), (64, 37, 37), (128, 18, 18), (128, 9, 9))
    ]
    assert [row.path for row in description.rows if row.kind == "Dropout"] == ["drop"]


def test_the_books_dogs_and_cats_network_has_the_books_sizes_and_parameters() -> None:
    description = describe(meta_model("dogs_and_cats_2017", classes=1, size=(150, 150)), (3, 150, 150))
    assert description.totals.parameters == 3_453_121
    shapes = [row.output_shape for row in description.rows if row.kind in ("Conv2d", "MaxPool2d")]
    assert shapes == [
        *((32, 148, 148), (32, 74, 74), (64, 72, 72), (64, 36, 36)),
        *((128, 34, 34), (128, 17, 17), (128, 15, 15), (128, 7, 7)),
    ]


def test_the_cifar_10_network_has_the_books_parameters_layer_by_layer() -> None:
    description = describe(meta_model("cifar10_maxnorm", classes=10, size=(32, 32)), (3, 32, 32))
    assert [row.parameters for row in description.rows if row.parameters] == [896, 9_248, 4_194_816, 5_130]
    assert description.totals.parameters == 4_210_090


def test_the_cifar_10_networks_weights_are_kept_at_a_norm_of_three() -> None:
    network = create_model("cifar10_maxnorm", classes=10, size=(4, 4), seed=1)
    for path in ("features.conv1", "features.conv2", "fc1"):
        layer = network.get_submodule(path)
        weight = layer.get_parameter("weight")
        weight.data[0] *= 100
        assert isinstance(layer, Constrained)
        layer.project_()
        assert float(weight[0].detach().norm()) <= 3.0001
    assert not isinstance(network.get_submodule("fc2"), Constrained)


def test_the_tutorials_classifier_has_the_parameters_of_32_64_1024() -> None:
    assert MODELS["deep_mnist"].card.parameters == (25 + 1) * 32 + (25 * 32 + 1) * 64 + (7 * 7 * 64 + 1) * 1024 + 10_250


def test_the_courses_digit_classifier_has_unpadded_3x3_kernels_and_the_decks_parameters() -> None:
    description = describe(meta_model("mnist_cnn", classes=10, channels=1, size=(28, 28)), (1, 28, 28))
    weighted = [row for row in description.rows if row.parameters]
    assert [row.output_shape for row in weighted] == [(32, 26, 26), (64, 11, 11), (1024,), (10,)]
    assert [row.parameters for row in weighted] == [320, 18_496, 1_639_424, 10_250]
    assert description.totals.parameters == MODELS["mnist_cnn"].card.parameters == 1_668_490


def test_the_digit_network_is_6_16_120_100_for_32x32_pixels() -> None:
    assert MODELS["digit_net"].card.input == (1, 32, 32)
    description = describe(meta_model("digit_net", classes=10, channels=1, size=(32, 32)), (1, 32, 32))
    weighted = [row for row in description.rows if row.parameters]
    assert [row.output_shape for row in weighted] == [(6, 28, 28), (16, 10, 10), (120,), (100,), (10,)]
    assert description.totals.parameters == 63_802


def test_lenet_in_colour_has_8_and_16_filters() -> None:
    description = describe(meta_model("lenet5_rgb", classes=10, size=(32, 32)), (3, 32, 32))
    assert [row.parameters for row in description.rows if row.parameters] == [608, 3_216, 48_120, 10_164, 850]
    logits = create_model("lenet5_rgb", classes=10, size=(32, 32), seed=1)(torch.randn(2, 3, 32, 32))
    assert logits.shape == (2, 10)

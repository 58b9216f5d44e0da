"""AlexNet: the two columns of 2012, the sizes of its paper, and where its parameters and its work lie."""

from __future__ import annotations

import pytest
import torch

from reference.alexnet import two_columns
from striate.models import create_model, meta_model
from striate.tracing import describe


def test_groups_are_the_two_columns_of_2012() -> None:
    network = create_model("alexnet_2012", classes=7, size=(99, 83), seed=1).double().eval()
    for parameter in network.parameters():  # of a size at which response normalisation matters
        parameter.data = 3 * torch.randn_like(parameter) / parameter[0].numel() ** 0.5
    pictures = 10 * torch.randn(2, 3, 99, 83, dtype=torch.float64)
    with torch.no_grad():
        torch.testing.assert_close(network(pictures), two_columns(network.state_dict(), pictures))


def test_the_maps_of_2012_have_the_sizes_of_the_paper() -> None:
    description = describe(meta_model("alexnet_2012", classes=1000, size=(227, 227)), (3, 227, 227))
    shapes = {row.path.removeprefix("features."): row.output_shape for row in description.rows}
    assert [shapes[f"conv{i}"] for i in (1, 2, 3, 4, 5)] == [
        (96, 55, 55),
        (256, 27, 27),
        (384, 13, 13),
        (384, 13, 13),
        (256, 13, 13),
    ]
    assert shapes["pool5"] == (256, 6, 6)
    assert shapes["fc6"] == shapes["fc7"] == (4096,)
    assert description.notes == ()
    # The abstract's 650,000 neurons, rounded down.
    neurons = sum(
        torch.Size(shapes[name]).numel() for name in shapes if name.startswith("conv") or name in ("fc6", "fc7", "fc8")
    )
    assert neurons == 659_272


def test_224_pixels_as_printed_do_not_fit() -> None:
    description = describe(meta_model("alexnet_2012", classes=1000, size=(224, 224)), (3, 224, 224))
    assert description.notes[0] == (
        "features.conv1: 11×11/4 on 224×224 would fit 54.25×54.25 times; it drops the last row and column."
    )


def test_the_first_weights_of_2012_are_the_papers() -> None:
    network = create_model("alexnet_2012", classes=10, size=(67, 67), seed=1)
    state = network.state_dict()
    ones = {path for path, value in state.items() if path.endswith("bias") and bool((value == 1).all())}
    zeros = {path for path, value in state.items() if path.endswith("bias") and bool((value == 0).all())}
    assert ones == {f"{path}.bias" for path in ("features.conv2", "features.conv4", "features.conv5", "fc6", "fc7")}
    assert zeros == {f"{path}.bias" for path in ("features.conv1", "features.conv3", "fc8")}
    for path, value in state.items():
        if path.endswith("weight"):
            assert float(value.std()) == pytest.approx(0.01, rel=0.05)


@pytest.mark.parametrize("name", ["alexnet", "alexnet_2012"])
def test_the_first_dense_layer_holds_most_parameters_and_the_second_convolution_does_most_of_the_work(
    name: str,
) -> None:
    side = 227 if name == "alexnet_2012" else 224
    description = describe(meta_model(name, classes=1000, size=(side, side)), (3, side, side))
    largest = max(description.rows, key=lambda row: row.parameters)
    busiest = max(description.rows, key=lambda row: row.macs)
    assert (largest.path, largest.parameters) == ("fc6", 9216 * 4096 + 4096)
    assert (busiest.path, busiest.macs) == ("features.conv2", 223_948_800)
    convolutions = [row for row in description.rows if row.kind == "Conv2d"]
    assert sum(row.parameters for row in convolutions) < 0.05 * description.totals.parameters
    assert sum(row.macs for row in convolutions) > 0.9 * description.totals.macs

"""ZFNet against figure 3 of its paper, and the bound on its filters."""

from __future__ import annotations

import pytest
import torch

from striate.core.protocols import Constrained
from striate.models import create_model, meta_model
from striate.tracing import describe


@pytest.mark.parametrize(("name", "widths"), [("zfnet", (384, 384, 256)), ("zfnet_wide", (512, 1024, 512))])
def test_its_maps_have_the_sizes_of_figure_3(name: str, widths: tuple[int, int, int]) -> None:
    description = describe(meta_model(name, classes=1000, size=(224, 224)), (3, 224, 224))
    shapes = {row.path.removeprefix("features."): row.output_shape for row in description.rows}
    assert (shapes["conv1"], shapes["pool1"]) == ((96, 110, 110), (96, 55, 55))
    assert (shapes["conv2"], shapes["pool2"]) == ((256, 26, 26), (256, 13, 13))
    assert [shapes[f"conv{i}"] for i in (3, 4, 5)] == [(width, 13, 13) for width in widths]
    assert shapes["pool5"] == (widths[-1], 6, 6)
    assert shapes["fc6"] == shapes["fc7"] == (4096,)
    assert description.notes == ()


def test_a_filter_is_scaled_back_to_a_root_mean_square_of_a_tenth() -> None:
    network = create_model("zfnet", classes=2, size=(47, 47), seed=1)
    for path in ("features.conv1", "features.conv4"):
        layer = network.get_submodule(path)
        weight = layer.get_parameter("weight")
        weight.data[0], weight.data[1] = 0.2, 0.05
        before = weight.detach().clone()
        assert isinstance(layer, Constrained)
        layer.project_()
        torch.testing.assert_close(weight[0], torch.full_like(weight[0], 0.1))
        assert torch.equal(weight[1:], before[1:])

"""Descriptions of networks that we did not write, against the figures that their own library publishes for them."""

from __future__ import annotations

import pytest
import torch
import torchvision

from striate.tracing import describe


@pytest.mark.parametrize(
    ("name", "depth", "field"),
    [
        ("alexnet", 8, 195),
        ("vgg16", 16, 212),
        ("resnet50", 50, 427),
        ("densenet121", 121, None),
        ("mobilenet_v2", 53, None),
        ("shufflenet_v2_x1_0", None, None),
        ("googlenet", None, None),
        ("convnext_tiny", None, None),
    ],
)
def test_sums_are_those_published_by_torchvision(name: str, depth: int | None, field: int | None) -> None:
    """Multiply-accumulates as in its table (in 10⁹, three decimals), parameters exactly; depths are the papers'.

    Receptive fields of the last map: Araujo, Norris and Sim, Distill 2019, table 1 (AlexNet, VGG-16; ResNet-50 with the
    stride in the 3×3 layer, as here, sees 427 where theirs, with it in the 1×1, sees 483).
    """
    published = torchvision.models.get_model_weights(name)["IMAGENET1K_V1"].meta
    arguments = {"init_weights": False} if name == "googlenet" else {}
    with torch.device("meta"):
        network = torchvision.models.get_model(name, **arguments)
    description = describe(network, (3, 224, 224))
    # GoogLeNet's published count is that of the network in use, without its two auxiliary classifiers.
    auxiliary = sum(p.numel() for path, p in network.named_parameters() if path.startswith("aux"))
    assert description.totals.parameters - auxiliary == published["num_params"]
    assert description.totals.macs / 1e9 == pytest.approx(published["_ops"], abs=0.0006)
    assert description.totals.depth == (depth or description.totals.depth)
    if field:
        last = [row for row in description.rows if row.stride is not None][-1]
        assert last.receptive_field == (field, field)

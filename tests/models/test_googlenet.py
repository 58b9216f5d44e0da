"""GoogLeNet by its paper's own numbers, and its two kinds of module by what the courses count in them."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from striate.models import create_model, meta_model
from striate.models.families.googlenet import GoogLeNet, Inception, NaiveInception
from striate.tracing import describe

# Table 1: height (and width) and channels of the output, millions of operations.
TABLE_1 = {
    "pool1": (56, 64, 0),
    "conv3": (56, 192, 360),  # with the reduction before it
    "pool2": (28, 192, 0),
    "inception3a": (28, 256, 128),
    "inception3b": (28, 480, 304),
    "pool3": (14, 480, 0),
    "inception4a": (14, 512, 73),
    "inception4b": (14, 512, 88),
    "inception4c": (14, 512, 100),
    "inception4d": (14, 528, 119),
    "inception4e": (14, 832, 170),
    "pool4": (7, 832, 0),
    "inception5a": (7, 832, 51),  # 54 is printed
    "inception5b": (7, 1024, 71),
}


def test_sizes_and_operations_are_those_of_table_1() -> None:
    network = meta_model("googlenet", classes=1000, size=(224, 224))
    assert isinstance(network, GoogLeNet)
    rows = describe(network, (3, 224, 224)).rows
    for name, (side, channels, millions) in TABLE_1.items():
        parts = {"conv3": ("conv2", "conv3")}.get(name, (name,))
        own = [row for row in rows if row.path.split(".")[1:2] and row.path.split(".")[1] in parts]
        assert own[-1].output_shape == (channels, side, side), name
        assert sum(row.macs for row in own) == pytest.approx(millions * 10**6, abs=10**6), name


def test_the_first_row_of_table_1_is_that_of_a_separable_convolution() -> None:
    separable = nn.Sequential(nn.Conv2d(3, 24, 7, 2, 3, groups=3, bias=False), nn.Conv2d(24, 64, 1, bias=False))
    totals = describe(separable, (3, 224, 224)).totals
    assert (totals.parameters, totals.macs) == (2_712, 34_019_328)  # 2.7 K and 34 M
    printed = 34 + sum(millions for _, _, millions in TABLE_1.values()) + 3 + 1  # 5a as printed, and the logits
    assert printed == 1_502  # the paper's 1.5 billion


def test_an_inception_module_costs_854_million_as_it_is_and_271_million_with_bottlenecks() -> None:
    shape = (256, 28, 28)
    naive, narrow = (
        describe(NaiveInception(256, 128, 192, 96), shape),
        describe(Inception(256, 128, 64, 192, 64, 96, 64), shape),
    )
    assert naive.rows[-1].output_shape == (672, 28, 28)
    assert narrow.rows[-1].output_shape == (480, 28, 28)
    assert (naive.totals.macs, narrow.totals.macs) == (854_196_224, 271_351_808)
    slide = narrow.totals.macs + narrow.row("branch3x3.conv.conv").macs  # the 3×3 twice
    assert slide == 358_055_936


def test_the_example_shows_these_numbers(capsys: pytest.CaptureFixture[str]) -> None:
    runpy.run_path(str(Path(__file__).parents[2] / "examples" / "inception_cost.py"), run_name="__main__")
    printed = capsys.readouterr().out
    assert "854,196,224" in printed
    assert "271,351,808" in printed


def _convolved(module: nn.Module, path: str, x: Tensor) -> Tensor:
    layer = module.get_submodule(path)
    assert isinstance(layer, nn.Conv2d)
    return F.relu(F.conv2d(x, layer.weight, layer.bias, padding=layer.kernel_size[0] // 2))


def test_modules_lay_their_branches_on_each_other_in_the_order_of_figure_2() -> None:
    x = torch.randn(2, 8, 9, 7)
    pooled = F.max_pool2d(x, 3, 1, 1)
    naive = NaiveInception(8, 3, 4, 5)
    branches = [_convolved(naive, f"branch{side}x{side}.conv", x) for side in (1, 3, 5)]
    torch.testing.assert_close(naive(x), torch.cat([*branches, pooled], 1))
    module = Inception(8, 3, 2, 4, 2, 5, 6)
    narrow = [
        _convolved(module, f"branch{side}x{side}.conv.conv", _convolved(module, f"branch{side}x{side}.reduce.conv", x))
        for side in (3, 5)
    ]
    expected = [_convolved(module, "branch1x1.conv", x), *narrow, _convolved(module, "pool.project.conv", pooled)]
    torch.testing.assert_close(module(x), torch.cat(expected, 1))


def test_auxiliary_classifiers_are_those_of_section_5_and_leave_the_main_answer_as_it_is() -> None:
    network = meta_model("googlenet", classes=1000, size=(224, 224))
    assert isinstance(network, GoogLeNet)
    assert list(network.auxiliary_heads) == ["inception4a", "inception4d"]
    for name, channels in (("inception4a", 512), ("inception4d", 528)):
        rows = describe(network.auxiliary[name], (channels, 14, 14)).rows
        shapes = [row.output_shape for row in rows if row.kind in ("AvgPool2d", "Conv2d", "Linear")]
        assert shapes == [(channels, 4, 4), (128, 4, 4), (1024,), (1000,)]
    small = create_model("googlenet", classes=3, size=(80, 80), seed=1).eval()
    assert isinstance(small, GoogLeNet)
    pictures = torch.randn(2, 3, 80, 80)
    logits, others = small.forward_with_auxiliary(pictures)
    assert torch.equal(logits, small(pictures))
    assert {name: tuple(each.shape) for name, each in others.items()} == {"inception4a": (2, 3), "inception4d": (2, 3)}


@pytest.mark.parametrize(
    ("model", "side", "present"),
    [("googlenet", 78, False), ("googlenet", 79, True), ("googlenet_bn", 15, True), ("inception_v3", 298, False),
     ("inception_v3", 299, True)],
)  # fmt: skip
def test_an_auxiliary_classifier_is_built_where_its_map_is_not_empty(model: str, side: int, present: bool) -> None:
    network = meta_model(model, classes=5, size=(side, side + 1))
    assert bool(network.get_submodule("auxiliary")._modules) == present
    logits, others = network.forward_with_auxiliary(torch.empty(2, 3, side, side + 1, device="meta"))  # pyright: ignore[reportCallIssue]
    assert logits.shape == (2, 5)
    assert bool(others) == present

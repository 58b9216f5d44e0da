"""The MobileNets' arithmetic, from their papers."""

from __future__ import annotations

import pytest

from striate.models import meta_model
from striate.models.families.mobilenet_v1 import DepthwiseSeparable
from striate.models.families.mobilenet_v2 import InvertedResidual, thinned
from striate.tracing import describe


@pytest.mark.parametrize("outputs", [64, 512])
def test_a_separable_convolution_costs_what_equation_5_says(outputs: int) -> None:
    """Of a full 3×3 convolution: 1 / outputs + 1 / 3²."""
    block = DepthwiseSeparable(48, outputs, stride=1)
    full = 48 * outputs * 3**2 * 14 * 14
    assert describe(block, (48, 14, 14)).totals.macs == pytest.approx(full * (1 / outputs + 1 / 9), rel=1e-12)


def test_an_inverted_residual_costs_what_section_3_says() -> None:
    """h · w · d · t · (d + k² + d′) for a stride of 1, where the paper counts multiply-adds."""
    block = InvertedResidual(24, 6, 32, stride=1)
    assert describe(block, (24, 28, 28)).totals.macs == 28 * 28 * 24 * 6 * (24 + 9 + 32)


def test_a_block_of_the_same_shape_is_added_and_no_other() -> None:
    assert InvertedResidual(24, 6, 24, stride=1).add is not None
    assert InvertedResidual(24, 6, 24, stride=2).add is None
    assert InvertedResidual(24, 6, 32, stride=1).add is None


# Table 2's widths times 0.35 and 1.4, in multiples of 8; 11.2 would lose more than a tenth at 8, so it is 16.
@pytest.mark.parametrize(
    ("width", "filters"),
    [(0.35, (16, 8, 8, 16, 24, 32, 56, 112)), (1.4, (48, 24, 32, 48, 88, 136, 224, 448))],
)
def test_widths_are_rounded_to_multiples_of_eight(width: float, filters: tuple[int, ...]) -> None:
    assert tuple(thinned(c, width) for c in (32, 16, 24, 32, 64, 96, 160, 320)) == filters


def test_the_last_depthwise_convolution_of_v1_keeps_the_size() -> None:
    """Table 1 prints a stride of 2 for it, and 7×7 on both sides."""
    network = meta_model("mobilenet_v1", classes=1000, size=(224, 224))
    rows = describe(network, (3, 224, 224)).rows
    last = next(row for row in rows if row.path == "stages.stage5.block2.depthwise")
    assert (last.input_shape, last.output_shape) == ((1024, 7, 7), (1024, 7, 7))

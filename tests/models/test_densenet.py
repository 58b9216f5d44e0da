"""DenseNet's arithmetic, from its paper."""

from __future__ import annotations

import pytest

from striate.models import meta_model
from striate.tracing import describe


def test_the_network_for_cifar_counts_as_its_name_says() -> None:
    """100 layers; 24 maps, then 16 times 12 more in each block, halved twice: 216 → 108 → 300 → 150 → 342."""
    network = meta_model("densenet_bc100_12", classes=10, size=(32, 32))
    description = describe(network, (3, 32, 32))
    assert description.totals.depth == 100
    maps = [description.row(path) for path in network.feature_maps.values()]
    assert [row.output_shape[0] for row in maps] == [24, 216, 300, 342]

    def dense(inputs: int) -> int:
        return 2 * inputs + inputs * 48 + 2 * 48 + 48 * 12 * 9

    expected, width = 3 * 24 * 9, 24
    for block in range(3):
        expected += sum(dense(width + 12 * layer) for layer in range(16))
        width += 16 * 12
        if block < 2:
            expected += 2 * width + width * (width // 2)
            width //= 2
    expected += 2 * width + 10 * width + 10
    assert description.totals.parameters == expected == 769_162


@pytest.mark.parametrize(
    ("name", "widths"),
    [
        ("densenet121", [64, 256, 512, 1024, 1024]),
        ("densenet169", [64, 256, 512, 1280, 1664]),
        ("densenet201", [64, 256, 512, 1792, 1920]),
        ("densenet264", [64, 256, 512, 2304, 2688]),
    ],
)
def test_a_block_adds_32_maps_a_layer_and_a_transition_halves_them(name: str, widths: list[int]) -> None:
    network = meta_model(name, classes=2, size=(64, 64))
    description = describe(network, (3, 64, 64))
    maps = [description.row(path) for path in network.feature_maps.values()]
    assert [row.output_shape[0] for row in maps] == widths
    assert [row.stride for row in maps] == [(2, 2), (4, 4), (8, 8), (16, 16), (32, 32)]

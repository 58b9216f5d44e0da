"""Why VGG stacks small kernels: two 3×3 layers see 5×5, three see 7×7, with fewer weights and more ReLUs.

    python examples/stacked_kernels.py

Simonyan and Zisserman 2015, arXiv:1409.1556, section 2.3, which counts, for C channels in and out and without biases,
3·(3²·C²) = 27·C² weights against 7²·C² = 49·C²: 81 % more.

What a layer sees is found twice: by arithmetic, as `describe` has it, and by asking which pixels of an image change
one value in the middle of the last map.
"""

from __future__ import annotations

import torch
from torch import nn

from striate.models import Network, create_model
from striate.tracing import describe

CHANNELS = 16
SIDE = 32


def stacked(count: int, kernel: int) -> Network:
    """`count` convolutions of `kernel`×`kernel` with a ReLU after each, and a head for two classes."""
    text = f"(conv{kernel}-{CHANNELS},nobias relu)*{count} gap FC-K"
    return create_model(text, classes=2, channels=CHANNELS, size=(SIDE, SIDE), seed=0)


def seen(network: Network) -> tuple[int, int]:
    """The rows and columns of the image that one value in the middle of the last map depends on."""
    for weights in network.parameters():
        weights.data = weights.data.abs() + 0.01  # nothing cancels, no ReLU is shut
    *_, path = network.feature_maps.values()
    values: list[torch.Tensor] = []

    def note(module: nn.Module, given: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        values.append(output)

    network.get_submodule(path).register_forward_hook(note)
    image = torch.rand(1, CHANNELS, SIDE, SIDE).requires_grad_()
    network(image)
    (gradient,) = torch.autograd.grad(values[0][0, :, SIDE // 2, SIDE // 2].sum(), image)
    changed = gradient[0].abs().amax(dim=0) > 0
    return int(changed.any(dim=1).sum()), int(changed.any(dim=0).sum())


def kernels(network: Network) -> int:
    """The weights of its convolutions."""
    return sum(weights.numel() for weights in network.parameters() if weights.ndim == 4)


def main() -> None:
    print("layers          sees    weights  ReLUs")
    weights = {}
    for count, kernel in ((1, 3), (2, 3), (1, 5), (3, 3), (1, 7)):
        network = stacked(count, kernel)
        weights[count, kernel] = kernels(network)
        rows = describe(network, (CHANNELS, SIDE, SIDE)).rows
        *_, path = network.feature_maps.values()
        by_arithmetic = next(row for row in rows if row.path == path).receptive_field
        height, width = seen(network)
        print(f"{count} of {kernel}×{kernel:<8} {height}×{width} {weights[count, kernel]:>10,} {count:>6}")
        reach = count * (kernel - 1) + 1
        assert by_arithmetic == (height, width) == (reach, reach)

    squared = CHANNELS**2
    assert weights[3, 3] == 27 * squared
    assert weights[1, 7] == 49 * squared
    assert weights[2, 3] == 18 * squared < weights[1, 5] == 25 * squared
    more = weights[1, 7] / weights[3, 3] - 1
    print(f"\nOne 7×7 layer has {more:.0%} more weights than three 3×3 layers, and sees the same.")


if __name__ == "__main__":
    main()

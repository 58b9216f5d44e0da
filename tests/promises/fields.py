"""Where a value inside a network sees the image: where the gradient is not zero, once nothing can cancel."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from promises.subject import CLASSES, HUGE, Subject, capture

Line = tuple[int, int]  # the first and the last pixel


class Place(NamedTuple):
    """A feature map as a trace has it: the receptive field is None where it is the whole of any image."""

    module: str
    stride: tuple[int, int]
    field: tuple[int, int] | None


def places(subject: Subject) -> list[Place]:
    """List the feature maps of a model, traced on an image larger than any field but the whole image."""
    found = []
    for path in subject.huge.feature_maps.values():
        row = subject.huge_description.row(path)
        assert row.receptive_field is not None
        assert row.stride is not None
        whole = all(seen >= side for seen, side in zip(row.receptive_field, HUGE, strict=True))
        stride = int(row.stride[0]), int(row.stride[1])
        found.append(Place(path, stride, None if whole else row.receptive_field))
    return found


def seen_by_neighbours(subject: Subject, place: Place) -> tuple[list[Line], list[Line], tuple[int, int]]:
    """The rows and columns that two neighbours on the diagonal of a map see, and the size of the image they saw.

    The image is large enough for both to see no border. A map that sees all of any image gets a small one.
    """
    side = subject.smallest
    if place.field is None:
        size = (side + 2 * place.stride[0], side + 2 * place.stride[1] + 7)
    else:
        rows, columns = (max(side, field + 4 * stride) for field, stride in zip(place.field, place.stride, strict=True))
        size = (rows, columns + 7)
    network = subject.builder.build(channels=1, size=size, classes=CLASSES).eval()
    _let_everything_through(network)
    # Max pooling hands its gradient to one pixel only: the sum over many images reaches all that it may choose from.
    picture = torch.rand(12, 1, *size, generator=torch.Generator().manual_seed(0)).requires_grad_()
    maps = capture(network, place.module, picture)
    height, width = maps.shape[2:]
    first, second = (
        _lines(maps[:, :, height // 2 + shift, width // 2 + shift].sum(), picture)
        for shift in ((0, 1) if min(height, width) // 2 + 1 < min(height, width) else (0, 0))
    )
    return first, second, size


def _let_everything_through(network: nn.Module) -> None:
    """Positive weights that keep a map's mean: nothing cancels, no ReLU is shut, no value explodes."""
    generator = torch.Generator().manual_seed(1)
    for path, parameter in network.named_parameters():
        fan_in = math.prod(parameter.shape[1:])
        drawn = 0.5 + torch.rand(parameter.shape, generator=generator)
        parameter.data.copy_(0.01 * drawn if path.endswith("bias") else drawn / fan_in)


def _lines(value: Tensor, picture: Tensor) -> list[Line]:
    (gradient,) = torch.autograd.grad(value, picture, retain_graph=True)
    seen = gradient.abs().amax(dim=(0, 1)) > 0
    lines = [seen.any(dim=axis).nonzero().flatten() for axis in (1, 0)]
    return [(int(line[0]), int(line[-1])) for line in lines]

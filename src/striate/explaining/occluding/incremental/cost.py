"""How many multiplications an occlusion takes, whole and incremental."""

from __future__ import annotations

import math
from collections.abc import Mapping

from torch import Tensor

from striate.explaining.occluding.incremental.boxes import Boxes
from striate.explaining.occluding.incremental.program import Operation, Program
from striate.explaining.occluding.incremental.replay import reach


def saved(program: Program, boxes: Boxes) -> float:
    """How many times as many products the whole network takes for these positions as what the patches reach."""
    reached = reach(program, boxes)
    whole = sum(_products(program, one, {}, len(boxes)) for one in program.operations)
    confined = sum(_products(program, one, reached, len(boxes)) for one in program.operations)
    return whole / confined if confined else 1.0


def _products(program: Program, operation: Operation, reached: Mapping[int, Boxes], count: int) -> float:
    """Of a convolution or a matrix; all else is small beside them."""
    weights = [one for one in operation.args if isinstance(one, Tensor) and one.ndim > 1]
    if operation.name not in ("convolution", "addmm", "mm") or not weights or operation.outputs[0] is None:
        return 0.0
    given = operation.outputs[0]
    pixels = reached[given].area() if given in reached else count * math.prod(program.shapes[given][1:])
    return float(weights[0].numel() * pixels)

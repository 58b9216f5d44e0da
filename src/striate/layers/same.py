"""TensorFlow's rule for "same" padding, for weights that were trained with it.

The output has ceil(n / stride) places, whatever the kernel; what the windows need beyond the n places of the input is
padded, half of it before and half after, the odd one after (TensorFlow, API documentation of `tf.nn`, "Notes on
padding"). With a stride the padding thus depends on the input's size, and a 3×3/2 window on an even side pads nothing
before: torch's `padding=1` shifts such a network's maps by one pixel.
"""

from __future__ import annotations


def same_padding(size: int, reach: int, stride: int) -> tuple[int, int]:
    """Return the padding before and after an axis of `size`, for a window of `reach` places, dilation included."""
    count = -(-size // stride)
    total = max((count - 1) * stride + reach - size, 0)
    return total // 2, total - total // 2

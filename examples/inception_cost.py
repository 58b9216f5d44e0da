"""What bottlenecks save in an Inception module, counted: python examples/inception_cost.py

The module of the courses: a map of 28×28 places and 256 channels goes through 128 filters of 1×1, 192 of 3×3 and 96 of
5×5 and a 3×3 max pooling, side by side. Laid beside each other as they are (figure 2a of "Going deeper with
convolutions", arXiv:1409.4842) they cost 854 million multiply-accumulates; with 64 filters of 1×1 before the large
kernels and after the pooling (figure 2b), 271 million.

A widely shown slide says 358 million for the second. It counts the 3×3 convolution twice: 271,351,808 + 86,704,128.
"""

from __future__ import annotations

from torch import nn

from striate.models.families.googlenet import Inception, NaiveInception
from striate.tracing import Description, describe

SHAPE = 256, 28, 28  # channels, rows, columns
ONES, THREES, FIVES, BOTTLENECK = 128, 192, 96, 64
PLACES = 28 * 28


def by_hand() -> tuple[int, int]:
    """Multiply-accumulates of both: places × filters × numbers that each filter looks at."""
    naive = PLACES * (ONES * 256 + THREES * 9 * 256 + FIVES * 25 * 256)
    narrow = PLACES * (ONES * 256 + THREES * 9 * BOTTLENECK + FIVES * 25 * BOTTLENECK)
    return naive, narrow + 3 * PLACES * BOTTLENECK * 256  # two bottlenecks and the pooling's projection


def show(title: str, module: nn.Module) -> Description:
    """Print what each convolution costs, and give the module's description."""
    description = describe(module, SHAPE)
    print(f"\n{title}")
    for row in description.rows:
        if row.macs:
            inputs, filters = row.input_shape[0], row.output_shape[0]
            print(f"  {row.detail.split(',')[0]} of {inputs:3} channels, {filters:3} filters {row.macs:>15,}")
    channels = description.rows[-1].output_shape[0]
    print(f"  together, for {channels} channels {description.totals.macs:>20,}")
    return description


def main() -> None:
    naive = show("Naive", NaiveInception(256, ONES, THREES, FIVES))
    narrow = show("With bottlenecks", Inception(256, ONES, BOTTLENECK, THREES, BOTTLENECK, FIVES, BOTTLENECK))
    assert by_hand() == (naive.totals.macs, narrow.totals.macs) == (854_196_224, 271_351_808)
    threes = next(row.macs for row in narrow.rows if row.path == "branch3x3.conv.conv")
    assert narrow.totals.macs + threes == 358_055_936  # the slide's
    print(f"\n{naive.totals.macs / narrow.totals.macs:.1f} times as much; the slide's 358 M counts the 3×3 twice.")


if __name__ == "__main__":
    main()

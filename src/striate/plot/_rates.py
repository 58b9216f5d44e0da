"""The curve of a learning-rate range test."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from striate.plot._text import broken
from striate.plot.figure import SIZE, new_figure
from striate.plot.theme import LIGHT, Theme

if TYPE_CHECKING:
    from matplotlib.figure import Figure


_WIDTH, _BEFORE = 5.4, 0.8  # inches, of the figure, and from its edge to the axes


def loss_by_rate(
    rates: Sequence[float],
    losses: Sequence[float],
    smoothed: Sequence[float],
    *,
    suggestion: float | None,
    diverged: float | None,
    title: str = "",
    theme: Theme = LIGHT,
) -> Figure:
    """Draw the losses and the smoothed losses over the learning rate, on a logarithmic axis.

    The suggested rate is marked by a line. Losses far above that at the start are cut off.
    """
    figure, axes = new_figure(_WIDTH, 3.4, theme)
    axes.plot(rates, losses, color=theme.third, linewidth=0.8, label="loss of a batch")
    axes.plot(rates, smoothed, color=theme.second, linewidth=1.8, label="smoothed")
    axes.set_xscale("log")
    lowest = min(*smoothed, losses[0])
    start = max(smoothed[0], lowest * 1.05)
    height = max(start - lowest, 0.1 * start)
    top = start + 0.6 * height
    axes.set_ylim(max(0.0, lowest - 0.35 * height), top)
    axes.set_xlim(rates[0], rates[-1])
    clear = {"facecolor": theme.paper, "edgecolor": "none", "pad": 1.5}  # behind words that a line may cross
    if suggestion is not None:
        axes.axvline(suggestion, ymax=0.92, color=theme.right, linewidth=1.4)  # below the note on the divergence
        axes.annotate(
            f"{suggestion:g}",
            (suggestion, top),
            xytext=(-4, -18),
            textcoords="offset points",
            ha="right",
            va="top",
            color=theme.right,
            fontweight="bold",
            bbox=clear,
        )
    if diverged is not None:
        axes.annotate(
            f"diverged at {diverged:.2g}",
            (1.0, 0.98),
            xycoords="axes fraction",
            xytext=(-4, 0),
            textcoords="offset points",
            ha="right",
            va="top",
            color=theme.wrong,
            bbox=clear,
        )
    axes.set_xlabel("learning rate")
    axes.set_ylabel("loss before the update")
    if title:
        axes.set_title("\n".join(broken(title, _WIDTH - _BEFORE, SIZE)), loc="left", fontsize=SIZE, parse_math=False)
    axes.legend(frameon=False, labelcolor=theme.ink, loc="lower left")
    return figure

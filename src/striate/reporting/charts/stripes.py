"""Every judged picture in one strip, ordered by how sure the answer was: the report's first look at honesty."""

from __future__ import annotations

import numpy as np

from striate.metrics import Rows
from striate.reporting.html import Html, h
from striate.reporting.numbers import percent

_WIDTH, _HEIGHT, _MOST = 1000.0, 64.0, 160


def stripes(rows: Rows) -> Html:
    """One stripe per picture, or per group of neighbours when there are more than fit; wrong answers stand out.

    Least sure on the left, surest on the right. The share of wrong answers in a group is the coloured share of its
    stripe, from the top.
    """
    order = np.lexsort((rows.index, rows.confidence))
    groups = np.array_split(order, min(len(order), _MOST))
    pitch = _WIDTH / len(groups)
    return h(
        "svg",
        [_stripe(rows.take(group), place * pitch, pitch) for place, group in enumerate(groups)],
        viewBox=f"0 0 {_WIDTH:.0f} {_HEIGHT:.0f}",
        preserveAspectRatio="none",
        class_="stripes",
        role="img",
        aria_label="Answers in order of confidence; wrong ones stand out",
    )


def _stripe(group: Rows, x: float, pitch: float) -> Html:
    right, total = int(group.right.sum()), len(group.index)
    low, high = float(group.confidence.min()), float(group.confidence.max())
    sure = percent(low) if total == 1 else f"{percent(low)} to {percent(high)}"
    top = _HEIGHT * (total - right) / total
    width = pitch * 0.72
    return h(
        "g",
        h("title", f"confidence {sure}: {right} of {total} right"),
        h("rect", x=x, y=top, width=width, height=_HEIGHT - top, class_="right") if right else None,
        h("rect", x=x, y=0, width=width, height=top, class_="wrong") if right < total else None,
    )

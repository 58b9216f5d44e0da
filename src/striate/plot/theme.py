"""The colours of a page and of the figures on it: one set for light paper, one for dark."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from striate.plot.colormap import AMOUNT, AMOUNT_ON_DARK, SIGNED, SIGNED_ON_DARK, Colormap


@dataclass(frozen=True)
class Theme:
    """Colours by what they are for, as `#rrggbb`.

    `ink` is for what is read first, `soft` for what is read second, `line` for grids; `field` is an empty cell on
    `paper`. `right` and `wrong` say what they mean; `second` and `third` are for lines beside others. `boxes` are the
    kinds of boxes in drawings of networks. `amount` and `signed` begin, and have their zero, near the paper's own
    lightness.
    """

    ink: str
    soft: str
    line: str
    paper: str
    field: str
    right: str
    wrong: str
    second: str
    third: str
    boxes: Mapping[str, str]
    amount: Colormap
    signed: Colormap

    @property
    def grey(self) -> int:
        """The paper as one grey level, for sheets of small pictures."""
        return int(self.paper[1:3], 16)

    @property
    def lines(self) -> tuple[str, ...]:
        """Colours for lines that a reader must tell apart, the quietest first."""
        return self.third, self.second, self.wrong, self.ink


LIGHT = Theme(
    ink="#1c1b1a", soft="#66625a", line="#e4e0d7", paper="#ffffff", field="#f3f1eb",
    right="#0f7b6c", wrong="#c9431b", second="#2b5db2", third="#a39c8e",
    boxes={"input": "#f4f2ec", "weighted": "#d9e5f7", "pooling": "#fbe8c8", "junction": "#ffffff", "gate": "#f3dcec",
           "other": "#eceae4"},
    amount=AMOUNT, signed=SIGNED,
)  # fmt: skip
DARK = Theme(
    ink="#ecebe6", soft="#a29d93", line="#323135", paper="#141416", field="#202024",
    right="#3fb6a2", wrong="#ff8057", second="#7fa8f0", third="#837d72",
    boxes={"input": "#26262a", "weighted": "#22344f", "pooling": "#4a3a1c", "junction": "#141416", "gate": "#44283c",
           "other": "#2c2b2e"},
    amount=AMOUNT_ON_DARK, signed=SIGNED_ON_DARK,
)  # fmt: skip

"""Colours of a page and its figures: one set for light paper, one for dark."""

from __future__ import annotations

from dataclasses import dataclass

from striate.plot.colormap import AMOUNT, AMOUNT_ON_DARK, SIGNED, SIGNED_ON_DARK, Colormap


@dataclass(frozen=True)
class Theme:
    """Colours by what they are for, as `#rrggbb`.

    `ink` is for text that is read first, `soft` for text that is read second, `line` for grids on `paper`. `right` and
    `wrong` mark answers; `second` and `third` are for further lines. `amount` starts, and `signed` has its zero, near
    the lightness of the paper.
    """

    ink: str
    soft: str
    line: str
    paper: str
    right: str
    wrong: str
    second: str
    third: str
    amount: Colormap
    signed: Colormap

    @property
    def grey(self) -> int:
        """The paper as one grey level, for sheets of small images."""
        return int(self.paper[1:3], 16)


LIGHT = Theme(
    ink="#1c1b1a", soft="#66625a", line="#e4e0d7", paper="#ffffff",
    right="#0f7b6c", wrong="#c9431b", second="#2b5db2", third="#a39c8e",
    amount=AMOUNT, signed=SIGNED,
)  # fmt: skip
DARK = Theme(
    ink="#ecebe6", soft="#a29d93", line="#323135", paper="#141416",
    right="#3fb6a2", wrong="#ff8057", second="#7fa8f0", third="#837d72",
    amount=AMOUNT_ON_DARK, signed=SIGNED_ON_DARK,
)  # fmt: skip

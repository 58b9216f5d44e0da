"""An exported classifier: how its answers compare with torch's, and where it is."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from striate.cli.show.console import console, print_json

if TYPE_CHECKING:
    from striate.exporting import Exported


def show_export(
    work: Callable[..., Exported],
    *,
    json: Annotated[bool, Parameter(help="print the card as JSON.")] = False,
) -> None:
    """Print the comparison with torch, what complete decoding changes, the files and the folder."""
    from striate.exporting.readme import decoding_sentence

    found = work()
    if json:
        print_json({"folder": str(found.path.resolve()), **found.card})
        return
    screen = console()
    screen.print(f"compared on  {found.card['parity']['images']}")
    for parity in found.parities:
        ties = f", {parity.tied:,} of them ties" if parity.tied else ""
        none_ties = f", {parity.none_tied:,} of them ties" if parity.none_tied else ""
        none = f"; “none of these” for {parity.none_changed:,}{none_ties}" if found.card.get("none_of_these") else ""
        screen.print(
            f"{parity.runtime}: largest difference of a probability {parity.largest_difference:.1e}; "
            f"first class changed for {parity.changed:,} of {parity.images:,} images{ties}{none}"
        )
    screen.print(decoding_sentence(found.card["decoding"]))
    for name, entry in found.card["files"].items():
        screen.print(f"{entry['bytes']:>14,} bytes  {name}")
    screen.print(f"exported to  {found.path.resolve()}")

"""An exported classifier: how its answers compare with torch's, and where it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from striate.cli.show.console import console, percent, print_json, table

if TYPE_CHECKING:
    from striate.exporting import Exported


def show_export(
    work: Callable[..., Exported],
    *,
    for_: Annotated[
        Literal["cpu"] | None,
        Parameter(name="--for", help="find the fastest way to run it here: cpu, as --to cpu."),
    ] = None,
    json: Annotated[bool, Parameter(help="print the card as JSON.")] = False,
) -> None:
    """Print the comparison with torch, what complete decoding changes, the files and the folder."""
    from striate.exporting.readme import decoding_sentence

    found = work() if for_ is None else work(to=for_)
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
    if found.card.get("trial"):
        _print_trial(found.card["trial"])
    for name, entry in found.card["files"].items():
        screen.print(f"{entry['bytes']:>14,} bytes  {name}")
    screen.print(f"exported to  {found.path.resolve()}")


def _print_trial(trial: Mapping[str, Any]) -> None:
    rows = [
        (
            f"{each['runtime'].replace('_', ' ')}, {each['precision']}",
            each["verdict"],
            f"{each['milliseconds']:.2f}",
            f"{each['fastest']:.2f} to {each['slowest']:.2f}",
            f"{each['difference']:.0e}",
            "" if each["right"] is None else percent(each["right"] / each["count"]),
        )
        for each in trial["tried"]
    ]
    columns = ("runtime", "", "ms an image", "rounds", "difference", "accuracy")
    screen = console()
    threads = "1 thread" if trial["threads"] == 1 else f"{trial['threads']:,} threads"
    screen.print(f"timed with {trial['batch']:,} images at once and {threads}:")
    screen.print(table(columns, rows, left=2))

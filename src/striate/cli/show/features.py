"""Features written to a file: what is in it, and where it is."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from striate.cli.show.console import complain, console, print_json
from striate.cli.show.results import end
from striate.core.names import visible

if TYPE_CHECKING:
    from striate.verbs.features import Features


def show_features(
    work: Callable[..., Features],
    *,
    json: Annotated[bool, Parameter(help="print what was written as JSON.")] = False,
) -> None:
    """Print the number of rows and the file; images that cannot be read are named at the end (status 1)."""
    found = work()
    for note in found.notes:
        complain(note)
    if json:
        print_json(
            {
                "file": str(found.path),
                "images": len(found),
                "features": found.width,
                "place": found.place,
                "left_out": [{"image": failure.name, "error": failure.reason} for failure in found.failures],
            }
        )
    else:
        images = "1 image" if len(found) == 1 else f"{len(found):,} images"
        read = f"at {found.at}" if found.at else f"from the input of {found.place}"
        console().print(f"{images}, {found.width:,} features {visible(read)}\n{found.path}")
    end(found.failures)

"""The clusters of each class: how many images, and how alike their maps are."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from striate.cli.show.console import console, print_json
from striate.cli.show.results import followed

if TYPE_CHECKING:
    from striate.verbs.clusters import Clusters


def show_clusters(
    work: Callable[..., list[Clusters]],
    *,
    json: Annotated[bool, Parameter(help="print one JSON list, with the images of each cluster.")] = False,
) -> None:
    """Print the clusters of each class as soon as they are there."""
    screen = console()

    def show(found: Clusters) -> None:
        screen.print("\n".join(_lines(found)))

    results, _ = followed(work, (lambda _: None) if json else show)
    if json:
        print_json([_as_dict(found) for found in results])


def _lines(found: Clusters) -> list[str]:
    total = sum(map(len, found.clusters))
    lines = [f"{found.label}: {len(found.clusters)} cluster{'s'[: len(found.clusters) != 1]} of {total} images"]
    for number, (names, alike) in enumerate(zip(found.clusters, found.alike.tolist(), strict=True)):
        lines.append(f"    cluster {number + 1}  {len(names)} images, maps alike {alike:.2f}")
    return [*lines, f"    sheet      {found.sheet}"]


def _as_dict(found: Clusters) -> dict[str, Any]:
    clusters = [
        {"images": list(names), "alike": alike}
        for names, alike in zip(found.clusters, found.alike.tolist(), strict=True)
    ]
    return {"class": found.label, "clusters": clusters, "sheet": str(found.sheet)}

"""Concepts: whether each influences the class."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from striate.cli.show.console import console, percent, print_json
from striate.cli.show.results import end

if TYPE_CHECKING:
    from striate.explaining import ConceptScore
    from striate.verbs.concepts import Concepts


def show_concepts(
    work: Callable[..., Concepts],
    *,
    json: Annotated[bool, Parameter(help="print one JSON document, with the score of each run.")] = False,
) -> None:
    """Print a statement for each concept; images that cannot be read are named at the end (status 1)."""
    from striate.verbs.show_progress import display

    with display() as shown:
        found = work(progress=shown.progress)
    if json:
        print_json({"class": found.label, "sheet": str(found.sheet), "concepts": list(map(_as_dict, found.scores))})
    else:
        console().print("\n".join([*(_line(found, score) for score in found.scores), *_end(found)]))
    end(found.failures)


def _end(found: Concepts) -> list[str]:
    return [f"    against {found.found.against}", f"    sheet   {found.sheet}"]


def _line(found: Concepts, score: ConceptScore) -> str:
    from striate.explaining.inspection.tcav import p_value
    from striate.reporting.sheets.concepts import meaning

    return (
        f"{score.concept}: {meaning(score)} of {found.label} at {score.place}: TCAV {score.score:.2f} (0.5 by chance), "
        f"{p_value(score)}; recognized {percent(score.accuracy, 0)}"
    )


def _as_dict(score: ConceptScore) -> dict[str, Any]:
    return {
        "concept": score.concept,
        "place": score.place,
        "tcav": score.score,
        "p": score.p,
        "significant": score.significant,
        "accuracy": score.accuracy,
        "scores": score.scores.tolist(),
        "random": score.random.tolist(),
    }

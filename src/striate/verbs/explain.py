"""Say why a classifier answers as it does."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from striate.core.errors import ConfigError
from striate.verbs._pictures import expand
from striate.verbs._trained import classifier_of, folder_of
from striate.verbs._verb import verb

if TYPE_CHECKING:
    from striate.classifier import Classifier, Failure
    from striate.recipes.folder import Run
    from striate.recipes.stage import Progress
    from striate.reporting.inside.explained import Explained


@dataclass(frozen=True, eq=False)
class Explanation:
    """What was found about one picture, and the `sheet` that shows it."""

    explained: Explained
    sheet: Path


@verb
def explain(
    run: str | Path | Run | Classifier,
    /,
    *pictures: str | Path,
    method: str | None = None,
    target: str | int | None = None,
    at: str | None = None,
    compare: bool = False,
    check: str | None = None,
    dark: bool = False,
    out: str | Path | None = None,
    device: str = "auto",
) -> Generator[Progress | Explanation | Failure, None, list[Explanation | Failure]]:
    """Show where a classifier looked: a map of what speaks for its answer, over each picture.

    Each map is checked: it is made again with noise for weights, and pixels are taken out of the picture in its order.
    The line that is printed says how that compares with chance.

    Example:
        striate.explain("runs/photos", "holiday/beach.jpg", method="occlusion")

    Args:
        run: the run's folder, or a classifier's that was copied out of it.
        pictures: files, folders (every picture in them), patterns in quotes, or - for a list on standard input.
        method: how: grad-cam when not given; saliency, occlusion, integrated-gradients, rise and more (a wrong name
            lists them all).
        target: explain this class instead of the answer: its name, or its number from 0.
        at: the place in the network that the method reads, as in stage3; the last map before pooling when not given.
        compare: one sheet with the maps of all methods. They are not checked.
        check: how long the check of a map may take, as in 30s; 10s when not given, none leaves it out.
        dark: sheets on dark paper.
        out: the folder for the sheets; 'explanations' within the run when not given.
        device: auto (the fastest here), cpu, cuda, cuda:1 or mps.

    Raises:
        ConfigError: there is no such method, class or length of time.
        PlaceError: the network has no such place.
        DataError: a folder, a pattern or the list holds no picture.
        RunError: there is no classifier, or it is damaged.
    """
    if compare and method is not None:
        raise ConfigError("--compare shows all methods, and --method chooses one: leave one of them out.")

    from striate.classifier import Failure
    from striate.data.decode import Unreadable
    from striate.explaining import METHODS
    from striate.explaining.checks.budget import Budget
    from striate.plot import DARK, LIGHT, figure_png
    from striate.recipes.stage import watched
    from striate.reporting.inside.explained import USUAL, explain_subject, explanation_sheet, method_named
    from striate.reporting.inside.subject import class_number, look_at
    from striate.reporting.inside.written import Folder, stem_of

    methods = list(METHODS.values()) if compare else [method_named(method or USUAL)]
    budget = None if compare or check == "none" else str(Budget(check or "10s"))
    classifier = classifier_of(run, device)
    number = None if target is None else class_number(classifier.labels, target)
    theme = DARK if dark else LIGHT
    folder = Folder((folder_of(run) or Path()) / "explanations" if out is None else Path(out))
    results: list[Explanation | Failure] = []
    for path in expand(pictures):
        try:
            subject = look_at(classifier, path)
        except Unreadable as error:
            result: Explanation | Failure = Failure(str(path), error.why)
        else:
            explained = yield from watched(
                f"explaining {path.name}",
                lambda progress, subject=subject: explain_subject(
                    classifier, subject, methods, target=number, at=at, budget=budget, progress=progress
                ),
            )
            kind = "compared" if compare else methods[0].name
            asked = None if target is None else f"as {explained.target}"
            stem = stem_of(path, kind, at and f"at {at}", asked, "dark" if dark else None)
            sheet = explanation_sheet(explained, classifier, theme=theme)
            result = Explanation(explained, folder.write(stem, ".png", figure_png(sheet)))
        results.append(result)
        yield result
    return results

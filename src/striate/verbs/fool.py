"""Fool a trained classifier."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from striate.verbs._pictures import expand
from striate.verbs._verb import verb

if TYPE_CHECKING:
    from striate.classifier import Failure
    from striate.recipes.stage import Progress
    from striate.reporting.inside.fooled import Fooled


@dataclass(frozen=True, eq=False)
class Fooling:
    """What came of the attack on one picture, the `sheet` that shows it, and the changed `picture` as a file."""

    fooled: Fooled
    sheet: Path
    picture: Path


@verb
def fool(
    run: str | Path,
    /,
    *pictures: str | Path,
    method: str = "pgd",
    epsilon: int | float | None = None,
    norm: Literal["linf", "l2"] = "linf",
    target: str | int | None = None,
    through_preparation: bool = False,
    dark: bool = False,
    out: str | Path | None = None,
) -> Generator[Progress | Fooling | Failure, None, list[Fooling | Failure]]:
    """Change pictures a little, so that a classifier takes them for something else.

    For each picture: a sheet with the picture, the change (amplified, and by how much) and the result; and the result
    alone as a PNG. Whether it fools is told of that PNG, read back. Changes are in grey levels of 0 to 255.

    Example:
        striate.fool("runs/photos", "holiday/beach.jpg", epsilon=4, target="coin")

    Args:
        run: the run's folder, or a classifier's that was copied out of it.
        pictures: files, folders (every picture in them), patterns in quotes, or - for a list on standard input.
        method: the attack: pgd, fgsm, lbfgs, or own-weights for a linear network.
        epsilon: how large the change may be; without it, the smallest of a few that suffices is looked for.
        norm: what epsilon bounds: linf each value's change, l2 the root of the sum of their squares.
        target: the class that the picture is to be taken for: its name, or its number from 0; any other when not given.
        through_preparation: change the photo as it is, before it is resized and cropped for the network.
        dark: sheets on dark paper.
        out: the folder; 'fooled' within the run when not given.

    Raises:
        StriateError: there is no such attack, class or picture, or no classifier; the sentence says which.
    """
    from striate.classifier import Failure, load_classifier
    from striate.data.decode import Unreadable
    from striate.plot import DARK, LIGHT, figure_png
    from striate.recipes.stage import watched
    from striate.reporting.inside.fooled import Wish, attack_named, fool_subject, fooling_sheet
    from striate.reporting.inside.subject import class_number, look_at
    from striate.reporting.inside.written import Folder

    attack = attack_named(method)
    classifier = load_classifier(run)
    number = None if target is None else class_number(classifier.labels, target)
    wish = Wish(attack, epsilon, norm, number, through_preparation)
    theme = DARK if dark else LIGHT
    folder = Folder(Path(run) / "fooled" if out is None else Path(out))
    results: list[Fooling | Failure] = []
    for path in expand(pictures):
        try:
            subject = look_at(classifier, path, whole=through_preparation)
        except Unreadable as error:
            result: Fooling | Failure = Failure(str(path), error.why)
        else:
            fooled = yield from watched(
                f"fooling with {path.name}",
                lambda progress, subject=subject: fool_subject(classifier, subject, wish, progress=progress),
            )
            sheet = fooling_sheet(fooled, classifier, theme=theme)
            result = Fooling(
                fooled,
                folder.write(f"{path.stem}-{attack.name}-sheet", ".png", figure_png(sheet)),
                folder.write(f"{path.stem}-{attack.name}", ".png", fooled.file),
            )
        results.append(result)
        yield result
    return results

"""Fool a trained classifier."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from striate.verbs._images import expand
from striate.verbs._trained import classifier_of, folder_of
from striate.verbs._verb import verb

if TYPE_CHECKING:
    from striate.classifier import Classifier, Failure
    from striate.reporting.sheets.attack import Fooled, Wish
    from striate.reporting.sheets.output_folder import Folder
    from striate.runs.folder import Run
    from striate.runs.stage import Progress


@dataclass(frozen=True, eq=False)
class Fooling:
    """What came of the attack on one picture, the `sheet` that shows it, and the changed `picture` as a file.

    Where the answer was the target already, nothing is changed, and there is neither sheet nor picture.
    """

    fooled: Fooled
    sheet: Path | None
    picture: Path | None


@verb
def fool(
    run: str | Path | Run | Classifier,
    /,
    *pictures: str | Path,
    method: str = "pgd",
    epsilon: int | float | None = None,
    norm: Literal["linf", "l2"] = "linf",
    target: str | int | None = None,
    through_preparation: bool = False,
    dark: bool = False,
    out: str | Path | None = None,
    device: str = "auto",
) -> Generator[Progress | Fooling | Failure, None, list[Fooling | Failure]]:
    """Change pictures a little, so that a classifier takes them for something else.

    For each picture: a sheet with the picture, the change (amplified, and by how much) and the result; and the result
    alone as a PNG. The verdict is that of this PNG, read back. Changes are in grey levels of 0 to 255.

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
        device: auto (the fastest here), cpu, cuda, cuda:1 or mps.

    Raises:
        StriateError: there is no such attack, class or picture, or no classifier; the sentence says which.
    """
    from striate.classifier import Failure
    from striate.data.images.decode import Unreadable
    from striate.reporting.sheets.attack import Wish, attack_named, fool_subject
    from striate.reporting.sheets.input_image import class_number, look_at
    from striate.reporting.sheets.output_folder import Folder
    from striate.runs.stage import watched

    attack = attack_named(method)
    classifier = classifier_of(run, device)
    number = None if target is None else class_number(classifier.labels.classes, target)
    wish = Wish(attack, epsilon, norm, number, through_preparation)
    folder = Folder((folder_of(run) or Path()) / "fooled" if out is None else Path(out))
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
            result = _written(fooled, classifier, wish, path, folder, dark=dark)
        results.append(result)
        yield result
    return results


def _written(fooled: Fooled, classifier: Classifier, wish: Wish, path: Path, folder: Folder, *, dark: bool) -> Fooling:
    """The attack with its files, named after all that was asked for, so that no other attack overwrites them."""
    from striate.plot import DARK, LIGHT, figure_png
    from striate.reporting.sheets.attack import fooling_sheet
    from striate.reporting.sheets.output_folder import stem_of

    if fooled.already:
        return Fooling(fooled, None, None)
    kinds = (
        wish.method.name,
        None if wish.norm == "linf" else wish.norm,
        None if wish.epsilon is None else f"{wish.epsilon:g}",
        None if wish.target is None else f"as {classifier.labels.classes[wish.target]}",
        "whole" if wish.through_preparation else None,
    )
    sheet = fooling_sheet(fooled, classifier, theme=DARK if dark else LIGHT)
    return Fooling(
        fooled,
        folder.write(stem_of(path, *kinds, "sheet", "dark" if dark else None), ".png", figure_png(sheet)),
        folder.write(stem_of(path, *kinds), ".png", fooled.file),
    )

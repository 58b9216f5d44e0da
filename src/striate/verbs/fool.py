"""Fool a trained classifier."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from striate.core.progress import silent
from striate.verbs._images import each, named
from striate.verbs._trained import classifier_of, folder_of
from striate.verbs._verb import with_progress

if TYPE_CHECKING:
    from striate.classifier import Classifier, Failure
    from striate.core.progress import Progress
    from striate.reporting.sheets.attack import Fooled, Wish
    from striate.reporting.sheets.output_folder import Folder
    from striate.runs.folder import Run


@dataclass(frozen=True, eq=False)
class Fooling:
    """The attack on one image, the `sheet` that shows it, and the changed `image` as a file.

    Where the answer was the target already, nothing is changed, and there is neither sheet nor image.
    """

    fooled: Fooled
    sheet: Path | None
    image: Path | None


@with_progress
def fool(
    run: str | Path | Run | Classifier,
    /,
    *images: str | Path,
    method: str = "pgd",
    epsilon: int | float | None = None,
    norm: Literal["linf", "l2"] = "linf",
    target: str | int | None = None,
    through_preparation: bool = False,
    dark: bool = False,
    out: str | Path | None = None,
    device: str = "auto",
    progress: Progress | None = None,
    on_result: Callable[[Fooling | Failure], None] | None = None,
) -> list[Fooling | Failure]:
    """Change images a little, so that a classifier takes them for something else.

    For each image: a sheet with the image, the change (amplified, and by how much) and the result; and the result alone
    as a PNG. The verdict is that of this PNG, read back. Changes are in grey levels of 0 to 255.

    Example:
        striate.fool("runs/photos", "holiday/beach.jpg", epsilon=4, target="coin")

    Args:
        run: the run's folder, or a classifier's folder that was copied out of it.
        images: files, folders (every image in them), patterns in quotes, or - for a list on standard input.
        method: the attack: pgd, fgsm, lbfgs, or own-weights for a linear network.
        epsilon: how large the change may be; by default the smallest of a few that suffices.
        norm: what epsilon bounds: linf each value's change, l2 the root of the sum of their squares.
        target: the class to reach: its name, or its number from 0; by default any class but the predicted one.
        through_preparation: change the photo itself, before it is resized and cropped for the network.
        dark: draw sheets on dark paper.
        out: the folder; by default 'fooled' within the run.
        device: auto (the fastest here), cpu, cuda, cuda:1 or mps.
        progress: called as progress(stage, done, total); by default a bar on a terminal or in a notebook.
        on_result: called with each result as soon as it is there.

    Raises:
        StriateError: there is no such attack, class or image, or no classifier; the sentence says which.
    """
    from striate.reporting.sheets.attack import Wish, attack_named, fool_subject
    from striate.reporting.sheets.input_image import class_number, look_at
    from striate.reporting.sheets.output_folder import Folder

    attack = attack_named(method)
    classifier = classifier_of(run, device)
    number = None if target is None else class_number(classifier.labels.classes, target)
    wish = Wish(attack, epsilon, norm, number, through_preparation)
    folder = Folder((folder_of(run) or Path()) / "fooled" if out is None else Path(out))

    def work(path: Path, name: str) -> Fooling:
        subject = look_at(classifier, path, whole=through_preparation)
        fooled = fool_subject(classifier, subject, wish, progress=progress or silent)
        return _written(fooled, classifier, wish, path, folder, dark=dark)

    return each(named(images), work, on_result)


def _written(fooled: Fooled, classifier: Classifier, wish: Wish, path: Path, folder: Folder, *, dark: bool) -> Fooling:
    """Write the files of an attack, named after all that was asked for, so that no other attack overwrites them."""
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

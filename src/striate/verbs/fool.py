"""Fool a trained classifier."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from striate.core.progress import silent
from striate.reporting.sheets.results import ImageResult, SheetResults, answer
from striate.verbs._images import each, named
from striate.verbs._trained import classifier_of, folder_of
from striate.verbs._verb import with_progress

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from striate.classifier import Classifier, Failure
    from striate.classifier.images import Images
    from striate.core.progress import Progress
    from striate.reporting.sheets.attack import AttackRequest, Fooled
    from striate.reporting.sheets.input_image import Answered
    from striate.reporting.sheets.results import OutputFolder
    from striate.runs.folder import Run


@dataclass(frozen=True, eq=False, repr=False)
class Attack(ImageResult):
    """The attack on one image, the `sheet` that shows it, and the changed `image` as a file.

    If the prediction was the target already, nothing is changed or written; `sheet` and `image` are None. In a notebook
    the sheet is displayed. `save` writes it, `show` opens it.
    """

    fooled: Fooled
    sheet: Path | None = None
    image: Path | None = None
    dark: bool = False

    @property
    def subject(self) -> Answered:
        """The image, as the network sees it, and the prediction before the attack."""
        return self.fooled.subject

    def figure(self) -> Figure:
        """Draw the sheet as a figure of Matplotlib."""
        from striate.plot import DARK, LIGHT
        from striate.reporting.sheets.attack import attack_sheet

        return attack_sheet(self.fooled, theme=DARK if self.dark else LIGHT)

    def __repr__(self) -> str:
        name, verdict = Path(self.subject.prediction.name).name, "fooled" if self.fooled.fooled else "not fooled"
        return f"Attack({name!r}: {answer(self.subject.prediction)} → {answer(self.fooled.after)}, {verdict})"


@with_progress
def fool(
    run: str | Path | Run | Classifier,
    /,
    *images: str | Path | Images,
    weights: str | Path | None = None,
    method: str = "pgd",
    epsilon: int | float | None = None,
    norm: Literal["linf", "l2"] = "linf",
    target: str | int | None = None,
    through_preparation: bool = False,
    dark: bool = False,
    out: str | Path | None = None,
    device: str = "auto",
    progress: Progress | None = None,
    on_result: Callable[[Attack | Failure], None] | None = None,
) -> SheetResults[Attack | Failure]:
    """Change images a little, so that a classifier takes them for something else.

    For each image: a sheet with the image, the change (amplified, and by how much) and the result; and the result alone
    as a PNG. The verdict is that of this PNG, read back; an image that is now recognized as none of the classes has not
    fooled the classifier. Changes are in grey levels of 0 to 255.

    Example:
        striate.fool("runs/photos", "holiday/beach.jpg", epsilon=4, target="coin")

    Args:
        run: the run's folder, a classifier's folder that was copied out of it, or the name of a network that has
            pretrained weights, as in efficientnet_lite0.
        images: files, folders (every image in them), patterns in quotes, or - for a list on standard input. In Python
            also PIL images, arrays, tensors and the bytes of files, as in `Classifier.predict`, and lists of them.
        weights: the pretrained weights of the network that is named in place of a run: a file, a name of the catalogue
            ('striate list-models --weights'), or a repository of the Hugging Face hub, as in timm/resnet50.a1_in1k.
        method: the attack: pgd, fgsm, lbfgs, or linear-closed-form for a linear network.
        epsilon: how large the change may be; by default the smallest of a few that suffices.
        norm: what epsilon bounds: linf each value's change, l2 the root of the sum of their squares.
        target: the class to reach: its name, or its number from 0; by default any class but the predicted one. Where
            images may have several labels, the label to add; by default the most probable one is removed.
        through_preparation: change the photo itself, before it is resized and cropped for the network.
        dark: draw sheets on dark paper.
        out: the folder; by default 'fooled' within the run, or here.
        device: auto (the fastest here), cpu, cuda, cuda:1 or mps.
        progress: called as progress(stage, done, total); by default a bar on a terminal or in a notebook.
        on_result: called with each result as soon as it is there.

    Raises:
        StriateError: there is no such attack, class or image, or no classifier; the sentence says which.
    """
    from striate.reporting.sheets.attack import AttackRequest, attack_named, fool_subject
    from striate.reporting.sheets.input_image import class_number, look_at
    from striate.reporting.sheets.results import OutputFolder

    attack = attack_named(method)
    classifier = classifier_of(run, device, weights=weights, progress=progress or silent)
    number = None if target is None else class_number(classifier.labels.classes, target)
    request = AttackRequest(attack, epsilon, norm, number, through_preparation)
    folder = OutputFolder((folder_of(run) or Path()) / "fooled" if out is None else Path(out))

    def work(image: Any, name: str) -> Attack:
        subject = look_at(classifier, image, name, whole=through_preparation)
        fooled = fool_subject(classifier, subject, request, progress=progress or silent)
        return _written(Attack(fooled, dark=dark), request, folder)

    return SheetResults(each(named(images), work, on_result))


def _written(attack: Attack, request: AttackRequest, folder: OutputFolder) -> Attack:
    """Return `attack` with its files, named after all settings, so that no other attack overwrites them."""
    from striate.reporting.sheets.results import stem_of

    fooled, subject = attack.fooled, attack.subject
    if fooled.already:
        return attack
    kinds = (
        request.method.name,
        None if request.norm == "linf" else request.norm,
        None if request.epsilon is None else f"{request.epsilon:g}",
        None if fooled.target is None else f"as {fooled.target}",
        "whole" if request.through_preparation else None,
    )
    sheet = stem_of(subject.prediction.name, *kinds, "sheet", "dark" if attack.dark else None)
    return replace(
        attack,
        sheet=folder.write(sheet, attack._repr_png_(), subject),
        image=folder.write(stem_of(subject.prediction.name, *kinds), fooled.file, subject),
    )

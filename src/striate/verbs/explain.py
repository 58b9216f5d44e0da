"""Explain the answers of a classifier."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from striate.core.errors import ConfigError
from striate.core.progress import silent
from striate.verbs._images import each, named
from striate.verbs._trained import classifier_of, folder_of
from striate.verbs._verb import with_progress
from striate.verbs.explanation import Explanation as Explanation
from striate.verbs.explanation import Results as Results

if TYPE_CHECKING:
    from torch.nn import Module

    from striate.classifier import Classifier, Failure
    from striate.classifier.images import Images
    from striate.core.progress import Progress
    from striate.reporting.sheets.input_image import RunNetwork
    from striate.reporting.sheets.own_model import OwnNetwork
    from striate.reporting.sheets.results import OutputFolder
    from striate.runs.folder import Run


@with_progress
def explain(
    run: str | Path | Run | Classifier | Module,
    /,
    *images: str | Path | Images,
    weights: str | Path | Any = None,
    method: str | None = None,
    target: str | int | Callable[[Any], Any] | None = None,
    at: str | Module | None = None,
    compare: bool = False,
    check: str | int | float | None = None,
    dark: bool = False,
    out: str | Path | None = None,
    device: str = "auto",
    preparation: Any = None,
    progress: Progress | None = None,
    on_result: Callable[[Explanation | Failure], None] | None = None,
) -> Results[Explanation | Failure]:
    """Show where a network looked: over each image, a map of what supports its answer.

    With a check, each map is computed again with random weights, and pixels are removed in its order; the verdict says
    whether to trust the map.

    Example:
        striate.explain("runs/photos", "holiday/beach.jpg", method="occlusion")

    Args:
        run: the run's folder, a classifier's folder that was copied out of it, or the name of a network that has
            pretrained weights, as in efficientnet_lite0. In Python also any module that returns logits (n, k).
        images: files, folders (every image in them), patterns in quotes, or - for a list on standard input. In Python
            also PIL images, arrays, tensors (c, h, w) and the bytes of files, and lists of them; for a module a float
            tensor counts as prepared.
        weights: the pretrained weights of the network that is named in place of a run: a file, a name of the catalogue
            ('striate list-models --weights'), or a repository of the Hugging Face hub, as in timm/resnet50.a1_in1k.
            In Python, for a module, also torchvision's weights, such as ResNet50_Weights.DEFAULT, which hold the
            preparation and the names of the classes.
        method: grad-cam by default, saliency for a network without maps; occlusion, integrated-gradients, rise and more
            (a wrong name lists them all).
        target: explain this class instead of the predicted one: its name, or its number from 0.
        at: the place in the network that the method reads, as in stage3; by default the last map before pooling.
        compare: draw one sheet with the maps of all methods. They are not checked.
        check: check each map for at most this long, as in 10s; by default it is not checked.
        dark: draw sheets on dark paper.
        out: the folder for the sheets; by default 'explanations' within the run, or here. For a module, sheets are
            written only if it is given.
        device: auto (the fastest here), cpu, cuda, cuda:1 or mps. A module stays where it is.
        preparation: how images are prepared for a module: an InputSpec, torchvision's weights.transforms(), or a
            function from a PIL image to a tensor (c, h, w). timm's models bring theirs.
        progress: called as progress(stage, done, total); by default a bar on a terminal or in a notebook.
        on_result: called with each result as soon as it is there.

    Raises:
        ModelError: there are no such pretrained weights, or they do not fit the network.
        ConfigError: there is no such method, class or length of time, or the preparation of images is not known.
        PlaceError: the network has no such place.
        DataError: a folder, a pattern or the list holds no image.
        RunError: there is no classifier, or it is damaged.
    """
    if compare and method is not None:
        raise ConfigError("--compare shows all methods, and --method chooses one: leave one of them out.")

    from striate.explaining import METHODS
    from striate.explaining.checks.budget import Budget
    from striate.reporting.sheets.explanation import explain_subject, explain_usually, method_named
    from striate.reporting.sheets.input_image import class_number

    methods = list(METHODS.values()) if compare else [] if method is None else [method_named(method)]
    explain_one = partial(explain_subject, methods=methods) if methods else explain_usually
    budget = None if compare or check in (None, "none") else str(Budget(check))
    network = _network(run, device, preparation, weights, progress or silent)
    folder = _folder(run, out)

    def work(image: Any, name: str) -> Explanation:
        subject = network.look(image, name)
        classes = network.classes(len(subject.prediction.probabilities))
        explained = explain_one(
            network.model,
            classes,
            subject,
            target=target if target is None or callable(target) else class_number(classes, target),
            at=at,
            budget=budget,
            notes=network.notes,
            progress=progress or silent,
        )
        kind = "compared" if compare else explained.attributions[0].method.name
        place = f"at {at}" if isinstance(at, str) else None
        asked = None if target is None else f"as {explained.target}"
        return _written(Explanation(explained, dark=dark), folder, kind, place, asked)

    return Results(each(named(images), work, on_result))


def _written(found: Explanation, folder: OutputFolder | None, *kinds: str | None) -> Explanation:
    """Return `found` with its sheet, named after all settings, so that no other sheet overwrites it."""
    from striate.reporting.sheets.results import stem_of

    if folder is None:
        return found
    stem = stem_of(found.subject.prediction.name, *kinds, "dark" if found.dark else None)
    return replace(found, sheet=folder.write(stem, found._repr_png_(), found.subject))


def _network(run: Any, device: str, preparation: Any, weights: Any, progress: Progress) -> OwnNetwork | RunNetwork:
    """Return a module as it is, else the classifier of a run or of pretrained weights.

    Raises:
        ConfigError: a preparation is passed for a run, which has its own.
    """
    from torch import nn

    from striate.reporting.sheets.input_image import RunNetwork
    from striate.reporting.sheets.own_model import OwnNetwork
    from striate.reporting.sheets.own_preparation import brought

    if isinstance(run, nn.Module):
        return OwnNetwork(run, brought(run, preparation=preparation, weights=weights))
    if preparation is not None:
        raise ConfigError("A run has its own preparation of images: leave out `preparation`.")
    if weights is not None and not isinstance(weights, (str, Path)):
        raise ConfigError("torchvision's weights belong to a module: pass the module in place of the run.")
    return RunNetwork(classifier_of(run, device, weights=weights, progress=progress))


def _folder(run: Any, out: str | Path | None) -> OutputFolder | None:
    """Return the folder for sheets; None where none is written."""
    from torch import nn

    from striate.reporting.sheets.results import OutputFolder

    if out is not None:
        return OutputFolder(Path(out))
    return None if isinstance(run, nn.Module) else OutputFolder((folder_of(run) or Path()) / "explanations")

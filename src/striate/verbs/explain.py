"""Say why a classifier answers as it does."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from striate.core.errors import ConfigError
from striate.verbs._images import expand
from striate.verbs._trained import classifier_of, folder_of
from striate.verbs._verb import verb
from striate.verbs.explanation import Explanation as Explanation
from striate.verbs.explanation import Results as Results

if TYPE_CHECKING:
    from numpy import ndarray
    from PIL.Image import Image
    from torch import Tensor
    from torch.nn import Module

    from striate.classifier import Classifier, Failure
    from striate.reporting.sheets.output_folder import Folder
    from striate.reporting.sheets.own_model import OwnNetwork
    from striate.reporting.sheets.run_model import RunNetwork
    from striate.runs.folder import Run
    from striate.runs.stage import Progress


@verb
def explain(
    run: str | Path | Run | Classifier | Module,
    /,
    *pictures: str | Path | Image | ndarray | Tensor,
    method: str | None = None,
    target: str | int | Callable[[Any], Any] | None = None,
    at: str | Module | None = None,
    compare: bool = False,
    check: str | int | float | None = None,
    dark: bool = False,
    out: str | Path | None = None,
    device: str = "auto",
    preparation: Any = None,
    weights: Any = None,
) -> Generator[Progress | Explanation | Failure, None, Results[Explanation | Failure]]:
    """Show where a network looked: a map of what speaks for its answer, over each image.

    With a check, each map is made again with random weights, and pixels are removed in its order; the verdict says
    whether to trust the map.

    Example:
        striate.explain("runs/photos", "holiday/beach.jpg", method="occlusion")

    Args:
        run: the run's folder, or a classifier's that was copied out of it. In Python also any module that answers with
            logits (n, k).
        pictures: files, folders (every picture in them), patterns in quotes, or - for a list on standard input. In
            Python also PIL images, arrays, and tensors (c, h, w): a float tensor is prepared already.
        method: how: grad-cam when not given, or saliency for a network without maps; occlusion, integrated-gradients,
            rise and more (a wrong name lists them all).
        target: explain this class instead of the answer: its name, or its number from 0.
        at: the place in the network that the method reads, as in stage3; the last map before pooling when not given.
        compare: one sheet with the maps of all methods. They are not checked.
        check: check each map for at most this long, as in 10s; not checked when not given.
        dark: sheets on dark paper.
        out: the folder for the sheets; 'explanations' within the run when not given. For a module, sheets are written
            only where it is given.
        device: auto (the fastest here), cpu, cuda, cuda:1 or mps. A module stays where it is.
        preparation: how images are prepared for a module: an InputSpec, torchvision's weights.transforms(), or a
            function that makes a tensor (c, h, w) of a PIL image. timm's models bring theirs.
        weights: torchvision's weights of a module, such as ResNet50_Weights.DEFAULT, which say how images are prepared
            and what the classes are called.

    Raises:
        ConfigError: there is no such method, class or length of time, or nobody said how images are prepared.
        PlaceError: the network has no such place.
        DataError: a folder, a pattern or the list holds no picture.
        RunError: there is no classifier, or it is damaged.
    """
    if compare and method is not None:
        raise ConfigError("--compare shows all methods, and --method chooses one: leave one of them out.")

    from striate.classifier import Failure
    from striate.data.images.decode import Unreadable
    from striate.explaining import METHODS
    from striate.explaining.checks.budget import Budget
    from striate.reporting.sheets.explanation import explain_subject, explain_usually, method_named
    from striate.reporting.sheets.input_image import class_number
    from striate.reporting.sheets.output_folder import stem_of
    from striate.runs.stage import watched

    methods = list(METHODS.values()) if compare else [] if method is None else [method_named(method)]
    budget = None if compare or check in (None, "none") else str(Budget(check))
    explain_one = partial(explain_subject, methods=methods) if methods else explain_usually
    network = _network(run, device, preparation, weights)
    folder = _folder(run, out)
    results: Results[Explanation | Failure] = Results()
    for name, image in _named(pictures):
        try:
            subject = network.look(image, name)
        except Unreadable as error:
            result: Explanation | Failure = Failure(name, error.why)
        else:
            classes = network.classes(len(subject.prediction.probabilities))
            aim = target if target is None or callable(target) else class_number(classes, target)
            explained = yield from watched(
                f"explaining {Path(name).name}",
                lambda progress, subject=subject, classes=classes, aim=aim: explain_one(
                    network.model, classes, subject, target=aim, at=at, budget=budget, notes=network.notes,
                    progress=progress,
                ),
            )  # fmt: skip
            result = Explanation(explained, dark=dark)
            if folder is not None:
                kind = "compared" if compare else explained.attributions[0].method.name
                place = f"at {at}" if isinstance(at, str) else None
                asked = None if target is None else f"as {explained.target}"
                stem = stem_of(Path(name), kind, place, asked, "dark" if dark else None)
                result = replace(result, sheet=folder.write(stem, ".png", result._repr_png_()))
        results.append(result)
        yield result
    return results


def _network(run: Any, device: str, preparation: Any, weights: Any) -> OwnNetwork | RunNetwork:
    """A module as it is; else the classifier of a run.

    Raises:
        ConfigError: a run is given a preparation, which it has of its own.
    """
    from torch import nn

    from striate.reporting.sheets.own_model import OwnNetwork
    from striate.reporting.sheets.own_preparation import brought
    from striate.reporting.sheets.run_model import RunNetwork

    if isinstance(run, nn.Module):
        return OwnNetwork(run, brought(run, preparation=preparation, weights=weights))
    if preparation is not None or weights is not None:
        raise ConfigError("A run knows how images are prepared: leave out `preparation` and `weights`.")
    return RunNetwork(classifier_of(run, device))


def _folder(run: Any, out: str | Path | None) -> Folder | None:
    """Where sheets go; None where none is written."""
    from torch import nn

    from striate.reporting.sheets.output_folder import Folder

    if out is not None:
        return Folder(Path(out))
    return None if isinstance(run, nn.Module) else Folder((folder_of(run) or Path()) / "explanations")


def _named(pictures: Sequence[Any]) -> Iterator[tuple[str, Any]]:
    """Every image with its name: files by their paths, others by their number. A batch of tensors is taken apart."""
    from torch import Tensor

    if not pictures:
        yield from ((str(path), path) for path in expand(()))
    number = 0
    for given in pictures:
        if isinstance(given, (str, Path)):
            yield from ((str(path), path) for path in expand((given,)))
            continue
        for image in given if isinstance(given, Tensor) and given.ndim == 4 else (given,):
            number += 1
            yield f"image {number}", image

"""Load a classifier, or several as an ensemble."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, overload

from striate.core.progress import silent
from striate.verbs._trained import in_runtime, predictor_of, together
from striate.verbs._verb import with_progress

if TYPE_CHECKING:
    from striate.classifier import Classifier, Ensemble
    from striate.core.progress import Progress
    from striate.runs.folder import Run


@overload
def load(
    run: str | Path | Run | Classifier,
    /,
    *,
    weights: str | Path | None = None,
    device: str = "auto",
    runtime: str = "auto",
    progress: Progress | None = None,
) -> Classifier: ...
@overload
def load(
    run: Sequence[str | Path | Run | Classifier],
    /,
    *,
    device: str = "auto",
    runtime: str = "auto",
    progress: Progress | None = None,
) -> Classifier | Ensemble: ...
@with_progress
def load(
    run: str | Path | Run | Classifier | Sequence[str | Path | Run | Classifier],
    /,
    *,
    weights: str | Path | None = None,
    device: str = "auto",
    runtime: str = "auto",
    progress: Progress | None = None,
) -> Classifier | Ensemble:
    """Load the classifier of a run, one that was copied out of its run, or that of pretrained weights.

    Several runs give an `Ensemble`, which averages their probabilities.

    Example:
        classifier = striate.load("efficientnet_lite0")

    Args:
        run: what `train` returns, the path of a run's folder, or that of a folder with `classifier.json` and
            `model.safetensors`; or the name of a network that has pretrained weights. Or a list of several.
        weights: the pretrained weights of the network that is named in place of a run: a file, a name of the catalogue
            ('striate list-models --weights'), or a repository of the Hugging Face hub, as in timm/resnet50.a1_in1k.
        device: auto (the fastest here), cpu, cuda, cuda:1 or mps.
        runtime: auto, the one that 'striate export RUN --for cpu' has chosen on this machine, for one run, otherwise
            torch; or torch.
        progress: called as progress(stage, done, total); by default a bar on a terminal or in a notebook.

    Raises:
        ModelError: there are no such pretrained weights, or they do not fit the network.
        RunError: there is none, or it or its export for this processor is damaged or of another format.
        ConfigError: this machine has no such device, or several runs differ in their classes.
    """
    runs = together(run, ())
    return in_runtime(predictor_of(runs, device, weights=weights, progress=progress or silent), runs[0], runtime)

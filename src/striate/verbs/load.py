"""Load a classifier."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from striate.verbs._trained import classifier_of

if TYPE_CHECKING:
    from striate.classifier import Classifier
    from striate.runs.folder import Run


def load(run: str | Path | Run | Classifier, /, *, device: str = "auto") -> Classifier:
    """Load the classifier of a run, or one that was copied out of its run.

    Args:
        run: what `train` returns, the path of a run's folder, or that of a folder with `classifier.json` and
            `model.safetensors`.
        device: auto (the fastest here), cpu, cuda, cuda:1 or mps.

    Raises:
        RunError: there is none, or it is damaged or of another format.
        ConfigError: this machine has no such device.
    """
    return classifier_of(run, device)

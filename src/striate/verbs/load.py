"""Load a classifier."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from striate.classifier import Classifier


def load(path: str | Path) -> Classifier:
    """The classifier of a run, or one that was copied out of its run.

    Args:
        path: the run's folder, or a folder with `classifier.json` and `model.safetensors`.

    Raises:
        RunError: there is none, or it is damaged or of another format.
    """
    from striate.classifier import load_classifier

    return load_classifier(path)

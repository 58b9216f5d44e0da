"""Audit data before training."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from striate.core.progress import silent
from striate.verbs._verb import with_progress

if TYPE_CHECKING:
    from striate.core.progress import Progress
    from striate.data.audit import Audit


@with_progress
def audit(data: str | Path, /, *, progress: Progress | None = None) -> Audit:
    """Audit a data set: report what is in it, and what may be wrong with it.

    The audit counts images per class and split (as training would divide the data), sizes, unreadable files with their
    reasons, exact and near duplicates, duplicates across splits or with different labels, tiny classes, imbalance, and
    images rotated by EXIF. Nothing is changed. The result is cached by content, so a second audit is quick.

    Example:
        print(striate.audit("photos/").warnings)

    Args:
        data: a folder with a folder per class, a CSV file (path,label[,split]), IDX, CIFAR or npz files, or a name:
            digits, shapes, mnist, fashion-mnist, cifar10, cifar100.
        progress: called as progress(stage, done, total); by default a bar on a terminal or in a notebook.

    Raises:
        DataError: there are no images; the message says what was searched for.
    """
    from striate.data.audit import audit as look_through
    from striate.data.sources.opening import open_data
    from striate.runs.prepare import divide

    report = progress or silent
    return divide(look_through(open_data(data, progress=report), progress=report))

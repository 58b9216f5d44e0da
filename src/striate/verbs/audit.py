"""Look at data before anything is trained on them."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING

from striate.verbs._verb import verb

if TYPE_CHECKING:
    from striate.data.audit.audit import Audit
    from striate.runs.stage import Progress


@verb
def audit(data: str | Path, /) -> Generator[Progress, None, Audit]:
    """Look through a data set: what is in it, and what may be wrong with it.

    Counts per class, sizes, unreadable files with their reasons, exact and near duplicates, duplicates across splits
    or with different labels, tiny classes, imbalance, pictures rotated by EXIF. Nothing is changed. The result is
    cached by content, so the second time is at once.

    Example:
        print(striate.audit("photos/").warnings)

    Args:
        data: a folder with a folder per class, a CSV file (path,label[,split]), IDX, CIFAR or npz files, or a name:
            digits, shapes, mnist, fashion-mnist, cifar10, cifar100.

    Raises:
        DataError: there are no pictures there; the sentence says what was looked for.
    """
    from striate.data.audit.audit import audit as look_through
    from striate.data.sources.opening import open_data
    from striate.runs.stage import watched

    dataset = open_data(data)
    return (yield from watched("reading pictures", lambda progress: look_through(dataset, progress=progress)))

"""Classify pictures with a trained run."""

from __future__ import annotations

import glob
import sys
from collections.abc import Generator, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from striate.core.errors import DataError
from striate.core.registry import natural_key
from striate.verbs._verb import verb

if TYPE_CHECKING:
    from striate.classifier import Failure, Prediction


@verb
def predict(
    run: str | Path, /, *pictures: str | Path
) -> Generator[Prediction | Failure, None, list[Prediction | Failure]]:
    """Say what is on pictures, with the classifier of a run.

    Example: striate predict runs/photos holiday/*.jpg

    Args:
        run: the run's folder, or a classifier's that was copied out of it.
        pictures: files, folders (every picture in them), patterns in quotes, or - for a list on standard input.

    Raises:
        DataError: a folder, a pattern or the list holds no picture.
        RunError: there is no classifier, or it is damaged.
    """
    from striate.classifier import load_classifier

    classifier = load_classifier(run)
    results = []
    for result in classifier.predictions(list(_expand(pictures))):
        results.append(result)
        yield result
    return results


def _expand(pictures: Iterable[str | Path]) -> Iterator[Path]:
    """The files that are meant, in the order given; those of a folder in natural order.

    A file that does not exist is passed on: it is named with the others that cannot be read.
    """
    from striate.data.sources.folder import pictures_in

    if not pictures:
        raise DataError("Name at least one picture, folder or pattern to predict, or - for a list on standard input.")
    for given in pictures:
        text, path = str(given), Path(given)
        if text == "-":
            files = [Path(line.rstrip("\r\n")) for line in sys.stdin if line.strip()]
        elif path.is_dir():
            files = pictures_in(path)
        elif path.exists() or not glob.has_magic(text):
            files = [path]
        else:
            files = [Path(match) for match in sorted(glob.glob(text, recursive=True), key=natural_key)]
        if not files:
            raise DataError(f"{text} holds no picture.")
        yield from files

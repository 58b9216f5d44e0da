"""Predict parts of a long list of images in one process: threads read and decode while the network answers."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from io import RawIOBase

from striate.classifier import Failure, Prediction
from striate.classifier.predictor import Predictor
from striate.predicting.formats import FORMATS
from striate.predicting.images import ListedImage
from striate.predicting.job import Part

Pending = Iterable[tuple[int, list[ListedImage]]]


@dataclass(frozen=True)
class Answering:
    """How images are answered: as by `Predictor.predictions`, for a file with this `suffix`."""

    suffix: str
    coverage: float | None = None
    views: str = ""


def predicted(predictor: Predictor, pending: Pending, how: Answering, *, threads: int) -> Iterator[Part]:
    """Yield the rows of each part of `pending`, in order; `threads` threads read and decode.

    Batches do not depend on the division into parts, which are multiples of a batch.

    Raises:
        RunError: a bucket cannot be reached.
    """
    form, labels = FORMATS[how.suffix], predictor.labels.classes
    begun: deque[tuple[int, list[ListedImage]]] = deque()

    def images() -> Iterator[str | RawIOBase]:
        for number, listed in pending:
            begun.append((number, listed))
            for image in listed:
                yield image.image()

    rows: list[Prediction | Failure] = []
    stream = predictor.predictions(images(), coverage=how.coverage, views=how.views, threads=threads)
    with closing(stream) as results:
        for result in results:
            number, listed = begun[0]
            rows.append(replace(result, name=listed[len(rows)].name))
            if len(rows) == len(listed):
                begun.popleft()
                yield Part(number, sum(isinstance(row, Failure) for row in rows), form.part(rows, labels))
                rows = []


def identity(predictor: Predictor) -> str:
    """Return SHA-256 of everything in a classifier, or in those of an ensemble, that answers depend on."""
    from striate.runs.features import network_digest  # only for a file: predicting some images imports no runs

    digest = hashlib.sha256()
    for member in predictor.members:
        digest.update(network_digest(member.model, member.input).encode())
        digest.update(repr((member.labels.classes, member.temperature, member.task)).encode(errors="replace"))
        if member.reference is not None:
            for numbers in (member.reference.features, member.reference.similarities, member.reference.scores):
                digest.update(numbers.tobytes())
    return digest.hexdigest()

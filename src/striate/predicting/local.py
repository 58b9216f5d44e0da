"""Predict parts of a long list of images in one process, on all its cores."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from io import RawIOBase
from itertools import islice
from queue import SimpleQueue

from striate.classifier import Failure, Prediction
from striate.classifier.predictor import Predictor
from striate.core.device import plain_plan
from striate.core.threads import in_order
from striate.predicting.formats import FORMATS
from striate.predicting.images import ListedImage
from striate.predicting.job import Part

_BATCH = 32  # images, as `predict` has, so that answers are the same to the bit
Image = str | RawIOBase
Pending = Iterable[tuple[int, list[ListedImage]]]


@dataclass(frozen=True)
class Answering:
    """How images are answered: as by `Predictor.predictions`, for a file with this `suffix`."""

    suffix: str
    coverage: float | None = None
    views: str = ""


def predicted(predictor: Predictor, pending: Pending, how: Answering, *, threads: int) -> Iterator[Part]:
    """Yield the rows of each part of `pending`, in order, computed by `threads` threads.

    Batches do not depend on the division into parts, which are multiples of a batch.

    Raises:
        RunError: a bucket cannot be reached.
    """
    form, labels = FORMATS[how.suffix], predictor.labels.classes
    begun: deque[tuple[int, list[ListedImage]]] = deque()

    def images() -> Iterator[Image]:
        for number, listed in pending:
            begun.append((number, listed))
            for image in listed:
                yield image.image()

    rows: list[Prediction | Failure] = []
    with closing(_answers(predictor, images(), how, threads)) as results:
        for result in results:
            number, listed = begun[0]
            rows.append(replace(result, name=listed[len(rows)].name))
            if len(rows) == len(listed):
                begun.popleft()
                yield Part(number, sum(isinstance(row, Failure) for row in rows), form.part(rows, labels))
                rows = []


def _answers(
    predictor: Predictor, images: Iterator[Image], how: Answering, threads: int
) -> Generator[Prediction | Failure, None, None]:
    """Yield the answer for each image, in order.

    On the processor, each thread reads, decodes and answers whole batches: operations on few images are too short to be
    divided. On other devices, and in the runtime of an export, the threads read and decode.
    """
    in_torch = predictor.runtime == "torch" and all(member.device.type == "cpu" for member in predictor.members)
    copies = [predictor.copied() for _ in range(threads)] if in_torch and threads > 1 else []
    own = [copied for copied in copies if copied is not None]  # a forward pass may write into its modules
    if not own:
        yield from predictor.predictions(
            images, batch_size=_BATCH, coverage=how.coverage, views=how.views, threads=threads
        )
        return
    idle: SimpleQueue[Predictor] = SimpleQueue()
    for copied in own:
        idle.put(copied)

    def answered(batch: list[Image]) -> list[Prediction | Failure]:
        running = idle.get()
        try:
            return list(running.predictions(batch, batch_size=_BATCH, coverage=how.coverage, views=how.views))
        finally:
            idle.put(running)

    batches = iter(lambda: list(islice(images, _BATCH)), [])
    with (
        replace(plain_plan("cpu"), threads=1).in_effect(),
        closing(in_order(answered, batches, threads=len(own), ahead=len(own))) as stream,
    ):
        for answers in stream:
            yield from answers


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

"""A job of predictions: a folder beside its file holds what is done, so that a killed job continues.

`results.parquet.unfinished` holds the list of images, and a file for each part of them that is done. When all are, they
are put together as `results.parquet`, and the folder is removed. A kill at any moment leaves whole parts only.
"""

from __future__ import annotations

import contextlib
import filecmp
import json
import os
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from striate.core.errors import BusyError, DataError, RunError
from striate.core.files import locked, make_folder, read_regular, replacing, sweep, write_atomically, write_json
from striate.core.progress import Progress
from striate.predicting.formats import Format
from striate.predicting.images import ListedImage

PART = 256
"""Images of a part: what a kill costs at most for each worker. Batches of 32 divide it, so no batch spans two parts."""
_FORMAT = 1
_JOB, _IMAGES, _LOCK, _PARTS = "job.json", "images.jsonl", "lock", "parts"


@dataclass(frozen=True)
class Written:
    """A file of predictions: its `path`, how many `images` it has rows of, and how many of them are `failures`."""

    path: Path
    images: int
    failures: int

    def __len__(self) -> int:
        return self.images

    def __repr__(self) -> str:
        return f"Written({self.images:,} images, {self.failures:,} of them not read: {str(self.path)!r})"


@dataclass(frozen=True)
class Part:
    """The rows of one part as bytes of the file's format; `failures` of its images could not be read."""

    number: int
    failures: int
    rows: bytes


Work = Callable[["Job"], Iterable[Part]]
"""Yields the parts that `Job.pending` names, in any order."""


class Job:
    """The list of images, in parts, and what is done of it: `images_done` have a row."""

    def __init__(self, folder: Path, count: int, done: Mapping[int, int]) -> None:
        self.folder = folder
        self.count = count
        self.done = dict(done)  # failures by part
        self.images_done = sum(map(self._size, done))

    @property
    def parts(self) -> int:
        """How many parts there are."""
        return -(-self.count // PART)

    def pending(self) -> Iterator[tuple[int, list[ListedImage]]]:
        """Yield the number and the images of each part that is not done, in order; the list is read as it goes.

        Raises:
            RunError: the list of images is damaged.
        """
        done = set(self.done)
        try:
            with (self.folder / _IMAGES).open("rb") as lines:
                for number in range(self.parts):
                    part = [lines.readline() for _ in range(self._size(number))]
                    if number not in done:
                        yield number, [ListedImage.of_line(line) for line in part]
        except (OSError, ValueError, TypeError, IndexError) as error:
            damaged = f"{self.folder / _IMAGES} is damaged ({error})."
            raise RunError(f"{damaged} Delete {self.folder} to begin again.") from error

    def write(self, part: Part) -> None:
        """Write a part to the disk.

        Raises:
            RunError: the disk is full, or the folder cannot be written.
        """
        if part.number not in self.done:
            write_atomically(self.folder / _PARTS / f"{part.number:08}-{part.failures}", part.rows)
            self.done[part.number] = part.failures
            self.images_done += self._size(part.number)

    def _size(self, number: int) -> int:
        return min(PART, self.count - PART * number)

    def files(self) -> list[Path]:
        """Return the files of all parts, in order."""
        return [self.folder / _PARTS / f"{number:08}-{failures}" for number, failures in sorted(self.done.items())]


def run_job(
    path: Path,
    form: Format,
    about: Mapping[str, object],
    listed: Callable[[], Iterable[ListedImage]],
    work: Work,
    progress: Progress,
) -> Written:
    """Write the predictions of `work` for the images of `listed` to `path`, and continue what a killed job has done.

    `about` identifies the job: it says by which name what is predicted, and how. The images of a job that continues are
    those that were listed when it began.

    Raises:
        BusyError: another process is writing the file.
        RunError: the file exists and is not this job's, the folder holds another job or is damaged, or the disk is
            full.
        DataError: there is no image.
    """
    folder = path.with_name(f"{path.name}.unfinished")
    make_folder(folder / _PARTS)
    with _held(folder, path):
        if path.exists() and not (folder / _JOB).exists():
            shutil.rmtree(folder, ignore_errors=True)
            raise RunError(f"{path} exists already. Choose another name, or delete it.")
        sweep(folder)
        job = _continued(folder, about) or _begun(folder, about, listed, progress)
        if path.exists() and len(job.done) < job.parts:
            raise _taken(path)
        progress("predicting", job.images_done, job.count)
        if len(job.done) < job.parts:
            before = first = None
            for part in work(job):
                job.write(part)
                now = time.monotonic()
                if before is None or first is None:  # the first part includes the start
                    before, first = job.images_done, now
                rate = (job.images_done - before) / (now - first) if now > first else 0.0
                stage = f"predicting ({rate:,.1f} images/s)" if rate else "predicting"
                progress(stage, job.images_done, job.count)
        if len(job.done) < job.parts:
            raise RunError(f"{job.parts - len(job.done):,} parts are missing. Give the same command again to continue.")
        with replacing(path) as file:
            form.join(job.files(), file)
            file.flush()
            # A job killed after its file has its name, but before its folder is gone, finds its own bytes there.
            if path.exists() and not filecmp.cmp(file.name, path, shallow=False):
                raise _taken(path)
        _remove(folder)
    return Written(path, job.count, sum(job.done.values()))


def _taken(path: Path) -> RunError:
    return RunError(
        f"{path} was written by another program since these predictions began. Move it elsewhere, and give the same "
        "command again to continue."
    )


@contextlib.contextmanager
def _held(folder: Path, path: Path) -> Iterator[None]:
    """Hold the lock of the job in `folder`."""
    busy = f"Another process is writing {path}. Wait until it ends, or write another file."
    with locked(folder / _LOCK, busy=busy):
        # The other process may have ended, and removed the folder, after this one opened the lock in it.
        if not (folder / _LOCK).exists():
            raise BusyError(f"Another process has just written {path}.")
        yield


def _continued(folder: Path, about: Mapping[str, object]) -> Job | None:
    """Return the job in `folder`; None if there is none yet.

    Raises:
        RunError: it is another job, or it is damaged.
    """
    path = folder / _JOB
    try:
        stored = json.loads(read_regular(path))
        count, known, part = stored["count"], stored["about"], stored["part"]
        if stored["format"] != _FORMAT or part != PART:
            raise RunError(f"{folder} is of another version of Striate. Delete it to begin again.")
        names = [each.split("-") for each in os.listdir(folder / _PARTS) if not each.startswith(".")]
        done = {int(number): int(failures) for number, failures in names}
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunError(f"{path} is damaged ({error}). Delete {folder} to begin again.") from error
    others = [name for name, value in about.items() if known.get(name) != value]
    if others:
        raise RunError(
            f"{folder} holds unfinished predictions with another value of: {', '.join(others)}. Give the command that "
            "began them to continue, delete it to begin again, or choose another name for the file."
        )
    return Job(folder, count, done)


def _begun(
    folder: Path, about: Mapping[str, object], listed: Callable[[], Iterable[ListedImage]], progress: Progress
) -> Job:
    """List the images, and begin the job in `folder`.

    Raises:
        DataError: there is no image; the folder is removed.
    """
    count = 0
    try:
        with replacing(folder / _IMAGES) as file:
            for image in listed():
                file.write(image.line().encode() + b"\n")
                count += 1
                if not count % 1000:
                    progress("listing images", count, count)
        if not count:
            raise DataError("There is no image to predict.")
    except (Exception, KeyboardInterrupt):
        shutil.rmtree(folder, ignore_errors=True)
        raise
    write_json(folder / _JOB, {"format": _FORMAT, "part": PART, "count": count, "about": dict(about)})
    return Job(folder, count, {})


def _remove(folder: Path) -> None:
    """Remove the folder of a finished job: first its name, so that a kill in between leaves no job with parts lost."""
    gone = folder.with_name(f".{folder.name}.{os.getpid()}.tmp")
    with contextlib.suppress(OSError):
        folder.rename(gone)
        shutil.rmtree(gone, ignore_errors=True)

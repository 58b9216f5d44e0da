"""One image of a long list: its name, and where its bytes are, so that any process reads it by itself."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from pathlib import Path

from striate.data.images.decode import MISSING, Unreadable
from striate.data.sources.bucket import is_bucket, read_object
from striate.data.sources.tar import read_member

Member = tuple[int, int, int, int]
"""Offset and size of a file in an archive, and the archive's own size and time of change in nanoseconds."""


@dataclass(frozen=True)
class ListedImage:
    """An image that is reported as `name`; `place` is a path, or the URL of an object in a bucket.

    With `member`, it is a file in the tar archive at `place`.
    """

    name: str
    place: str
    member: Member | None = None

    def line(self) -> str:
        """Return the image as one line of JSON."""
        parts: list[object] = [self.name] if self.place == self.name else [self.name, self.place]
        return json.dumps([self.name, self.place, *self.member] if self.member else parts)

    @classmethod
    def of_line(cls, line: str | bytes) -> ListedImage:
        """Return the image that `line` wrote.

        Raises:
            ValueError: it is no such line.
        """
        name, *rest = json.loads(line)
        place, *member = rest or [name]
        return cls(name, place, (member[0], member[1], member[2], member[3]) if member else None)

    def image(self) -> str | io.RawIOBase:
        """Return what `Predictor.predictions` takes: the path, or a file whose bytes are read in its thread."""
        return _Later(self) if self.member or is_bucket(self.place) else self.place

    def content(self) -> bytes:
        """Read the bytes of a member of an archive, or of an object in a bucket.

        Raises:
            Unreadable: they cannot be read.
            RunError: the bucket cannot be reached.
        """
        if self.member is None:
            return read_object(self.place)
        offset, size, *signature = self.member
        try:
            return read_member(Path(self.place), (signature[0], signature[1]), offset, size)
        except FileNotFoundError as error:
            raise Unreadable(self.name, MISSING) from error
        except OSError as error:
            raise Unreadable(self.name, "not readable", error.strerror or str(error)) from error


class _Later(io.RawIOBase):
    def __init__(self, image: ListedImage) -> None:
        self._image = image

    def read(self, size: int = -1, /) -> bytes:
        return self._image.content()

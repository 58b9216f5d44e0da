"""Results for one image, shown as a sheet: in a notebook, in a viewer, and as a file that overwrites no other."""

from __future__ import annotations

import base64
import functools
import hashlib
import os
import re
import struct
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from striate.core.errors import ConfigError
from striate.core.files import make_folder, open_regular, write_atomically

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from striate.classifier import Failure, Prediction
    from striate.reporting.sheets.input_image import Answered

_LONGEST = 200  # bytes of a file name: file systems allow 255, and temporary files add to it
_AFTER_HEADER = 33  # bytes of a PNG: its signature and the chunk IHDR
_KEY = "striate-source"


class SheetResult:
    """A result with a sheet. In a notebook the sheet is displayed; `save` writes it, `show` opens it."""

    def figure(self) -> Figure:
        """Draw the sheet as a figure of Matplotlib."""
        raise NotImplementedError

    def save(self, path: str | Path) -> Path:
        """Write the sheet as a PNG or an SVG, by the suffix of `path`.

        Raises:
            ConfigError: the suffix is another.
            StriateError: the file cannot be written.
        """
        from striate.plot import figure_svg

        path = Path(path)
        kind = path.suffix.lower()
        if kind not in (".png", ".svg"):
            raise ConfigError(f"A sheet is saved as .png or .svg; received {path.name!r}.")
        make_folder(path.parent)
        write_atomically(path, self._png if kind == ".png" else figure_svg(self.figure()))
        return path

    def show(self) -> None:
        """Display the sheet in a notebook; elsewhere, open it in the system's image viewer."""
        from striate.core.notebook import show_png

        show_png(self._png)

    def _repr_png_(self) -> bytes:
        return self._png

    @functools.cached_property
    def _png(self) -> bytes:
        from striate.plot import figure_png

        return figure_png(self.figure())


class ImageResult(SheetResult):
    """A result for one image."""

    @property
    def subject(self) -> Answered:
        """The image, as the network sees it, and the prediction."""
        raise NotImplementedError


Member = TypeVar("Member", bound="ImageResult | Failure")


class SheetResults(list[Member]):
    """Results in the order of the images. In a notebook all sheets are displayed."""

    def save(self, path: str | Path) -> list[Path]:
        """Write the sheet of a single result to the file `path`; of several, a sheet each into the folder `path`.

        Raises:
            ConfigError: the suffix of a single sheet is neither .png nor .svg.
            StriateError: a file cannot be written.
        """
        found = self._sheets()
        if len(found) == 1:
            return [found[0].save(path)]
        folder = OutputFolder(Path(path))
        return [folder.write(stem_of(one.subject.prediction.name), one._repr_png_(), one.subject) for one in found]

    def show(self) -> None:
        """Display every sheet."""
        for one in self._sheets():
            one.show()

    def _repr_html_(self) -> str:
        images = (base64.b64encode(one._repr_png_()).decode() for one in self._sheets())
        return "".join(f'<img src="data:image/png;base64,{image}" style="max-width: 100%">' for image in images)

    def _sheets(self) -> list[ImageResult]:
        return [one for one in self if isinstance(one, ImageResult)]


def answer(prediction: Prediction, shown: Callable[[float], str] | None = None) -> str:
    """Format a prediction, as in `cat, 98.7 %`, or `cat 98.7 %, dog 71.2 %` for an image that may have several labels.

    Of an image of none of the classes the nearest class is named. `shown` formats a probability.
    """
    from striate.reporting.numbers import percent

    shown = shown or percent
    nearest = f"{prediction.label}, {shown(prediction.probability)}"
    if prediction.none_of_these:
        return f"none of these; nearest: {nearest}"
    if prediction.labels is None:
        return nearest
    having = (f"{label} {shown(prediction.probabilities[label])}" for label in prediction.labels)
    return ", ".join(having) or "no label"


class OutputFolder:
    """A folder for the images of one call, created with the first of them.

    Each PNG records its source image. An existing file of another source, or without one, is never overwritten: a
    number is appended to the name.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._taken: set[str] = set()

    def write(self, stem: str, png: bytes, subject: Answered) -> Path:
        """Write the PNG as `stem`.png, or as `stem`-2.png … if another image has that name.

        Raises:
            StriateError: the folder cannot be written, or the disk is full.
        """
        make_folder(self.path)
        source, name, number = _source_of(subject), f"{stem}.png", 1
        while name.casefold() in self._taken or _recorded(self.path / name) not in (None, source):
            number += 1
            name = f"{stem}-{number}.png"
        self._taken.add(name.casefold())
        write_atomically(self.path / name, _with_source(png, source))
        return self.path / name


def stem_of(image: str, *kinds: str | None) -> str:
    """Join the stem of an image's name and all `kinds` that distinguish the file from others of it, except None."""
    return file_stem(Path(image).stem, *kinds)


def file_stem(*names: str | None) -> str:
    """Join all `names` except None to the stem of a file's name. Of a long one, the end is replaced by a digest."""
    text = re.sub(r"[^\w.\- ]", "-", "-".join(filter(None, names))).strip(". ") or "-"
    data = text.encode()
    if len(data) <= _LONGEST:
        return text
    return f"{data[: _LONGEST - 9].decode(errors='ignore')}-{hashlib.sha256(data).hexdigest()[:8]}"


def file_stems(names: Iterable[str]) -> list[str]:
    """Return the stem of each of `names`; where two would be one file, the later one has a number."""
    stems: dict[str, str] = {}
    for name in names:
        stem, number = file_stem(name), 1
        while stem.casefold() in stems:
            number += 1
            stem = file_stem(name, str(number))
        stems[stem.casefold()] = stem
    return list(stems.values())


def _source_of(subject: Answered) -> str:
    """Identify an image: a file by its path, another image by its pixels."""
    path = Path(subject.prediction.name)
    data = str(path.resolve()).encode(errors="surrogateescape") if path.exists() else subject.images.numpy().tobytes()
    return hashlib.sha256(data).hexdigest()[:16]


def _with_source(png: bytes, source: str) -> bytes:
    """Insert a text chunk (PNG specification, section 11.3.4.3) with the source."""
    body = b"tEXt" + f"{_KEY}\0{source}".encode("latin-1")
    chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    return png[:_AFTER_HEADER] + chunk + png[_AFTER_HEADER:]


def _recorded(path: Path) -> str | None:
    """Return the source that a PNG records: None if there is no file, "" if it records none."""
    from PIL import Image

    if not os.path.lexists(path):
        return None
    try:
        with open_regular(path) as file, Image.open(file) as image:
            return str(image.info.get(_KEY, ""))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return ""

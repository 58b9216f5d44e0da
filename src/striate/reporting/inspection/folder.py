"""An inspection as a folder that can be browsed: pictures by place and channel, and the page that shows them all."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from striate.core.files import make_folder, storage_error, write_atomically
from striate.plot import Tile, enlarged, figure_png, png, tiles
from striate.reporting.inspection.material import Inspection, PlaceShown, Rgb, UnitShown
from striate.reporting.inspection.page import inspection_page, written_here
from striate.reporting.sheets.results import file_name

PAGE = "index.html"
_LEGIBLE = 240


def is_inspection(folder: Path) -> bool:
    """Whether `folder` is what `write_inspection` writes, and so may be replaced: the page in it says so."""
    page = folder / PAGE
    return page.is_file() and written_here(page.read_text(encoding="utf-8", errors="replace"))


def write_inspection(inspection: Inspection, folder: Path) -> Path:
    """Write everything into `folder`, in the place of a former inspection, and give the path of the page.

    It is written beside it first and then takes its name: there is never half of one.

    Raises:
        StriateError: the folder cannot be written, the disk is full, or something else has that name.
    """
    temporary = folder.with_name(f".{folder.name}.{os.getpid()}.tmp")
    try:
        make_folder(temporary)
        for sheet in inspection.filters:
            _write(temporary / "filters" / f"{file_name(sheet.layer)}.png", sheet.sheet)
        for sheet in inspection.maps:
            _write(temporary / "maps" / f"{file_name(sheet.place)}.png", sheet.sheet)
        for label, pixels in inspection.classes:
            _write(temporary / "classes" / f"{file_name(label)}.png", pixels)
        for place in inspection.places:
            for unit in place.units:
                path = temporary / file_name(place.place) / f"channel-{unit.number:03}.png"
                make_folder(path.parent)
                write_atomically(path, _unit(place, unit))
        write_atomically(temporary / PAGE, inspection_page(inspection))
        _take_the_place(temporary, folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return folder / PAGE


def _take_the_place(temporary: Path, folder: Path) -> None:
    former = folder.with_name(f".{folder.name}.{os.getpid()}.former")
    try:
        if folder.exists():
            folder.rename(former)
        temporary.rename(folder)
    except OSError as error:
        if former.exists():
            former.rename(folder)
        raise storage_error(folder, error) from error
    shutil.rmtree(former, ignore_errors=True)


def _write(path: Path, pixels: Rgb) -> None:
    make_folder(path.parent)
    write_atomically(path, png(enlarged(pixels, max(1, round(_LEGIBLE / max(pixels.shape[:2]))))))


def _unit(place: PlaceShown, unit: UnitShown) -> bytes:
    """A sheet of one channel: what it wants, its strongest patches, and their projections."""
    shown = [
        Tile(pixels, (said,))
        for pixels, said in (
            (unit.wanted, "made for it"),
            (unit.patches, "strongest patches"),
            (unit.projections, "what it saw of them"),
        )
        if pixels is not None
    ]
    return figure_png(tiles(shown, title=f"{place.place}, channel {unit.number}"))

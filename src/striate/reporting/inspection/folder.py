"""An inspection as a folder: images by place and channel, and the page that shows them all."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from striate.core.files import make_folder, storage_error, write_atomically
from striate.explaining import TopPatches
from striate.plot import Tile, figure_png, png, tiles
from striate.reporting.inspection.inspect import CLASSES, Inspection
from striate.reporting.inspection.page import inspection_page, written_here
from striate.reporting.inspection.sheets import filter_sheet, legible, map_sheet, patch_sheet, projection_sheet
from striate.reporting.sheets.results import file_stems
from striate.reporting.sheets.rgb import Rgb

PAGE = "index.html"


def is_inspection(folder: Path) -> bool:
    """Return whether the page in `folder` is an inspection, which may be replaced."""
    page = folder / PAGE
    return page.is_file() and written_here(page.read_text(encoding="utf-8", errors="replace"))


def write_inspection(inspection: Inspection, folder: Path) -> Path:
    """Write everything into `folder`, replacing an earlier inspection; return the path of the page.

    A temporary folder is written first and then renamed, so that the inspection is never incomplete.

    Raises:
        StriateError: the folder cannot be written, the disk is full, or something else has that name.
    """
    folder = folder.resolve()  # "." has no name
    temporary = folder.with_name(f".{folder.name}.{os.getpid()}.tmp")
    try:
        make_folder(temporary)
        for found, stem in zip(inspection.filters, file_stems(one.layer for one in inspection.filters), strict=True):
            _write(temporary / "filters" / f"{stem}.png", filter_sheet(found)[0])
        for found, stem in zip(inspection.maps, file_stems(one.place for one in inspection.maps), strict=True):
            _write(temporary / "maps" / f"{stem}.png", map_sheet(found)[0])
        classes = file_stems(inspection.classes)
        for (place, number), pixels in inspection.synthesised.items():
            if place == CLASSES:
                _write(temporary / "classes" / f"{classes[number]}.png", pixels)
        for top, stem in zip(inspection.tops, file_stems(one.place for one in inspection.tops), strict=True):
            for nth, unit in enumerate(inspection.chosen[top.place]):
                path = temporary / stem / f"channel-{unit:03}.png"
                make_folder(path.parent)
                write_atomically(path, _unit(inspection, top, nth, unit))
        write_atomically(temporary / PAGE, inspection_page(inspection))
        _replace(temporary, folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return folder / PAGE


def _replace(temporary: Path, folder: Path) -> None:
    earlier = folder.with_name(f".{folder.name}.{os.getpid()}.earlier")
    try:
        if folder.exists():
            folder.rename(earlier)
        temporary.rename(folder)
    except OSError as error:
        if earlier.exists():
            earlier.rename(folder)
        raise storage_error(folder, error) from error
    shutil.rmtree(earlier, ignore_errors=True)


def _write(path: Path, pixels: Rgb) -> None:
    make_folder(path.parent)
    write_atomically(path, png(legible(pixels)))


def _unit(inspection: Inspection, top: TopPatches, nth: int, unit: int) -> bytes:
    """Draw one channel: the image synthesised for it, its strongest patches, and their projections."""
    tiles_ = [Tile(patch_sheet(top, unit, inspection.input), ("strongest patches",))]
    if (top.place, unit) in inspection.synthesised:
        tiles_.insert(0, Tile(inspection.synthesised[top.place, unit], ("synthesised",)))
    if top.place in inspection.projections:
        pixels = projection_sheet(inspection.projections[top.place][nth], inspection.input)
        tiles_.append(Tile(pixels, ("projections",)))
    return figure_png(tiles(tiles_, title=f"{top.place}, channel {unit}"))

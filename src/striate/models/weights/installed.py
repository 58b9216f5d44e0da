"""Weights that come as packages of data: found by the record of their installation and never imported."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path


def installed_file(package: str, name: str) -> Path | None:
    """Return the path of the file `name` of an installed `package`; None where one of both is not there."""
    try:
        files = importlib.metadata.files(package) or ()
    except importlib.metadata.PackageNotFoundError:
        return None
    path = next((Path(file.locate()) for file in files if file.name == name), None)
    return path if path is not None and path.is_file() else None

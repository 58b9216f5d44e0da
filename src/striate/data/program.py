"""Which program decodes, compares and prepares images: part of every key under which its results are kept."""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import importlib.resources
from contextlib import suppress
from pathlib import Path

_LIBRARIES = ("striate", "numpy", "torch", "Pillow", "simplejpeg", "tifffile", "imagecodecs", "pi-heif")
_SOURCES = ("striate.data", "striate.core")


@functools.cache
def program_digest() -> str:
    """SHA-256 of the source of this package, the versions of the libraries, and the instructions that torch uses.

    A result that another program made is thus never taken for one of this program, and no version number has to be
    raised by hand when the code changes.
    """
    import torch  # here, because data are opened without it

    digest = hashlib.sha256("\n".join([*map(_version, _LIBRARIES), torch.backends.cpu.get_cpu_capability()]).encode())
    for package in _SOURCES:
        folder = Path(str(importlib.resources.files(package)))
        for module in sorted(folder.rglob("*.py")):
            digest.update(f"\n{package} {module.relative_to(folder).as_posix()}\n".encode())
            digest.update(module.read_bytes())
    return digest.hexdigest()


def _version(library: str) -> str:
    with suppress(importlib.metadata.PackageNotFoundError):
        return f"{library} {importlib.metadata.version(library)}"
    return f"{library} absent"

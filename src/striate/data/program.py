"""Digest of the program that decodes, compares and prepares images: part of the key of every cached result."""

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
    """Return SHA-256 of the source of this package and the versions of the libraries.

    A result of another program is thus never used as one of this program, and no version number has to be raised
    by hand when the code changes.
    """
    digest = hashlib.sha256("\n".join(map(_version, _LIBRARIES)).encode())
    for package in _SOURCES:
        folder = Path(str(importlib.resources.files(package)))
        for module in sorted(folder.rglob("*.py")):
            digest.update(f"\n{package} {module.relative_to(folder).as_posix()}\n".encode())
            digest.update(module.read_bytes())
    return digest.hexdigest()


def tensor_program_digest() -> str:
    """Return `program_digest` and torch's instruction set, on which the last bits of what torch computes depend."""
    import torch  # here, because data are audited without it

    return f"{program_digest()} {torch.backends.cpu.get_cpu_capability()}"


def _version(library: str) -> str:
    with suppress(importlib.metadata.PackageNotFoundError):
        return f"{library} {importlib.metadata.version(library)}"
    return f"{library} absent"

"""What the zoo's table was made of."""

from __future__ import annotations

import hashlib
from pathlib import Path

_STRIATE = Path(__file__).resolve().parents[2] / "src" / "striate"


def digest_of_the_zoo() -> str:
    """Of every file of `models/` and `layers/`, by its path: any change there gives another one."""
    digest = hashlib.sha256()
    files = [file for package in ("layers", "models") for file in (_STRIATE / package).rglob("*.py")]
    for file in sorted(files):
        digest.update(f"{file.relative_to(_STRIATE).as_posix()}\0".encode())
        digest.update(file.read_bytes() + b"\0")
    return digest.hexdigest()

"""Bounds for compressed files of unknown origin."""

from __future__ import annotations

import zipfile
from pathlib import Path

from striate.core.errors import StriateError
from striate.core.memory import available_memory

_UNSUSPICIOUS = 256 << 20  # bytes; below, zeros and constants may be compressed by any factor
_LARGEST_FACTOR = 20  # of arrays with content


def credible_size(packed: int) -> int:
    """Return the most bytes that arrays of `packed` compressed bytes can have."""
    return max(_UNSUSPICIOUS, _LARGEST_FACTOR * packed)


def check_archive(path: Path, archive: zipfile.ZipFile, error: type[StriateError]) -> None:
    """Refuse an archive that is encrypted, or whose files do not fit into the free memory.

    Raises:
        StriateError: of the type `error`; the message names `path`.
    """
    members = archive.infolist()
    if any(member.flag_bits & 1 for member in members):
        raise error(f"{path} is encrypted. Store it without a password.")
    size, packed = sum(member.file_size for member in members), sum(member.compress_size for member in members)
    if size > available_memory():
        raise error(f"{path} unpacks to {size:,} bytes, which is more than the memory that is free.")
    if size > credible_size(packed):
        raise error(
            f"{path} unpacks to {size:,} bytes, {size // max(packed, 1)} times its size, as zip bombs do. Store the "
            "arrays without compression."
        )

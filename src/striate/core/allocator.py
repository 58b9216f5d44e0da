"""Keep glibc from giving large buffers back to the system after each training step and faulting them in again.

A step asks for the same large buffers as the one before it. By default glibc maps each anew and unmaps it when freed,
so that the kernel clears every page once per step. Told to keep them (`man 3 mallopt`), it hands out the same pages.
The price is that memory, once used, stays with the process: right for a process of ours that trains, not for a
library that is imported. So nothing happens at import; the command line and `striate.tune_process()` call this.
"""

from __future__ import annotations

import ctypes
import os
from dataclasses import dataclass

# Of glibc's malloc.h.
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_MAX = -1, -2, -4
_MEBIBYTE = 1 << 20


@dataclass(frozen=True)
class Tuning:
    """Whether the allocator was tuned, and in words why or why not."""

    applied: bool
    reason: str


def tune_process() -> Tuning:
    """Set this process's allocator to keep what it was given; best called before the first large allocation.

    Elsewhere than on glibc nothing is changed, and the answer says so.
    """
    version = _glibc_version()
    if version is None:
        return Tuning(False, "skipped: the C library of this process is not glibc")
    library = ctypes.CDLL(None)
    settings = ((_M_MMAP_MAX, 0), (_M_TRIM_THRESHOLD, 2**31 - 1), (_M_TOP_PAD, 64 * _MEBIBYTE))
    for option, value in settings:
        if library.mallopt(option, value) != 1:
            return Tuning(False, f"skipped: {version} refused the setting {option}")
    return Tuning(True, f"{version} keeps freed buffers for the next step")


def _glibc_version() -> str | None:
    try:
        return os.confstr("CS_GNU_LIBC_VERSION")
    except (AttributeError, ValueError, OSError):  # Windows has no confstr; other systems have other names
        return None

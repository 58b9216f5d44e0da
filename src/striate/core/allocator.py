"""Keep glibc from returning large buffers to the system after each training step.

Each step allocates the same large buffers. By default glibc maps each of them again and unmaps it when freed, so the
kernel clears every page once per step. With the settings below (`man 3 mallopt`) glibc reuses the pages, in one arena
for all threads: the arenas that it makes for other threads hold no buffer above 64 MiB. The cost: memory, once used,
stays with the process. That suits a process that trains or serves, not a library that is imported, so nothing happens
at import; the command line and `striate.tune_process()` call this.
"""

from __future__ import annotations

import ctypes
import os
from dataclasses import dataclass

# From glibc's malloc.h.
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_MAX, _M_ARENA_MAX = -1, -2, -4, -8
_MEBIBYTE = 1 << 20
_SETTINGS = {
    "MALLOC_MMAP_MAX_": (_M_MMAP_MAX, 0),
    "MALLOC_TRIM_THRESHOLD_": (_M_TRIM_THRESHOLD, 2**31 - 1),
    "MALLOC_TOP_PAD_": (_M_TOP_PAD, 64 * _MEBIBYTE),
    "MALLOC_ARENA_MAX": (_M_ARENA_MAX, 1),
}
TUNED_ENVIRONMENT = {name: str(value) for name, (_, value) in _SETTINGS.items()}
"""Variables with which a process begins as `tune_process` would set it, also where threads have arenas before that."""


@dataclass(frozen=True)
class Tuning:
    """Result of `tune_process`: whether the allocator was tuned, and the reason in words."""

    applied: bool
    reason: str


def tune_process() -> Tuning:
    """Set this process's allocator to keep freed memory; best called before the first large allocation.

    Without glibc nothing is changed, and the reason says so.
    """
    version = _glibc_version()
    if version is None:
        return Tuning(False, "skipped: the C library of this process is not glibc")
    library = ctypes.CDLL(None)
    for option, value in _SETTINGS.values():
        if library.mallopt(option, value) != 1:
            return Tuning(False, f"skipped: {version} refused the setting {option}")
    return Tuning(True, f"{version} keeps freed buffers for the next step")


def _glibc_version() -> str | None:
    try:
        return os.confstr("CS_GNU_LIBC_VERSION")
    except (AttributeError, ValueError, OSError):  # Windows has no confstr; other systems have other names
        return None

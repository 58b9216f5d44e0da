"""Free memory of this process, and reservations of it."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator
from pathlib import Path

_UNKNOWN = 2 * 2**30
_SMALL = 64 << 20  # bytes; smaller reservations never wait
_SHARE = 0.5  # of the free memory

_changed = threading.Condition()
_taken = 0
_CGROUPS = Path("/sys/fs/cgroup")
_NOTHING = contextlib.nullcontext()  # a generator would cost a tiny image a twentieth of its time


def available_memory() -> int:
    """Return the free memory in bytes, within the limits of the container and of this process.

    If the system does not report it, the result is a conservative estimate.
    """
    free = [_reading(Path("/proc/meminfo"), "MemAvailable:") * 1024]
    for limit, used in _limits():
        if limit:
            free.append(max(1, limit - used))
    known = [amount for amount in free if amount]
    if known:
        return min(known)
    pages = os.sysconf("SC_PHYS_PAGES") if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names else 0
    return pages * os.sysconf("SC_PAGE_SIZE") // 2 if pages else _UNKNOWN


def room_for(needed: int) -> contextlib.AbstractContextManager[None]:
    """Reserve `needed` bytes of the free memory; wait while other threads hold too much of it.

    A thread never waits if no other holds memory, or if it needs little.
    """
    return _NOTHING if needed < _SMALL else _reserved(needed)


@contextlib.contextmanager
def _reserved(needed: int) -> Iterator[None]:
    global _taken
    with _changed:
        while _taken and _taken + needed > _SHARE * (available_memory() + _taken):
            _changed.wait()
        _taken += needed
    try:
        yield
    finally:
        with _changed:
            _taken -= needed
            _changed.notify_all()


def _limits() -> list[tuple[int, int]]:
    """Return (limit, use) in bytes of the control groups (both versions) and of the address space; 0: no limit."""
    found = [
        (_reading(folder / "memory.max"), _reading(folder / "memory.current")) for folder in (_CGROUPS, _own_group())
    ]
    older = _CGROUPS / "memory"
    found.append((_reading(older / "memory.limit_in_bytes"), _reading(older / "memory.usage_in_bytes")))
    if os.name == "posix":
        import resource

        limit = resource.getrlimit(resource.RLIMIT_AS)[0]
        pages = _reading(Path("/proc/self/statm"))
        found.append((0 if limit == resource.RLIM_INFINITY else limit, pages * os.sysconf("SC_PAGE_SIZE")))
    return found


def _own_group() -> Path:
    try:
        lines = Path("/proc/self/cgroup").read_text().splitlines()
    except OSError:
        return _CGROUPS
    return next((_CGROUPS / line[3:].lstrip("/") for line in lines if line.startswith("0::")), _CGROUPS)


def _reading(path: Path, field: str = "") -> int:
    """Read the number after `field` in a file of the kernel; 0 if there is none."""
    try:
        words = path.read_text().split()
        return int(words[words.index(field) + 1 if field else 0])
    except (OSError, ValueError, IndexError):
        return 0

"""The most memory that a process has held."""

from __future__ import annotations

from pathlib import Path


def peak_bytes() -> int:
    """Return the most memory that this process has held at once, on Linux.

    `ru_maxrss` is not used: it outlives the start of a program, so that a small process has the peak of the large one
    that started it.
    """
    return 1024 * int(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0])

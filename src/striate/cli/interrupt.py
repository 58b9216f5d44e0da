"""Ctrl-C once asks a training to stop at its next safe point; twice stops it now."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
from collections.abc import Iterator
from types import FrameType


class Interrupt:
    """Whether somebody has pressed Ctrl-C (or the system asked the process to end), and the exit `status` that says so
    (128 and the signal's number, as in shells)."""

    def __init__(self) -> None:
        self.requested = False
        self.status = 128 + signal.SIGINT

    def ask(self, number: int, frame: FrameType | None) -> None:
        """Signal handler: note the first request, obey the second at once."""
        if self.requested:
            raise KeyboardInterrupt
        self.requested = True
        self.status = 128 + number
        print("\nStopping at the next safe point (once more: now) …", file=sys.stderr)


@contextlib.contextmanager
def interruptible() -> Iterator[Interrupt]:
    """Catch SIGINT and SIGTERM inside the block; the former handlers come back after it."""
    interrupt = Interrupt()
    if threading.current_thread() is not threading.main_thread():
        yield interrupt  # signals reach only the main thread
        return
    former = {number: signal.signal(number, interrupt.ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield interrupt
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)

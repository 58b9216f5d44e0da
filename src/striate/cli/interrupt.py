"""Ctrl-C during a training: once stops it at the next safe point, twice at once."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
import time
from collections.abc import Iterator
from types import FrameType

from striate.core.torchrun import launch, own_rank

_PASSED_ON = 5.0  # seconds


class Interrupt:
    """A request to stop, by Ctrl-C or SIGTERM.

    While `deferred` is true, the first request only sets `requested`; every other raises `KeyboardInterrupt`. `status`
    is the exit status for it: 128 and the signal's number, as in shells. torchrun forwards a signal that its processes
    have already received from the terminal: for a few seconds, a second signal counts as the same request.
    """

    def __init__(self) -> None:
        self.deferred = False
        self.requested = False
        self.status = 128 + signal.SIGINT
        self._at = 0.0

    def ask(self, number: int, frame: FrameType | None) -> None:
        """Handle a signal."""
        again = self.requested and not (launch() and time.monotonic() - self._at < _PASSED_ON)
        if again or not self.deferred:
            raise KeyboardInterrupt
        if self.requested:
            return
        self.requested, self._at = True, time.monotonic()
        self.status = 128 + number
        if own_rank():
            return  # the first process prints
        print("\nStopping at the next safe point (once more: now) …", file=sys.stderr)


@contextlib.contextmanager
def interruptible() -> Iterator[Interrupt]:
    """Catch SIGINT and SIGTERM inside the block, and restore the former handlers after it."""
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

"""Structured logs: one JSON document a line, written by a thread, so that a slow reader delays no answer."""

from __future__ import annotations

import contextlib
import json
import logging
import queue
import threading
import traceback
from datetime import UTC, datetime
from typing import Any, TextIO

_WAITING = 10_000  # lines; more are counted and left out
_LIBRARIES = ("uvicorn.error", "asyncio", "py.warnings")
_LAST = 2.0  # seconds for the last lines


class Log:
    """Lines for `stream`: `time`, `event`, and the fields of the event."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lines: queue.Queue[str | None] = queue.Queue(_WAITING)
        self._left_out = 0
        self._thread = threading.Thread(target=self._write, name="striate-log", daemon=True)
        self._thread.start()
        self._handler = _Handler(self)

    def write(self, event: str, **fields: Any) -> None:
        """Add a line; never wait."""
        line = json.dumps({"time": datetime.now(UTC).isoformat(timespec="milliseconds"), "event": event, **fields})
        try:
            self._lines.put_nowait(line)
        except queue.Full:
            self._left_out += 1

    def error(self, event: str, error: BaseException, **fields: Any) -> None:
        """Add a line with the traceback of an error, which is a defect of the program."""
        self.write(event, **fields, error=repr(error), traceback="".join(traceback.format_exception(error)))

    def capture(self) -> None:
        """Write the warnings of the libraries as lines, too, instead of as text."""
        logging.captureWarnings(True)
        for name in _LIBRARIES:
            logger = logging.getLogger(name)
            logger.handlers, logger.propagate = [self._handler], False
            logger.setLevel(logging.WARNING)

    def close(self) -> None:
        """Write the last lines, within two seconds."""
        logging.captureWarnings(False)
        for name in _LIBRARIES:
            logging.getLogger(name).removeHandler(self._handler)
        if self._left_out:
            self.write("lines left out", count=self._left_out)
        with contextlib.suppress(queue.Full):
            self._lines.put(None, timeout=_LAST)
        self._thread.join(_LAST)

    def _write(self) -> None:
        while (line := self._lines.get()) is not None:
            with contextlib.suppress(OSError, ValueError):  # the reader has ended
                self._stream.write(f"{line}\n")
                self._stream.flush()


class _Handler(logging.Handler):
    def __init__(self, log: Log) -> None:
        super().__init__(logging.WARNING)
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        fields: dict[str, Any] = {"logger": record.name, "message": record.getMessage().strip()}
        if record.exc_info and record.exc_info[1] is not None:
            self._log.error("warning", record.exc_info[1], **fields)
        else:
            self._log.write("warning", **fields)

"""A server on this machine that breaks off, lies, forgets and refuses, as its manners say."""

from __future__ import annotations

import contextlib
import http.server
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field


@dataclass
class Manners:
    """How the server behaves: after how many bytes each of the next answers breaks off, and what it cannot do.

    `files`, `headers` (more of them) and `redirects` are by path; `asked` are the ranges of the requests so far.
    """

    files: dict[str, bytes]
    breaks: list[int] = field(default_factory=list)
    ranges: bool = True
    honest_length: bool = True
    status: int = 0
    answered_range: str = ""
    headers: dict[str, dict[str, str]] = field(default_factory=dict)
    redirects: dict[str, str] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)


class Handler(http.server.BaseHTTPRequestHandler):
    manners: Manners

    def do_HEAD(self) -> None:
        """Answer with the headers of a file alone."""
        path = self.path.lstrip("/")
        if path in self.manners.redirects:
            self._redirect(path)
        elif path not in self.manners.files or self.manners.status:
            self.send_error(self.manners.status or 404)
        else:
            self.send_response(200)
            self.send_header("Content-Length", str(len(self.manners.files[path])))
            self._more(path)

    def _redirect(self, path: str) -> None:
        self.send_response(302)
        self.send_header("Location", self.manners.redirects[path])
        self._more(path)

    def _more(self, path: str) -> None:
        for name, value in self.manners.headers.get(path, {}).items():
            self.send_header(name, value)
        self.end_headers()

    def do_GET(self) -> None:
        """Answer with a file, or the rest of it."""
        manners, path = self.manners, self.path.lstrip("/")
        wanted = self.headers.get("Range", "")
        manners.asked.append(wanted)
        if path in manners.redirects:
            self._redirect(path)
            return
        content = manners.files.get(path)
        if content is None or manners.status:
            self.send_error(manners.status or 404)
            return
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and manners.ranges else 0
        if wanted and manners.ranges and start >= len(content):
            self.send_error(416)
            return
        rest = content[start:]
        sent = rest[: manners.breaks.pop(0)] if manners.breaks else rest
        ranged = bool(wanted) and manners.ranges
        self.send_response(206 if ranged else 200)
        if ranged:
            honest = f"bytes {start}-{len(content) - 1}/{len(content)}"
            self.send_header("Content-Range", manners.answered_range or honest)
        self.send_header("Content-Length", str(len(rest if manners.honest_length else sent)))
        self._more(path)
        self.wfile.write(sent)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@contextlib.contextmanager
def serving(manners: Manners) -> Iterator[str]:
    """Serve on a port of this machine; yield the address."""
    handler = type("Mannered", (Handler,), {"manners": manners})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{running.server_address[1]}"
        running.shutdown()
        thread.join()

"""Download public files with progress; resume broken transfers, and check the digest."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import os
import re
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from striate.core.errors import DataError
from striate.core.files import locked, storage_error, sync_folder
from striate.core.progress import Progress, silent

_PIECE = 1 << 16
HEADERS = {"User-Agent": "striate", "Accept-Encoding": "identity"}
_CONNECTION = (http.client.HTTPException, TimeoutError, ConnectionError)
TIMEOUT_SECONDS = 30.0
_FRUITLESS_TRIES = 3
_MOST_REQUESTS = 30
_SPAN_SECONDS, _LEAST_SPEED = 60.0, 1024  # bytes a second
_now = time.monotonic


@dataclass(frozen=True)
class Remote:
    """A public file: its name here, its addresses, its size in bytes (None if unknown), and its digest.

    A digest is `"sha256:…"` or `"md5:…"`, or `"sha256-prefix:…"` if only its first digits are known. MD5 is used where
    the authors publish no other digest: it detects damage; authenticity depends on the address.
    """

    name: str
    addresses: tuple[str, ...]
    size: int | None
    digest: str


class _Broken(Exception):  # noqa: N818 – a result between the functions of this module
    """A transfer that failed, and the reason."""


def fetch(remotes: Sequence[Remote], folder: Path, *, progress: Progress = silent) -> None:
    """Download those of `remotes` that `folder` lacks; each is complete and checked, or absent.

    `progress` counts bytes.

    Raises:
        DataError: no address delivered a file; the message says which files to get by other means, and where to put
            them.
        RunError: another process is downloading them, or the folder cannot be written to.
    """
    missing = [remote for remote in remotes if not os.path.exists(folder / remote.name)]
    if not missing:
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise storage_error(folder, error) from error
    with locked(
        folder / ".download.lock", busy=f"Another process is downloading into {folder}. Wait until it is done."
    ):
        for number, remote in enumerate(missing):
            try:
                _fetch_one(remote, folder / remote.name, progress)
            except _Broken as reason:
                names = ", ".join(left.name for left in missing[number:])
                raise DataError(
                    f"{remote.name} could not be downloaded ({reason}). Get {names} by other means, from "
                    f"{remote.addresses[0].rpartition('/')[0]}, and put {'it' if ',' not in names else 'them'} "
                    f"into {folder}."
                ) from reason


def _fetch_one(remote: Remote, target: Path, progress: Progress) -> None:
    """Try the addresses in order; a later one may complete an earlier transfer, because the digest decides."""
    partial = target.with_name(f".{target.name}.part")
    reasons: list[str] = []
    for address in remote.addresses:
        try:
            _fetch_from(remote, address, partial, progress)
        except _Broken as reason:
            reasons.append(f"{urlsplit(address).hostname}: {reason}")
            continue
        try:
            os.replace(partial, target)
            sync_folder(target.parent)
        except OSError as error:
            raise storage_error(target, error) from error
        return
    raise _Broken("; ".join(reasons))


def _fetch_from(remote: Remote, address: str, partial: Path, progress: Progress) -> None:
    """Complete `partial` from `address` and check it; if an earlier transfer makes it wrong, start again once."""
    size = _size_at(address) if remote.size is None else remote.size
    inherited = _size(partial) > 0
    _complete(remote, size, address, partial, progress)
    try:
        _check(remote, size, partial)
    except _Broken:
        if not inherited:
            raise
        _complete(remote, size, address, partial, progress)
        _check(remote, size, partial)


def _size_at(address: str) -> int:
    """Ask the server for the size of a file."""
    request = urllib.request.Request(address, headers=HEADERS, method="HEAD")
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as response:
            size = response.headers["Content-Length"] or ""
    except (urllib.error.URLError, *_CONNECTION) as error:
        raise _Broken(reason_of(error)) from error
    if not size.isdecimal():
        raise _Broken("does not say how large the file is")
    return int(size)


def reason_of(error: Exception) -> str:
    """Return the reason of a failed request in a few words."""
    if isinstance(error, urllib.error.HTTPError):
        with error:
            line = str(error.reason).partition("\n")[0]  # an endless redirection has several lines
        return f"answered {error.code} {line}"
    return str(getattr(error, "reason", error)) or type(error).__name__


def _complete(remote: Remote, size: int, address: str, partial: Path, progress: Progress) -> None:
    """Transfer until the file has its size; resume a broken transfer as long as it makes progress.

    The number of requests to an address is limited, however little each of them delivers.
    """
    fruitless = 0
    for _ in range(_MOST_REQUESTS):
        before = _size(partial)
        if before >= size:
            return
        try:
            _transfer(remote, size, address, partial, progress)
            reason = f"it ended after {_size(partial):,} of {size:,} bytes"
        except urllib.error.HTTPError as error:
            raise _Broken(reason_of(error)) from error
        except (urllib.error.URLError, *_CONNECTION) as error:
            reason = reason_of(error)
        fruitless = 0 if _size(partial) > before else fruitless + 1
        if fruitless == _FRUITLESS_TRIES or not _size(partial):
            raise _Broken(reason)
    if _size(partial) < size:
        raise _Broken(f"{_MOST_REQUESTS} requests brought {_size(partial):,} of {size:,} bytes")


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
    except OSError as error:
        raise storage_error(path, error) from error


def _transfer(remote: Remote, size: int, address: str, partial: Path, progress: Progress) -> None:
    """Request the missing bytes and append them; where the server cannot resume, start again from the first byte."""
    response, done = _ask(size, address, _size(partial))
    pace = _Pace()
    with response, _writing(partial), open(partial, "ab" if done else "wb") as file:
        while done < size and (piece := _received(response, min(_PIECE, size - done))):
            file.write(piece)
            done += len(piece)
            pace.require(len(piece))
            progress(f"downloading {remote.name}", done, size)
        file.flush()
        os.fsync(file.fileno())


def _ask(size: int, address: str, start: int) -> tuple[http.client.HTTPResponse, int]:
    """Request the bytes from `start` on; return the response and the position of its first byte.

    That is `start`, or 0 where the server sends the whole file. If it sends another part, the whole is requested.
    """
    request = urllib.request.Request(address, headers=HEADERS)
    if start:
        request.add_header("Range", f"bytes={start}-")
    try:
        response = urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS)
    except urllib.error.HTTPError as error:
        if start and error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            error.close()
            return _ask(size, address, 0)
        raise
    if response.status != http.HTTPStatus.PARTIAL_CONTENT:
        return response, 0
    received = response.headers["Content-Range"] or ""
    match = re.fullmatch(r"bytes ([0-9]+)-[0-9]+/([0-9]+|\*)", received.strip())
    if match and int(match[1]) == start and match[2] in ("*", str(size)):
        return response, start
    response.close()
    if start:
        return _ask(size, address, 0)
    raise _Broken(f"answered a request for the whole file with {received or 'a part of it'}")


class _Pace:
    """The least speed of a transfer, over spans of a minute: a server may send single bytes forever."""

    def __init__(self) -> None:
        self._since = _now()
        self._bytes = 0

    def require(self, received: int) -> None:
        """Count bytes received.

        Raises:
            _Broken: the last span had too few of them.
        """
        self._bytes += received
        now = _now()
        if now - self._since < _SPAN_SECONDS:
            return
        if self._bytes < _LEAST_SPEED * (now - self._since):
            raise _Broken(f"it sends less than {_LEAST_SPEED:,} bytes a second")
        self._since, self._bytes = now, 0


def _received(response: http.client.HTTPResponse, most: int) -> bytes:
    """Return the next piece as soon as there is any.

    An error of the connection becomes `URLError`, because an `OSError` would be reported as one of the disk.
    """
    try:
        return response.read1(most)
    except OSError as error:
        raise urllib.error.URLError(error) from error


@contextlib.contextmanager
def _writing(path: Path):
    try:
        yield
    except urllib.error.URLError:
        raise
    except OSError as error:
        raise storage_error(path, error) from error


def _check(remote: Remote, size: int, partial: Path) -> None:
    kind, _, expected = remote.digest.partition(":")
    kind, _, part = kind.partition("-")
    with open(partial, "rb") as file:
        received = hashlib.file_digest(file, kind).hexdigest()
    if not (received.startswith(expected) if part else received == expected) or _size(partial) != size:
        partial.unlink()
        raise _Broken(f"the downloaded file has the {kind} digest {received}, not {expected}{'…' if part else ''}")

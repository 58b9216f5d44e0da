"""Fetch public files: with progress, going on where a broken transfer stopped, and checked by digest."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import os
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from striate.core.errors import DataError
from striate.core.files import locked, storage_error, sync_folder

Progress = Callable[[str, int, int], None]
"""`progress(file, done, total)`, in bytes."""

_PIECE = 1 << 16
_TIMEOUT_SECONDS = 30.0
_FRUITLESS_TRIES = 3


@dataclass(frozen=True)
class Remote:
    """A public file: its name here, the addresses where it lies, its size in bytes, and its digest, `"md5:…"` or the
    like. MD5 where its authors publish no other: it tells damage, and the address tells who is asked."""

    name: str
    addresses: tuple[str, ...]
    size: int
    digest: str


class _Broken(Exception):  # noqa: N818 – an answer between the functions of this module
    """A transfer that did not succeed, and why."""


def fetch(remotes: Sequence[Remote], folder: Path, *, progress: Progress | None = None) -> None:
    """Bring those of `remotes` that `folder` lacks into it; each is whole and checked, or absent.

    Raises:
        DataError: none of its addresses gave a file; the sentence says which files to put where by other means.
        RunError: another process is at it, or the folder cannot be written to.
    """
    missing = [remote for remote in remotes if not (folder / remote.name).exists()]
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


def _fetch_one(remote: Remote, target: Path, progress: Progress | None) -> None:
    """Try the addresses in order; what one began the next may finish, because the digest decides in the end."""
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


def _fetch_from(remote: Remote, address: str, partial: Path, progress: Progress | None) -> None:
    """Complete `partial` from `address` and check it; if what lay there before spoils it, begin once from nothing."""
    inherited = _size(partial) > 0
    _complete(remote, address, partial, progress)
    try:
        _check(remote, partial)
    except _Broken:
        if not inherited:
            raise
        _complete(remote, address, partial, progress)
        _check(remote, partial)


def _complete(remote: Remote, address: str, partial: Path, progress: Progress | None) -> None:
    """Transfer until the file has its size; a transfer that breaks off is taken up again as long as it gets on."""
    fruitless = 0
    while (before := _size(partial)) < remote.size:
        try:
            _transfer(remote, address, partial, progress)
            reason = f"it ended after {_size(partial):,} of {remote.size:,} bytes"
        except urllib.error.HTTPError as error:
            with error:
                raise _Broken(f"answered {error.code} {error.reason}") from error
        except (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError) as error:
            reason = str(getattr(error, "reason", error)) or type(error).__name__
        fruitless = 0 if _size(partial) > before else fruitless + 1
        if fruitless == _FRUITLESS_TRIES or not _size(partial):
            raise _Broken(reason)


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _transfer(remote: Remote, address: str, partial: Path, progress: Progress | None) -> None:
    """One request for what is missing, appended as it comes; a server that cannot begin in the middle begins anew."""
    start = _size(partial)
    request = urllib.request.Request(address, headers={"User-Agent": "striate", "Accept-Encoding": "identity"})
    if start:
        request.add_header("Range", f"bytes={start}-")
    with urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS) as response:
        goes_on = response.status == 206 and (response.headers["Content-Range"] or "").startswith(f"bytes {start}-")
        done = start if goes_on else 0
        with _writing(partial), open(partial, "ab" if goes_on else "wb") as file:
            while done < remote.size and (piece := _received(response, min(_PIECE, remote.size - done))):
                file.write(piece)
                done += len(piece)
                if progress:
                    progress(remote.name, done, remote.size)
            file.flush()
            os.fsync(file.fileno())


def _received(response: http.client.HTTPResponse, most: int) -> bytes:
    """The next piece; a connection's error is no error of the disk, into which an `OSError` would be translated."""
    try:
        return response.read(most)
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


def _check(remote: Remote, partial: Path) -> None:
    kind, _, expected = remote.digest.partition(":")
    with open(partial, "rb") as file:
        received = hashlib.file_digest(file, kind).hexdigest()
    if received != expected or _size(partial) != remote.size:
        partial.unlink()
        raise _Broken(f"what came has the {kind} digest {received}, not {expected}")

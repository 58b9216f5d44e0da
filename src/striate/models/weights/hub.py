"""Files of models on the Hugging Face hub: found in its cache or ours, or downloaded and checked.

`HF_ENDPOINT` is the address of the hub, `HF_HUB_OFFLINE` forbids requests, and `HF_HUB_CACHE` or `HF_HOME` is the
folder in which the hub's own client stores files; it is read, never written.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import json
import os
import re
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from email.message import Message
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from striate.core.download import HEADERS, TIMEOUT_SECONDS, Remote, fetch, reason_of
from striate.core.errors import DataError, ModelError
from striate.core.files import cache_folder, make_folder, read_regular, write_atomically
from striate.core.progress import Progress, silent

_ENDPOINT = "https://huggingface.co"
_CONFIG = "config.json"
_LARGEST_CONFIG = 4 << 20
_WEIGHTS = (".bin", ".h5", ".keras", ".npz", ".pt", ".pth", ".safetensors", ".th")
_REPOSITORY = re.compile(r"(hf[-_]hub:)?([A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*?)(?:@([A-Za-z0-9][\w.-]*))?")


@dataclass(frozen=True)
class Repository:
    """A repository of the hub, OWNER/NAME, at a branch, tag or commit."""

    name: str
    revision: str = "main"

    def address(self, file: str) -> str:
        """Return the public address of a file."""
        endpoint = os.environ.get("HF_ENDPOINT", "").rstrip("/") or _ENDPOINT
        if not endpoint.startswith(("https://", "http://")):
            raise ModelError(f"HF_ENDPOINT is the address of a hub, as in {_ENDPOINT}; it is {endpoint!r}.")
        return f"{endpoint}/{self.name}/resolve/{quote(self.revision, safe='')}/{quote(file)}"


def repository_of(text: str) -> Repository | None:
    """Read OWNER/NAME or OWNER/NAME@REVISION, with or without `hf-hub:`; None if it has another form.

    Without that prefix, a text with the ending of a file, or in a folder that exists here, is a path.
    """
    match = _REPOSITORY.fullmatch(text)
    if match is None or (not match[1] and (text.endswith(_WEIGHTS) or os.path.isdir(os.path.dirname(text)))):
        return None
    return Repository(match[2], match[3] or "main")


def find_file(repository: Repository, file: str) -> Path | None:
    """Return the path of a file that is on this machine, in our cache or in that of the hub's client."""
    ours = _folder(repository) / file
    if ours.exists():
        return ours
    theirs = _hub_cache() / f"models--{repository.name.replace('/', '--')}"
    commit = repository.revision
    with contextlib.suppress(OSError, ValueError):  # the revision may be a commit itself
        commit = (theirs / "refs" / repository.revision).read_text(encoding="utf-8").strip()
    snapshot = theirs / "snapshots" / commit / file
    return snapshot if commit and snapshot.is_file() else None


def provide_file(
    repository: Repository, file: str, *, digest: str | None = None, progress: Progress = silent
) -> tuple[Path, str | None]:
    """Return the path of a file, downloaded if it is not on this machine, and its SHA-256 as far as it is known.

    The SHA-256 is that of `digest`, else the one that the hub publishes. A file without one is not downloaded.

    Raises:
        ModelError: the hub has no such file or cannot be reached, or what it sends is not the file.
        RunError: the cache cannot be written, or another process is downloading.
    """
    found = find_file(repository, file)
    if found is not None:
        return found, digest or _stored_digest(found)
    _refuse_offline(repository, file)
    address, folder = repository.address(file), _folder(repository)
    headers = _headers(repository, address)
    published = _digits(headers["X-Linked-Etag"] or headers["ETag"])
    size = headers["X-Linked-Size"] or headers["Content-Length"] or ""
    if digest is None and not re.fullmatch("[0-9a-f]{64}", published):
        raise ModelError(
            f"{address} has no SHA-256, so that what it sends cannot be checked. Get {file} by other means and pass "
            "its path."
        )
    known = digest or f"sha256:{published}"
    try:
        fetch([Remote(file, (address,), int(size) if size.isdecimal() else None, known)], folder, progress=progress)
    except DataError as error:
        raise ModelError(str(error)) from error
    return folder / file, known


def read_config(repository: Repository) -> Mapping[str, Any]:
    """Return the content of `config.json`, and keep a downloaded one in the cache.

    Raises:
        ModelError: the hub has none or cannot be reached, or sends something else.
    """
    found = find_file(repository, _CONFIG)
    if found is not None:
        return parse_config(found)
    _refuse_offline(repository, _CONFIG)
    address = repository.address(_CONFIG)
    try:
        with _opened(address, "GET") as response:
            content = response.read(_LARGEST_CONFIG)
            tag = _digits(response.headers["ETag"])
    except (urllib.error.URLError, http.client.HTTPException, OSError) as error:
        raise ModelError(_unreachable(repository, address, error)) from error
    if re.fullmatch("[0-9a-f]{40}", tag) and _blob_digest(content) != tag:
        raise ModelError(f"{address} sent content that does not match its digest. Try again, or take another mirror.")
    config = _parsed(content, address)
    folder = _folder(repository)
    make_folder(folder)
    write_atomically(folder / _CONFIG, content)
    return config


def parse_config(path: Path) -> Mapping[str, Any]:
    """Return the content of a `config.json` on this machine.

    Raises:
        ModelError: it cannot be read or is something else.
    """
    try:
        return _parsed(read_regular(path), str(path))
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror or error}.") from error


def _folder(repository: Repository) -> Path:
    return cache_folder() / "weights" / "hub" / repository.name.replace("/", "--") / repository.revision


def _hub_cache() -> Path:
    if chosen := os.environ.get("HF_HUB_CACHE"):
        return Path(os.path.expanduser(chosen))
    home = os.environ.get("HF_HOME")
    if home is None:
        home = os.path.join(os.environ.get("XDG_CACHE_HOME") or "~/.cache", "huggingface")
    return Path(os.path.expanduser(home)) / "hub"


def _refuse_offline(repository: Repository, file: str) -> None:
    if os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE"):
        raise ModelError(
            f"{file} of {repository.name} is not on this machine, and HF_HUB_OFFLINE forbids downloads. Unset it, or "
            "pass the path of the file."
        )


def _stored_digest(path: Path) -> str | None:
    """Return the digest by which the hub's client names what a snapshot links to."""
    name = path.resolve().name
    return f"sha256:{name}" if re.fullmatch("[0-9a-f]{64}", name) else None


class _SameHost(urllib.request.HTTPRedirectHandler):
    """Follows redirections within a host, as of renamed repositories; others end as an `HTTPError`."""

    def redirect_request(
        self, req: urllib.request.Request, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        """Return the next request, None for another host."""
        if urlsplit(newurl)[:2] != urlsplit(req.full_url)[:2]:
            return None
        following = super().redirect_request(req, fp, code, msg, headers, newurl)
        if following is not None:
            following.method = req.get_method()
        return following


def _opened(address: str, method: str) -> Any:
    request = urllib.request.Request(address, headers=HEADERS, method=method)
    return urllib.request.build_opener(_SameHost).open(request, timeout=TIMEOUT_SECONDS)


def _headers(repository: Repository, address: str) -> Message:
    """Return the headers of a file: large ones are redirected to another host, with their digest in this answer."""
    try:
        with _opened(address, "HEAD") as response:
            return response.headers
    except urllib.error.HTTPError as error:
        if 300 <= error.code < 400:
            error.close()
            if error.headers["X-Linked-Etag"]:
                return error.headers
            elsewhere = urlsplit(error.headers["Location"] or "").hostname
            raise ModelError(
                f"{address} leads to {elsewhere or 'nowhere'} without a digest to check the file by. Get it by other "
                "means and pass its path."
            ) from error
        raise ModelError(_unreachable(repository, address, error)) from error
    except (urllib.error.URLError, http.client.HTTPException, OSError) as error:
        raise ModelError(_unreachable(repository, address, error)) from error


def _digits(tag: str | None) -> str:
    """Return the digest in an ETag, without its marks."""
    return (tag or "").removeprefix("W/").strip('"')


def _unreachable(repository: Repository, address: str, error: Exception) -> str:
    place = urlsplit(address)
    if isinstance(error, urllib.error.HTTPError) and error.code in (401, 403, 404):
        return (
            f"{place.hostname} has no public file {place.path.lstrip('/')} ({reason_of(error)}). Check the name of the "
            "repository, or get the file by other means and pass its path."
        )
    folder = repository.name.rpartition("/")[2]
    return (
        f"{place.hostname} cannot be reached ({reason_of(error)}). Where there is a network: hf download "
        f"{repository.name} --local-dir {folder}; then here, with the folder: --weights {folder}"
    )


def _parsed(content: bytes, source: str) -> Mapping[str, Any]:
    try:
        config = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{source} is no configuration of a model but something else ({error}).") from error
    if not isinstance(config, Mapping):
        raise ModelError(f"{source} is no configuration of a model: it holds a {type(config).__name__}.")
    return config


def _blob_digest(content: bytes) -> str:
    """Return the digest by which git, and the hub, names a file."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()

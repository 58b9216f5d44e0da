"""Atomic and durable writes, digests, locks, and the cache folder."""

from __future__ import annotations

import contextlib
import errno
import glob
import hashlib
import json
import os
import re
import shutil
import stat
from collections.abc import Iterator
from io import BufferedReader
from pathlib import Path
from typing import IO, Any

from striate.core.errors import BusyError, RunError, StriateError

_CHUNK = 1 << 20
_READING = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
_TEMPORARY = re.compile(r"\.(?P<name>.+)\.(?P<process>[0-9]+)\.(?P<kind>tmp|former)", re.DOTALL)

_written_here: set[Path] = set()
"""Temporary files that this process is writing."""


def expanded(path: str | os.PathLike[str]) -> Path:
    """Return the path with ~ as the home folder; that of a user who does not exist stays as it is."""
    return Path(os.path.expanduser(path))


def open_regular(path: Path) -> BufferedReader:
    """Open the file at `path` for reading; refuse pipes and devices, which may never end.

    Raises:
        OSError: there is no file, it is not a regular one, or it cannot be opened.
    """
    handle = os.open(path, _READING)
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise OSError(errno.EINVAL, "not a regular file", str(path))
    return os.fdopen(handle, "rb")


def read_regular(path: Path) -> bytes:
    """Read the bytes of the file at `path`.

    Raises:
        OSError: there is no file, it is not a regular one, or it cannot be read.
    """
    with open_regular(path) as file:
        return file.read()


def write_chunk(file: IO[bytes], chunk: bytes | memoryview) -> None:
    """Write one chunk of a file; a separate function so that a test can interrupt between two chunks."""
    file.write(chunk)


def write_atomically(path: Path, content: bytes | memoryview | str) -> None:
    """Write `content` to `path`; a kill or a power cut at any moment leaves the old file or the new one.

    The bytes are written to a temporary file in the same folder and synced to the disk. Then the file is renamed, and
    the folder, whose entry changed, is synced.

    Raises:
        StriateError: the folder cannot be written, the path is none, or the disk is full; the old file is untouched.
    """
    data = memoryview(content.encode() if isinstance(content, str) else content)
    with replacing(path) as file:
        for start in range(0, len(data), _CHUNK) or (0,):
            write_chunk(file, data[start : start + _CHUNK])


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """Within the block, write a file that takes the place of `path` at the end, as `write_atomically` does.

    If the block raises an exception, the new file is removed, and the old one stays.

    Raises:
        StriateError: the folder cannot be written, or the disk is full; the old file is untouched.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    _written_here.add(temporary)
    try:
        try:
            file = open(temporary, "wb")  # noqa: SIM115 – closed below
        except ValueError as error:
            raise _no_path(path) from error
        with file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        sync_folder(path.parent)
    except (Exception, KeyboardInterrupt) as error:
        with contextlib.suppress(OSError, ValueError):
            temporary.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise storage_error(path, error) from error
        raise
    finally:
        _written_here.discard(temporary)


@contextlib.contextmanager
def replacing_folder(folder: Path) -> Iterator[Path]:
    """Within the block, write into a temporary folder that takes the place of `folder` at the end.

    If the block raises an exception, the temporary folder is removed, and an old folder stays as it was. What a killed
    process leaves is removed by the next call for the same folder, and by `sweep`. Of a link, the folder that it names
    is replaced.

    Raises:
        StriateError: the folder cannot be written, or the disk is full.
    """
    if folder.is_symlink() or folder.name in ("", ".."):  # it has no siblings of its name
        folder = folder.resolve()
    temporary, former = (folder.with_name(f".{folder.name}.{os.getpid()}.{kind}") for kind in ("tmp", "former"))
    make_folder(folder.parent)
    with contextlib.suppress(OSError):
        for path in sorted(folder.parent.glob(f".{glob.escape(folder.name)}.*")):
            _remove_unfinished(path)
    try:
        temporary.mkdir()
        yield temporary
        sync_folder(temporary)
        if folder.exists():
            folder.rename(former)
        try:
            temporary.rename(folder)
        except BaseException:
            if former.exists():
                former.rename(folder)
            raise
        sync_folder(folder.parent)
    except OSError as error:
        raise storage_error(folder, error) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    shutil.rmtree(former, ignore_errors=True)


def sweep(folder: Path) -> None:
    """Remove unfinished files of killed processes from `folder` and its subfolders.

    Temporary files and folders are recognized by their names, `.NAME.PROCESS.tmp` and `.NAME.PROCESS.former`; those of
    running processes are kept. A former folder without a successor is restored. Files that cannot be removed stay.
    """
    with contextlib.suppress(OSError):
        for path in sorted(folder.rglob(".*.*")):
            _remove_unfinished(path)


def _remove_unfinished(path: Path) -> None:
    match = _TEMPORARY.fullmatch(path.name)
    if match is None or path in _written_here or _runs(int(match["process"]), path):
        return
    successor = path.with_name(match["name"])
    if match["kind"] == "former" and not successor.exists():
        path.rename(successor)
    elif path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _runs(process: int, path: Path) -> bool:
    """Return whether the process that writes `path` still runs, as far as the system reports it."""
    if process == os.getpid():
        return path.is_dir()  # a file of this process would be in the list; an earlier process may have had its number
    if os.name == "nt":
        return True  # on Windows, `os.kill` would end the process
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return process > 0


def rename(source: Path, target: Path) -> None:
    """Rename `source` to `target`, replacing what is there, so that the rename survives a power cut.

    Raises:
        StriateError: the folder cannot be written.
    """
    try:
        os.replace(source, target)
        sync_folder(target.parent)
    except OSError as error:
        raise storage_error(target, error) from error


def make_folder(folder: Path) -> None:
    """Create `folder` and its parents if they do not exist.

    Raises:
        StriateError: the folder cannot be created.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise RunError(f"{folder} cannot be a folder, because it or a folder above it is a file.") from error
    except OSError as error:
        raise storage_error(folder, error) from error
    except ValueError as error:
        raise _no_path(folder) from error


def read_json(path: Path, remedy: str) -> Any:
    """Read the JSON in the file at `path`.

    Raises:
        FileNotFoundError: there is no file.
        RunError: it is not a regular one, cannot be read, or is not JSON; the message ends with `remedy`.
    """
    try:
        return json.loads(read_regular(path))
    except FileNotFoundError:
        raise
    except (OSError, ValueError, RecursionError) as error:
        raise RunError(f"{path} cannot be read ({error}). {remedy}") from error


def write_json(path: Path, value: object) -> None:
    """Write `value` atomically as indented JSON with its keys in order of insertion.

    Bytes of a file name that are not UTF-8 (surrogates in Python) are written as JSON escapes, so that reading returns
    the same name.
    """
    text = json.dumps(value, indent=2, ensure_ascii=False) + "\n"
    write_atomically(path, text.encode(errors="backslashreplace"))


def sync_folder(folder: Path) -> None:
    """Sync renames and new files in `folder` to the disk. (Windows cannot open a folder, and needs no sync.)"""
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def storage_error(path: Path, error: OSError) -> StriateError:
    """Return the error for an `OSError` raised while writing `path`."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return RunError(f"The disk is full: {path} could not be written. Free some space and try again.")
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return RunError(f"{path.parent} cannot be written to ({error.strerror}). Choose another folder.")
    return RunError(f"{path} could not be written: {error.strerror or error}.")


def _no_path(path: Path) -> StriateError:
    return RunError(f"{str(path)!r} is not a path: it holds a zero byte, or characters that have no encoding.")


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, in hexadecimal.

    Raises:
        OSError: there is no file, it is not a regular one, or it cannot be read.
    """
    with open_regular(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def cache_folder() -> Path:
    """Return the folder for files that can be computed again: `$STRIATE_CACHE`, else the user's cache folder.

    Raises:
        RunError: neither is known, because the user has no home folder.
    """
    try:
        if chosen := os.environ.get("STRIATE_CACHE"):
            return Path(os.path.expanduser(chosen))
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "striate"
    except RuntimeError as error:
        raise RunError(f"There is no folder for caches ({error}). Set STRIATE_CACHE to one.") from error


@contextlib.contextmanager
def locked(path: Path, *, busy: str) -> Iterator[None]:
    """Hold the lock file `path`; the lock is released on exit and when the process ends.

    Raises:
        BusyError: another process holds the lock; the message is `busy`.
    """
    with contextlib.ExitStack() as stack:
        try:
            file = stack.enter_context(open(path, "a+b"))
        except OSError as error:
            raise storage_error(path, error) from error
        try:
            _lock(file)
        except OSError as error:
            raise BusyError(busy) from error
        yield


def _lock(file: IO[bytes]) -> None:
    if os.name == "nt":
        import msvcrt

        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)  # pyright: ignore[reportAttributeAccessIssue]
    else:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)

"""An index of the files in a tar archive: names, places and digests, so that any of them is read by itself.

The format is that of POSIX.1-1988 (ustar), with the long names of GNU tar and of POSIX.1-2001 (pax). Nothing is
unpacked. The archive is read once; the index is cached until its size or time of change differs.
"""

from __future__ import annotations

import hashlib
import io
import os
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
from jaxtyping import Int64, UInt8

from striate.core.errors import DataError, StriateError
from striate.core.files import cache_folder, open_regular, read_regular, write_atomically
from striate.data.program import program_digest

_BLOCK = 512
_CHUNK = 1 << 20
_LONGEST_NAME = 1 << 16  # bytes of a header that extends another one
_FILES, _LINKS, _LONG, _EXTENDED, _GLOBAL, _IGNORED = b"0\0" + b"7", b"12", b"L", b"x", b"g", b"5346KVX"
_PACKED = {b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ": "xz", b"(\xb5/\xfd": "zstd"}


@dataclass(frozen=True, eq=False)
class Archive:
    """The files in the archive at `path`: names, and of each its offset, its size and SHA-256 of its bytes.

    `signature` is the size and the time of change of the archive; `links` are the names of links, which are not
    followed.
    """

    path: Path
    signature: tuple[int, int]
    names: tuple[str, ...]
    offsets: Int64[np.ndarray, " n"]
    sizes: Int64[np.ndarray, " n"]
    digests: UInt8[np.ndarray, "n 32"]
    links: tuple[str, ...] = ()

    def read(self, number: int) -> bytes:
        """Read the bytes of a file.

        Raises:
            OSError: the archive cannot be read, or is another one than before.
        """
        return read_member(self.path, self.signature, int(self.offsets[number]), int(self.sizes[number]))


def read_member(path: Path, signature: tuple[int, int], offset: int, size: int) -> bytes:
    """Read `size` bytes at `offset` of the archive at `path`, which had this `signature` when it was opened.

    Raises:
        OSError: the archive cannot be read, or is another one than before.
    """
    with open_regular(path) as file:
        if signature_of(file) != signature:
            raise OSError(f"{path.name} has changed since it was opened")
        file.seek(offset)
        data = file.read(size)
    if len(data) != size:
        raise OSError(f"{path.name} is cut off")
    return data


def open_archive(path: Path) -> Archive:
    """Return the index of the archive at `path`, from the cache if it was read before.

    Raises:
        DataError: it cannot be read, is no tar archive, is compressed or cut off.
    """
    try:
        with open_regular(path) as file:
            signature = signature_of(file)
            identity = f"{program_digest()} {path.resolve()} {signature}"
            cached = cache_folder() / "shards" / f"{hashlib.sha256(identity.encode(errors='replace')).hexdigest()}.npz"
            found = _load(path, signature, cached)
            if found is None:
                found = _read(path, signature, file)
                _save(found, cached)
            return found
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}.") from error


def signature_of(file: IO[bytes]) -> tuple[int, int]:
    """Return the size and the time of the last change of an open file."""
    status = os.fstat(file.fileno())
    return status.st_size, status.st_mtime_ns


def _read(path: Path, signature: tuple[int, int], file: IO[bytes]) -> Archive:
    names, links, offsets, sizes, digests = [], [], [], [], []
    for kind, name, size in _headers(path, file):
        if kind in _LINKS:
            links.append(name)
            continue
        if kind not in _FILES:
            _skip(path, file, size, name)
            continue
        names.append(name)
        offsets.append(file.tell())
        sizes.append(size)
        digests.append(_digest(path, file, size, name))
        _skip(path, file, -size % _BLOCK, name)
    table = np.frombuffer(b"".join(digests), np.uint8).reshape(-1, 32)
    places = (np.array(offsets, np.int64), np.array(sizes, np.int64), table)
    return Archive(path, signature, tuple(names), *places, tuple(links))


def _headers(path: Path, file: IO[bytes]) -> Iterator[tuple[bytes, str, int]]:
    """Yield type, name and size of each member; before the next one, its bytes must have been read.

    The size of a member that is not a file is that of its blocks.
    """
    extended: dict[str, str] = {}
    while block := file.read(_BLOCK):
        if not any(block) and len(block) == _BLOCK:
            return
        kind, name, size = _header(path, file.tell() == len(block), block)
        if kind in _LONG + _EXTENDED + _GLOBAL:
            text = _extension(path, file, size)
            if kind == _LONG:
                extended["path"] = os.fsdecode(text.partition(b"\0")[0])
            elif kind == _EXTENDED:
                extended |= _records(path, text)
            continue
        if kind not in _FILES + _LINKS + _IGNORED or any(key.startswith("GNU.sparse") for key in extended):
            held = extended.get("path", name)
            raise DataError(f"{path} holds {held!r} in a form that is not read. Store it as an ordinary file.")
        size = _number(path, extended["size"].encode()) if "size" in extended else size
        is_file = kind in _FILES
        yield kind, extended.get("path", name), size if is_file else size + -size % _BLOCK
        extended = {}
    raise DataError(f"{path} is cut off: it lacks the zeros at its end. Copy it again.")


def _header(path: Path, first: bool, block: bytes) -> tuple[bytes, str, int]:
    """Return type, name and size from a header.

    Its checksum is the sum of its bytes, with spaces in the place of the checksum.
    """
    packed = next((name for start, name in _PACKED.items() if first and block.startswith(start)), None)
    if packed:
        raise DataError(f"{path} is compressed by {packed}. Its files are read in any order: store a plain tar.")
    if len(block) < _BLOCK:
        raise DataError(f"{path} is cut off within a header. Copy it again.")
    total = sum(block[:148]) + sum(block[156:]) + 8 * ord(" ")
    if _octal(block[148:156]) != total:
        raise DataError(f"{path} is {'no tar archive' if first else 'damaged'}: a header has another checksum.")
    name = block[:100].partition(b"\0")[0]
    prefix = block[345:500].partition(b"\0")[0] if block[257:263] == b"ustar\0" else b""
    return block[156:157], os.fsdecode(prefix + b"/" + name if prefix else name), _size(path, block[124:136])


def _size(path: Path, field: bytes) -> int:
    """Return a size in octal digits, or in GNU tar's binary form."""
    size = int.from_bytes(field[1:], "big") if field[0] == 0x80 else _octal(field)
    if size is None or size > os.path.getsize(path):
        raise _larger(path)
    return size


def _octal(field: bytes) -> int | None:
    digits = field.strip(b" \0")
    return int(digits, 8) if digits and not digits.strip(b"01234567") else (None if digits else 0)


def _number(path: Path, digits: bytes) -> int:
    if not digits.isdigit() or int(digits[:20]) > os.path.getsize(path):
        raise _larger(path)
    return int(digits)


def _extension(path: Path, file: IO[bytes], size: int) -> bytes:
    """Read the content of a header that extends the next one."""
    if size > _LONGEST_NAME:
        raise DataError(f"{path} is damaged: a name in it takes {size:,} bytes. Copy it again.")
    text = file.read(size)
    _skip(path, file, -size % _BLOCK, "a header")
    return text


def _records(path: Path, text: bytes) -> dict[str, str]:
    """Return the pairs of a pax header, each stored as its length, a space, `key=value` and a line feed."""
    found: dict[str, str] = {}
    while text:
        length, space, _ = text.partition(b" ")
        end = int(length) if length.isdigit() and len(length) < 6 else 0
        if not space or not len(length) < end <= len(text):
            raise DataError(f"{path} is damaged: a header of a name cannot be read. Copy it again.")
        key, _, value = text[len(length) + 1 : end - 1].partition(b"=")
        found[os.fsdecode(key)] = os.fsdecode(value.partition(b"\0")[0])
        text = text[end:]
    return found


def _digest(path: Path, file: IO[bytes], size: int, name: str) -> bytes:
    digest = hashlib.sha256()
    while size:
        chunk = file.read(min(size, _CHUNK))
        if not chunk:
            raise _cut(path, name)
        digest.update(chunk)
        size -= len(chunk)
    return digest.digest()


def _skip(path: Path, file: IO[bytes], count: int, name: str) -> None:
    if file.seek(count, os.SEEK_CUR) > os.path.getsize(path):
        raise _cut(path, name)


def _cut(path: Path, name: str) -> DataError:
    return DataError(f"{path} is cut off within {name}. Copy it again.")


def _larger(path: Path) -> DataError:
    return DataError(f"{path} is damaged or cut off: a file in it is larger than the archive. Copy it again.")


def _load(path: Path, signature: tuple[int, int], cached: Path) -> Archive | None:
    try:
        with np.load(io.BytesIO(read_regular(cached)), allow_pickle=False) as stored:
            names, links = (_names(stored[key].tobytes()) for key in ("names", "links"))
            return Archive(path, signature, names, stored["offsets"], stored["sizes"], stored["digests"], links)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None


def _save(archive: Archive, cached: Path) -> None:
    """Write the index; where the cache cannot be written, the archive is read again next time."""
    names, links = (np.frombuffer(_bytes(each), np.uint8) for each in (archive.names, archive.links))
    buffer = io.BytesIO()
    np.savez_compressed(
        buffer, names=names, links=links, offsets=archive.offsets, sizes=archive.sizes, digests=archive.digests
    )
    with suppress(StriateError, OSError):
        cached.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(cached, buffer.getvalue())


def _bytes(names: tuple[str, ...]) -> bytes:
    return b"".join(os.fsencode(name) + b"\0" for name in names)


def _names(data: bytes) -> tuple[str, ...]:
    return tuple(map(os.fsdecode, data.split(b"\0")[:-1]))

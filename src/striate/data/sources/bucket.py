"""Images in a bucket, or another file system that fsspec opens: `s3://photos/2026/`, `gs://…`, `az://…`."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from striate.core.errors import ConfigError, DataError, RunError
from striate.data.images.decode import MISSING, SUFFIXES, Unreadable

_URL = re.compile(r"([a-z][a-z0-9+.-]+)://+(?=[^/])", re.IGNORECASE)
_OTHERS = ("file", "http", "https", "ftp")
_LARGEST_IMAGE = 1 << 30  # bytes
_PAUSES = (1.0, 5.0)  # seconds between attempts to read an object


def is_bucket(source: str | Path) -> bool:
    """Return whether `source` is a URL that fsspec opens; http and ftp list no folders."""
    match = _URL.match(str(source))
    return match is not None and match[1].lower() not in _OTHERS


def images_in_bucket(url: str) -> Iterator[str]:
    """Yield the URLs of the images that `url` names, sorted: an object, all below a prefix, or those of a pattern.

    Hidden objects and folders below the prefix, or below the folder of the first wildcard, are left out.

    Raises:
        ConfigError: fsspec has no file system of this protocol, or it is not installed.
        DataError: the bucket cannot be listed.
    """
    system, path = _opened(url)
    try:
        if (wildcard := re.search(r"[*?[]", path)) is not None:
            root, found = path.rfind("/", 0, wildcard.start()) + 1, system.glob(path)
        else:
            root, found = len(path.rstrip("/")), [path] if system.isfile(path) else system.find(path)
    except Exception as error:
        raise DataError(f"{url} cannot be listed: {_reason(error)}.") from error
    for each in sorted(found):
        if Path(each).suffix.lower() in SUFFIXES and not re.search(r"(^|/)(\.|__MACOSX/)", each[root:]):
            yield system.unstrip_protocol(each)


def read_object(url: str) -> bytes:
    """Read the object at `url`; what may pass, such as a lost connection, is tried three times.

    Raises:
        Unreadable: there is no such object, it may not be read, or it has more than 1 GiB.
        RunError: the bucket cannot be reached.
    """
    system, path = _opened(url)
    for pause in (*_PAUSES, None):
        try:
            with system.open(path, "rb") as file:
                data = file.read(_LARGEST_IMAGE + 1)
            if len(data) > _LARGEST_IMAGE:
                raise Unreadable(url, "too much work", f"it has more than {_LARGEST_IMAGE:,} bytes")
            return data
        except Unreadable:
            raise
        except FileNotFoundError as error:
            raise Unreadable(url, MISSING) from error
        except PermissionError as error:
            raise Unreadable(url, "no permission") from error
        except Exception as error:
            if pause is None:
                raise RunError(
                    f"{url} could not be read three times: {_reason(error)}. Give the same command again to continue."
                ) from error
            time.sleep(pause)
    raise AssertionError


def _opened(url: str) -> tuple[Any, str]:
    try:
        from fsspec.core import url_to_fs

        system, path = url_to_fs(url)
    except ImportError as error:
        raise ConfigError(f"{url} needs a library that is not installed: {_reason(error)}.") from error
    except ValueError as error:
        raise ConfigError(f"{url} cannot be opened: {_reason(error)}.") from error
    except Exception as error:
        raise DataError(f"{url} cannot be opened: {_reason(error)}.") from error
    return system, path


def _reason(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).rstrip(".")

"""Read a file of weights in any format."""

from __future__ import annotations

import hashlib
import io
import lzma
import os
import tokenize
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.torch import load as load_tensors
from torch import Tensor

from striate.core.errors import ModelError
from striate.core.files import open_regular
from striate.core.memory import available_memory
from striate.models.weights.files.formats import Format, format_of
from striate.models.weights.files.keras import read_h5, read_keras
from striate.models.weights.files.torch_file import read_torch
from striate.models.weights.state import tensors_of


@dataclass(frozen=True, eq=False)
class WeightsFile:
    """The tensors of a file, by the names and in the order of the file.

    `digest` is the SHA-256 of its bytes, as `"sha256:…"`. `metadata` maps the other text fields of the file.
    """

    path: Path
    format: Format
    tensors: dict[str, Tensor] = field(repr=False)
    metadata: Mapping[str, str]
    digest: str


def read_file(path: str | os.PathLike[str], *, digest: str | None = None) -> WeightsFile:
    """Read the tensors of a file: safetensors, torch (only tensors, never objects), npz, or Keras.

    The bytes decide what a file is, not its name. Weights inside a checkpoint, and those of wrapped models, are found
    (`striate.models.weights.state`). Nothing in the file is executed. With a `digest`, "sha256:…", or the beginning of
    one, "sha256-prefix:…", other bytes are refused before they are parsed.

    Raises:
        ModelError: there is no such file, or it is damaged, of another format, too large for the free memory, or holds
            no tensors.
    """
    path = Path(path)
    data = _bytes_of(path)
    found = f"sha256:{hashlib.sha256(data).hexdigest()}"
    if digest is not None and not _agrees(found, digest):
        raise ModelError(
            f"{path} is not the expected file: its digest is {found}, not {digest}. Delete it, and get it again."
        )
    kind = format_of(path, data)
    metadata: Mapping[str, str] = {}
    match kind:
        case "safetensors":
            state, metadata = _read_safetensors(path, data)
        case "torch":
            state = read_torch(path, data, found)
        case "npz":
            state = _read_npz(path, data)
        case "h5":
            state, metadata = read_h5(path, data)
        case "keras":
            state, metadata = read_keras(path, data)
    try:
        return WeightsFile(path, kind, tensors_of(state), metadata, found)
    except ModelError as error:
        raise ModelError(f"{path}: {error}") from error


def _agrees(found: str, digest: str) -> bool:
    """Return whether the digest "sha256:…" of a file is the expected one, or begins with it."""
    kind, _, digits = digest.partition(":")
    return found == digest or (kind == "sha256-prefix" and found.removeprefix("sha256:").startswith(digits))


def _bytes_of(path: Path) -> bytes:
    try:
        with open_regular(path) as file:
            size = os.fstat(file.fileno()).st_size
            if size > available_memory():
                raise ModelError(f"{path} has {size:,} bytes, which is more than the memory that is free.")
            return file.read()
    except FileNotFoundError as error:
        raise ModelError(f"There is no file of weights at {path}.") from error
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror or error}.") from error


def _read_safetensors(path: Path, data: bytes) -> tuple[dict[str, Tensor], Mapping[str, str]]:
    try:
        tensors = load_tensors(data)
        with safe_open(path, "pt") as file:
            return tensors, file.metadata() or {}
    except (SafetensorError, KeyError, TypeError, ValueError, RuntimeError, OSError) as error:
        raise ModelError(f"{path} is cut off or damaged ({error}). Get the file again.") from error


def _read_npz(path: Path, data: bytes) -> dict[str, np.ndarray]:
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        for name, array in arrays.items():
            if not isinstance(array, np.ndarray):
                raise ValueError(f"{name} is no array")
        return arrays
    except (ValueError, EOFError, KeyError, MemoryError, OverflowError, RuntimeError, OSError,
            tokenize.TokenError, zipfile.BadZipFile, zlib.error, lzma.LZMAError) as error:  # fmt: skip
        if "Object arrays" in str(error):
            raise ModelError(f"{path} holds Python objects, which are never loaded. Store plain arrays.") from error
        raise ModelError(f"{path} is cut off or damaged ({error}). Get the file again.") from error

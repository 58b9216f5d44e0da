"""Recognise the format of a file of weights by its bytes: its name may be wrong."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Literal

from striate.core.archives import check_archive
from striate.core.errors import ModelError

Format = Literal["safetensors", "torch", "npz", "h5", "keras"]

_HDF5 = b"\x89HDF\r\n\x1a\n"
# torch files before version 1.6: a pickle of this number comes first.
_LEGACY_TORCH = b"\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
_LARGEST_HEADER = 100 << 20  # of safetensors, as its library has it

_READ = "Striate reads safetensors, torch, npz and Keras files (.h5, .keras, .weights.h5)."
_OBJECTS = (
    "holds Python objects (a pickle), which are never loaded because they can run any code. Save the tensors alone, as "
    "by safetensors.torch.save_file(model.state_dict(), 'model.safetensors')."
)
_REFUSED = (
    (0, b"version https://git-lfs", "is a pointer of Git LFS, not the file itself. Get it by: git lfs pull"),
    (0, b"\x93NUMPY", "is a single array of NumPy. Store all arrays by their names: numpy.savez('weights.npz', …)"),
    (4, b"TFL3", "is a model of TensorFlow Lite, which is not read. Export its weights to npz."),
    (0, b"GGUF", "is a GGUF file, which is not read. Take the safetensors file of the same model."),
    (0, b"\x1f\x8b", "is compressed by gzip. Unpack it first: gunzip"),
)


def format_of(path: Path, data: bytes) -> Format:
    """Return the format of the file at `path`, whose bytes are `data`.

    Raises:
        ModelError: it is of another format, or cut off; the message says which and what to do.
    """
    if not data:
        raise ModelError(f"{path} is empty. Get the file again.")
    for start, mark, why in _REFUSED:
        if data.startswith(mark, start):
            raise ModelError(f"{path} {why}")
    if data.startswith(b"PK\x03\x04"):
        return _format_of_zip(path, data)
    if data.startswith(_HDF5):
        return "h5"
    if data[:1] == b"\x80" and data[2:].startswith(_LEGACY_TORCH):
        return "torch"
    if int.from_bytes(data[:8], "little") <= _LARGEST_HEADER and data[8:9] == b"{":
        return "safetensors"
    start = data[:512].lstrip().lower()
    if start.startswith((b"<!doctype", b"<html", b"<?xml", b"<head")):
        raise ModelError(f"{path} is a web page, not weights: its address answered with a page. Get the file again.")
    if data[:1] == b"\x80" and data[1:2] <= b"\x05":
        raise ModelError(f"{path} {_OBJECTS}")
    raise ModelError(f"{path} is no file of weights that is known here. {_READ}")


def _format_of_zip(path: Path, data: bytes) -> Format:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            names = archive.namelist()
            check_archive(path, archive, ModelError)
    except (zipfile.BadZipFile, NotImplementedError, ValueError) as error:
        raise ModelError(f"{path} is cut off or damaged ({error}). Get the file again.") from error
    if "model.weights.h5" in names:
        return "keras"
    if names and all(name.endswith(".npy") for name in names):
        return "npz"
    files = {name.partition("/")[2] for name in names}
    if "constants.pkl" in files:
        raise ModelError(
            f"{path} is a program of TorchScript, which is never run. Save its tensors alone, as by "
            "torch.save(torch.jit.load(…).state_dict(), 'weights.pt')."
        )
    if "data.pkl" in files:
        return "torch"
    raise ModelError(f"{path} is an archive without weights that are known here. {_READ}")

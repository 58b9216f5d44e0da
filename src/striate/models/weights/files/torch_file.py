"""Read torch files in a separate process with bounded memory and time."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import load as load_tensors

from striate.core.errors import ModelError, StriateError
from striate.core.files import cache_folder, make_folder, write_atomically

_CONVERTER = Path(__file__).with_name("convert_torch.py")
_SECONDS = 120
_SPARE_MEMORY = 512 << 20  # bytes, in addition to four times the file: its bytes, its tensors, and the output
_ORDER, _OTHER = "order", "other"  # keys of the converter's metadata: all places, and the values that are no tensors


def read_torch(path: Path, data: bytes, digest: str) -> dict[Any, Any]:
    """Return what `torch.save` wrote: nested mappings with tensors; other values only as far as JSON has them.

    The process reads with `weights_only=True` and writes safetensors; nothing is unpickled here. The result is kept in
    the cache under the `digest` of the file.

    Raises:
        ModelError: the file is damaged, holds Python objects, or takes more memory or time than weights need.
    """
    cached = _cached(digest)
    if cached is not None:
        with contextlib.suppress(SafetensorError, ValueError, OSError):
            return _nested(cached.read_bytes(), cached)
    with tempfile.TemporaryDirectory() as folder:
        converted = Path(folder) / "converted.safetensors"
        _convert(path, data, converted)
        content = converted.read_bytes()
        found = _nested(content, converted)
    if cached is not None:
        with contextlib.suppress(StriateError):  # a full disk is no reason to fail
            make_folder(cached.parent)
            write_atomically(cached, content)
    return found


def _cached(digest: str) -> Path | None:
    try:
        return cache_folder() / "weights" / "converted" / f"{digest.rpartition(':')[2]}.safetensors"
    except StriateError:  # no home folder
        return None


def _convert(path: Path, data: bytes, out: Path) -> None:
    """Run the converter on `data`; it writes `out`."""
    memory = 4 * len(data) + _SPARE_MEMORY
    # -P keeps the converter's folder out of sys.path, so that its neighbours do not shadow other modules.
    line = [sys.executable, "-P", str(_CONVERTER), str(out), str(memory), str(_SECONDS)]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}  # each thread reserves memory
    try:
        done = subprocess.run(line, input=data, capture_output=True, timeout=_SECONDS, env=environment)
    except subprocess.TimeoutExpired as error:
        raise ModelError(f"{path} was not read within {_SECONDS} s, which is longer than weights take.") from error
    if done.returncode == 0 and out.exists():
        return
    try:
        report = json.loads(done.stdout)
    except ValueError:
        report = {}
    if "object" in report:
        raise ModelError(
            f"{path} holds Python objects ({report['object']}), which are never loaded because they can run any code. "
            "Save the tensors alone, by torch.save(model.state_dict(), 'weights.pt')."
        )
    if "memory" in report or done.returncode < 0:
        raise ModelError(f"{path} takes more memory or time than its {len(data):,} bytes of weights can need.")
    reason = report.get("error") or done.stderr.decode(errors="replace").strip().rpartition("\n")[2]
    raise ModelError(f"{path} is cut off or damaged ({reason[:200]}). Get the file again.")


def _nested(content: bytes, path: Path) -> dict[Any, Any]:
    """Build the mappings again from tensors and other values by their paths, in the order of the file."""
    with safe_open(path, "pt") as file:
        metadata = file.metadata() or {}
    values = json.loads(metadata[_OTHER]) | load_tensors(content)
    root: dict[Any, Any] = {}
    for place in json.loads(metadata[_ORDER]):
        *above, last = json.loads(place)
        inner = root
        for key in above:
            inner = inner.setdefault(key, {})
        inner[last] = values[place]
    return root

"""A program of torch that could run code is refused before it is loaded."""

from __future__ import annotations

import pickle
import zipfile
from pathlib import Path

import pytest

from striate.core.errors import RunError
from striate.exporting.pt2_files import PROGRAM, Pt2


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("archive/data/sample_inputs/model.pt", pickle.dumps({})),
        ("archive/data/constants/model_constants_config.json", b'{"config": {"0": {"use_pickle": true}}}'),
    ],
    ids=["a pickle", "a pickled weight"],
)
def test_a_pickle_in_the_archive_is_refused(tmp_path: Path, name: str, data: bytes) -> None:
    with zipfile.ZipFile(tmp_path / PROGRAM, "w") as archive:
        archive.writestr("archive/data/weights/weight_0", b"\x80\x04")  # the bytes of a number
        archive.writestr("archive/data/sample_inputs/model.pt" if "config" in name else "archive/version", b"")
    Pt2().verify(tmp_path)
    with zipfile.ZipFile(tmp_path / PROGRAM, "a") as archive:
        archive.writestr(name, data)
    with pytest.raises(RunError, match="holds a pickle"):
        Pt2().verify(tmp_path)
    with zipfile.ZipFile(tmp_path / PROGRAM, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data/weights/weight_0", b"\0" * 100_000)
    with pytest.raises(RunError, match="compressed parts"):
        Pt2().verify(tmp_path)
    (tmp_path / PROGRAM).write_bytes(b"no archive")
    with pytest.raises(RunError, match="is damaged"):
        Pt2().verify(tmp_path)

"""A model of OpenVINO that is more than data is refused before it is opened."""

from __future__ import annotations

from pathlib import Path

import pytest

from rehearsal.classifiers import untrained
from striate.core.errors import RunError
from striate.core.spec import RGB, InputSpec
from striate.exporting.openvino_files import OpenVino

CONSTANT = '<layer type="Const" version="{version}"><data offset="{offset}" size="{size}"/></layer>'


def model(version: str = "opset1", offset: str = "4", size: str = "4") -> str:
    return f"<net><layers>{CONSTANT.format(version=version, offset=offset, size=size)}</layers></net>"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (model()[:-1], "is damaged"),
        (model(offset="x"), "is damaged"),
        ('<!DOCTYPE a [<!ENTITY b "c">]>' + model(), "entities"),
        (model(version="extension"), "'extension'"),
        (model(size="5"), "does not hold"),
        (model(size=str(2**70)), "does not hold"),
        (model(offset="-4"), "does not hold"),
    ],
    ids=["cut", "no number", "entities", "foreign", "larger", "absurd", "negative"],
)
def test_a_hostile_model_is_refused(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "model.bin").write_bytes(b"\0" * 8)
    (tmp_path / "model.xml").write_text(model())
    OpenVino().verify(tmp_path)
    (tmp_path / "model.xml").write_text(text)
    with pytest.raises(RunError, match=said):
        OpenVino().verify(tmp_path)
    (tmp_path / "model.xml").write_text(model())
    (tmp_path / "model.bin").unlink()
    with pytest.raises(RunError, match="is damaged"):
        OpenVino().verify(tmp_path)


def test_files_that_cannot_be_written_are_named(tmp_path: Path) -> None:
    spec = InputSpec(channels=RGB, height=8, width=6, mean=(0.5,) * 3, std=(0.25,) * 3)
    (tmp_path / "model.bin").mkdir()
    with pytest.raises(RunError, match=r"could not write model\.xml and model\.bin"):
        OpenVino().write(untrained("mlp", spec, ("a", "b")), tmp_path)

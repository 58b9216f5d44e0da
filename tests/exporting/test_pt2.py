"""A program of torch answers as described, and one that could run code is refused before it is loaded."""

from __future__ import annotations

import pickle
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch

import striate
from rehearsal.classifiers import recognizing, untrained
from striate.core.errors import RunError
from striate.core.spec import RGB, InputSpec
from striate.exporting import export_classifier, synthetic_judges
from striate.exporting.onnx_files import Onnx
from striate.exporting.pt2_files import PROGRAM, Pt2


@pytest.mark.filterwarnings("ignore:The given buffer is not writable")
def test_the_program_answers_as_described(tmp_path: Path) -> None:
    spec = InputSpec(channels=RGB, height=8, width=6, mean=(0.5,) * 3, std=(0.25,) * 3)
    bare = untrained("mlp", spec, ("a", "b"))
    levels = torch.zeros(3, *spec.shape)
    Pt2().write(bare, tmp_path)
    assert torch.export.load(tmp_path / PROGRAM).module()(levels).shape == (3, 2)
    Pt2().write(recognizing(bare, [image for image, _ in synthetic_judges(spec, 8).images]), tmp_path)
    answers = torch.export.load(tmp_path / PROGRAM).module()(levels)
    assert [tuple(each.shape) for each in answers] == [(3, 2), (3,), (3,), (3,)]
    assert [each.dtype.is_floating_point for each in answers] == [True, True, False, True]


def test_its_readme_leaves_the_preparation_to_the_reader(tmp_path: Path) -> None:
    spec = InputSpec(channels=RGB, height=8, width=6, mean=(0.5,) * 3, std=(0.25,) * 3)
    about = {"data": "", "accuracy": None, "licence": ""}
    for form, words in ((Pt2(), "as float32, from 0 to 255"), (Onnx(), "the rest: resize")):
        found = export_classifier(
            untrained("mlp", spec, ("a", "b")), form, tmp_path / "out", synthetic_judges(spec, 2), about=about
        )
        assert words in (found.path / "README.md").read_text("utf-8")


def test_the_program_names_no_files_of_the_machine_that_wrote_it(tmp_path: Path) -> None:
    spec = InputSpec(channels=RGB, height=8, width=6, mean=(0.5,) * 3, std=(0.25,) * 3)
    Pt2().write(untrained("mlp", spec, ("a", "b")), tmp_path)
    written = (tmp_path / PROGRAM).read_bytes()
    for package in (striate, torch):
        assert package.__path__[0].encode() not in written


def test_a_warning_of_torch_about_its_own_reading_does_not_reach_the_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load = torch.export.load

    def warning(*given: Any, **named: Any) -> Any:
        torch.frombuffer(b"1234", dtype=torch.float32)  # as torch 2.11 reads each weight
        return load(*given, **named)

    monkeypatch.setattr(torch.export, "load", warning)
    spec = InputSpec(channels=RGB, height=8, width=6, mean=(0.5,) * 3, std=(0.25,) * 3)
    Pt2().write(untrained("mlp", spec, ("a", "b")), tmp_path)
    assert Pt2().runtimes(tmp_path)


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

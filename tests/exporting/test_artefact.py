"""An exported classifier is complete, equal to torch, and as it was written; or it is not there."""

from __future__ import annotations

import errno
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch

from rehearsal.classifiers import recognizing, untrained
from striate.classifier import Classifier
from striate.core.errors import ConfigError, RunError
from striate.core.spec import RGB, InputSpec
from striate.data.images.decoded import DecodedImage
from striate.data.preparation.arrays import prepare, scale
from striate.exporting import Exported, Judges, export_classifier, read_exported, synthetic_judges
from striate.exporting.exporter import Answer
from striate.exporting.onnx_files import Onnx, session
from striate.exporting.parity import Answered, compare
from striate.exporting.pt2_files import Pt2

ABOUT = {"data": "colours", "accuracy": {"split": "published", "value": 0.75}, "licence": "CC0"}
SPEC = InputSpec(channels=RGB, height=20, width=16, mean=(0.5,) * 3, std=(0.25,) * 3)


def small() -> Classifier:
    return untrained("mlp", SPEC, ("green", "red", "naïve"), at=1.5)


def write(folder: Path, exporter: Onnx | None = None, allow: Sequence[str] = ()) -> Exported:
    judges = synthetic_judges(SPEC, 6)
    return export_classifier(small(), exporter or Onnx(), folder, judges, about=ABOUT, allow=allow)


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    torch.manual_seed(0)
    return write(tmp_path_factory.mktemp("exports") / "onnx")


def test_it_answers_as_the_classifier_does(exported: Exported) -> None:
    (parity,) = exported.parities
    assert parity.runtime.startswith("onnxruntime ")
    assert (parity.images, parity.changed) == (6, 0)
    assert parity.largest_difference < 1e-6
    pixels = np.random.default_rng(0).integers(0, 256, (5, 33, 21, 3), dtype=np.uint8)
    expected = [small().predict(image).probabilities for image in pixels]
    (found,) = session(exported.path / "model.onnx").run(None, {"image": pixels})
    for row, answer in zip(found, expected, strict=True):
        assert dict(zip(exported.labels.classes, row.tolist(), strict=True)) == pytest.approx(answer, abs=1e-6)
    prepared = np.stack([prepare(DecodedImage(each, RGB, (33, 21)), SPEC) for each in pixels])
    (bare,) = session(exported.path / "network.onnx").run(None, {"prepared": prepared})
    np.testing.assert_allclose(bare, small().probabilities(scale(torch.from_numpy(prepared), SPEC)), atol=1e-6)


def test_its_files_are_standard_and_say_what_they_are(exported: Exported) -> None:
    for name in ("model.onnx", "network.onnx"):
        model = onnx.load(exported.path / name)
        onnx.checker.check_model(model, full_check=True)
        assert {opset.domain for opset in model.opset_import} == {""}
        metadata = {entry.key: entry.value for entry in model.metadata_props}
        assert json.loads(metadata["classes"]) == ["green", "red", "naïve"]
        assert json.loads(metadata["input"])["height"] == 20
    text = (exported.path / "README.md").read_text("utf-8")
    for said in ("naïve", "CC0", "75.0 %", "predict.py", exported.card["files"]["model.onnx"]["sha256"]):
        assert said in text


def test_its_files_do_not_say_where_the_data_are(tmp_path: Path) -> None:
    origin = replace(small().provenance, data="/home/maria/ward 5/photos")
    subject = replace(small(), provenance=origin)
    for form in (Onnx(), Pt2()):
        about = {**ABOUT, "data": "photos"}
        found = export_classifier(subject, form, tmp_path / form.name, synthetic_judges(SPEC, 1), about=about)
        assert found.card["provenance"]["data"] == "photos"
        for path in found.path.iterdir():
            assert b"maria" not in path.read_bytes()


def test_it_is_read_as_it_was_written(exported: Exported) -> None:
    found = read_exported(exported.path)
    assert json.loads(json.dumps(found.card)) == json.loads(json.dumps(exported.card))
    assert found.exporter == Onnx()
    assert (found.input, found.labels) == (exported.input, exported.labels)
    assert found.input.decode_scale == 0


def copied(exported: Exported, folder: Path) -> Path:
    folder.mkdir()
    for path in exported.path.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    return folder


def with_card(folder: Path, **changes: Any) -> None:
    card = json.loads((folder / "card.json").read_text("utf-8"))
    (folder / "card.json").write_text(json.dumps(card | changes), "utf-8")


def test_a_changed_or_newer_export_is_refused(exported: Exported, tmp_path: Path) -> None:
    folder = copied(exported, tmp_path / "copy")
    with (folder / "model.onnx").open("ab") as file:
        file.write(b"\0")
    with pytest.raises(RunError, match="was changed"):
        read_exported(folder)
    (folder / "model.onnx").unlink()
    with pytest.raises(RunError, match="cannot be read"):
        read_exported(folder)
    with_card(folder, format=2)
    with pytest.raises(RunError, match="has format 2; this version"):
        read_exported(folder)
    with_card(folder, format=1, files={"../secret": {"sha256": "0"}})
    with pytest.raises(RunError, match="not in its folder"):
        read_exported(folder)
    with_card(folder, form={"name": "pickle"})
    with pytest.raises(RunError, match="is damaged"):
        read_exported(folder)
    with pytest.raises(RunError, match="There is no export"):
        read_exported(tmp_path)


@pytest.mark.parametrize("part", ["form", "network", "task", "classes", "input", "files", "parity"])
def test_a_card_without_a_part_is_damaged(exported: Exported, tmp_path: Path, part: str) -> None:
    folder = copied(exported, tmp_path / "copy")
    parts = dict(exported.card)
    del parts[part]
    (folder / "card.json").write_text(json.dumps(parts), "utf-8")
    with pytest.raises(RunError, match=f"is damaged .'{part}'"):
        read_exported(folder)


def outside(model: Any) -> None:
    tensor = model.graph.initializer[0]
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="/etc/passwd")


def absurd(model: Any) -> None:
    model.graph.initializer[0].dims[:] = [2**40]


def foreign(model: Any) -> None:
    model.graph.node[0].domain = "evil"


def listed(model: Any) -> None:
    tensor = onnx.TensorProto(data_location=onnx.TensorProto.EXTERNAL)
    model.graph.node[0].attribute.add(name="values", type=onnx.AttributeProto.TENSORS, tensors=[tensor])


def thin(model: Any) -> None:
    model.graph.sparse_initializer.add(dims=[2**40])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (listed, "refers to another file"),
        (thin, "sparse weights"),
        (outside, "refers to another file"),
        (absurd, "does not hold them"),
        (foreign, "operators of evil"),
    ],
    ids=["listed", "sparse", "outside", "absurd", "foreign"],
)
def test_a_hostile_file_is_refused(exported: Exported, tmp_path: Path, change: Any, said: str) -> None:
    folder = copied(exported, tmp_path / "copy")
    model = onnx.load(folder / "model.onnx")
    change(model)
    (folder / "model.onnx").write_bytes(model.SerializeToString())
    with_card(folder, files={})
    with pytest.raises(RunError, match=said):
        read_exported(folder)


@dataclass(frozen=True, kw_only=True)
class Wrong(Onnx):
    """A form whose runtime turns the answers around, or fails."""

    fails: type[BaseException] | None = None

    @property
    def name(self) -> str:
        return "onnx"

    def runtimes(self, folder: Path) -> list[Any]:
        (right,), fails = super().runtimes(folder), self.fails

        class Turned:
            name = "turned 1.0"

            def __call__(self, pixels: np.ndarray) -> Answer:
                if fails:
                    raise fails
                answer = right(pixels)
                none = None if answer.none_of_these is None else not answer.none_of_these
                return answer._replace(probabilities=answer.probabilities[::-1], none_of_these=none)

        return [Turned()]


@pytest.fixture(scope="module")
def known() -> tuple[Classifier, list[DecodedImage]]:
    images = [image for image, _ in synthetic_judges(SPEC, 12).images]
    return recognizing(small(), images), images


def test_what_differs_from_torch_is_refused_and_leaves_nothing(
    known: tuple[Classifier, list[DecodedImage]], tmp_path: Path
) -> None:
    classifier, images = known
    judges = Judges(images=[(image, image) for image in images], count=12, source="")
    with pytest.raises(
        RunError, match=r'class and 12 of 12 images .* "none of these" .* differs .* flips --allow diff'
    ):
        export_classifier(classifier, Wrong(network=False), tmp_path / "out", judges, about=ABOUT)
    with pytest.raises(RunError, match=r"--allow difference$"):
        write(tmp_path / "out", Wrong(), ["flips"])
    assert not list(tmp_path.iterdir())
    with pytest.raises(ConfigError, match="'all'"):
        write(tmp_path / "out", Wrong(), ["all"])
    found = write(tmp_path / "out", Wrong(), ["flips", "difference"])
    assert found.card["allowed"] == ["flips", "difference"]
    assert "were allowed" in (found.path / "README.md").read_text("utf-8")


def test_an_interrupted_export_leaves_the_old_one(
    exported: Exported, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = copied(exported, tmp_path / "out")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(KeyboardInterrupt):
        write(folder, Wrong(fails=KeyboardInterrupt))

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("striate.core.files.os.replace", full)
        with pytest.raises(RunError, match="disk is full"):
            write(folder)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    killed = tmp_path / ".out.0.tmp"
    killed.mkdir()
    assert write(folder, Onnx(network=False)).exporter == Onnx(network=False)
    assert not (folder / "network.onnx").exists()
    assert not killed.exists()


def test_another_folder_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").touch()
    with pytest.raises(RunError, match="is no export"):
        write(tmp_path)


def test_an_earlier_export_is_replaced_with_nothing_else_in_its_folder(exported: Exported, tmp_path: Path) -> None:
    folder = copied(exported, tmp_path / "out")
    (folder / "notes.txt").touch()
    with pytest.raises(RunError, match=r"out also holds notes.txt, which is no part of the export. Move it, or choose"):
        write(folder)
    (folder / "notes.txt").unlink()
    (folder / "__pycache__").mkdir()
    (folder / ".DS_Store").touch()
    write(folder)
    assert not (folder / ".DS_Store").exists()
    (folder / "card.json").write_text("{")
    write(folder)
    assert read_exported(folder)


def test_the_folder_that_a_link_names_is_replaced(
    exported: Exported, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = copied(exported, tmp_path / "out")
    (tmp_path / "link").symlink_to("out")
    write(tmp_path / "link", Onnx(network=False))
    assert not (folder / "network.onnx").exists()
    assert (tmp_path / "link").readlink() == Path("out")
    monkeypatch.chdir(folder)
    write(Path("."))
    assert (folder / "network.onnx").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link", "out"]


def test_what_complete_decoding_changes_is_stored(tmp_path: Path) -> None:
    dark, light = (DecodedImage(np.full((40, 32, 3), level, np.uint8), RGB, (40, 32)) for level in (0, 255))
    half = DecodedImage(light.pixels[::2, ::2], RGB, (40, 32))
    judges = Judges(images=[(dark, dark), (dark, half)], count=2, source="two", targets=np.array([0, 1]))
    found = export_classifier(small(), Onnx(network=False), tmp_path / "out", judges, about=ABOUT)
    first = [small().predict(image.pixels).label for image in (dark, half)]
    decoding = found.card["decoding"]
    assert (decoding["images"], decoding["decoded_at_a_fraction"]) == (2, 1)
    assert decoding["changed"] == (first[0] != first[1])
    assert decoding["largest_difference"] > 1e-3
    assert {"accuracy_complete", "accuracy_at_a_fraction"} <= set(decoding)
    assert "decodes 1 of these 2 images at a fraction" in (found.path / "README.md").read_text("utf-8")


def test_ties_are_no_flips() -> None:
    expected = np.array([[0.5, 0.4995, 0.0005], [0.9, 0.1, 0.0], [0.5, 0.3, 0.2]])
    torch_says = Answered(expected, np.array([True, False, False]), np.array([-0.5, 0.005, 0.02]))
    found = compare("r", torch_says, Answered(expected[:, [1, 0, 2]], np.array([True, True, True])))
    assert (found.changed, found.tied, found.images) == (3, 1, 3)
    assert (found.none_changed, found.none_tied) == (2, 1)
    assert set(found.failures) == {"flips", "difference"}
    assert not compare("r", Answered(expected), Answered(expected + 9e-4)).failures
    assert set(compare("r", Answered(expected), Answered(expected * np.nan)).failures) >= {"difference"}

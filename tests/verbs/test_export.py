"""A run leaves as a folder, compared on its own test images."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

import striate
from rehearsal.classifiers import untrained
from rehearsal.colours import two_colours
from striate.classifier import load_classifier, save_classifier
from striate.cli.main import main
from striate.core.errors import ConfigError, DataError
from striate.core.spec import RGB, InputSpec
from striate.exporting.cpu_files import Cpu
from striate.exporting.readme import readme
from striate.tasks.multilabel import Multilabel


def test_a_run_is_exported_where_it_is_or_elsewhere(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photos = two_colours(tmp_path / "photos", 20)
    run = striate.train(photos, model="mlp", epochs=1, size=14, name="c", runs=tmp_path / "runs")
    found = striate.export(run)
    assert found.path == run.path / "exports" / "onnx"
    scores = run.scores["test"].top1
    assert found.card["accuracy"] == {
        "split": "test", "value": scores.value, "interval": scores.interval, "images": scores.count
    }  # fmt: skip
    assert found.card["parity"]["images"] == f"{scores.count} images of the test split of photos"
    for path in found.path.iterdir():
        assert str(tmp_path).encode() not in path.read_bytes()
    of_folds = {**found.card, "accuracy": {**found.card["accuracy"], "split": "folds"}, "none_of_these": True}
    page = readme(of_folds, {})
    assert f"of {scores.count} images in a cross-validation" in page
    assert "is answered with *none of these*" in page
    capsys.readouterr()
    options = ["--data", str(photos), "--images", "5", "--set", "network=false", "--json"]
    with pytest.raises(SystemExit) as ended:
        main(["export", str(run.path), "--out", str(tmp_path / "out"), *options])
    assert not ended.value.code
    card = json.loads(capsys.readouterr().out)
    assert card["form"] == {"name": "onnx", "network": False}
    assert card["parity"]["images"] == "5 images of photos"
    assert not (tmp_path / "out" / "network.onnx").exists()
    with pytest.raises(ConfigError, match=r"There is no form of export 'onx'. Did you mean 'onnx'?"):
        striate.export(run, to="onx")
    with pytest.raises(ConfigError, match="at least 1"):
        striate.export(run, images=0)
    _the_fastest_way_is_used(run, photos, capsys)
    _moved_data_are_named(run, photos)


def test_data_without_a_readable_image_are_named_with_the_reason(tmp_path: Path) -> None:
    photos, other = two_colours(tmp_path / "photos", 20), two_colours(tmp_path / "other", 4)
    run = striate.train(photos, model="mlp", epochs=1, size=14, name="c", runs=tmp_path / "runs")
    for image in (*photos.rglob("*.png"), other / "red" / "0.png"):
        image.write_bytes(b"no image")
    first = r"photos has no image that can be read \(the first is green/0\.png: not an image\)\."
    for attempt in (striate.export, striate.evaluate, striate.inspect):
        with pytest.raises(DataError, match=first):
            attempt(run)
    found = striate.export(run, to=Cpu(runtime="onnxruntime"), data=other)  # tuned on them, too
    assert found.card["parity"]["images"] == "7 images of other"
    (other / "red").rename(other / "unknown")
    for image in (other / "green").iterdir():
        image.write_bytes(b"")
    with pytest.raises(DataError, match=r"no image of a known class that can be read .*green/0\.png: empty\)"):
        striate.evaluate(run, other)


def _the_fastest_way_is_used(run: striate.Run, photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    with pytest.raises(SystemExit) as ended:
        main(["export", str(run.path), "--for", "cpu", "--set", "runtime=onnxruntime"])
    assert not ended.value.code
    printed = capsys.readouterr().out
    assert re.search(r"onnxruntime, float32 +chosen", printed)
    assert re.search(r"onnxruntime, int8 +(not 1.1 times|may lose|more than 4)", printed)
    folder = run.path / "exports" / "cpu"
    assert striate.load(run, device="cpu").runtime.endswith(f", float32 ({folder})")
    assert striate.load(run, device="cpu", runtime="torch").runtime == "torch"
    image = next(photos.rglob("*.png"))
    with pytest.raises(SystemExit):
        main(["predict", str(run.path), str(image), "--csv", "--device", "cpu"])
    said = capsys.readouterr()
    assert f"({folder}); --runtime torch computes with torch." in said.err
    with pytest.raises(SystemExit):
        main(["predict", str(run.path), str(image), "--csv", "--device", "cpu", "--runtime", "torch"])
    without = capsys.readouterr()
    assert not without.err
    assert without.out.splitlines()[1].split(",")[1] == said.out.splitlines()[1].split(",")[1]
    run.classifier_folder.rename(run.path / "former")
    save_classifier(replace(load_classifier(run.path / "former"), temperature=3.0), run.classifier_folder)
    with pytest.raises(SystemExit):
        main(["predict", str(run.path), str(image), "--csv", "--device", "cpu"])
    assert f"torch computes, not {folder}: the classifier has changed since. Export again" in capsys.readouterr().err
    with pytest.raises(ConfigError, match="received 'tensorrt'"):
        striate.predict(run, image, runtime="tensorrt")


def _moved_data_are_named(run: striate.Run, photos: Path) -> None:
    moved = photos.rename(photos.with_name("moved"))
    tried = striate.export(run, to="cpu", data=moved).card["trial"]["tried"]
    assert "int8" in {row["precision"] for row in tried}  # which needs the images that the training held out
    for form in ("onnx", "cpu"):
        with pytest.raises(DataError, match=r"There is nothing at .*photos.* are elsewhere now, name them: --data$"):
            striate.export(run, to=form)


def test_a_copied_classifier_is_exported_with_its_scores(tmp_path: Path) -> None:
    spec = InputSpec(channels=RGB, height=8, width=8, mean=(0.5,) * 3, std=(0.25,) * 3)
    single = untrained("mlp", spec, ("green", "red"))
    several = replace(single, task=Multilabel())
    labels = {"mean_average_precision": 0.875, "micro_f1": 0.75, "macro_f1": 0.5, "exact": 0.25, "loss": 1.0}
    seen = {"val": {"accuracy": 1.0, "loss": 0.0, "pictures": 4.0}}
    for subject, scores, card, said in (
        (
            single,
            seen | {"folds": {"accuracy": 0.9, "loss": 0.3, "pictures": 10.0}},
            # Wilson's interval for 9 of 10, from a table
            {"split": "folds", "images": 10, "value": 0.9, "interval": pytest.approx((0.5958, 0.9821), abs=1e-4)},
            "Accuracy: 90.0 % of 10 images in a cross-validation (95 % interval 59.6 % to 98.2 %).",
        ),
        (
            several,
            seen | {"test": {**labels, "pictures": 40.0}},
            {"split": "test", "images": 40, **{name: labels[name] for name in labels if name != "loss"}},
            "On 40 images of the test split: mean average precision 87.5 %, micro F1 75.0 %, macro F1 50.0 %, "
            "all labels right 25.0 %.",
        ),
        (single, {"published": {"accuracy": 0.75}}, {"split": "published", "value": 0.75}, "Accuracy: 75.0 % (publ"),
        (single, seen, None, "Accuracy: not measured."),
    ):
        folder = tmp_path / f"{len(list(tmp_path.iterdir()))}" / "classifier"
        circumstances = {"licence": "MIT (of the weights that the training started from)"}
        provenance = replace(subject.provenance, scores=scores, circumstances=circumstances)
        save_classifier(replace(subject, provenance=provenance), folder)
        found = striate.export(folder, images=2)
        assert found.path == folder.parent / "exports" / "onnx"
        assert found.card["accuracy"] == card
        text = (found.path / "README.md").read_text("utf-8")
        assert said in text
        assert "Licence: MIT (of the weights that the training started from)." in text


def test_a_missing_library_is_named_before_any_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name, *_: None)
    for form, library in (("onnx", "onnxruntime"), ("cpu", "onnxruntime"), ("openvino", "openvino")):
        with pytest.raises(ConfigError, match=f"needs onnx and {library}: pip install"):
            striate.export(tmp_path / "no run", to=form)


def test_a_run_on_loaders_is_exported_on_synthetic_images_or_on_those_named(tmp_path: Path) -> None:
    images, targets = torch.rand(24, 3, 14, 14, generator=torch.Generator().manual_seed(0)), torch.arange(24) % 2
    loader = DataLoader(TensorDataset(images, targets), batch_size=8)
    loaders = striate.Loaders(loader, loader, classes=("green", "red"), mean=(0.0,) * 3, std=(1.0,) * 3)
    run = striate.train(loaders, model="mlp", epochs=1, name="l", runs=tmp_path / "runs", device="cpu")
    found = striate.export(run, to="cpu", images=4)
    assert found.card["parity"]["images"] == "4 synthetic images"
    assert {row["precision"] for row in found.card["trial"]["tried"]} == {"float32"}
    photos = two_colours(tmp_path / "photos", 8)
    found = striate.export(run, to="cpu", data=photos, images=4)
    assert found.card["parity"]["images"] == "4 images of photos"
    assert {row["precision"] for row in found.card["trial"]["tried"]} == {"float32"}
    for path in photos.rglob("*.png"):
        path.write_bytes(b"no image")
    with pytest.raises(DataError, match="photos has no image that can be read"):
        striate.export(run, data=photos)

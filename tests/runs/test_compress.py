"""A run is compressed: zeros and shared values hold through every update, it resumes exactly, and loads as written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import striate
from rehearsal.colours import two_colours
from striate.cli.main import main
from striate.core.errors import ConfigError, RunError
from striate.models.compression import compressible
from striate.reporting import build
from striate.runs import compress as compressing
from striate.runs import probe
from striate.runs.folder import Run
from striate.runs.transfer import Features, Full, Scratch, rate_of
from striate.training import StepDone
from striate.training.optimizers import Muon

NETWORK = "conv3-6 bn relu pool2 fc8 relu"


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("compress")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(build, "write_run_report", lambda run: run.report_file)
        photos = two_colours(folder / "photos", 20)
        settings: dict[str, Any] = {"model": NETWORK, "epochs": 1, "size": 12, "batch_size": 8, "precision": "float32"}
        return striate.train(photos, name="c", runs=folder / "runs", set={"optimizer.name": "adamw"}, **settings)


def distinct(run: Run | Path) -> list[tuple[int, int]]:
    """Return the number of weights of each layer that are not zero, and of their values."""
    layers = compressible(striate.load(run).model).values()
    return [(int((each.weight != 0).sum()), len(each.weight[each.weight != 0].unique())) for each in layers]


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return striate.load(folder).model.state_dict()


def test_a_run_is_compressed_and_an_interrupted_compression_ends_as_another(
    trained: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options: dict[str, Any] = {"keep": 0.3, "bits": 2, "kernel_bits": 3, "epochs": 2}
    whole = striate.compress(trained, out=tmp_path / "whole", **options)
    before, after = distinct(tmp_path / "whole" / "pruned"), distinct(whole.path / "pruned-tuned")
    assert [count for count, _ in after] == [count for count, _ in before]
    assert distinct(whole.path / "shared-tuned") == distinct(whole.path / "shared")
    values = [values for _, values in distinct(whole.path / "shared-tuned")]
    assert all(found <= most for found, most in zip(values, (7, 3, 3), strict=True))
    moved = weights(whole.path / "shared-tuned"), weights(whole.path / "shared")
    assert any(not torch.equal(moved[0][name], moved[1][name]) for name in moved[0])
    for name, tensor in weights(whole.path).items():
        assert torch.equal(tensor, weights(whole.path / "shared-tuned")[name])
    assert [stage.name for stage in whole.stages] == [
        "float32", "pruned", "pruned, fine-tuned", "shared", "shared, fine-tuned", "Huffman-coded"
    ]  # fmt: skip
    assert whole.stages[-1].accuracy == whole.stages[-2].accuracy
    assert whole.stages[0].accuracy == trained.scores["test"].top1.value

    followed, steps = compressing._follow, []

    def stopping(events: Any, *rest: Any) -> None:
        for event in events:
            steps.append(event)
            if sum(isinstance(each, StepDone) for each in steps) == 5:
                raise KeyboardInterrupt
        followed(events, *rest)

    with monkeypatch.context() as patched:
        patched.setattr(compressing, "_follow", stopping)
        with pytest.raises(KeyboardInterrupt):
            striate.compress(trained, out=tmp_path / "parts", **options)
    parts = striate.compress(trained, out=tmp_path / "parts", **options)
    assert parts.stages == whole.stages
    for name, tensor in weights(whole.path).items():
        assert torch.equal(tensor, weights(parts.path)[name])
    with pytest.raises(RunError, match="other settings"):
        striate.compress(trained, out=tmp_path / "parts", keep=0.2)


def test_without_fine_tuning_and_mistakes(trained: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["compress", str(trained.path), "--epochs", "0", "--keep", "0.5", "--out", str(tmp_path / "c"), "--json"])
    assert not ended.value.code
    printed = json.loads(capsys.readouterr().out)
    assert not printed["seen"]
    assert [stage["name"] for stage in printed["stages"]] == ["float32", "pruned", "shared", "Huffman-coded"]
    assert printed["stages"][-1]["bytes"] == (tmp_path / "c" / "classifier" / "model.safetensors").stat().st_size
    pixels = np.zeros((9, 9, 3), np.uint8)
    compressed = striate.load(tmp_path / "c")
    assert compressed.predict(pixels).label in striate.load(trained).labels.classes
    assert compressed.provenance.run == "c-compressed"
    assert list(compressed.provenance.scores) == ["test"]
    for path in (tmp_path / "c", tmp_path / "c" / "classifier"):
        exported = striate.export(path, images=2)
        assert exported.path == tmp_path / "c" / "exports" / "onnx"
        assert exported.card["accuracy"]["value"] == printed["stages"][-1]["accuracy"]
    for keep, said in (("half", "keep is a fraction"), ("conv9=0.5", "no convolution"), (0.0, "above 0")):
        with pytest.raises(ConfigError, match=said):
            striate.compress(trained, out=tmp_path / "d", keep=keep)
    with pytest.raises(ConfigError, match="bits"):
        striate.compress(trained, out=tmp_path / "d", bits=9)
    assert not (tmp_path / "d").exists()
    (tmp_path / "photo.jpg").touch()
    with pytest.raises(RunError, match="is no folder"):
        striate.compress(trained, out=tmp_path / "photo.jpg")
    with pytest.raises(RunError, match="no compression"):
        striate.compress(trained, out=tmp_path)


def test_images_that_a_cross_validated_run_was_trained_on_are_named_so(
    trained: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for module in (compressing, probe):
        monkeypatch.setattr(module, "fold_count", lambda *_: 2)
    with pytest.raises(SystemExit):
        main(["compress", str(trained.path), "--epochs", "0", "--out", str(tmp_path / "c")])
    assert "images of the test split, on which the run was trained too" in capsys.readouterr().out


def test_the_fine_tuning_has_the_rates_that_suit_the_weights() -> None:
    assert [rate_of(each) for each in (Scratch(), Full(rate=0.2), Features())] == [1.0, 0.2, 0.1]
    scaled = Muon(lr=0.2, rest_lr=0.01).scaled(0.5)
    assert (scaled.lr, scaled.rest_lr) == (0.1, 0.005)

"""A classifier whose network was written down: trained, stored as written, loaded and used by the verbs."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import striate
from striate.classifier import load_classifier
from striate.cli.main import main
from striate.core.errors import RunError

TEXT = "(conv3-4 relu)*2  pool2\n {conv3-4 bn relu} pool2 -> FC-10 soft-max"


def test_a_written_network_is_trained_and_stored_as_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STRIATE_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    run = striate.train("digits", model=TEXT, epochs="12st")
    assert run.name == "digits-written"
    stored = json.loads((run.classifier_folder / "classifier.json").read_text("utf-8"))
    assert stored["model"]["name"] == TEXT
    classifier = load_classifier(run.path)
    assert classifier.model_name == TEXT
    assert classifier.model.get_submodule("block2_1.body.conv1")
    picture = np.random.default_rng(0).integers(0, 256, (32, 32), dtype=np.uint8)
    assert sum(classifier.predict(picture).probabilities.values()) == pytest.approx(1)
    assert "a network written down" in run.report_file.read_text("utf-8")

    damaged = stored | {"model": stored["model"] | {"name": TEXT.replace("pool2", "pol2", 1)}}
    (run.classifier_folder / "classifier.json").write_text(json.dumps(damaged), "utf-8")
    with pytest.raises(RunError, match="There is no layer 'pol2'"):
        load_classifier(run.path)


def test_the_command_line_lays_a_written_network_open_and_shows_a_mistake(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["summary", "conv3-8 maxpool FC-7 soft-max", "--size", "8"])
    assert ended.value.code == 0
    shown = capsys.readouterr().out
    for part in ("3×8×8", "relu1_1", "flatten", "SoftmaxNotRun", f"{4 * 4 * 8 * 7 + 7:,}"):
        assert part in shown
    with pytest.raises(SystemExit):
        main(["train", "digits", "--model", "conv3-8 rleu"])
    assert capsys.readouterr().err.splitlines() == [
        "striate: There is no layer 'rleu'. Did you mean 'relu'?",
        "  conv3-8 rleu",
        "          ^^^^",
    ]

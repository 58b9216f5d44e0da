"""Class names as disks, archives and tables spell them: one name in every Unicode form, one class suffices to judge."""

from __future__ import annotations

import json
import unicodedata
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from PIL import Image

import striate
from rehearsal.classifiers import untrained
from striate.classifier import Prediction, load_classifier, save_classifier
from striate.core.errors import ConfigError, DataError
from striate.core.spec import GREY, InputSpec, LabelSpec
from striate.reporting.sheets.input_image import class_number

NAMES = ("café", "thé")
Form = Literal["NFC", "NFD"]
FORMS: tuple[Form, Form] = ("NFC", "NFD")


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STRIATE_CACHE", str(tmp_path / "cache"))


def saved(folder: Path, names: tuple[str, ...] = NAMES) -> Path:
    spec = InputSpec(channels=GREY, height=8, width=8, mean=(0.5,), std=(0.25,))
    save_classifier(untrained("mlp", spec, names), folder)
    return folder


def fill(folder: Path, seed: int, count: int = 4) -> Path:
    folder.mkdir(parents=True)
    draws = np.random.default_rng(seed)
    for number in range(count):
        Image.fromarray(draws.integers(0, 256, (8, 8), dtype=np.uint8)).save(folder / f"{number}.png")
    return folder


@pytest.mark.parametrize("stored", FORMS)
@pytest.mark.parametrize("given", FORMS)
def test_data_are_judged_in_whichever_unicode_form_their_classes_are_spelled(
    tmp_path: Path, stored: Form, given: Form
) -> None:
    classifier = saved(tmp_path / "net", tuple(unicodedata.normalize(stored, name) for name in NAMES))
    for seed, name in enumerate(NAMES):
        fill(tmp_path / "data" / unicodedata.normalize(given, name), seed)
    verdict = striate.evaluate(classifier, tmp_path / "data")
    assert verdict.scores.count == 8
    assert not verdict.unknown
    assert class_number(load_classifier(classifier).labels.classes, unicodedata.normalize(given, "thé")) == 1


@pytest.mark.parametrize("kind", ["folder", "csv", "npz", "idx"])
def test_data_of_one_class_are_judged_and_not_trained_on(tmp_path: Path, kind: str) -> None:
    names = ("0", "1") if kind == "idx" else NAMES
    classifier = saved(tmp_path / "net", names)
    data = tmp_path / "data"
    images = fill(data / names[0], seed=0)
    pixels = np.stack([np.asarray(Image.open(path)) for path in sorted(images.iterdir())])
    if kind == "csv":
        data = tmp_path / "data.csv"
        rows = [f"{path},{unicodedata.normalize('NFD', names[0])}" for path in sorted(images.iterdir())]
        data.write_text("\n".join(["path,label", *rows]), encoding="utf-8")
    elif kind == "npz":
        data = tmp_path / "data.npz"
        np.savez(data, images=pixels, labels=np.array([unicodedata.normalize("NFD", names[0])] * 4))
    elif kind == "idx":
        data = tmp_path / "idx"
        data.mkdir()
        header = bytes([0, 0, 8, 3]) + b"".join(size.to_bytes(4, "big") for size in pixels.shape)
        (data / "t10k-images-idx3-ubyte").write_bytes(header + pixels.tobytes())
        (data / "t10k-labels-idx1-ubyte").write_bytes(bytes([0, 0, 8, 1, 0, 0, 0, 4, 0, 0, 0, 0]))
    scores = striate.evaluate(classifier, data).scores
    assert scores.count == 4
    by_hand = striate.predict(classifier, *sorted(images.iterdir()))
    right = sum(isinstance(answer, Prediction) and answer.label == names[0] for answer in by_hand)
    assert scores.top1.value == pytest.approx(right / 4)
    json.dumps(scores.to_json(), allow_nan=False)
    with pytest.raises(DataError, match="one class only"):
        striate.train(data, model="tiny_vgg", runs=tmp_path / "runs")
    assert not (tmp_path / "runs").exists()


def test_a_class_whose_name_is_not_utf8_is_judged_and_written_as_text(tmp_path: Path) -> None:
    classifier = saved(tmp_path / "net", ("caf\\xe9", "caf\udce8"))
    for seed, name in enumerate(("caf\udce9", "caf\udce8")):
        fill(tmp_path / "data" / name, seed)
    verdict = striate.evaluate(classifier, tmp_path / "data")
    assert verdict.scores.classes == ("caf\\xe9", "caf\\xe8")
    assert verdict.scores.count == 8


def test_a_classifier_of_one_class_is_refused() -> None:
    with pytest.raises(ConfigError, match="At least two classes"):
        LabelSpec(("cat",))
    with pytest.raises(ConfigError, match="more than once"):
        LabelSpec(tuple(unicodedata.normalize(form, "café") for form in FORMS))

"""A classifier stands alone: it is written, copied, read and asked, and says what is wrong with a damaged copy."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image

from striate.classifier import Arguments, Classifier, Failure, Provenance, load_classifier, save_classifier
from striate.core.errors import DataError, RunError
from striate.core.spec import RGB, InputSpec, LabelSpec
from striate.models import create_model


@pytest.fixture
def classifier() -> Classifier:
    spec = InputSpec(channels=RGB, height=32, width=32, mean=(0.5, 0.4, 0.3), std=(0.2, 0.3, 0.4))
    arguments = Arguments(classes=3, channels=3, size=(32, 32))
    provenance = Provenance(
        run="r", created="now", data="d", data_digest="0", recipe="p", recipe_digest="1", seed=0, epochs=1.0
    )
    model = create_model("lenet5", seed=1, **arguments).eval()
    return Classifier(model, "lenet5", arguments, spec, LabelSpec(("ant", "bee", "cat")), provenance, 2.0)


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    pixels = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    path = tmp_path / "φωτο 1.png"
    Image.fromarray(pixels).save(path)
    return path


def test_a_probability_is_the_softmax_of_the_hand_scaled_picture_over_the_temperature(
    classifier: Classifier, photo: Path
) -> None:
    pixels = np.asarray(Image.open(photo)).astype(np.float64) / 255
    scaled = (pixels - np.array([0.5, 0.4, 0.3])) / np.array([0.2, 0.3, 0.4])
    with torch.no_grad():
        logits = classifier.model(torch.tensor(scaled.transpose(2, 0, 1)[None], dtype=torch.float32))[0].double()
    expected = torch.softmax(logits / 2.0, 0).tolist()
    answer = classifier.predict(photo)
    assert answer.name == str(photo)
    for label, probability in zip(("ant", "bee", "cat"), expected, strict=True):
        assert answer.probabilities[label] == pytest.approx(probability, abs=1e-5)
    assert answer.label == ("ant", "bee", "cat")[int(np.argmax(expected))]
    assert list(answer.probabilities.values()) == sorted(answer.probabilities.values(), reverse=True)


def test_an_array_and_its_file_get_the_same_answer(classifier: Classifier, photo: Path) -> None:
    array = np.asarray(Image.open(photo))
    assert classifier.predict(array).probabilities == classifier.predict(photo).probabilities


def test_several_pictures_give_a_list_in_their_order(classifier: Classifier, photo: Path) -> None:
    answers = classifier.predict([photo, np.asarray(Image.open(photo)), photo])
    assert [answer.name for answer in answers] == [str(photo), "array 2", str(photo)]


def test_a_picture_that_cannot_be_read_is_named_and_the_others_are_answered(
    classifier: Classifier, photo: Path, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"\xff\xd8\xff\xe0 nothing")
    five = tmp_path / "five.tif"
    tifffile.imwrite(five, np.zeros((32, 32, 5), np.uint8), photometric="minisblack", planarconfig="contig")
    given = [photo, broken, tmp_path / "absent.png", five, photo]
    results = list(classifier.predictions(given, batch_size=2))
    assert [isinstance(result, Failure) for result in results] == [False, True, True, True, False]
    assert [result.name for result in results] == list(map(str, given))
    with pytest.raises(DataError, match=r"broken\.jpg cannot be read"):
        classifier.predict([photo, broken])


def test_a_copied_folder_gives_the_same_answers_bit_for_bit(
    classifier: Classifier, photo: Path, tmp_path: Path
) -> None:
    save_classifier(classifier, tmp_path / "run" / "classifier")
    shutil.copytree(tmp_path / "run" / "classifier", tmp_path / "elsewhere")
    for place in (tmp_path / "run", tmp_path / "elsewhere"):
        loaded = load_classifier(place)
        assert loaded.predict(photo) == classifier.predict(photo)
        assert loaded.input == classifier.input
        assert loaded.provenance == classifier.provenance


def _edit(folder: Path, **changes: object) -> None:
    path = folder / "classifier.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (lambda folder: (folder / "classifier.json").unlink(), "is not there"),
        (lambda folder: (folder / "classifier.json").write_text("{"), "cannot be read"),
        (lambda folder: _edit(folder, format=2), "has format 2"),
        (lambda folder: _edit(folder, input={"height": 3}), "is missing"),
        (lambda folder: _edit(folder, labels=None), "group of settings"),
        (lambda folder: _edit(folder, model={"name": "lenet6", "arguments": {}}), "damaged"),
        (lambda folder: (folder / "model.safetensors").unlink(), "weights of the classifier are missing"),
        (lambda folder: (folder / "model.safetensors").write_bytes(b"0" * 99), "digest differs"),
    ],
)
def test_each_damage_has_its_sentence(classifier: Classifier, tmp_path: Path, damage: object, sentence: str) -> None:
    save_classifier(classifier, tmp_path / "c")
    damage(tmp_path / "c")  # pyright: ignore[reportCallIssue]
    with pytest.raises(RunError) as caught:
        load_classifier(tmp_path / "c")
    assert sentence in str(caught.value)


def test_the_model_is_asked_in_evaluation_mode_whatever_mode_it_was_left_in(
    classifier: Classifier, photo: Path
) -> None:
    before = classifier.predict(photo)
    classifier.model.train()
    assert classifier.predict(photo) == before

"""Networks with pretrained weights where a run is expected: by the name of the catalogue, or with a file."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.torch import save_file

import striate
from rehearsal.catalogue import CLASSES, SPEC, rehearsed_catalogue
from rehearsal.colours import two_colours
from striate.cli.main import main
from striate.core.errors import ConfigError, ModelError, RunError
from striate.models import create_model
from striate.tasks import Prediction
from striate.verbs.explanation import Explanation
from striate.verbs.retrieve import Retrieved


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Weights of `tiny_vgg` in the cache of a catalogue, the same in a file, and photos of two of its classes."""
    root = tmp_path_factory.mktemp("pretrained")
    drawn = np.random.default_rng(0)
    for label in CLASSES[:2]:
        (root / "photos" / label).mkdir(parents=True)
        for number in range(3):
            pixels = drawn.integers(0, 256, (40, 32, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(root / "photos" / label / f"{number}.png")
    network = create_model("tiny_vgg", classes=3, size=(32, 32), seed=1)
    with rehearsed_catalogue(root) as write:
        write()
        (root / "cache/weights/tiny_vgg.test").mkdir(parents=True)
        save_file(network.state_dict(), root / "cache/weights/tiny_vgg.test/a.safetensors")
        save_file(network.state_dict(), root / "mine.safetensors")
        yield root


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_images_are_classified_as_by_the_network_and_its_preparation(folder: Path) -> None:
    image = folder / "photos/cat/0.png"
    (answer,) = striate.predict("tiny_vgg.test", image, device="cpu")
    assert isinstance(answer, Prediction)
    assert set(answer.probabilities) == set(CLASSES)
    (same,) = striate.predict("tiny_vgg", image, device="cpu")
    assert isinstance(same, Prediction)
    assert same.probabilities == answer.probabilities
    classifier = striate.load("tiny_vgg", device="cpu")
    assert classifier.input == SPEC
    assert "tiny_vgg.test" in repr(classifier)
    assert "published accuracy" in classifier._repr_html_()


def test_sheets_lie_in_the_present_folder(folder: Path, tmp_path: Path) -> None:
    image = folder / "photos/cat/0.png"
    striate.explain("tiny_vgg", image, method="saliency", device="cpu")
    striate.fool("tiny_vgg", image, epsilon=8, method="fgsm", device="cpu")
    assert list((tmp_path / "explanations").glob("*.png"))
    assert list((tmp_path / "fooled").glob("*.png"))


def test_the_nearest_images_are_those_of_the_data_that_are_named(folder: Path, tmp_path: Path) -> None:
    image = folder / "photos/dog/1.png"
    (found,) = striate.retrieve("tiny_vgg", image, data=folder / "photos", count=2, device="cpu")
    assert isinstance(found, Retrieved)
    assert (found.neighbours[0].name, found.neighbours[0].label) == ("dog/1.png", "dog")
    assert found.neighbours[0].similarity == pytest.approx(1, abs=1e-5)
    assert list((tmp_path / "retrieved").glob("*.png"))
    with pytest.raises(ConfigError, match="has no data of its own: name the data"):
        striate.retrieve("tiny_vgg", image, device="cpu")


def test_data_are_evaluated_by_the_names_of_their_classes(folder: Path) -> None:
    verdict = striate.evaluate("tiny_vgg", folder / "photos", device="cpu")
    assert verdict.scores.top1.count == 6
    assert verdict.seen is None


def test_the_commands_take_weights(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def run(*words: object) -> str:
        with pytest.raises(SystemExit) as ended:
            main([str(word) for word in words])
        assert not ended.value.code
        return capsys.readouterr().out

    assert json.loads(run("predict", "tiny_vgg", folder / "photos/cat/0.png", "--json"))
    shown = run("summary", "tiny_vgg.test")
    assert "accuracy    91.5 % as published" in shown
    assert "input       red, green, blue, 32×32" in shown
    assert "tiny_vgg.test *" in run("list-models", "--weights")


def test_a_file_needs_the_name_of_a_network_and_a_run_stays_a_run(folder: Path) -> None:
    with pytest.raises(ModelError, match="Nothing says how images are prepared"):
        striate.predict("lenet5", folder / "photos", weights=_lenet5(folder))
    with pytest.raises(ModelError, match=r"no weights 'lenet5.*striate train DATA --model lenet5"):
        striate.load("lenet5")
    with pytest.raises(RunError, match="There is no classifier in runs/photos"):
        striate.load("runs/photos")
    with pytest.raises(ConfigError, match="With weights, the first argument is the name of a network"):
        striate.load(striate.load("tiny_vgg"), weights=folder / "mine.safetensors")


def _lenet5(folder: Path) -> Path:
    save_file(create_model("lenet5", seed=1).state_dict(), folder / "lenet5.safetensors")
    return folder / "lenet5.safetensors"


def test_a_module_with_pretrained_weights_brings_its_preparation(folder: Path) -> None:
    network = striate.create("tiny_vgg", weights="tiny_vgg.test")
    (found,) = striate.explain(network, folder / "photos/cat/0.png", method="saliency")
    (same,) = striate.explain("tiny_vgg", folder / "photos/cat/0.png", method="saliency", device="cpu")
    assert isinstance(found, Explanation)
    assert isinstance(same, Explanation)
    assert found.subject.prediction.label == same.subject.prediction.label in CLASSES


def test_the_licence_of_the_weights_goes_with_what_is_made_of_them(folder: Path, tmp_path: Path) -> None:
    published = striate.export("tiny_vgg", images=2)
    assert published.card["licence"] == "MIT"
    assert "Published weights: a.safetensors." in (published.path / "README.md").read_text("utf-8")
    photos = two_colours(tmp_path / "photos", 8)
    run = striate.train(photos, weights="tiny_vgg.test", epochs=1, name="t", runs=tmp_path / "runs", device="cpu")
    assert run.path / "exports" / "onnx" == (exported := striate.export(run, images=2)).path
    assert exported.card["licence"] == "MIT (of the weights that the training started from)"
    copy = shutil.copytree(run.classifier_folder, tmp_path / "copy")
    compressed = striate.compress(run, keep=0.5, epochs=1)
    for each in (copy, compressed.path):
        assert striate.export(each, images=2).card["licence"] == exported.card["licence"]

"""Every verb that takes images takes them from memory too, alone, in lists and in batches, as `Classifier.predict`."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import striate
from rehearsal.classifiers import untrained
from striate.classifier import Classifier, Failure, Prediction, Provenance
from striate.core.spec import GREY, RGB, InputSpec, LabelSpec
from striate.models import create_model

SPEC = InputSpec(channels=RGB, height=16, width=16, mean=(0.5,) * 3, std=(0.5,) * 3)
PIXELS = np.random.default_rng(0).integers(0, 256, (16, 16, 3), np.uint8)


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    arguments = {"classes": 2, "channels": 3, "size": (16, 16)}
    origin = Provenance(run="r", created="", data="", data_digest="", recipe="", recipe_digest="", seed=0, epochs=1.0,
                        circumstances={})  # fmt: skip
    model = create_model("tiny_vgg", seed=0, **arguments).eval()
    return Classifier(model, "tiny_vgg", arguments, SPEC, LabelSpec(("a", "b")), origin)  # pyright: ignore[reportArgumentType]


def png() -> bytes:
    Image.fromarray(PIXELS).save(buffer := io.BytesIO(), "PNG")
    return buffer.getvalue()


FORMS = {
    "array": PIXELS,
    "channels first": PIXELS.transpose(2, 0, 1),
    "floats": (PIXELS / 255).astype(np.float32),
    "int64": PIXELS.astype(np.int64),
    "tensor": torch.from_numpy(PIXELS).permute(2, 0, 1),
    "Pillow": Image.fromarray(PIXELS),
    "bytes": png(),
    "bytearray": bytearray(png()),
    "memoryview": memoryview(png()),
}


@pytest.fixture
def due(classifier: Classifier) -> float:
    return classifier.predict(PIXELS).probability


def probabilities(results: list[Prediction | Failure]) -> list[float]:
    assert not any(isinstance(one, Failure) for one in results), results
    return [one.probability for one in results if isinstance(one, Prediction)]


@pytest.mark.parametrize("name", FORMS)
def test_predict_takes_every_form(classifier: Classifier, due: float, name: str) -> None:
    assert probabilities(striate.predict(classifier, FORMS[name])) == pytest.approx([due])


def test_forms_may_be_mixed_listed_and_batched(classifier: Classifier, due: float, tmp_path: Path) -> None:
    (tmp_path / "x.png").write_bytes(png())
    batch = np.stack([PIXELS, PIXELS])
    found = striate.predict(
        classifier, tmp_path / "x.png", [PIXELS, png(), str(tmp_path)], batch, (FORMS["tensor"] for _ in range(2))
    )
    assert probabilities(found) == pytest.approx([due] * 8)
    assert [one.name for one in found][:1] == [str(tmp_path / "x.png")]


@pytest.mark.parametrize("name", ["channels first", "int64", "tensor", "Pillow", "bytearray"])
def test_explain_and_fool_take_every_form(classifier: Classifier, due: float, name: str, tmp_path: Path) -> None:
    (explained,) = striate.explain(classifier, [FORMS[name]], method="saliency", out=tmp_path)
    assert not isinstance(explained, Failure)
    assert explained.subject.prediction.probability == pytest.approx(due)
    (fooled,) = striate.fool(classifier, FORMS[name], method="fgsm", epsilon=4, out=tmp_path)
    assert not isinstance(fooled, Failure)
    assert fooled.subject.prediction.probability == pytest.approx(due)


@pytest.mark.parametrize("name", FORMS)
def test_a_module_with_a_function_for_its_images_takes_every_form(name: str) -> None:
    def prepare(image: Image.Image) -> torch.Tensor:
        return torch.from_numpy(np.array(image)).permute(2, 0, 1) / 255

    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(PIXELS.size, 2))
    (found,) = striate.explain(net, FORMS[name], preparation=prepare, method="saliency")
    assert not isinstance(found, Failure)
    assert torch.equal(found.subject.images[0], prepare(Image.fromarray(PIXELS)))


def test_an_open_file_is_read(classifier: Classifier, due: float, tmp_path: Path) -> None:
    (tmp_path / "x.png").write_bytes(png())
    with open(tmp_path / "x.png", "rb") as file:
        assert probabilities(striate.predict(classifier, io.BytesIO(png()), file)) == pytest.approx([due] * 2)


def test_retrieve_takes_them_too(classifier: Classifier, tmp_path: Path) -> None:
    for number, label in enumerate("ab"):
        (tmp_path / "data" / label).mkdir(parents=True)
        Image.fromarray(PIXELS if number else 255 - PIXELS).save(tmp_path / "data" / label / "x.png")
    (found,) = striate.retrieve(
        classifier, Image.fromarray(PIXELS), data=tmp_path / "data", count=1, out=tmp_path / "o"
    )
    assert not isinstance(found, Failure)
    assert [neighbour.label for neighbour in found.neighbours] == ["b"]


def test_one_image_that_is_refused_does_not_cost_the_others_their_answers(
    classifier: Classifier, tmp_path: Path
) -> None:
    wrong = PIXELS.astype(np.float32)
    wrong[0, 0] = np.nan
    for results in (
        striate.predict(classifier, wrong, PIXELS),
        striate.explain(classifier, wrong, PIXELS, method="saliency", out=tmp_path),
        striate.fool(classifier, wrong, PIXELS, method="fgsm", epsilon=4, out=tmp_path),
    ):
        refused, answered = results
        assert isinstance(refused, Failure)
        assert "not finite" in refused.reason
        assert not isinstance(answered, Failure)


def test_values_beyond_float32_are_refused() -> None:
    floating = untrained("mlp", InputSpec(channels=GREY, height=8, width=8, mean=(0,), std=(1,), maximum=1), ("a", "b"))
    failure, found = striate.predict(floating, np.full((8, 8), 1e39), np.full((8, 8), 1e30))
    assert isinstance(failure, Failure)
    assert "not finite" in failure.reason
    assert not isinstance(found, Failure)


@pytest.mark.parametrize("kind", ["meta", "sparse", "float8"])
def test_tensors_without_plain_numbers_are_read_or_refused_in_a_sentence(classifier: Classifier, kind: str) -> None:
    plain = torch.zeros(3, 8, 8)
    given = {"meta": plain.to("meta"), "sparse": plain.to_sparse(), "float8": plain.to(torch.float8_e4m3fn)}[kind]
    (found,) = striate.predict(classifier, given)
    if kind == "sparse":
        assert probabilities([found]) == probabilities(striate.predict(classifier, plain))
    else:
        assert isinstance(found, Failure)
        assert "Pass a dense tensor" in found.reason

"""A classifier stands alone: it is written, copied, read and used, and names what is wrong in a damaged copy."""

from __future__ import annotations

import hashlib
import io
import json
import re
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image
from safetensors.torch import save as save_tensors
from torch import nn

from rehearsal.classifiers import untrained
from striate.classifier import Classifier, Failure, load_classifier, save_classifier
from striate.classifier.images import check_prepared
from striate.core.errors import ConfigError, DataError, ModelError, RunError
from striate.core.spec import RGB, InputSpec, LabelSpec
from striate.models.weights import load_weights


@pytest.fixture
def classifier() -> Classifier:
    spec = InputSpec(channels=RGB, height=32, width=32, mean=(0.5, 0.4, 0.3), std=(0.2, 0.3, 0.4))
    return untrained("lenet5", spec, ("ant", "bee", "cat"), at=2.0)


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    pixels = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    path = tmp_path / "φωτο 1.png"
    Image.fromarray(pixels).save(path)
    return path


def test_a_probability_is_the_softmax_of_the_hand_scaled_image_over_the_temperature(
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


def test_several_images_give_a_list_in_their_order(classifier: Classifier, photo: Path) -> None:
    answers = classifier.predict([photo, np.asarray(Image.open(photo)), photo])
    assert [answer.name for answer in answers] == [str(photo), "array 2", str(photo)]


def test_an_image_that_cannot_be_read_is_named_and_the_others_are_answered(
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
        (lambda folder: _edit(folder, format=3), "has format 3"),
        (lambda folder: _edit(folder, input={"height": 3}), "is missing"),
        (lambda folder: _edit(folder, labels=None), "group of settings"),
        (lambda folder: _edit(folder, model={"name": "lenet6", "arguments": {}}), "whole numbers"),
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


def test_the_model_runs_in_evaluation_mode_whatever_its_mode_was(classifier: Classifier, photo: Path) -> None:
    before = classifier.predict(photo)
    classifier.model.train()
    assert classifier.predict(photo) == before


def _arrays(pixels: np.ndarray) -> dict[str, Any]:
    """One image in the forms in which it comes."""
    encoded = io.BytesIO()
    Image.fromarray(pixels).save(encoded, "PNG")
    writable = pixels.copy()
    writable.flags.writeable = False
    return {
        "uint8": pixels,
        "uint16": pixels.astype(np.uint16) * 257,
        "big-endian": (pixels.astype(np.uint16) * 257).astype(">u2"),
        "int64": pixels.astype(np.int64),
        "int8-sized": pixels.astype(np.int32),
        "float32 to 1": (pixels / 255).astype(np.float32),
        "float64 to 1": pixels / 255,
        "float32 to 255": pixels.astype(np.float32),
        "channels first": pixels.transpose(2, 0, 1),
        "negative strides": np.ascontiguousarray(pixels[::-1, ::-1])[::-1, ::-1],
        "every second": np.repeat(pixels, 2, axis=1)[:, ::2],
        "read-only": writable,
        "nothing masked": np.ma.array(pixels),
        "opaque": np.dstack([pixels, np.full(pixels.shape[:2], 255, np.uint8)]),
        "tensor": torch.from_numpy(pixels),
        "tensor, channels first": torch.from_numpy(pixels).permute(2, 0, 1) / 255,
        "Pillow": Image.fromarray(pixels),
        "Pillow with alpha": Image.fromarray(pixels).convert("RGBA"),
        "bytes": encoded.getvalue(),
    }


PIXELS = np.random.default_rng(3).integers(0, 256, (32, 32, 3), dtype=np.uint8)


@pytest.mark.parametrize("form", list(_arrays(PIXELS)))
def test_one_image_gets_one_answer_in_whatever_form_it_comes(classifier: Classifier, form: str) -> None:
    scaled = (PIXELS / 255 - np.array([0.5, 0.4, 0.3])) / np.array([0.2, 0.3, 0.4])
    with torch.no_grad():
        logits = classifier.model(torch.tensor(scaled.transpose(2, 0, 1)[None], dtype=torch.float32))[0].double()
    expected = dict(zip(("ant", "bee", "cat"), torch.softmax(logits / 2.0, 0).tolist(), strict=True))
    assert classifier.predict(_arrays(PIXELS)[form]).probabilities == pytest.approx(expected, abs=1e-4)


def test_true_is_white_and_a_turned_photo_is_upright(classifier: Classifier) -> None:
    mask = PIXELS > 127
    assert classifier.predict(mask) == classifier.predict(np.where(mask, 255, 0).astype(np.uint8))
    turned = Image.fromarray(np.rot90(PIXELS).copy())
    turned.getexif()[274] = 6  # to be turned clockwise
    assert classifier.predict(turned).probabilities == classifier.predict(PIXELS).probabilities


def test_four_dimensions_are_several_images(classifier: Classifier) -> None:
    together = classifier.predict(np.stack([PIXELS, PIXELS[::-1]]))
    assert isinstance(together, list)
    assert [answer.name for answer in together] == ["array 1", "array 2"]
    assert together[0].probabilities == pytest.approx(classifier.predict(PIXELS).probabilities, abs=1e-5)


@pytest.mark.parametrize(
    ("image", "said"),
    [
        (PIXELS * 0.999, r"from 0 to 254.*floating numbers from 0 to 1"),
        (PIXELS.astype(np.int64) - 9, "from -9 to"),
        (PIXELS.astype(np.int64) * 16, "from 0 to 4080"),
        (np.where(PIXELS > 9, np.nan, 0.5), "not finite"),
        (np.ma.array(PIXELS, mask=PIXELS > 9), "masked"),
        (PIXELS.astype(complex), "complex128"),
        (PIXELS.astype(object), "object"),
        (PIXELS.astype(str), "<U"),
        (PIXELS[:0], r"empty: its shape is 0×32×3"),
        (np.zeros((0,)), "empty"),
        (np.zeros((32, 32, 5), np.uint8), "takes 3 channels"),
        (np.zeros((1, 1, 32, 32, 3), np.uint8), "shape 1×1×32×32×3"),
        (PIXELS[0, :, 0], "shape 32"),
        (np.array(3.0), r"shape \(\)"),
        (Image.new("RGB", (0, 3)), "cannot be read"),
        (b"no image", "cannot be read"),
    ],
)
def test_an_array_that_may_mean_something_else_is_refused_in_a_sentence(
    classifier: Classifier, image: Any, said: str
) -> None:
    with pytest.raises(DataError, match=said):
        classifier.predict(image)
    (failure, fine) = classifier.predictions([image, PIXELS])
    assert isinstance(failure, Failure)
    assert not isinstance(fine, Failure)


def test_numbers_for_a_network_of_floating_data_are_taken_as_they_are(classifier: Classifier) -> None:
    floating = replace(classifier, input=replace(classifier.input, maximum=1.0))
    numbers = np.random.default_rng(1).normal(size=(32, 32, 3)) * 3
    scaled = (numbers - np.array([0.5, 0.4, 0.3])) / np.array([0.2, 0.3, 0.4])
    with torch.no_grad():
        logits = classifier.model(torch.tensor(scaled.transpose(2, 0, 1)[None], dtype=torch.float32))[0].double()
    answer = floating.predict(numbers).probabilities
    assert [answer[name] for name in ("ant", "bee", "cat")] == pytest.approx(
        torch.softmax(logits / 2, 0).tolist(), abs=1e-4
    )


def test_prepared_images_of_another_precision_are_converted(classifier: Classifier) -> None:
    images = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(classifier.logits(images.double()), classifier.logits(images))
    for given, shape in ((images[0], "3×32×32"), (images[:, :1], "2×1×32×32"), (images.byte(), "2×3×32×32")):
        with pytest.raises(ModelError, match=f"shape {shape}"):
            check_prepared(given, classifier.input)
    with pytest.raises(ModelError, match="received a ndarray"):
        check_prepared(PIXELS, classifier.input)


def _at(path: str, value: object) -> Callable[[dict[str, Any]], None]:
    """Put `value` at a dotted path of a description; `...` takes out what is there."""

    def change(description: dict[str, Any]) -> None:
        *groups, last = path.split(".")
        for group in groups:
            description = description[group]
        if value is ...:
            del description[last]
        else:
            description[last] = value

    return change


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("weights_sha256", ..., "digest differs"),
        ("weights_sha256", 5, "digest differs"),
        ("format", 3, "reads formats 1 and 2"),
        ("labels.classes", list("abcdefghijk"), "3 outputs, and there are 11 labels"),
        ("labels.classes", [1, 2, 3], "classes"),
        ("labels.classes", ["a", "a", "b"], "more than once"),
        ("input.height", 16, "3×32×32, and the input is 3×16×32"),
        ("input.height", 10**9, "at most"),
        ("input.crop", 1e-300, "crop"),
        ("input.mean", [float("nan"), 0, 0], "input.mean is a number; received nan"),
        ("input.mean", [10**400, 0, 0], "input.mean"),
        ("input.std", [1e-300, 1, 1], "too small"),
        ("input.maximum", 1e300, "at most 1e"),
        ("input.channels", ["grey"], "a mean and a std for each"),
        ("input.surprise", 1, "no setting 'input.surprise'"),
        ("model.name", "lenet6", "lenet5"),
        ("model.name", ["lenet5"], "model.name is a string"),
        ("model.name", "resnet18", "does not fit the network resnet18"),
        ("model.arguments", None, "'arguments' is a group"),
        ("model.arguments.classes", True, "whole numbers"),
        ("model.arguments.classes", ..., "whole numbers"),
        ("model.arguments.classes", 10**9, "1,000,000,000 outputs, and there are 3 labels"),
        ("model.arguments.size", [32], "whole numbers"),
        ("temperature", 0, "temperature is a number"),
        ("temperature", float("nan"), "temperature is a number"),
        ("temperature", float("inf"), "temperature is a number"),
        ("temperature", -2.0, "temperature is a number"),
        ("temperature", "2", "temperature is a number"),
        ("temperature", 10**400, "temperature is a number"),
        ("temperature", ..., "temperature is a number"),
        ("provenance", [], "'provenance' is a group"),
        ("provenance.run", ..., "has no 'run'"),
        ("provenance.later", 1, "has 'later'"),
        ("provenance.epochs", float("nan"), "provenance.epochs has the wrong type"),
        ("provenance.scores", {"test": {"accuracy": "high"}}, "provenance.scores has the wrong type"),
    ],
)
def test_a_description_that_cannot_be_true_is_one_sentence(
    classifier: Classifier, tmp_path: Path, path: str, value: object, said: str
) -> None:
    save_classifier(classifier, tmp_path / "c")
    file = tmp_path / "c" / "classifier.json"
    description = json.loads(file.read_text())
    _at(path, value)(description)
    file.write_text(json.dumps(description))
    with pytest.raises(RunError, match=re.escape(said)):
        load_classifier(tmp_path / "c")


def test_as_many_labels_as_a_file_can_hold_are_compared_quickly() -> None:
    names = tuple(map(str, range(300_000)))  # in the square of which there are minutes
    assert len(LabelSpec(names)) == 300_000


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            lambda tensors: tensors | {"fc3.bias": torch.full((3,), torch.nan)},
            "'fc3.bias' of these weights is not finite",
        ),
        (lambda tensors: tensors | {"fc3.bias": torch.zeros(3, dtype=torch.int32)}, "torch.int32"),
        (lambda tensors: tensors | {"fc3.bias": torch.zeros(4)}, "'fc3.bias' is 4, and the network has 3"),
        (lambda tensors: {name: tensors[name] for name in tensors if name != "fc3.bias"}, "'fc3.bias' is not there"),
        (lambda tensors: tensors | {"spare": torch.zeros(4)}, "no place for 'spare'"),
    ],
)
def test_weights_that_the_description_does_not_mean_are_one_sentence(
    classifier: Classifier,
    tmp_path: Path,
    change: Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]],
    said: str,
) -> None:
    save_classifier(classifier, tmp_path / "c")
    data = save_tensors(change(dict(classifier.model.state_dict())))
    (tmp_path / "c" / "model.safetensors").write_bytes(data)
    _edit(tmp_path / "c", weights_sha256=hashlib.sha256(data).hexdigest())
    with pytest.raises(RunError, match=re.escape(said)):
        load_classifier(tmp_path / "c")


def test_an_infinite_buffer_is_a_mask_and_may_be_loaded() -> None:
    class Masked(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("mask", torch.zeros(3))

    network = Masked()
    load_weights(network, {"mask": torch.tensor([0.0, -torch.inf, 0.0])})
    with pytest.raises(ModelError, match="not finite"):
        load_weights(network, {"mask": torch.tensor([0.0, torch.nan, 0.0])})


@pytest.mark.parametrize("mode", ["I;16B", "I"])
def test_pillow_images_of_16_bits_have_the_values_of_the_file(
    classifier: Classifier, tmp_path: Path, mode: str
) -> None:
    values = np.random.default_rng(0).integers(0, 65536, (20, 20)).astype(np.uint16)
    Image.fromarray(values).save(tmp_path / "a.png")
    image = Image.frombytes(mode, (20, 20), values.astype(">u2" if mode == "I;16B" else "<i4").tobytes())
    assert replace(classifier.predict(image), name="") == replace(classifier.predict(tmp_path / "a.png"), name="")


def test_pillow_images_beyond_16_bits_or_damaged_are_sentences(classifier: Classifier, tmp_path: Path) -> None:
    beyond = Image.fromarray(np.array([[-1, 70_000]], np.int32))
    with pytest.raises(DataError, match=r"values from -1 to 70000, beyond 16 bits"):
        classifier.predict(beyond)
    noise = np.random.default_rng(0).integers(0, 256, (200, 200, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / "a.png")
    content = bytearray((tmp_path / "a.png").read_bytes())
    content[content.rindex(b"IDAT")] ^= 255  # Pillow reads this part only when it needs the pixels
    with pytest.raises(DataError, match="this Pillow image cannot be read"):
        classifier.predict(Image.open(io.BytesIO(bytes(content))))


def test_an_open_file_of_any_kind_is_read_once(photo: Path) -> None:
    spec = InputSpec(channels=RGB, height=32, width=32, mean=(0.5,) * 3, std=(0.2,) * 3)
    classifier = untrained("conv3-4 relu gap", spec, ("ant", "bee", "cat"))
    with tempfile.SpooledTemporaryFile() as file:
        file.write(photo.read_bytes())
        file.seek(0)
        found = classifier.predict(file, views="sizes")
    assert replace(found, name="") == replace(classifier.predict(photo, views="sizes"), name="")
    closed = io.BytesIO(photo.read_bytes())
    closed.close()
    with pytest.raises(DataError, match="this open file cannot be read"):
        classifier.predict(closed)


def test_batches_have_an_image_at_least(classifier: Classifier, photo: Path) -> None:
    with pytest.raises(ConfigError, match="batch_size must be at least 1"):
        list(classifier.predictions([photo], batch_size=0))

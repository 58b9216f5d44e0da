"""The report of a run: whole, self-contained, escaped, and every score in it that of its scores."""

from __future__ import annotations

import base64
import dataclasses
import functools
import io
import re
import shutil
import unicodedata
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import striate
from rehearsal.colours import two_colours
from striate.core.proportion import Proportion
from striate.data.audit import Audit, audit
from striate.data.dataset import ArrayStore, Dataset, numbered
from striate.metrics import ClassificationScores, Rows, Temperature, score_classification
from striate.models import ModelCard
from striate.reporting.charts.answers import matrix
from striate.reporting.material import Example, ModelFacts, RunMaterial
from striate.reporting.numbers import percent
from striate.reporting.render import render
from striate.reporting.sheets.augmented import AugmentedImage
from striate.runs.cross_validation import CurvePoint
from striate.runs.plan import Probe
from striate.tracing import Description, Row, Totals
from striate.training import read_events

VOID = {"meta", "img", "br"}
HOSTILE = [
    "<script>alert(1)</script>.jpg",
    '"><img src=http://example.org/x onerror=alert(1)>.jpg',
    "</style></title><b>.png",
    "صورة_كلب.jpg",
    "evil\u202egpj.exe",
    "\udcff\udcfe.jpg",
    "a\x00\x1f\n.jpg",
    "very long " * 40 + ".jpg",
]


class Page(HTMLParser):
    """What stands in a page: its elements with their attributes, checked to be balanced, and its text."""

    def __init__(self, document: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.figures: list[tuple[float, str, str]] = []
        self.text = ""
        self._open: list[str] = []
        self._figure: tuple[float, str] | None = None
        self.feed(document)
        self.close()
        assert not self._open, f"left open: {self._open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = {key: value or "" for key, value in attrs}
        assert len(attributes) == len(attrs), f"an attribute stands twice in {attrs}"
        self.elements.append((tag, attributes))
        if tag not in VOID:
            self._open.append(tag)
        if "data-of" in attributes:
            value = attributes["value"] if tag == "data" else attributes["data-value"]
            self._figure = (float(value), attributes["data-of"])

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open[-1:] == ["style"]:
            return
        self.text += data
        if self._figure:
            self.figures.append((*self._figure, data))
            self._figure = None


def _events(epochs: int = 6) -> list[dict[str, Any]]:
    events: list[dict[str, Any]] = [{"event": "started"}]
    for epoch in range(1, epochs + 1):
        clock = {"epoch": epoch, "step": 10 * epoch}
        events.append({"event": "step", "clock": clock, "loss": 1 / epoch, "lr": 0.1 / epoch})
        events.append({"event": "evaluated", "clock": clock, "scores": {"loss": 1.1 / epoch, "accuracy": 0.5}})
    return events


def _example(name: str, given: str, predicted: str, size: int = 8) -> Example:
    image = np.full((size, size, 3), 200, dtype=np.uint8)
    return Example(image=image, name=name, index=1, given=given, predicted=predicted, confidence=0.9, label=predicted)


@functools.cache
def _audit(classes: tuple[str, ...]) -> Audit:
    """Audit 3 images of each class; all of a class are equal, which is a warning with names."""
    numbers = np.repeat(np.arange(len(classes), dtype=np.int64), 3)
    pixels = np.repeat(np.repeat(numbers.astype(np.uint8)[:, None, None, None], 8, axis=1), 8, axis=2)
    dataset = Dataset("d", ArrayStore(pixels, numbered("image", len(pixels))), classes, numbers, source="d/")
    return audit(dataset).divided()


def _hostile_audit(text: str) -> Audit:
    tame = _audit(("a", "b"))
    names = [text] * tame.images
    assert isinstance(tame.dataset.store, ArrayStore)
    store = ArrayStore(tame.dataset.store.pixels, names)
    dataset = dataclasses.replace(
        tame.dataset, name=text, source=text, classes=(text, text), store=store, notes=(text,), cautions=(text,)
    )
    reasons = np.array(["damaged"] * 5 + [""] * (tame.images - 5))
    index = dataclasses.replace(tame.index, reasons=reasons, details=np.array(names))
    return dataclasses.replace(tame, dataset=dataset, index=index)


def _model(text: str) -> ModelFacts:
    row = Row(
        path="conv1", kind="Conv2d", detail="5×5", input_shape=(1, 32, 32), output_shape=(6, 28, 28), parameters=156,
        macs=117_600, receptive_field=(5, 5), stride=(1.0, 1.0), parameter_bytes=624, activation_bytes=18_816, notes=(),
    )  # fmt: skip
    card = ModelCard(
        name=text, family=text, title=text, authors=text, year=1998, paper=text, input=(1, 32, 32), classes=10,
        parameters=61_706, macs=416_520, depth=5,
    )  # fmt: skip
    layers = Description((1, 32, 32), (row,), Totals(61_706, 61_706, 416_520, 5, 246_824, 18_816), ())
    return ModelFacts(name=text, input=(1, 32, 32), parameters=61_706, card=card, layers=layers)


def _material(
    classes: int = 7, count: int = 120, *, right: bool = False, temperature: float | None = 1.4
) -> RunMaterial:
    random = np.random.default_rng(classes)
    targets = random.integers(0, max(2, classes - 1), count)
    logits = random.normal(size=(count, classes)) + (50.0 if right else 2.0) * np.eye(classes)[targets]
    names = tuple(f"class {k}" for k in range(classes))
    return RunMaterial(
        title="a run",
        events=_events(),
        audit=_audit(names),
        model=_model("M"),
        test=score_classification(logits, targets, names, temperature=temperature),
        rows=Rows.of(logits, targets, np.arange(count)),
        mistakes=() if right else (_example("cat/1.jpg", names[0], names[1]),),
        surest=(_example("dog/2.jpg", names[1], names[1], size=200),),
        filters=random.normal(size=(6, 3, 5, 5)),
        recipe={"epochs": "6ep", "optimizer": {"lr": 0.1}},
        difference={"optimizer.lr": (0.05, 0.1)},
        provenance={"seed": "0"},
    )


def _augmented(text: str) -> AugmentedImage:
    image = np.full((8, 8, 1), 90, np.uint8)
    return AugmentedImage(text, text, image, (image,) * 2, ((text,), (f"{text} 70 %", "b 30 %")))


def _judged(right: int, count: int) -> ClassificationScores:
    """`right` answers of `count` are right."""
    targets = np.zeros(count, dtype=np.int64)
    logits = np.tile([2.0, 0.0], (count, 1))
    logits[right:] = [0.0, 2.0]
    return score_classification(logits, targets, ("a", "b"))


def _compared(train: tuple[int, int], validation: tuple[int, int], test: tuple[int, int]) -> RunMaterial:
    names = ("train", "validation", "test")
    judged = {name: _judged(*pair) for name, pair in zip(names, (train, validation, test), strict=True)}
    return dataclasses.replace(_material(2), selected=True, **judged)


def _cross_validated(
    confusion: list[list[int]], curve: tuple[tuple[int, int], ...] = ((10, 80), (40, 84), (80, 88))
) -> RunMaterial:
    """Material without a test split: counts of a confusion matrix, and right answers of 100 by images per class."""
    matrix = np.array(confusion)
    targets, predicted = (np.repeat(axis.ravel(), matrix.ravel()) for axis in np.indices(matrix.shape))
    folds = score_classification(3.0 * np.eye(len(matrix))[predicted], targets, tuple("abcde"[: len(matrix)]))
    points = tuple(CurvePoint(size, Proportion(right, 100)) for size, right in curve)
    suspects = (_example("cat/7.jpg", "a", "b"),)
    probes = tuple(
        Probe(place=place, width=8, c=10.0, correct=right, nearest=right - 5, count=96, loss=0.25)
        for place, right in (("stage2", 70), ("head", 90))
    )
    return RunMaterial(
        title="small", folds=folds, curve=points, suspects=suspects, labels=True, probes=probes,
        refused_by="its similarity to the nearest training image and its largest logit",
        settings=(("weights", "lite0", "given"), ("transfer", "features", "head 93.8%: good enough")),
    )  # fmt: skip


MATERIALS = {
    "cross-validated": _cross_validated([[40, 5], [1, 50]]),
    "three splits": _compared((90, 100), (70, 80), (60, 80)),
    "seven classes": _material(),
    "two classes": _material(2),
    "a hundred classes": _material(100, 300),
    "too many classes to draw": _material(170, 100),
    "no mistakes": _material(3, right=True),
    "no temperature": _material(temperature=None),
    "one image": _material(3, 1),
    "one epoch": dataclasses.replace(_material(), events=_events(1)),
    "no events": dataclasses.replace(_material(), events=[]),
    "nothing but a name": RunMaterial(title="bare"),
    "untraced model": dataclasses.replace(
        _material(), model=ModelFacts(name="m", input=(1, 8, 8), parameters=9, untraced="It reads values.")
    ),
    "augmented": dataclasses.replace(_material(), augmented=(_augmented("cat"),) * 3, augmentation="flip 0.5"),
    "one grey filter": dataclasses.replace(_material(), filters=np.ones((1, 1, 28, 28))),
    "filters of five channels": dataclasses.replace(_material(), filters=np.ones((200, 5, 3, 3))),
}


@pytest.fixture(params=list(MATERIALS), scope="module")
def material(request: pytest.FixtureRequest) -> RunMaterial:
    return MATERIALS[request.param]


@pytest.fixture(scope="module")
def document(material: RunMaterial) -> str:
    return render(material)


def test_is_balanced_and_asks_for_nothing_outside_itself(document: str) -> None:
    page = Page(document)
    without_pictures = re.sub(r"data:image/[a-z]+;base64,[A-Za-z0-9+/=]*", "", document)
    assert not re.search(r"https?:|//[a-z]|@import|url\(", without_pictures)
    for tag, attributes in page.elements:
        assert tag not in {"script", "link", "iframe", "object", "embed", "base", "form"}
        assert attributes.get("src", "data:").startswith("data:")
        assert attributes.get("href", "#").startswith("#")
        assert not [key for key in attributes if key.startswith("on")]


def test_every_link_leads_somewhere_and_no_anchor_occurs_twice(document: str) -> None:
    page = Page(document)
    anchors = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(anchors) == len(set(anchors))
    assert {attributes["href"][1:] for tag, attributes in page.elements if tag == "a"} == set(anchors)


def test_every_score_is_that_of_the_judgement(document: str, material: RunMaterial) -> None:
    figures = Page(document).figures
    assert len(figures) > 20 or material.test is None
    splits = {
        "train": material.train, "validation": material.validation, "test": material.test, "folds": material.folds
    }  # fmt: skip
    judged = {split: scores.to_json() for split, scores in splits.items() if scores}
    for value, path, text in figures:
        found: Any = judged
        for step in path.split("."):
            found = found[int(step)] if isinstance(found, list) else found[step]
        assert found == value, path
        assert _reads_as(text, value), f"{path} is {value}, and reads {text}"


def _reads_as(text: str, value: float) -> bool:
    """Whether the text rounds the value, as a number or a percentage, and in the last place it shows."""
    bare = text.replace(",", "").replace("\u202f", "").lstrip("<>")
    unit = 0.01 if bare.endswith("%") else 1.0
    digits = bare.rstrip("%")
    last = 10.0 ** -len(digits.partition(".")[2])
    slack = 1.0 if text[0] in "<>" else 0.5
    return abs(float(digits) - value / unit) <= slack * last * (1 + 1e-9)


def test_images_in_it_are_images() -> None:
    sources = [attributes["src"] for tag, attributes in Page(render(_material())).elements if tag == "img"]
    assert len(sources) == 2 + 6
    for source in sources:
        kind, data = source.removeprefix("data:image/").split(";base64,")
        with Image.open(io.BytesIO(base64.b64decode(data, validate=True))) as image:
            image.load()
            assert image.format == {"png": "PNG", "jpeg": "JPEG"}[kind]


@pytest.mark.parametrize("text", HOSTILE)
def test_names_from_outside_are_text_wherever_they_stand(text: str) -> None:
    hostile = dataclasses.replace(
        _material(2),
        title=text,
        audit=_hostile_audit(text),
        model=_model(text),
        test=score_classification(np.eye(2)[[0, 1, 1]], np.array([0, 1, 0]), (text, "b")),
        mistakes=(_example(text, text, text),),
        augmented=(_augmented(text),),
        augmentation=text,
        recipe={text: {text: text}},
        difference={text: (text, text)},
        provenance={text: text},
        reason=text,
    )
    document = render(hostile)
    document.encode("utf-8")
    page, plain = Page(document), Page(render(_material(2)))
    # What a name adds is text: no kind of element or attribute is in the page that is not in a tame one.
    kinds = {tag for tag, _ in plain.elements} | {"details", "summary", "ul", "li", "code"}
    assert {tag for tag, _ in page.elements} <= kinds
    assert "\u202e" not in document
    assert not re.search("[\x00-\x08\x0b-\x1f]", document)


def test_the_file_name_and_both_classes_of_a_mistake_can_be_read() -> None:
    text = Page(render(_material())).text
    assert "cat/1.jpg" in text
    assert "true: class 0" in text
    assert "90.0\u202f%" in text


def test_the_labels_of_augmented_images_are_under_them_and_without_images_there_is_no_section() -> None:
    words = _words(MATERIALS["augmented"])
    assert words.count("cat prepared cat epoch 1 cat 70 % b 30 % epoch 2") == 3
    assert "Changes: flip 0.5." in words
    assert "Changes" not in _words(_material())


def test_says_that_there_was_no_mistake() -> None:
    assert "There are no mistakes on the test images." in Page(render(_material(3, right=True))).text


def test_says_which_classes_could_not_be_judged() -> None:
    text = Page(render(_material())).text
    assert "Classes without test images, which are not evaluated: class 6." in text
    assert "n/a" in text


def test_says_that_a_run_has_not_been_judged() -> None:
    assert "has not been evaluated" in Page(render(RunMaterial(title="bare"))).text


def test_an_accuracy_no_better_than_a_constant_answer_is_reported() -> None:
    targets = np.array([0] * 9 + [1])
    constant = dataclasses.replace(
        _material(2), test=score_classification(np.tile([1.0, 0.0], (10, 1)), targets, ("a", "b"))
    )
    assert "is not significantly better" in Page(render(constant)).text
    assert "is not significantly better" not in Page(render(_material(3, right=True))).text


def _trained(training: list[float], validation: list[float]) -> RunMaterial:
    """Material of a run with these losses at the end of each epoch."""
    events: list[dict[str, Any]] = [{"event": "started"}]
    for epoch, (learned, judged) in enumerate(zip(training, validation, strict=True), start=1):
        clock = {"epoch": epoch, "step": 10 * epoch}
        events.append({"event": "step", "clock": clock, "loss": learned, "lr": 0.1})
        events.append({"event": "evaluated", "clock": clock, "scores": {"loss": judged, "accuracy": 0.5}})
    return dataclasses.replace(_material(2), events=events)


@pytest.mark.parametrize(
    ("training", "validation", "said"),
    [
        ([3, 2, 1, 1], [3, 2, 1.1, 1.15], "The validation loss ended at or near its lowest value."),
        ([3, 2, 1], [0.5, 1, 3], "from 0.5 to 3; so few or so uneven evaluations do not show overfitting."),
        ([1, 1, 0.5, 0.5, 2, 3, 3], [1, 0.5, 0.5, 0.5, 2, 3, 3], "from 0.5 to 3, but the training loss did not fall"),
    ],
)
def test_the_end_of_the_validation_loss_is_said_as_it_is(
    training: list[float], validation: list[float], said: str
) -> None:
    words = _words(_trained(training, validation))
    assert said in words
    assert ("at or near" in words) == ("at or near" in said)


def test_a_run_within_its_first_epoch_is_a_part_of_it() -> None:
    """5 of 20 steps are a quarter of an epoch; of two evaluations within it, the first was the best."""
    events: list[dict[str, Any]] = [{"event": "started", "steps_per_epoch": 20}]
    for step, loss in ((2, 1.0), (5, 2.0)):
        clock = {"epoch": 0, "step": step}
        events.append({"event": "step", "clock": clock, "loss": loss, "lr": 0.1})
        events.append({"event": "evaluated", "clock": clock, "scores": {"loss": loss, "accuracy": 0.5}})
    words = _words(dataclasses.replace(_material(2), events=events, kept_epoch=0.1, selected=True))
    assert "trained for 0.25 epochs" in words
    assert "The kept weights are those of epoch 0.1 of 0.25." in words
    assert "The epoch was chosen on these validation images" in words


def test_the_best_evaluation_within_an_epoch_is_that_of_its_step() -> None:
    """Evaluations after steps 5 to 20 of 10 an epoch: the third one is after an epoch and a half."""
    events: list[dict[str, Any]] = [{"event": "started", "steps_per_epoch": 10}]
    for step in (5, 10, 15, 20):
        scores = {"loss": abs(step - 15) / 10 + 1, "accuracy": 0.5}
        events.append({"event": "evaluated", "clock": {"epoch": step // 10, "step": step}, "scores": scores})
    events.append(
        {"event": "finished", "clock": {"epoch": 2, "step": 20}, "reason": "trained for 2ep", "best_step": 15}
    )
    words = _words(dataclasses.replace(_material(2), events=events, kept_epoch=1.5))
    assert "The kept weights are those of epoch 1.5 of 2." in words
    assert "The best evaluation" not in words


def test_a_report_of_changed_data_states_what_was_trained_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 20 images of two classes some are for training; then six of them are removed, and a class is added."""
    monkeypatch.setenv("STRIATE_CACHE", str(tmp_path / "cache"))
    photos = two_colours(tmp_path / "photos", 10)
    small = {"batch_size": 4, "input.height": 12, "input.width": 12}
    run = striate.train(photos, model="conv3-4 relu gap", epochs=1, device="cpu", set=small, runs=tmp_path)
    trained = read_events(run.events_file)[0]["counts"]["train"]
    said = f"on {trained} images of photos in 2 classes"
    words = " ".join(Page(run.report_file.read_text("utf-8")).text.split())
    assert said in words
    assert "have changed" not in words
    for path in sorted((photos / "red").iterdir())[:6]:
        path.unlink()
    shutil.copytree(photos / "green", photos / "blue")
    words = " ".join(Page(striate.report(run).read_text("utf-8")).text.split())
    assert said in words
    assert "The data have changed since the training; the report shows them as they are now." in words


@pytest.mark.parametrize("name", ["猫" * 12, "a" * 12, "ＡＢ犬 dog"])
def test_the_labels_of_the_confusion_matrix_fit_their_margin(name: str) -> None:
    """A wide character is as wide as the font is high (12.5 pixels), a letter 0.6 of it."""
    svg = str(matrix([[1, 0], [0, 1]], [name, "b"]))
    width = sum(12.5 if unicodedata.east_asian_width(letter) in "WF" else 7.5 for letter in name)
    edge = float(re.findall(r'<rect x="([0-9.]+)"', svg)[0]) - 6
    assert width <= edge
    assert width >= edge - 24


def test_the_same_material_gives_the_same_page() -> None:
    assert render(_material()) == render(_material())


def _words(material: RunMaterial) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", render(material)).replace("\u202f", " ").split())


def test_a_validation_that_is_better_than_the_test_is_named_with_its_gap() -> None:
    said = _words(_compared((198, 200), (65, 82), (48, 82)))
    assert "Validation is better than test : 79.3 % of validation images are correct, 58.5 % of test images" in said
    assert "The model overfits" in said
    assert "No overfitting" not in said
    assert "The epoch was chosen, and the temperature was fitted, on the validation images" in said


def test_over_fitting_is_denied_only_where_the_numbers_of_images_allow_it() -> None:
    many = _words(_compared((9_010, 10_000), (1_805, 2_000), (1_800, 2_000)))
    assert "No overfitting was found: 90.1 % of training images are correct, 90.0 % of test images" in many
    few = _words(_compared((45, 50), (9, 10), (9, 10)))
    assert "No overfitting" not in few
    assert "Overfitting cannot be decided" in few


def test_the_validation_score_is_shown_with_that_of_the_test() -> None:
    said = _words(_compared((90, 100), (70, 80), (60, 80)))
    assert "on validation images 87.5 %" in said


def test_an_unused_temperature_is_reported_with_its_interval_and_reason() -> None:
    fitted = Temperature(fitted=0.61, low=0.42, high=0.85, count=80, selected=True)
    said = _words(dataclasses.replace(_material(temperature=None), temperature=fitted))
    assert "On 80 validation images the temperature is 0.61 (95 % interval 0.42 to 0.85)" in said
    assert "it is not used, because the same images chose the weights" in said


def test_no_temperature_is_argued_from_right_answers_alone() -> None:
    fitted = Temperature(fitted=1.0, low=0.05, high=0.53, count=84, selected=False)
    said = _words(dataclasses.replace(_material(temperature=None), temperature=fitted))
    assert "On 84 validation images the temperature is at most 0.53; it is not used, because all answers are" in said


def test_only_confident_mistakes_are_called_confident() -> None:
    sure, unsure = _example("a", "x", "y"), dataclasses.replace(_example("b", "x", "y"), confidence=0.56)
    said = _words(dataclasses.replace(_material(), mistakes=(sure, unsure), surest=()))
    assert said.index("Wrong, confident") < said.index("90.0 %") < said.index("Wrong, less confident")
    assert "Wrong, confident" not in _words(dataclasses.replace(_material(), mistakes=(unsure,), surest=()))


def test_the_reason_is_shown_if_there_are_no_maps_or_no_data() -> None:
    said = _words(dataclasses.replace(_material(), unexplained="Grad-CAM cannot explain this network: no map."))
    assert "There are no maps for the mistakes. Grad-CAM cannot explain this network: no map." in said
    untraced = ModelFacts(name="m", input=(1, 8, 8), parameters=9, untraced="It reads values.")
    assert "cannot be listed: It reads values." in _words(RunMaterial(title="bare", model=untraced))
    assert "There is nothing at d/" in _words(RunMaterial(title="bare", unread="There is nothing at d/."))


def _advice(material: RunMaterial) -> str:
    text = Page(render(material)).text
    return text[text.index("What to do next") :]


def test_a_cross_validated_run_says_what_it_is_expected_to_do() -> None:
    page = Page(render(MATERIALS["cross-validated"])).text
    assert "Correct on 90 of 96 images in cross-validation: 93.8\u202f%" in page
    assert "trained on all of them" in page
    assert "cat/7.jpg" in page
    assert "nearest training image and its largest logit" in page
    assert "What to do next" not in Page(render(_material())).text


def test_a_cross_validated_run_shows_the_scores_of_its_folds_and_the_places_that_were_probed() -> None:
    page = Page(render(MATERIALS["cross-validated"]))
    paths = {path for _, path, _ in page.figures}
    assert {
        "folds.confusion.0.1",
        "folds.per_class.1.recall",
        "folds.as_trained.ece",
        "folds.balanced_accuracy",
    } <= paths
    places = page.text[page.text.index("stage2") :]
    assert places.startswith(f"stage28{percent(70 / 96)}")
    assert percent(85 / 96) in places  # of the nearest neighbours
    assert "Chosen: features. head 93.8%: good enough." in page.text


def test_it_names_labels_to_check_and_what_is_confused() -> None:
    said = _advice(MATERIALS["cross-validated"])
    assert "Check the labels of the 6 images" in said
    assert "labels.csv lists them first" in said
    assert "a is taken for b (5 of 45 images)" in said
    assert "b is taken for a" not in said  # once
    none = _advice(dataclasses.replace(_cross_validated([[9, 0], [0, 9]]), suspects=()))
    assert "No label is contradicted." in none
    assert "lists them first" not in _advice(dataclasses.replace(MATERIALS["cross-validated"], labels=False))


def test_it_names_classes_that_need_images_only_where_the_numbers_show_it() -> None:
    weak = _advice(_cross_validated([[30, 30, 0], [0, 60, 0], [0, 0, 60]]))
    assert "Add images of a: recognised less often than the others." in weak
    few = _advice(_cross_validated([[21, 0, 0], [0, 60, 0], [0, 0, 60]]))
    assert "Add images of a: fewer than half as many" in few
    assert "Add images" not in _advice(_cross_validated([[50, 10], [8, 52]]))


@pytest.mark.parametrize(
    ("curve", "says"),
    [
        (((10, 60), (40, 70), (80, 90)), "More images would probably help: from 40 to 80 images per class"),
        (((40, 84), (80, 88)), "More images may help, which so few images do not prove: from 40 to 80"),
        (((10, 60), (40, 88), (50, 89), (80, 89)), "would hardly help: from 40 to 80 images per class, 88.0"),
        (((40, 99), (80, 98)), "would hardly help"),
        (((40, 98), (80, 99)), "would hardly help"),  # one image is no evidence
    ],
)
def test_it_says_whether_more_images_would_help(curve: tuple[tuple[int, int], ...], says: str) -> None:
    assert says in _advice(_cross_validated([[40, 5], [1, 50]], curve))

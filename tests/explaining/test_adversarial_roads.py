"""The whole path of an image that fools: attack, PNG, reading, preparation, answer."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from rehearsal.classifiers import untrained
from striate.classifier import Classifier, save_classifier
from striate.core.spec import RGB, InputSpec
from striate.data.images.decode import decode
from striate.data.images.encode import to_png
from striate.data.preparation.arrays import reread
from striate.data.preparation.tensors import prepare_tensors
from striate.explaining.adversarial import ThroughPreparation, lbfgs, pgd
from striate.verbs.predict import predict

SPEC = InputSpec(channels=RGB, height=32, width=32, mean=(0.5, 0.4, 0.3), std=(0.2, 0.3, 0.4), crop=0.875)


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    found = untrained("tiny_vgg", SPEC, ("ant", "bee", "cat"), at=2.0)
    with torch.no_grad():
        for parameter in found.model.parameters():
            parameter.mul_(1.5)
    return found


def photo(height: int = 75, width: int = 50) -> np.ndarray:
    """Soft blobs and a little noise: (1, h, w, 3)."""
    draw = np.random.default_rng(0)
    y, x = np.mgrid[:height, :width] / 12
    soft = [np.sin(y + shift) * np.cos(x - shift) for shift in (0.0, 1.0, 2.0)]
    pixels = 128 + 80 * np.stack(soft, -1) + draw.normal(0, 4, (height, width, 3))
    return np.clip(np.rint(pixels), 0, 255).astype(np.uint8)[None]


def on_grid(pixels: np.ndarray) -> np.ndarray:
    return reread(pixels, SPEC)


@pytest.mark.parametrize("attack", [partial(pgd, epsilon=12), partial(pgd, epsilon=300, norm="l2"), lbfgs])
def test_an_adversarial_png_is_read_back_and_still_fools(
    attack: partial, classifier: Classifier, tmp_path: Path
) -> None:
    pixels = on_grid(photo())
    result = attack(classifier.model, SPEC, pixels)
    assert result.fooled.all()
    path = tmp_path / "fooling.png"
    path.write_bytes(to_png(result.adversarial[0], SPEC.channels, prepared_for=SPEC))
    save_classifier(classifier, tmp_path / "classifier")
    (said,) = predict(tmp_path / "classifier", path)
    expected = result.after.probabilities(classifier.temperature)[0]
    assert [said.probabilities[name] for name in ("ant", "bee", "cat")] == pytest.approx(expected, abs=1e-5)  # type: ignore[union-attr]
    assert said.label == classifier.labels.classes[result.after.classes[0]]  # type: ignore[union-attr]
    assert said.label != classifier.labels.classes[result.before.classes[0]]  # type: ignore[union-attr]


def test_an_attack_on_the_photo_fools_after_its_file_and_the_real_preparation(classifier: Classifier) -> None:
    road = ThroughPreparation(SPEC, partial(prepare_tensors, spec=SPEC), partial(reread, spec=SPEC))
    given = photo()
    result = pgd(classifier.model, road, given, epsilon=12)
    assert result.fooled.all()
    assert result.adversarial.shape == given.shape
    assert 0 < result.linf[0] <= 12
    said = classifier.predict(decode(to_png(result.adversarial[0], RGB)))
    assert said.label == classifier.labels.classes[result.after.classes[0]]
    assert said.label != classifier.predict(decode(to_png(given[0], RGB))).label
    none = pgd(classifier.model, road, given, epsilon=0)
    assert np.array_equal(none.adversarial, given)


def test_success_is_decided_by_the_exact_path_alone(classifier: Classifier) -> None:
    # A road that gives back the clean image whatever is done: the attack may believe what it likes.
    clean = on_grid(photo())
    result = pgd(
        classifier.model,
        ThroughPreparation(SPEC, partial(prepare_tensors, spec=SPEC), lambda _: clean),
        photo(),
        epsilon=12,
        steps=5,
    )
    assert not result.fooled.any()
    assert np.array_equal(result.after.classes, result.before.classes)

"""Answers that are averages: over views of an image, and over the classifiers of an ensemble."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from striate.classifier import Arguments, Classifier, Ensemble, Failure, Prediction, Provenance
from striate.classifier.nearest import nearest_similarity, normalised
from striate.classifier.reference import Reference
from striate.core.errors import ConfigError
from striate.core.spec import GREY, RGB, InputSpec, LabelSpec
from striate.data.views import Flip
from striate.models import create_model

PIXELS = np.random.default_rng(1).integers(0, 256, (20, 20, 3), np.uint8)
WHOLE = "conv3-6 relu gap"  # takes images of any size


def make(
    seed: int = 1, *, name: str = WHOLE, side: int = 16, classes: tuple[str, ...] = ("ant", "bee", "cat"),
    channels: tuple[str, ...] = RGB, temperature: float = 1.0,
) -> Classifier:  # fmt: skip
    count = len(channels)
    arguments = Arguments(classes=len(classes), channels=count, size=(side, side))
    spec = InputSpec(channels=channels, height=side, width=side, mean=(0.5,) * count, std=(0.1,) * count)
    provenance = Provenance(
        run=f"r{seed}", created="", data="d", data_digest="", recipe="p", recipe_digest="", seed=seed, epochs=1.0
    )
    model = create_model(name, seed=seed, **arguments).eval()
    return Classifier(model, name, arguments, spec, LabelSpec(classes), provenance, temperature)


def by_hand(classifier: Classifier, images: np.ndarray) -> Tensor:
    """The probabilities for images (n, h, w, c) on the network's grid."""
    scaled = (torch.from_numpy(images.copy()).permute(0, 3, 1, 2).double() / 255 - 0.5) / 0.1
    with torch.no_grad():
        logits = classifier.model(scaled.float()).double()
    return torch.softmax(logits / classifier.temperature, dim=1)


def row(answer: Any, classes: tuple[str, ...] = ("ant", "bee", "cat")) -> list[float]:
    return [answer.probabilities[name] for name in classes]


def test_a_flip_is_the_mean_of_the_probabilities_of_an_image_and_its_mirror_image() -> None:
    classifier = make(side=20, temperature=2.0)
    expected = (by_hand(classifier, PIXELS[None]) + by_hand(classifier, PIXELS[None, :, ::-1])) / 2
    for views in ("flip", Flip(), [Flip()]):
        assert row(classifier.predict(PIXELS, views=views)) == pytest.approx(expected[0].tolist(), abs=1e-6)


def test_ten_crops_are_those_of_the_larger_image() -> None:
    classifier = make(side=16)  # 16 of round(16 / 0.8) = 20 pixels, the size of the image
    crops = [PIXELS[y : y + 16, x : x + 16] for y, x in ((0, 0), (0, 4), (4, 0), (4, 4), (2, 2))]
    every = np.stack([each for crop in crops for each in (crop, crop[:, ::-1])])
    answer = classifier.predict(PIXELS, views="crops=0.8,flip")
    assert row(answer) == pytest.approx(by_hand(classifier, every).mean(dim=0).tolist(), abs=1e-6)


def test_sizes_run_a_network_that_takes_them_and_are_refused_for_others() -> None:
    classifier = make(side=20)
    same = by_hand(classifier, PIXELS[None])[0]
    grey = np.full((20, 20, 3), 90, np.uint8)  # alike at each size but for the borders
    assert classifier.predict(PIXELS, views="sizes=0.2").label
    assert row(classifier.predict(grey, views="sizes=0.2")) == pytest.approx(row(classifier.predict(grey)), abs=0.05)
    assert row(classifier.predict(PIXELS)) == pytest.approx(same.tolist(), abs=1e-6)
    with pytest.raises(ConfigError, match=r"sizes=0\.125 show images of .*×.*, and the network .* 20×20 only"):
        make(name="conv3-4 relu fc8 relu", side=20).predict(PIXELS, views="sizes")


def test_a_stream_is_read_once_and_what_cannot_be_read_is_a_failure() -> None:
    encoded = io.BytesIO()
    Image.fromarray(PIXELS).save(encoded, "PNG")
    classifier = make(side=20)
    expected = classifier.predict(PIXELS, views="sizes")
    encoded.seek(0)
    assert classifier.predict(encoded, views="sizes").probabilities == expected.probabilities
    broken, fine = classifier.predictions([b"no image", PIXELS], views="sizes")
    assert isinstance(broken, Failure)
    assert isinstance(fine, Prediction)
    assert fine.probabilities == expected.probabilities


def test_the_unchanged_image_decides_whether_it_is_of_none_of_the_classes() -> None:
    plain = make(side=20)
    place = str(plain.model.head)
    others = np.random.default_rng(2).integers(0, 256, (20, 20, 20, 3), np.uint8)
    tensor = (torch.from_numpy(others).permute(0, 3, 1, 2).float() / 255 - 0.5) / 0.1
    known = normalised(plain.logits_and_features(tensor, place)[1].numpy())
    similar = nearest_similarity(known[10:], known[:10])
    classifier = replace(
        plain, reference=Reference(place, known[:10].astype(np.float16), similar, np.linspace(0, 1, 10, dtype="f4"))
    )
    alone, viewed = classifier.predict(PIXELS), classifier.predict(PIXELS, views="crops=0.8,flip")
    assert viewed.similarity == alone.similarity is not None
    assert viewed.none_of_these == alone.none_of_these
    assert viewed.probability != alone.probability
    with pytest.raises(ConfigError, match="no guarantee for averaged views"):
        classifier.predict(PIXELS, views="flip", coverage=0.5)

    together = Ensemble([classifier, classifier, classifier]).predict(PIXELS)
    assert alone.p_value is not None
    assert together.p_value == pytest.approx(min(1, 2 * alone.p_value))
    assert together.none_of_these == (2 * alone.p_value < 0.05)
    assert Ensemble([classifier, plain]).predict(PIXELS).none_of_these is None
    with pytest.raises(ConfigError, match="an ensemble does not have"):
        Ensemble([classifier, classifier]).predict(PIXELS, coverage=0.5)


def test_an_ensemble_averages_calibrated_probabilities_each_with_its_own_preparation_and_order() -> None:
    first = make(1, side=20, temperature=2.0)
    second = make(2, side=20, classes=("cat", "ant", "bee"), temperature=0.5)
    grey = make(3, side=10, channels=GREY)
    ensemble = Ensemble([first, second, grey])
    rows = [row(member.predict(PIXELS)) for member in (first, second, grey)]
    answer = ensemble.predict(PIXELS)
    assert row(answer) == pytest.approx(np.mean(rows, axis=0).tolist(), abs=1e-6)
    assert sum(answer.probabilities.values()) == pytest.approx(1, abs=1e-6)
    assert answer.label == ("ant", "bee", "cat")[int(np.mean(rows, axis=0).argmax())]
    several = ensemble.predict([PIXELS, PIXELS[::-1]], views="flip")
    viewed = [row(member.predict(PIXELS, views="flip")) for member in (first, second, grey)]
    assert row(several[0]) == pytest.approx(np.mean(viewed, axis=0).tolist(), abs=1e-6)
    assert "3 classifiers of 3 classes: 'r1', 'r2', 'r3'" in repr(ensemble)
    assert "r2" in ensemble._repr_html_()


def test_an_ensemble_of_one_or_of_other_classes_is_one_sentence() -> None:
    with pytest.raises(ConfigError, match="at least two classifiers; received 1"):
        Ensemble([make()])
    with pytest.raises(ConfigError, match=r"r1 and r2 differ: only r1 has cat; only r2 has dog\. Leave one out"):
        Ensemble([make(1), make(2, classes=("ant", "bee", "dog"))])


def test_sizes_are_tried_once_and_not_for_each_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    classifier = make(side=8)
    counted: list[int] = []
    logits = Classifier.logits
    monkeypatch.setattr(Classifier, "logits", lambda self, images: counted.append(len(images)) or logits(self, images))
    list(classifier.predictions([PIXELS] * 6, batch_size=3, views="sizes"))
    assert sorted(counted) == [1, 1] + [3] * 6

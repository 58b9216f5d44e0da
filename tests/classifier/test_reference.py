"""What a classifier remembers of its training: "none of these", sets with a coverage, and the file that holds it."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from rehearsal.classifiers import untrained
from striate.classifier import Arguments, Classifier, load_classifier, save_classifier
from striate.classifier.conformal import conformal_threshold, p_values
from striate.classifier.nearest import nearest_similarity, normalised
from striate.classifier.reference import Reference, sample
from striate.core.errors import ConfigError, RunError
from striate.core.spec import RGB, InputSpec

ARGUMENTS = Arguments(classes=3, channels=3, size=(16, 16))
IMAGES = np.random.default_rng(3).integers(0, 256, (40, 16, 16, 3), np.uint8)


@pytest.fixture
def classifier() -> Classifier:
    spec = InputSpec(channels=RGB, height=16, width=16, mean=(0.5,) * 3, std=(0.3,) * 3)
    return untrained("conv3-8 relu pool2 fc12 relu", spec, ("ant", "bee", "cat"))


@pytest.fixture
def place(classifier: Classifier) -> str:
    return [name for name, module in classifier.model.named_modules() if isinstance(module, torch.nn.Linear)][-1]


@pytest.fixture
def knowing(classifier: Classifier, place: str) -> Classifier:
    """A classifier that knows twenty images; the other twenty were held out."""
    logits, features = classifier.logits_and_features(_tensor(IMAGES), place)
    known = normalised(features.numpy()).astype(np.float16)
    similarities = nearest_similarity(known[20:].astype(np.float32), known[:20])
    scores = np.linspace(0.1, 0.9, 20).astype(np.float32)
    largest = logits[20:].amax(dim=1).numpy()
    return replace(classifier, reference=Reference(place, known[:20], similarities, scores, largest))


def _tensor(images: np.ndarray) -> torch.Tensor:
    return (torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255 - 0.5) / 0.3


def test_a_feature_is_the_input_of_the_layer(classifier: Classifier, place: str) -> None:
    images = _tensor(IMAGES[:4])
    logits, features = classifier.logits_and_features(images, place)
    layer = classifier.model.get_submodule(place)
    with torch.no_grad():
        torch.testing.assert_close(layer(features), logits)
        torch.testing.assert_close(classifier.model(images), logits)
    assert not any(module._forward_pre_hooks for module in classifier.model.modules())


def test_a_map_is_averaged_over_its_positions(classifier: Classifier) -> None:
    convolution = next(name for name, m in classifier.model.named_modules() if isinstance(m, torch.nn.Conv2d))
    images = _tensor(IMAGES[:4])
    torch.testing.assert_close(classifier.logits_and_features(images, convolution)[1], images.mean(dim=(2, 3)))


def test_threads_do_not_get_one_anothers_features(classifier: Classifier, place: str) -> None:
    alone = classifier.logits_and_features(_tensor(IMAGES[:2]), place)[1]
    found: list[torch.Tensor] = []

    def ask() -> None:
        for _ in range(20):
            found.append(classifier.logits_and_features(_tensor(IMAGES[:2]), place)[1])

    others = [threading.Thread(target=ask) for _ in range(2)]
    for thread in others:
        thread.start()
    for _ in range(20):
        classifier.logits_and_features(_tensor(IMAGES[5:9]), place)
    for thread in others:
        thread.join()
    assert len(found) == 40
    assert all(torch.equal(each, alone) for each in found)


def test_similarities_equal_those_of_a_slow_form() -> None:
    rng = np.random.default_rng(0)
    features, known = rng.normal(size=(7, 5)), rng.normal(size=(9, 5))
    own, theirs = rng.integers(0, 3, 7), rng.integers(0, 3, 9)
    for groups in (None, (own, theirs)):
        slow = [
            max(
                (float(a @ b / np.linalg.norm(a) / np.linalg.norm(b)) for b, g in zip(known, theirs, strict=True)
                 if groups is None or g != mine),
                default=-1,
            )
            for a, mine in zip(features, own, strict=True)
        ]  # fmt: skip
        found = nearest_similarity(normalised(features), normalised(known), groups)
        np.testing.assert_allclose(found, slow, rtol=1e-5)
    alone = nearest_similarity(normalised(features), normalised(known), (np.zeros(7, int), np.zeros(9, int)))
    assert (alone == -1).all()
    assert (normalised(np.zeros((1, 3))) == 0).all()


def test_an_image_of_the_training_is_accepted_and_one_like_no_other_is_not(knowing: Classifier) -> None:
    known = knowing.predict(IMAGES[3])
    assert known.similarity == pytest.approx(1, abs=1e-3)
    assert not known.none_of_these
    reference = knowing.reference
    assert reference is not None
    far = replace(knowing, reference=replace(reference, features=-reference.features)).predict(IMAGES[3])
    assert far.none_of_these
    assert far.p_value == pytest.approx(1 / 21)
    assert "none of these" in repr(far)
    assert far.probabilities == known.probabilities


@pytest.mark.parametrize("with_logits", [False, True], ids=["similarity", "similarity-and-logit"])
def test_at_least_95_percent_of_held_out_images_are_accepted(with_logits: bool) -> None:
    for count in (1, 19, 20, 21, 40, 100):
        rng = np.random.default_rng(count)
        rows = rng.normal(size=(count, 2))
        logits = rng.normal(5, 3, (count, 4))
        held_out = nearest_similarity(normalised(rows), np.eye(2, dtype=np.float16)[:1])
        largest = logits.max(axis=1).astype(np.float32) if with_logits else None
        reference = Reference("fc", np.eye(2, dtype=np.float16)[:1], held_out, held_out, largest)
        limits = reference.limits(rows, logits.astype(np.float32))
        assert sum(limit.none_of_these or False for limit in limits) == int(0.05 * (count - 1))
        ranks = np.array([limit.p_value for limit in limits]) * (count + 1)
        np.testing.assert_allclose(np.sort(ranks), np.arange(2, count + 2))


def test_familiarity_is_the_sum_of_similarity_and_largest_logit_in_standard_deviations() -> None:
    held_out, largest = np.array([0.5, 0.7, 0.9], np.float32), np.array([2.0, 8.0, 5.0], np.float32)
    reference = Reference("fc", np.eye(2, dtype=np.float16)[:1], held_out, held_out, largest)
    familiar = (held_out - 0.7) / held_out.std() + (largest - 5) / largest.std()
    rows = np.array([[1.0, 0.0], [0.8, 0.6], [0.8, 0.6]])
    logits = np.array([[-90.0, -9.0], [5.0, 1.0], [0.0, -2.0]], np.float32)
    expected = (np.array([1.0, 0.8, 0.8]) - 0.7) / held_out.std() + (np.array([-9.0, 5.0, 0.0]) - 5) / largest.std()
    assert reference.threshold == pytest.approx(min(familiar))
    found = reference.limits(rows, logits)
    assert [limit.similarity for limit in found] == pytest.approx([1, 0.8, 0.8])
    assert [limit.none_of_these for limit in found] == [score < min(familiar) for score in expected]
    assert [limit.none_of_these for limit in found] == [True, False, False]
    assert [limit.p_value for limit in found] == [(1 + (familiar <= score).sum()) / 4 for score in expected]


def test_one_without_logits_as_earlier_versions_wrote_decides_by_similarity(
    knowing: Classifier, tmp_path: Path
) -> None:
    assert knowing.reference is not None
    save_classifier(replace(knowing, reference=replace(knowing.reference, logits=None)), tmp_path)
    again = load_classifier(tmp_path)
    reference = again.reference
    assert reference is not None
    assert reference.logits is None
    bound = np.quantile(reference.similarities, 0.05, method="lower")
    found = again.predict(list(IMAGES))
    assert [each.none_of_these for each in found] == [(each.similarity or 0) < bound for each in found]


def test_without_a_reference_nothing_is_said(classifier: Classifier) -> None:
    found = classifier.predict(IMAGES[0])
    assert (found.none_of_these, found.similarity, found.p_value, found.among) == (None, None, None, None)
    with pytest.raises(ConfigError, match="no scores of held-out images"):
        classifier.predict(IMAGES[0], coverage=0.9)


def test_a_set_holds_the_classes_up_to_the_quantile(knowing: Classifier) -> None:
    reference = knowing.reference
    assert reference is not None
    found = knowing.predict(list(IMAGES[:9]), coverage=0.9)
    largest = np.sort(reference.scores)[18]  # the ⌈21 · 0.9⌉-th of 20
    for each in found:
        expected = [label for label, p in each.probabilities.items() if 1 - p <= largest]
        assert list(each.among or ()) == expected
    with pytest.raises(ConfigError, match="needs at least 99 held-out images; this classifier has 20"):
        knowing.predict(IMAGES[0], coverage=0.99)
    with pytest.raises(ConfigError, match="between 0 and 1"):
        knowing.predict(IMAGES[0], coverage=95.0)


def test_sets_and_p_values_keep_what_they_state() -> None:
    """Over many draws: coverage is at least the stated one, and few p-values are small."""
    rng = np.random.default_rng(1)
    covered, small = [], []
    for _ in range(300):
        scores = rng.random(59)
        threshold = conformal_threshold(scores[:19], 0.95)
        covered.append((scores[19:] <= threshold).mean())
        small.append((p_values(scores[19:], scores[:19]) <= 0.1).mean())
    assert 0.94 <= np.mean(covered) <= 0.96
    assert 0.09 <= np.mean(small) <= 0.11
    assert conformal_threshold(np.arange(19.0), 0.95) == 18.0


def test_a_sample_is_even_and_of_every_class() -> None:
    targets = np.repeat([0, 1], [9000, 11])
    kept = sample(targets, 1280)
    assert len(kept) * 1280 * 2 <= 10_000_000
    assert set(targets[kept]) == {0, 1}
    assert len(sample(np.repeat([0, 1], 200), 1280)) == 400


def test_it_is_saved_with_the_classifier_and_replaced_with_it(knowing: Classifier, tmp_path: Path) -> None:
    save_classifier(knowing, tmp_path)
    again = load_classifier(tmp_path)
    before, after = knowing.predict(IMAGES[:4], coverage=0.8), again.predict(IMAGES[:4], coverage=0.8)
    assert before == after
    assert knowing.reference is not None
    (first,) = tmp_path.glob("reference-*")
    save_classifier(
        replace(knowing, reference=replace(knowing.reference, features=-knowing.reference.features)), tmp_path
    )
    (second,) = tmp_path.glob("reference-*")
    assert first != second
    save_classifier(replace(knowing, reference=None), tmp_path)
    assert not list(tmp_path.glob("reference-*"))
    assert load_classifier(tmp_path).reference is None


def test_a_damaged_one_is_named(knowing: Classifier, tmp_path: Path) -> None:
    save_classifier(knowing, tmp_path)
    (file,) = tmp_path.glob("reference-*")
    content = file.read_bytes()
    file.write_bytes(content[:-1] + b"\0")
    with pytest.raises(RunError, match=r"reference-.* is missing or damaged \(its digest differs\)"):
        load_classifier(tmp_path)
    file.unlink()
    with pytest.raises(RunError, match="is missing or damaged"):
        load_classifier(tmp_path)
    file.write_bytes(content)
    description = json.loads((tmp_path / "classifier.json").read_text())
    description["reference"]["place"] = "nowhere"
    (tmp_path / "classifier.json").write_text(json.dumps(description))
    with pytest.raises(RunError, match="no layer 'nowhere'"):
        load_classifier(tmp_path)
    description["reference"] = {"sha256": 3}
    (tmp_path / "classifier.json").write_text(json.dumps(description))
    with pytest.raises(RunError, match="names a place"):
        load_classifier(tmp_path)

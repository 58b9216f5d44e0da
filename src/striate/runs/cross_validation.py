"""Cross-validation on features: outputs of linear classifiers for images of the fold that they were not fitted to."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float, Int

from striate.classifier import Classifier
from striate.classifier.nearest import nearest_similarity, normalised
from striate.classifier.reference import Reference, sample
from striate.core.errors import RunError
from striate.core.files import open_regular, write_json
from striate.core.proportion import Proportion
from striate.core.rng import Stream
from striate.data.dataset import Dataset
from striate.metrics import EVALUATORS
from striate.metrics.multilabel import label_loss
from striate.metrics.softmax import cross_entropy
from striate.metrics.suspects import self_confidence
from striate.runs.evaluate import Evaluation, evaluation
from striate.runs.folder import Run
from striate.training import Outputs

Features = Float[np.ndarray, "n d"]
Targets = Int[np.ndarray, " n"] | Float[np.ndarray, "n k"]
"""Class numbers, or a column of 0 and 1 for each class where an image may have several."""
Numbers = Int[np.ndarray, " n"]
Fit = Callable[[Features, Targets], Callable[[Features], Float[np.ndarray, "n k"]]]
"""A function that fits a classifier to features and targets, and returns the function from features to logits.

The logits have a column for every class, also for one without an image among the targets.
"""

FOLDS = "folds"
"""Name of the evaluation of a cross-validation."""
_PER_CLASS = (1, 2, 5, 10, 25, 50, 100, 200, 500, 1000)


@dataclass(frozen=True, eq=False)
class OutOfFold:
    """The logits of every image by the classifier that was fitted to the other folds, in the order of the features."""

    logits: Float[np.ndarray, "n k"]
    targets: Targets
    folds: Numbers

    @property
    def right(self) -> Bool[np.ndarray, " n"]:
        """Whether the answer for each image is right: its class, or all of its classes at probability ½."""
        if self.targets.ndim == 1:
            return self.logits.argmax(axis=1) == self.targets
        return ((self.logits >= 0) == (self.targets > 0)).all(axis=1)

    @property
    def accuracy(self) -> Proportion:
        """The accuracy over all folds."""
        return Proportion(int(self.right.sum()), len(self.targets))

    @property
    def loss(self) -> float:
        """The mean negative log-likelihood of the targets, in nats."""
        return (cross_entropy if self.targets.ndim == 1 else label_loss)(self.logits, self.targets)


@dataclass(frozen=True)
class CurvePoint:
    """The accuracy of classifiers that were fitted to at most `per_class` images of each class, of other folds."""

    per_class: int
    accuracy: Proportion


def out_of_fold(features: Features, targets: Targets, folds: Numbers, fit: Fit) -> OutOfFold:
    """Fit a classifier without each of the `folds` (a number for each image), and compute the logits of its images."""
    return OutOfFold(_answers(features, targets, folds, fit, np.arange(len(targets))), targets, folds)


def learning_curve(
    features: Features, targets: Numbers, folds: Numbers, fit: Fit, *, seed: int = 0
) -> tuple[CurvePoint, ...]:
    """Return the accuracy by number of training images per class, the last with all images of the other folds.

    Smaller samples are parts of larger ones. Each point fits as many folds, so that every image has an output.
    """
    order = Stream(seed, "learning-curve").permutation(len(targets), epoch=0)
    most = max(int(np.bincount(targets[folds != fold]).max()) for fold in np.unique(folds))
    counts = (*(size for size in _PER_CLASS if size < most), most)
    return tuple(
        CurvePoint(count, OutOfFold(_answers(features, targets, folds, fit, order, count), targets, folds).accuracy)
        for count in counts
    )


def write_curve(run: Run, points: tuple[CurvePoint, ...]) -> None:
    """Write `curve.json` into `run`.

    Raises:
        RunError: the file cannot be written, or the disk is full.
    """
    rows = [{"per_class": p.per_class, "correct": p.accuracy.correct, "count": p.accuracy.count} for p in points]
    write_json(run.curve_file, {"points": rows})


def read_curve(run: Run) -> tuple[CurvePoint, ...]:
    """Read what `write_curve` wrote; empty if it wrote nothing.

    Raises:
        RunError: the file is damaged.
    """
    try:
        with open_regular(run.curve_file) as file:
            points = json.loads(file.read())["points"]
        return tuple(CurvePoint(p["per_class"], Proportion(p["correct"], p["count"])) for p in points)
    except FileNotFoundError:
        return ()
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise RunError(f"{run.curve_file} is damaged ({error}). Delete it.") from error


def calibrated(
    classifier: Classifier, outputs: Float[np.ndarray, "n k"], targets: Targets, *, selected: bool = False
) -> Classifier:
    """Return the classifier with temperature and task fitted on `outputs`, those for images that it was not fitted to.

    `selected`: the epoch was chosen by the same images.
    """
    evaluator, task = EVALUATORS[classifier.task.name], classifier.task
    if evaluator.fit is not None and task == task.unfitted:
        classifier = replace(classifier, task=replace(task, **evaluator.fit(outputs, targets)))
    if evaluator.calibrate is None:
        return classifier
    temperature = evaluator.calibrate(outputs, targets, selected=selected)
    provenance = replace(classifier.provenance, temperature=temperature.to_json())
    return replace(classifier, temperature=temperature.value, provenance=provenance)


def folds_evaluation(
    data: str, dataset: Dataset, indices: Numbers, outcome: OutOfFold, classifier: Classifier
) -> Evaluation:
    """Return the evaluation of all folds together, named `FOLDS`; `indices` are the images of `outcome`."""
    outputs = Outputs(classifier.task, outcome.logits, outcome.targets, indices)
    names = tuple(dataset.store.name(number) for number in indices.tolist())
    return evaluation(FOLDS, data, names, classifier, outputs, None)


def make_reference(place: str, features: Features, outcome: OutOfFold, *, temperature: float) -> Reference:
    """Return the reference of a classifier whose layer `place` takes `features`, those of all images of `outcome`.

    The similarity of an image is to the nearest image of another fold.
    """
    known = normalised(features).astype(np.float16)
    kept = sample(outcome.targets, known.shape[1])
    stored = known[kept]
    similarities = nearest_similarity(known.astype(np.float32), stored, (outcome.folds, outcome.folds[kept]))
    own = self_confidence(outcome.logits, outcome.targets, temperature)
    logits = outcome.logits.max(axis=1).astype(np.float32)
    return Reference(place, stored, similarities, (1 - own).astype(np.float32), logits)


def _answers(
    features: Features, targets: Targets, folds: Numbers, fit: Fit, order: Numbers, per_class: int | None = None
) -> Float[np.ndarray, "n k"]:
    """Return the logits of each fold by a classifier fitted to the others.

    It is fitted to all of their images in `order`, or to the first `per_class` of each class.
    """
    found: dict[int, Float[np.ndarray, "m k"]] = {}
    for fold in np.unique(folds).tolist():
        others = order[folds[order] != fold]
        if per_class is not None:
            of_class = (others[targets[others] == target][:per_class] for target in np.unique(targets[others]))
            others = np.concatenate(list(of_class))
        chosen = np.sort(others)
        found[fold] = fit(features[chosen], targets[chosen])(features[folds == fold])
    logits = np.empty((len(targets), next(iter(found.values())).shape[1]))
    for fold, answers in found.items():
        logits[folds == fold] = answers
    return logits

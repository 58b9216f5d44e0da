"""Choose the kind of transfer by measurement: linear classifiers on the features of several places, out of fold.

The rule is that of Stanford's course CS231n ("Transfer learning"): with few images, a linear classifier on top, or on
an earlier layer where the data are unlike those of the weights; with many, fine-tuning. Here likeness is measured.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from dataclasses import replace
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from jaxtyping import Float, Int

from striate.core.device import device_here
from striate.core.duration import Duration
from striate.core.errors import ConfigError
from striate.core.progress import Progress, silent
from striate.data.audit.index import ImageIndex
from striate.data.split import folds_of, group_count
from striate.models import split_place
from striate.models.surgery import HEAD
from striate.runs.cross_validation import OutOfFold, Targets, out_of_fold
from striate.runs.evaluate import with_targets
from striate.runs.features import Features as ImageFeatures
from striate.runs.features import features_of
from striate.runs.plan import Plan, Probe, changed_recipe
from striate.runs.prepare import Prepared, empty_split
from striate.runs.recipe import Recipe
from striate.runs.transfer import Auto, Features, Full, Trained, build, cross_validates, weights_of
from striate.tasks import CLASSIFICATION, TASKS, Multilabel
from striate.training.linear import STRENGTHS, Linear, fit_each, fit_linear, nearest_labels

Fit = Callable[[np.ndarray, np.ndarray], Linear]

GOOD = 0.95
"""Accuracy out of fold from which fine-tuning is not worth its time."""
MANY = 100
"""Images per class from which fine-tuning all layers can be better than a linear classifier.

With 20, 50 and 100 training images of each class of CIFAR-10, fine-tuning reaches 71.2, 77.5 and 82.1 % of the test
images, and a linear classifier 70.6, 75.6 and 78.4 % (`results/batch_statistics.md`). With 50, the gain is about what
the images are worth that fine-tuning sets aside for its evaluation; a linear classifier is evaluated by folds.
"""
SMALL = 500
"""Images per class, on average, below which a cross-validation evaluates a classifier on features."""
_FOLDS = 5
_GAIN = 0.01  # nats
LINEAR = (CLASSIFICATION.name, TASKS.name_of(Multilabel))
"""Tasks for which a linear classifier on features is fitted."""
_TRAINED = (
    *("epochs", "batch_size", "evaluate_every", "optimizer", "schedule", "loss", "augmentation", "stop"),
    *("memory", "resizing", "freezing"),
)


def follow_weights(plan: Plan, chosen: Collection[str]) -> Plan:
    """Return the plan with the input of the pretrained weights, except for what the user chose.

    Raises:
        ModelError: there are no such weights, or they do not fit the model.
    """
    recipe = plan.recipe
    spec = weights_of(recipe.weights or "", recipe.model).input
    if spec is None:
        return plan
    free = ("height", "width", "resize", "crop", "decode_scale")
    if {"input.height", "input.width"} & set(chosen):
        free = free[2:]
    wanted = {name: getattr(spec, name) for name in free if f"input.{name}" not in chosen}
    settings = replace(recipe.input, **wanted)
    return changed_recipe(plan, replace(recipe, input=settings), input=f"the preparation of {recipe.weights}")


def choose_transfer(plan: Plan, prepared: Prepared, chosen: Collection[str], *, progress: Progress = silent) -> Plan:
    """Return the plan with the kind of transfer that `auto` stands for, and complete `features`.

    Raises:
        ConfigError: settings of training by epochs were given for a linear classifier on features, which has none, or
            a cross-validation does not go with the task or the choice of an epoch.
    """
    recipe = plan.recipe
    given = [key for key in chosen if key.split(".")[0] in _TRAINED]
    if isinstance(recipe.transfer, Features) and given:
        raise ConfigError(
            f"{given[0]} has no effect on a linear classifier on features, which is fitted to the optimum. Leave it "
            "out, or train the network: --transfer full"
        )
    linear = recipe.task.name in LINEAR
    if isinstance(recipe.transfer, Features) and not linear:
        raise ConfigError(
            f"A linear classifier on features answers with one class or several; received the task "
            f"{recipe.task.name!r}. Train the network: --transfer head or --transfer full"
        )
    if isinstance(recipe.transfer, Auto):
        if not linear:
            full = replace(recipe, transfer=Full(**_of_folds(recipe.transfer)))
            plan = changed_recipe(plan, full, transfer=f"the task {recipe.task.name} trains the network")
        elif given:
            full = replace(recipe, transfer=Full(**_of_folds(recipe.transfer)))
            plan = changed_recipe(plan, full, transfer=f"{given[0]} is given, which is for training the network")
        else:
            plan = _chosen(plan, prepared, recipe.transfer, progress)
        recipe = plan.recipe
    if cross_validates(recipe.transfer):
        return _repeated(plan, chosen)
    if not isinstance(recipe.transfer, Features):
        return plan
    transfer, (base, _) = recipe.transfer, split_place(recipe.model)
    features = all_features(recipe, prepared, progress=progress)
    if transfer.place is None and HEAD not in features.places:
        transfer = replace(transfer, place=place_in(recipe, features))
    if transfer.c is None:
        index, folds = _folds(prepared, _FOLDS)
        rows, targets = features.rows(place_in(recipe, features), index), _targets(recipe, prepared, index)
        c, _ = best_strength(rows, targets, folds, len(prepared.labels), transfer.classifier)
        transfer = replace(transfer, c=c)
    model = base if transfer.place is None else f"{base}@{transfer.place}"
    return changed_recipe(plan, replace(recipe, transfer=transfer, model=model, epochs=Duration.parse("1ep")))


def _repeated(plan: Plan, chosen: Collection[str]) -> Plan:
    """Return the plan of a training that is repeated for each fold: no images are left to choose an epoch by."""
    recipe = plan.recipe
    if recipe.task.name != CLASSIFICATION.name:
        raise ConfigError(
            f"Folds of a training of the network evaluate classification; received the task {recipe.task.name!r}. "
            "Leave --folds out, or fit a linear classifier: --transfer features"
        )
    if recipe.stop.patience is not None or ("stop.keep" in chosen and recipe.stop.keep == "best"):
        raise ConfigError(
            "stop chooses an epoch by validation images, and a cross-validation leaves none. Leave out --folds, or "
            "stop.patience and stop.keep."
        )
    return changed_recipe(plan, replace(recipe, stop=replace(recipe.stop, keep="last")))


_computed: WeakKeyDictionary[ImageIndex, dict[object, ImageFeatures]] = WeakKeyDictionary()


def all_features(recipe: Recipe, prepared: Prepared, *, progress: Progress = silent) -> ImageFeatures:
    """Return the features of all images of a run at every place of its network, before it is trained.

    They stay in memory as long as the index of the images.
    """
    model, weights = split_place(recipe.model)[0], recipe.weights or ""
    index = np.unique(np.concatenate(list(prepared.splits.values())))
    key = model, weights_of(weights, model).digest, prepared.input, index.tobytes()
    known = _computed.setdefault(prepared.index, {})
    if key not in known:
        network = build(
            model,
            weights,
            classes=len(prepared.labels),
            channels=len(prepared.input.channels),
            size=prepared.input.size,
            seed=recipe.seed,
        )
        known[key] = features_of(
            network,
            prepared.input,
            prepared.dataset,
            index,
            digests=prepared.index.digests,
            device=device_here(recipe.device),
            progress=progress,
        )
    return known[key]


def pooled(recipe: Recipe, prepared: Prepared) -> Prepared:
    """Return the data with one split for training, where a cross-validation evaluates what is fitted to all of it.

    Raises:
        DataError: there is no cross-validation, and the validation split is empty.
    """
    if fold_count(recipe, prepared) < 2:
        if not len(prepared.splits["val"]) and not prepared.recorded:  # of a run that has begun, some may be gone
            raise empty_split(prepared.dataset, "val")
        return prepared
    own = prepared.index.splits_of(prepared.dataset)["test"]
    train = np.setdiff1d(np.concatenate(list(prepared.splits.values())), own)
    splits = {"train": train, "val": np.empty(0, np.int64), "test": own}
    return replace(prepared, audit=replace(prepared.audit, splits=splits))


def fold_count(recipe: Recipe, prepared: Prepared) -> int:
    """Return the number of folds that evaluate a classifier; 1 for none.

    Where the recipe does not set it, there are at most as many as the smallest class has images.
    """
    transfer = recipe.transfer
    if not isinstance(transfer, (Features, Trained)):
        return 1
    count, classes = sum(map(len, prepared.splits.values())), len(prepared.labels)
    folds = transfer.folds
    if folds is None:
        folds = _FOLDS if isinstance(transfer, Features) and count < SMALL * classes else 1
    if folds == 1:
        return 1
    if transfer.folds is None and not prepared.dataset.has_label_sets:  # a class of one image is in one fold alone
        folds = min(folds, int(prepared.dataset.class_counts(np.arange(len(prepared.dataset))).min()))
    return max(1, min(folds, group_count(prepared.dataset, prepared.index)))


def cross_validate(
    recipe: Recipe, prepared: Prepared, *, progress: Progress = silent
) -> tuple[Float[np.ndarray, "n d"], OutOfFold, Fit]:
    """Return the features of the training images, their outputs out of fold, and the function that fits."""
    rows, targets, folds, fit = training_fit(recipe, prepared, progress)
    return rows, out_of_fold(rows, targets, folds, fit), fit


def training_fit(
    recipe: Recipe, prepared: Prepared, progress: Progress
) -> tuple[np.ndarray, Targets, Int[np.ndarray, " n"], Fit]:
    """Return features, targets and folds of the training images, and the function that fits a classifier to them."""
    features = all_features(recipe, prepared, progress=progress)
    index = prepared.splits["train"]
    rows, targets = features.rows(place_in(recipe, features), index), _targets(recipe, prepared, index)
    count = fold_count(recipe, prepared)
    if cross_validates(recipe.transfer):  # these folds choose `c`, within what each of the others is trained on
        count = 3 if count == 2 else 2
    folds = _folds_of(prepared, min(count, group_count(prepared.dataset, prepared.index)))
    return rows, targets, folds, fit_of(recipe, rows, targets, folds, len(prepared.labels))


def place_in(recipe: Recipe, features: ImageFeatures) -> str:
    """Return the place of the features that the recipe uses: its own, else the head, else the last feature map."""
    place = recipe.transfer.place if isinstance(recipe.transfer, Features) else None
    return place or (HEAD if HEAD in features.places else list(features.places)[-1])


def fit_of(recipe: Recipe, rows: Float[np.ndarray, "n d"], targets: Targets, folds: np.ndarray, classes: int) -> Fit:
    """Return the function that fits a linear classifier as the recipe says; `c` is chosen by `folds` if it is free."""
    transfer = recipe.transfer if isinstance(recipe.transfer, Features) else Features()
    c = transfer.c
    if c is None:
        c, _ = best_strength(rows, targets, folds, classes, transfer.classifier)
    return _fit(classes, transfer.classifier, c)


def best_strength(
    rows: Float[np.ndarray, "n d"], targets: Targets, folds: np.ndarray, classes: int, kind: str
) -> tuple[float, OutOfFold]:
    """Return the `c` with the smallest loss out of fold (for an SVM, with most correct answers), and its outputs.

    The loss of classes that can be separated falls with `c` without end, because the same answers become more certain.
    So a larger `c` is chosen only if it lowers the loss by `_GAIN`.
    """
    least = 0.0 if kind == "svm" else _GAIN
    fitted = [
        (folds == fold, fit_each(rows[folds != fold], targets[folds != fold], classes, kind=kind, strengths=STRENGTHS))
        for fold in np.unique(folds)
    ]
    found: list[tuple[float, OutOfFold, float]] = []
    for c in STRENGTHS:
        logits = np.empty((len(targets), classes))
        for own, fits in fitted:
            logits[own] = next(fits)(rows[own])
        outcome = OutOfFold(logits, targets, folds)
        score = -outcome.accuracy.correct if kind == "svm" else outcome.loss
        if found and found[-1][2] - score < least:
            break  # past the only minimum
        found.append((c, outcome, score))
    c, outcome, _ = min(found, key=lambda one: one[2])
    return c, outcome


def _fit(classes: int, kind: str, c: float) -> Fit:
    return lambda rows, targets: fit_linear(rows, targets, classes, kind=kind, c=c)


def _chosen(plan: Plan, prepared: Prepared, auto: Auto, progress: Progress) -> Plan:
    """Probe places and choose: the last place that is as good as the best within a standard error, or fine-tuning."""
    recipe = plan.recipe
    features = all_features(recipe, prepared, progress=progress)
    index, folds = _folds(prepared, _FOLDS if auto.folds in (None, 1) else auto.folds)
    targets, classes = _targets(recipe, prepared, index), len(prepared.labels)
    names = _probed(features, auto.places)
    probes = []
    for number, place in enumerate(names, start=1):
        probes.append(_probe(place, features.rows(place, index), targets, folds, classes))
        progress("probing features", number, len(names))
    best = max(probes, key=lambda probe: probe.accuracy)
    error = math.sqrt(max(best.accuracy * (1 - best.accuracy), 1 / best.count) / best.count)
    last = next(probe for probe in reversed(probes) if probe.accuracy >= best.accuracy - error)
    table = ", ".join(f"{probe.place} {probe.accuracy:.1%}" for probe in probes)
    said = f"{table}, nearest neighbours {last.nearest / last.count:.1%}, by {folds.max() + 1} folds"
    if last.accuracy < GOOD and len(targets) >= MANY * classes:
        reason = f"linear classifiers on features reach {said}; {MANY} images of a class are enough to train"
        transfer = Full(**_of_folds(auto))
    else:
        few = "few images" if len(targets) < MANY * classes else "good enough"
        reason = f"{said}: {few}"
        place = None if last.place == HEAD else last.place
        transfer = Features(place=place, c=last.c, **_of_folds(auto))
    chosen = changed_recipe(plan, replace(recipe, transfer=transfer), transfer=reason)
    return replace(chosen, probes=tuple(probes))


def _of_folds(auto: Auto) -> dict[str, Any]:
    return {"folds": auto.folds, "keep_folds": auto.keep_folds}


def _folds(prepared: Prepared, most: int) -> tuple[Int[np.ndarray, " n"], Int[np.ndarray, " n"]]:
    """Return the images of the training split, and the fold of each: at most as many as the smallest class has images.

    Raises:
        ConfigError: there are too few images to leave one out.
    """
    index = prepared.splits["train"]
    if not prepared.dataset.has_label_sets:
        most = min(most, int(prepared.dataset.class_counts(index).min()))
    return index, _folds_of(prepared, min(most, group_count(prepared.dataset, prepared.index)))


def _targets(recipe: Recipe, prepared: Prepared, index: Int[np.ndarray, " n"]) -> Targets:
    return with_targets(prepared.dataset, recipe.task, prepared.labels).targets[index]


def _folds_of(prepared: Prepared, count: int) -> Int[np.ndarray, " n"]:
    """Return the fold of each training image, of at least two folds. Those of a group are in one, if there are others.

    The only group among the training images is divided: the loss out of fold is then too low, but still compares.
    """
    index, count = prepared.splits["train"], max(2, count)
    folds = folds_of(prepared.dataset, prepared.index, count)[index]
    if folds.min() == folds.max():
        folds[np.argsort(prepared.dataset.strata[index], kind="stable")] = np.arange(len(index)) % count
    return folds


def _probe(place: str, rows: np.ndarray, targets: Targets, folds: np.ndarray, classes: int) -> Probe:
    c, outcome = best_strength(rows, targets, folds, classes, "logistic")
    nearest = np.empty_like(targets)
    for fold in np.unique(folds):
        own = folds == fold
        nearest[own] = nearest_labels(rows[~own], targets[~own], rows[own])
    return Probe(
        place=place,
        width=rows.shape[1],
        c=c,
        correct=outcome.accuracy.correct,
        nearest=int((nearest == targets).reshape(len(targets), -1).all(axis=1).sum()),
        count=len(targets),
        loss=outcome.loss,
    )


def _probed(features: ImageFeatures, count: int) -> list[str]:
    """Return the places to probe, in forward order: the head, and the feature maps before it from the last one back.

    The last map is left out where the head's input are its means.
    """
    places = list(features.places)
    if places[-1] == HEAD and len(places) > 1:
        last, head = features.places[places[-2]], features.places[HEAD]
        if last.shape == head.shape:
            places.pop(-2)
    return places[-count:]

"""The top of the report: the accuracy in one sentence, and the main scores."""

from __future__ import annotations

import statistics

from striate.diagnosing import read_history
from striate.metrics import ClassificationScores, MultilabelScores, Scores
from striate.reporting.charts.answers import stripes
from striate.reporting.html import Child, Html, h, name
from striate.reporting.material import RunMaterial
from striate.reporting.numbers import NOT_KNOWN, count, figure, interval, percent, proportion, size


def verdict(material: RunMaterial) -> Html:
    """Build the masthead of a run."""
    return h(
        "header",
        h("p", h("span", "Striate", class_="wordmark"), " report of a run", class_="kicker"),
        h("h1", name(material.title)),
        _unfinished(material),
        _sentence(material),
        _seen(material),
        h("p", _summary(material), class_="trained"),
        h("p", "The images could not be read again: ", name(material.unread), class_="warning")
        if material.unread
        else None,
        h("p", "The data have changed since the training; the report shows them as they are now.", class_="warning")
        if material.changed
        else None,
        _strip(material),
        _tiles(*material.unseen) if material.unseen else None,
        class_="masthead",
    )


def _unfinished(material: RunMaterial) -> Html | None:
    if material.unfinished is None:
        return None
    said = f"Unfinished: {material.unfinished}. The weights are the best so far; further training may change them."
    return h("p", said, class_="warning")


def _seen(material: RunMaterial) -> Html | None:
    """Warn of test images that were seen in training."""
    seen = material.seen
    if seen is None or not seen.total:
        return None
    said = f"{count(seen.total, 'test image')} seen before ({seen}): on new images expect less."
    return h("p", said, class_="warning")


def _digits(scores: Scores) -> int:
    """Return the decimals of a percentage: 2 from 5,000 images on, where the second one is significant."""
    return 2 if scores.count >= 5000 else 1


def _sentence(material: RunMaterial) -> Html:
    if material.labelled is not None and material.labelled[0] != "val":
        return _of_labels(*material.labelled)
    if material.test is None and "test" in material.judged:
        return h("p", "On test images: ", str(material.judged["test"]), class_="verdict")
    if material.unseen is None:
        score = _beside(material.validation) or " yet"
        return h("p", "This run has not been evaluated on test images", score, class_="verdict")
    key, scores = material.unseen
    digits, uneven = _digits(scores), scores.imbalanced
    images = " image" if scores.count == 1 else " images"
    said = f" test{images}: " if key == "test" else f"{images} in cross-validation: "
    return h(
        "p",
        _per_class(key, scores) if uneven else "Correct on ",
        figure(scores.top1.correct, count(scores.top1.correct), f"{key}.top1.correct"),
        " of ",
        figure(scores.count, count(scores.count), f"{key}.top1.count"),
        said,
        h("span" if uneven else "strong", proportion(scores.top1, f"{key}.top1", digits)),
        h("span", "95 % interval ", interval(scores.top1, f"{key}.top1", digits), class_="interval"),
        _beside(material.validation),
        class_="verdict",
    )


def _of_labels(key: str, scores: MultilabelScores) -> Html:
    """State the scores of images that may have several classes."""
    digits, exact = _digits(scores), f"{key}.exact"
    precision = figure(
        scores.mean_average_precision,
        percent(scores.mean_average_precision or 0.0, digits),
        f"{key}.mean_average_precision",
    )
    where = count(scores.count, "test image" if key == "test" else "image")
    return h(
        "p",
        "Mean average precision ",
        h("strong", precision),
        f" on {where}{' in cross-validation' if key == 'folds' else ''}. All labels are right on ",
        figure(scores.exact.correct, count(scores.exact.correct), f"{exact}.correct"),
        " of them: ",
        proportion(scores.exact, exact, digits),
        h("span", "95 % interval ", interval(scores.exact, exact, digits), class_="interval"),
        class_="verdict",
    )


def _per_class(key: str, scores: ClassificationScores) -> list[Child]:
    """State first the scores in which each class counts alike."""
    balanced, f1 = (_share(getattr(scores, name), f"{key}.{name}") for name in ("balanced_accuracy", "macro_f1"))
    return ["Balanced accuracy ", h("strong", balanced), ", macro F1 ", f1, ". Correct on "]


def _beside(validation: ClassificationScores | None) -> Html | None:
    """State the validation accuracy next to the test accuracy."""
    if validation is None:
        return None
    return h("span", "on validation images ", proportion(validation.top1, "validation.top1"), class_="interval")


def _summary(material: RunMaterial) -> list[Child]:
    """Summarize model, data and length of training, and state the accuracy of a constant answer."""
    data, model = material.audit, material.model
    recorded = next((event for event in reversed(material.events) if "counts" in event), None)
    epochs = read_history(material.events).epochs
    lasting = f" for {epochs:.4g} {'epoch' if epochs == 1 else 'epochs'}" if epochs else ""
    clauses: list[Child] = []
    if model:
        clauses.append([h("b", name(model.name)), f" with {count(model.parameters, 'parameter')}"])
    if data:
        images = recorded["counts"].get("train", 0) if recorded else len(data.splits["train"])
        classes = len(recorded["classes"] if recorded else data.classes)
        trained = f"trained{lasting} on {count(images, 'image')} of "
        clauses.append([trained, h("b", name(data.name)), f" in {classes} classes"])
    elif lasting:
        clauses.append(f"trained{lasting}")
    if model:
        clauses.append(f"input {size(model.input)}")
    commas = [[", " if place else None, clause] for place, clause in enumerate(clauses)]
    return [commas, ". " if clauses else None, _baseline(material)]


def _baseline(material: RunMaterial) -> list[Child]:
    """State the accuracy of a constant answer, or the mean average precision of a random order."""
    if material.labelled is not None:
        scores = material.labelled[1]
        having = [score.support / scores.count for score in scores.per_class if score.support]
        return [f"A random order has a mean average precision of {percent(statistics.mean(having))}."] if having else []
    if material.unseen is None:
        return []
    scores = material.unseen[1]
    common = max(scores.per_class, key=lambda score: score.support)
    share, interval_ = common.support / scores.count, scores.top1.interval
    beaten = interval_ is not None and interval_[0] > share
    baseline: list[Child] = ["A constant answer, “", name(common.name), f"”, is correct on {percent(share)}"]
    return [*baseline, "." if beaten else "; the model is not significantly better."]


def _strip(material: RunMaterial) -> Html | None:
    if material.test is None or material.rows is None:
        return None
    caption = h("figcaption", h("span", "least confident"), h("span", h("i", class_="key right"), "correct ",
                h("i", class_="key wrong"), "wrong"), h("span", "most confident"))  # fmt: skip
    return h("figure", stripes(material.rows), caption, class_="strip")


def _tiles(split: str, scores: ClassificationScores) -> Html:
    measured, key = (scores.calibrated, "calibrated") if scores.calibrated else (scores.as_trained, "as_trained")
    top5 = scores.top5
    tiles: list[tuple[str, Child, str]] = [
        (
            "balanced accuracy",
            _share(scores.balanced_accuracy, f"{split}.balanced_accuracy"),
            "mean recall of the classes",
        ),
        ("macro F1", _share(scores.macro_f1, f"{split}.macro_f1"), "mean F1 of the classes"),
        ("ROC AUC", _plain(scores.auc, f"{split}.auc", 4), "mean, one vs. rest"),
        ("loss", _plain(scores.loss, f"{split}.loss", 3), "nats per image"),
        ("calibration error", _share(measured.ece, f"{split}.{key}.ece"), f"at temperature {measured.temperature:.2f}"),
    ]
    if top5:
        tiles.insert(0, ("top-5 accuracy", proportion(top5, f"{split}.top5"), "true class among five"))
    items = [h("div", h("dt", label), h("dd", value, h("small", note))) for label, value, note in tiles]
    return h("dl", items, class_="tiles")


def _share(value: float | None, key: str) -> Html:
    return figure(value, NOT_KNOWN if value is None else percent(value), key)


def _plain(value: float | None, key: str, digits: int) -> Html:
    return figure(value, NOT_KNOWN if value is None else f"{value:.{digits}f}", key)

"""The top of the report: the verdict in one sentence, and the few numbers that qualify it."""

from __future__ import annotations

from striate.metrics import Judgement
from striate.reporting.charts.stripes import stripes
from striate.reporting.history import read_history
from striate.reporting.html import Child, Html, h, name
from striate.reporting.material import RunMaterial
from striate.reporting.numbers import NOT_KNOWN, count, figure, interval, percent, proportion, size


def verdict(material: RunMaterial) -> Html:
    """The masthead of a run."""
    return h(
        "header",
        h("p", h("span", "Striate", class_="wordmark"), " report of a run", class_="kicker"),
        h("h1", name(material.title)),
        _unfinished(material),
        _sentence(material),
        h("p", _trained(material), class_="trained"),
        h("p", "The images could not be read again: ", name(material.unread), class_="warning")
        if material.unread
        else None,
        _strip(material),
        _tiles(material) if material.test else None,
        class_="masthead",
    )


def _unfinished(material: RunMaterial) -> Html | None:
    if material.unfinished is None:
        return None
    said = (
        f"Unfinished: {material.unfinished}. The weights are the best so far, and the training can still change them."
    )
    return h("p", said, class_="warning")


def _digits(judgement: Judgement) -> int:
    """Two decimals only where a picture is so small a share that the second one says something."""
    return 2 if judgement.count >= 5000 else 1


def _sentence(material: RunMaterial) -> Html:
    judgement = material.test
    if judgement is None:
        return h(
            "p", "This run has not been judged on test images", _beside(material.validation) or " yet", class_="verdict"
        )
    digits = _digits(judgement)
    return h(
        "p",
        "Right on ",
        figure(judgement.top1.correct, count(judgement.top1.correct), "test.top1.correct"),
        " of ",
        figure(judgement.count, count(judgement.count), "test.top1.count"),
        " test image: " if judgement.count == 1 else " test images: ",
        h("strong", proportion(judgement.top1, "test.top1", digits)),
        h("span", "95 % interval ", interval(judgement.top1, "test.top1", digits), class_="interval"),
        _beside(material.validation),
        class_="verdict",
    )


def _beside(validation: Judgement | None) -> Html | None:
    """The validation score, which nobody should have to look for."""
    if validation is None:
        return None
    return h("span", "on validation images ", proportion(validation.top1, "validation.top1"), class_="interval")


def _trained(material: RunMaterial) -> list[Child]:
    """What was trained on what, for how long, and what the laziest answer would score."""
    data, model = material.data, material.model
    epochs = read_history(material.events).epochs
    lasting = f" for {epochs:.4g} {'epoch' if epochs == 1 else 'epochs'}" if epochs else ""
    clauses: list[Child] = []
    if model:
        clauses.append([h("b", name(model.name)), f" with {count(model.parameters, 'parameter')}"])
    if data:
        images = count(sum(data.counts.get("train", ())), "image")
        trained = f"trained{lasting} on {images} of "
        clauses.append([trained, h("b", name(data.name)), f" in {len(data.classes)} classes"])
    elif lasting:
        clauses.append(f"trained{lasting}")
    if model:
        clauses.append(f"seen as {size(model.input)}")
    commas = [[", " if place else None, clause] for place, clause in enumerate(clauses)]
    return [commas, ". " if clauses else None, _baseline(material.test) if material.test else None]


def _baseline(judgement: Judgement) -> list[Child]:
    """What the laziest answer would score: the number every accuracy has to be read against."""
    common = max(judgement.per_class, key=lambda score: score.support)
    share, interval_ = common.support / judgement.count, judgement.top1.interval
    beaten = interval_ is not None and interval_[0] > share
    saying: list[Child] = ["Always answering “", name(common.name), f"” would be right on {percent(share)}"]
    return [*saying, "." if beaten else ": the network has not been shown to do better than that."]


def _strip(material: RunMaterial) -> Html | None:
    if material.test is None or material.rows is None:
        return None
    caption = h("figcaption", h("span", "least sure"), h("span", h("i", class_="key right"), "right ",
                h("i", class_="key wrong"), "wrong"), h("span", "surest"))  # fmt: skip
    return h("figure", stripes(material.rows), caption, class_="strip")


def _tiles(material: RunMaterial) -> Html | None:
    judgement = material.test
    if judgement is None:
        return None
    measured, key = (
        (judgement.calibrated, "calibrated") if judgement.calibrated else (judgement.as_trained, "as_trained")
    )
    top5 = judgement.top5
    tiles: list[tuple[str, Child, str]] = [
        ("balanced accuracy", _share(judgement.balanced_accuracy, "balanced_accuracy"), "mean over classes"),
        ("mean F1", _share(judgement.macro_f1, "macro_f1"), "precision and recall"),
        ("ROC AUC", _plain(judgement.auc, "auc", 4), "one against the rest"),
        ("loss", _plain(judgement.loss, "loss", 3), "nats per image"),
        ("calibration error", _share(measured.ece, f"{key}.ece"), f"at temperature {measured.temperature:.2f}"),
    ]
    if top5:
        tiles.insert(0, ("top-5 accuracy", proportion(top5, "test.top5"), "true class among five"))
    items = [h("div", h("dt", label), h("dd", value, h("small", note))) for label, value, note in tiles]
    return h("dl", items, class_="tiles")


def _share(value: float | None, key: str) -> Html:
    return figure(value, NOT_KNOWN if value is None else percent(value), f"test.{key}")


def _plain(value: float | None, key: str, digits: int) -> Html:
    return figure(value, NOT_KNOWN if value is None else f"{value:.{digits}f}", f"test.{key}")

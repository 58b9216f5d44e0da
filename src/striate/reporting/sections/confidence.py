"""Calibration: how well confidence matches accuracy."""

from __future__ import annotations

from collections.abc import Callable

from striate.classifier.reference import KEPT
from striate.metrics import ClassificationScores, Temperature
from striate.reporting.charts.curves import reliability
from striate.reporting.html import Child, Html, h
from striate.reporting.material import IMAGES, RunMaterial
from striate.reporting.numbers import count, figure, percent, proportion
from striate.reporting.page import Section, table


def confidence(material: RunMaterial) -> Section | None:
    """Show the reliability diagram, and the calibration error before and after the fitted temperature."""
    if material.unseen is None:
        return None
    key, scores = material.unseen
    keys = [h("span", h("i", class_="key before"), "as trained")]
    if scores.calibrated:
        keys.append(h("span", h("i", class_="key after"), "with temperature"))
    drawn = h(
        "figure",
        h("figcaption", h("b", "Reliability, in %"), h("span", keys, class_="keys")),
        reliability(scores.as_trained, scores.calibrated),
    )
    content = h("div", drawn, _table(material), class_="beside")
    return Section("calibration", "Calibration", _words(scores, key, material), content)


def _words(scores: ClassificationScores, key: str, material: RunMaterial) -> list[Child]:
    temperature = material.temperature
    return [
        h("p", _direction(scores, key)),
        h("p", _fitted(temperature, key)) if temperature else None,
        h("p", _effect(scores, key)) if scores.calibrated or not temperature else None,
        h("p", f"On the diagonal, {percent(0.8, 0)} of the answers with {percent(0.8, 0)} confidence are correct."),
        h("p", refusal(material)) if material.refused_by and material.folds is None else None,
    ]


def refusal(material: RunMaterial) -> str:
    """Say when an image is answered with none of the classes; in a report with advice it is part of the advice."""
    return (
        f"An image is answered with “none of these” if, by {material.refused_by}, it is less familiar than "
        f"{percent(KEPT, 0)} of held-out images of the classes. Try it on images of other things."
    )


def _direction(scores: ClassificationScores, key: str) -> list[Child]:
    """Say whether the model is over- or underconfident, if the number of images allows."""
    low, high = scores.top1.interval or (0.0, 1.0)
    mean = scores.as_trained.confidence
    word = "overconfident" if mean > high else "underconfident" if mean < low else "calibrated on average"
    confidence = figure(mean, percent(mean), f"{key}.as_trained.confidence")
    right = proportion(scores.top1, f"{key}.top1")
    return ["As trained, the model is ", h("b", word), ": mean confidence ", confidence, ", accuracy ", right, "."]


def _fitted(temperature: Temperature, key: str) -> str:
    """Say how the temperature was fitted, and whether it is used."""
    between = f"95 % interval {temperature.low:.2f} to {temperature.high:.2f}"
    found = f"{temperature.fitted:.2f} ({between})" if temperature.determined else f"at most {temperature.high:.2f}"
    word = "image" if key == "folds" else "validation image"
    fit = f"On {count(temperature.count, word)} the temperature is {found}"
    used = "it is used" if temperature.value != 1 else "it is not used"
    return f"{fit}; {used}, because {temperature.reason}."


def _effect(scores: ClassificationScores, key: str) -> list[Child]:
    """Say how the temperature changes the calibration error."""
    before, after = scores.as_trained, scores.calibrated
    if after is None:
        return ["No temperature was fitted."]
    temperature = figure(after.temperature, f"{after.temperature:.2f}", f"{key}.calibrated.temperature")
    old = figure(before.ece, percent(before.ece), f"{key}.as_trained.ece")
    new = figure(after.ece, percent(after.ece), f"{key}.calibrated.ece")
    if after.ece < before.ece:
        change = ["reduces the calibration error from ", old, " to ", new, "."]
        return [f"On {IMAGES[key]}, dividing the logits by ", temperature, " ", *change]
    change = ["does not reduce the calibration error (", old, " before, ", new, " after)."]
    return [f"On {IMAGES[key]}, the temperature ", temperature, " ", *change]


def _table(material: RunMaterial) -> Html:
    """Tabulate the measures on unseen images and on validation images."""
    judged = [*([material.unseen] if material.unseen else []), ("validation", material.validation)]
    columns = [
        (f"{key}, {words}", f"{key}.{place}", measured)
        for key, scores in judged
        if scores is not None
        for words, place, measured in (
            ("as trained", "as_trained", scores.as_trained),
            ("with temperature", "calibrated", scores.calibrated),
        )
        if measured is not None
    ]
    measures: list[tuple[str, str, Callable[[float], str]]] = [
        ("temperature", "temperature", lambda value: f"{value:.3f}"),
        ("calibration error (ECE)", "ece", lambda value: percent(value, 2)),
        ("mean confidence", "confidence", percent),
        ("loss (nats)", "loss", lambda value: f"{value:.4f}"),
    ]
    rows: list[list[Child]] = [
        [label, *(figure(value := getattr(c, field), write(value), f"{place}.{field}") for _, place, c in columns)]
        for label, field, write in measures
    ]
    return table(["", *(title for title, _, _ in columns)], rows)

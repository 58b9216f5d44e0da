"""Whether the stated confidence can be believed."""

from __future__ import annotations

from collections.abc import Callable

from striate.metrics import Judgement, Temperature
from striate.reporting.charts.reliability import reliability
from striate.reporting.html import Child, Html, h
from striate.reporting.material import RunMaterial
from striate.reporting.numbers import count, figure, percent, proportion
from striate.reporting.page import Section, table


def confidence(material: RunMaterial) -> Section | None:
    """The reliability diagram, and the calibration error before and after the fitted temperature."""
    judgement = material.test
    if judgement is None:
        return None
    keys = [h("span", h("i", class_="key before"), "as trained")]
    if judgement.calibrated:
        keys.append(h("span", h("i", class_="key after"), "with temperature"))
    drawn = h(
        "figure",
        h("figcaption", h("b", "Claimed and kept, in %"), h("span", keys, class_="keys")),
        reliability(judgement.as_trained, judgement.calibrated),
    )
    content = h("div", drawn, _table(material), class_="beside")
    return Section("confidence", "Whether to believe it", _words(judgement, material.temperature), content)


def _words(judgement: Judgement, temperature: Temperature | None) -> list[Child]:
    return [
        h("p", _direction(judgement)),
        h("p", _fitted(temperature)) if temperature else None,
        h("p", _mended(judgement)) if judgement.calibrated or not temperature else None,
        h("p", f"On the diagonal, of the answers given with {percent(0.8, 0)} confidence {percent(0.8, 0)} are right."),
    ]


def _direction(judgement: Judgement) -> list[Child]:
    """Over- or under-confident, but only where the number of pictures allows to say so."""
    low, high = judgement.top1.interval or (0.0, 1.0)
    claimed = judgement.as_trained.confidence
    word = "over-confident" if claimed > high else "under-confident" if claimed < low else "honest on average"
    share = figure(claimed, percent(claimed), "test.as_trained.confidence")
    right = proportion(judgement.top1, "test.top1")
    return ["As trained it is ", h("b", word), ": it claims ", share, " on average and is right on ", right, "."]


def _fitted(temperature: Temperature) -> str:
    """How the temperature was fitted, and whether it is used."""
    between = f"95 % interval {temperature.low:.2f} to {temperature.high:.2f}"
    fit = f"On {count(temperature.count, 'validation image')} the temperature is {temperature.fitted:.2f} ({between})"
    used = "it is used" if temperature.value != 1 else "the outputs are left as they are"
    return f"{fit}; {used}, because {temperature.reason}."


def _mended(judgement: Judgement) -> list[Child]:
    """What the temperature did, in words."""
    before, after = judgement.as_trained, judgement.calibrated
    if after is None:
        return ["No temperature was fitted."]
    temperature = figure(after.temperature, f"{after.temperature:.2f}", "test.calibrated.temperature")
    old = figure(before.ece, percent(before.ece), "test.as_trained.ece")
    new = figure(after.ece, percent(after.ece), "test.calibrated.ece")
    if after.ece < before.ece:
        told = ["takes the calibration error from ", old, " to ", new, "."]
        return ["On test images, dividing its outputs by ", temperature, " ", *told]
    told = ["does not lower the calibration error here (", old, " before, ", new, " after)."]
    return ["The temperature ", temperature, ", fitted on validation images, ", *told]


def _table(material: RunMaterial) -> Html:
    """The measures on test images, and on the validation images by which the temperature was fitted."""
    judged = [(key, judgement) for key, judgement in (("test", material.test), ("validation", material.validation))]
    columns = [
        (f"{key}, {words}", f"{key}.{place}", measured)
        for key, judgement in judged
        if judgement is not None
        for words, place, measured in (
            ("as trained", "as_trained", judgement.as_trained),
            ("with temperature", "calibrated", judgement.calibrated),
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

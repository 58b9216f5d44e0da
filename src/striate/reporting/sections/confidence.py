"""Whether the stated confidence can be believed."""

from __future__ import annotations

from collections.abc import Callable

from striate.metrics import Calibration, Judgement
from striate.reporting.charts.reliability import reliability
from striate.reporting.markup import Child, Html, h
from striate.reporting.material import RunMaterial
from striate.reporting.numerals import figure, percent
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
    content = h("div", drawn, _table(judgement), class_="beside")
    return Section("confidence", "Whether to believe it", _words(judgement), content)


def _words(judgement: Judgement) -> list[Child]:
    before, after = judgement.as_trained, judgement.calibrated
    said: list[Child] = [h("p", _direction(judgement, before), ".")]
    if after is None:
        said.append(h("p", "No temperature was fitted."))
    elif after.ece < before.ece:
        said.append(h(
            "p", f"Dividing its outputs by {after.temperature:.2f}, fitted on validation pictures, takes the "
            f"calibration error from {percent(before.ece)} to {percent(after.ece)}.",
        ))  # fmt: skip
    else:
        said.append(h(
            "p", f"The temperature {after.temperature:.2f}, fitted on validation pictures, does not lower the "
            f"calibration error here ({percent(before.ece)} before, {percent(after.ece)} after).",
        ))  # fmt: skip
    said.append(h("p", "On the diagonal, of the answers given with 80 % confidence 80 % are right."))
    return said


def _direction(judgement: Judgement, measured: Calibration) -> list[Child]:
    """Over- or under-confident, but only where the number of pictures allows to say so."""
    low, high = judgement.top1.interval or (0.0, 1.0)
    claimed, right = percent(measured.confidence), percent(judgement.top1.value or 0.0)
    sums = f": it claims {claimed} on average and is right on {right}"
    if measured.confidence > high:
        return ["As trained it is ", h("b", "over-confident"), sums]
    if measured.confidence < low:
        return ["As trained it is ", h("b", "under-confident"), sums]
    return ["As trained it is ", h("b", "honest on average"), sums]


def _table(judgement: Judgement) -> Html:
    columns = [("as trained", "as_trained", judgement.as_trained)]
    if judgement.calibrated:
        columns.append(("with temperature", "calibrated", judgement.calibrated))
    measures: list[tuple[str, str, Callable[[float], str]]] = [
        ("temperature", "temperature", lambda value: f"{value:.3f}"),
        ("calibration error (ECE)", "ece", lambda value: percent(value, 2)),
        ("mean confidence", "confidence", percent),
        ("loss (nats)", "loss", lambda value: f"{value:.4f}"),
    ]
    rows: list[list[Child]] = [
        [label, *(figure(value := getattr(c, field), write(value), f"test.{key}.{field}") for _, key, c in columns)]
        for label, field, write in measures
    ]
    return table(["", *(title for title, _, _ in columns)], rows)

"""The health of a training: verdicts with their rules, and a figure of the layers."""

from __future__ import annotations

from collections.abc import Sequence

from striate.diagnosing import History, Measurement, at_high_rate
from striate.reporting.charts.layers import layers_chart
from striate.reporting.html import Child, Html, h
from striate.reporting.material import RunMaterial
from striate.reporting.page import Section, folded, table


def health(material: RunMaterial) -> Section | None:
    """Show each verdict with its numbers, what to try next, and the layers."""
    found = material.diagnosis
    if found is None:
        return None
    judgement = found.judgement
    rows: list[list[Child]] = [
        [each.subject, h("b", each.outcome, class_="warning" if each.fault else None), each.evidence]
        for each in judgement.verdicts
    ]
    lead: list[Child] = [h("p", h("b", "Next: "), judgement.next)]
    content: list[Child] = [table(["", "verdict", "because"], rows, numeric_from=9)]
    drawn = layers_figure(found.measurements, found.history)
    failure = next((each.failure for each in found.measurements if each.failure), None)
    if drawn is not None:
        content += [h("h3", "Layers"), drawn]
        last = next(each for each in reversed(found.measurements) if each.layers)
        lead.append(
            h("p", f"Layers after epoch {last.epoch:.4g}, in evaluation mode, on images of the first batch. Shaded is ",
              "the range without fault. Hollow dots are those before the first step.")
        )  # fmt: skip
    elif failure is not None:
        lead.append(h("p", f"The layers could not be measured: {failure}"))
    else:
        lead.append(h("p", "The training was too short to measure its layers at little cost."))
    rules = [h("p", h("b", f"{each.subject}: "), each.rule, ".") for each in judgement.verdicts]
    content.append(folded("The rules", *rules))
    return Section("health", "Health of the training", lead, content)


def layers_figure(measurements: Sequence[Measurement], history: History | None = None) -> Html | None:
    """Draw the last measurement, the gradients before the first step, and the last updates at a high rate.

    There is no figure without measurements.
    """
    known = [each for each in measurements if each.layers]
    if not known:
        return None
    start = known[0] if known[0].step == 0 and len(known) > 1 else None
    moving = [] if history is None else at_high_rate(history, known)
    return layers_chart(known[-1], start=start, moving=moving[-1] if moving else None)

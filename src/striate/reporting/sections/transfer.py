"""The measurements by which the kind of transfer was chosen."""

from __future__ import annotations

from striate.core.proportion import Proportion
from striate.reporting.html import Child, h, name
from striate.reporting.material import RunMaterial
from striate.reporting.numbers import NOT_KNOWN, count, percent
from striate.reporting.page import Section, table
from striate.runs.plan import Probe


def transfer(material: RunMaterial) -> Section | None:
    """Show accuracy by place of the features that were probed, and what was chosen, with the reason."""
    probes = material.probes
    if not probes:
        return None
    chosen = {label: (value, why) for label, value, why in material.settings}
    lead: list[Child] = [
        h(
            "p",
            f"Linear classifiers on features of the pretrained network, the means of its feature maps or the input of "
            f"its last layer, were measured by cross-validation on {count(probes[0].count, 'training image')}. The "
            "vote of the five nearest images was measured for comparison."
            + (" An answer is right where all labels are." if material.labelled else ""),
        )
    ]
    if "weights" in chosen:
        lead.append(h("p", "Weights: ", h("b", name(chosen["weights"][0])), "."))
    if "transfer" in chosen:
        value, why = chosen["transfer"]
        lead.append(h("p", "Chosen: ", h("b", name(value)), f". {why}."))
    heads = ["features", "width", "accuracy", "95 % interval", "nearest neighbours", "loss", "c"]
    return Section("transfer", "Transfer", lead, table(heads, [_row(probe) for probe in probes]))


def _row(probe: Probe) -> list[Child]:
    ends = Proportion(probe.correct, probe.count).interval
    return [
        h("code", name(probe.place)),
        count(probe.width),
        percent(probe.accuracy),
        NOT_KNOWN if ends is None else f"{percent(ends[0])} – {percent(ends[1])}",
        percent(probe.nearest / probe.count),
        f"{probe.loss:.3f}",
        f"{probe.c:g}",
    ]

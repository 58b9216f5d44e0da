"""The network, layer by layer, and what its first layer looks for."""

from __future__ import annotations

from striate.plot import filter_pictures
from striate.reporting.html import Child, h, name
from striate.reporting.inline_images import picture
from striate.reporting.material import LayerRow, ModelFacts, RunMaterial
from striate.reporting.numbers import count, short, size
from striate.reporting.page import Section, folded, table

_AT_ONCE = 40
_MOST_FILTERS = 128
_HEADS = ("layer", "kind", "output", "parameters", "MACs", "sees")


def model(material: RunMaterial) -> Section | None:
    """The table of layers: output shape, parameters, multiply-accumulates and receptive field."""
    facts = material.model
    if facts is None:
        return None
    lead: list[Child] = [
        h("p", h("b", name(facts.name)), ": ", name(facts.title), _citation(facts)),
        h("p", _cost(facts)),
    ]
    whole = table(_HEADS, [_row(layer, facts) for layer in facts.layers], numeric_from=2, class_="layers")
    content = folded(f"All {len(facts.layers)} layers", whole) if len(facts.layers) > _AT_ONCE else whole
    return Section("network", "The network", lead, content if facts.layers else None)


def _citation(facts: ModelFacts) -> str:
    parts = [part for part in (facts.authors, str(facts.year) if facts.year else None, facts.paper) if part]
    return f" ({', '.join(parts)})." if parts else "."


def _cost(facts: ModelFacts) -> str:
    parameters = count(facts.parameters, "parameter")
    if facts.macs is None:
        return f"{parameters}. Its layers are not listed, because its forward pass cannot be traced."
    return f"{parameters} and {short(facts.macs)} multiply-accumulates for an image of {size(facts.input)}."


def _row(layer: LayerRow, facts: ModelFacts) -> list[Child]:
    share = layer.parameters / max(1, facts.parameters)
    bar = h("i", class_="bar plain", style=f"--share:{share:.4f}") if layer.parameters else None
    return [
        h("code", layer.name),
        layer.kind,
        size(layer.output),
        [count(layer.parameters) if layer.parameters else "·", bar],
        short(layer.macs) if layer.macs else "·",
        f"{'≤ ' if layer.bound else ''}{size(layer.receptive_field)}" if layer.receptive_field else "·",
    ]


def filters(material: RunMaterial) -> Section | None:
    """The weights that meet the picture first, as pictures."""
    weights = material.filters
    if weights is None or not len(weights):
        return None
    total, channels, height, width = weights.shape
    pictures = filter_pictures(weights)[:_MOST_FILTERS]
    shown = [h("li", picture(pixels, alt=f"filter {k + 1}")) for k, pixels in enumerate(pictures)]
    scale = (
        "Mid-grey is zero; the colours are those of the three channels."
        if channels == 3
        else "Vermilion is positive, blue negative, paper zero" + ("; channels side by side." if channels > 1 else ".")
    )
    lead: list[Child] = [h("p", f"{count(total, 'filter')} of {size((height, width))} pixels, on one scale. {scale}")]
    if total > _MOST_FILTERS:
        lead.append(h("p", f"The first {_MOST_FILTERS} are shown."))
    wide = channels not in (1, 3) or max(height, width) > 16
    return Section(
        "filters",
        "What its first layer looks for",
        lead,
        h("ul", shown, class_="filters" + " wide" * wide + " few" * (total <= 16)),
    )

"""The network: its layers, and the filters of the first one."""

from __future__ import annotations

from striate.plot import filter_images
from striate.reporting.html import Child, h, image, name
from striate.reporting.material import ModelFacts, RunMaterial
from striate.reporting.numbers import count, short, size
from striate.reporting.page import Section, folded, table
from striate.tracing import Row

_AT_ONCE = 40
_MOST_FILTERS = 128
_HEADS = ("layer", "kind", "output", "parameters", "MACs", "receptive field")


def model(material: RunMaterial) -> Section | None:
    """Show the table of layers: output shape, parameters, MACs and receptive field."""
    facts = material.model
    if facts is None:
        return None
    lead: list[Child] = [h("p", h("b", name(facts.name)), ": ", *_title(facts)), h("p", _cost(facts))]
    if facts.layers is None:
        return Section("network", "Network", lead, None)
    rows = facts.layers.rows
    whole = table(_HEADS, [_row(row, facts) for row in rows], numeric_from=2, class_="layers")
    content = folded(f"All {len(rows)} layers", whole) if len(rows) > _AT_ONCE else whole
    return Section("network", "Network", lead, content)


def _title(facts: ModelFacts) -> list[Child]:
    card = facts.card
    if card is None:
        return ["a model of your own."]
    parts = [part for part in (card.authors, str(card.year) if card.year else None, card.paper) if part]
    return [name(card.title), f" ({', '.join(parts)})." if parts else "."]


def _cost(facts: ModelFacts) -> list[Child]:
    parameters = count(facts.parameters, "parameter")
    if facts.layers is None:
        return [f"{parameters}. Its layers cannot be listed: ", name(facts.untraced or "it is not traced.")]
    return [f"{parameters} and {short(facts.layers.totals.macs)} MACs for an image of {size(facts.input)}."]


def _row(row: Row, facts: ModelFacts) -> list[Child]:
    fraction = row.parameters / max(1, facts.parameters)
    bar = h("i", class_="bar plain", style=f"--share:{fraction:.4f}") if row.parameters else None
    return [
        h("code", row.path),
        f"{row.kind} {row.detail}".strip(),
        size(row.output_shape),
        [count(row.parameters) if row.parameters else "·", bar],
        short(row.macs) if row.macs else "·",
        f"{'≤ ' if row.bound else ''}{size(row.receptive_field)}" if row.receptive_field else "·",
    ]


def filters(material: RunMaterial) -> Section | None:
    """Show the weights of the first layer as images."""
    weights = material.filters
    if weights is None or not len(weights):
        return None
    total, channels, height, width = weights.shape
    images = filter_images(weights)[:_MOST_FILTERS]
    shown = [h("li", image(pixels, alt=f"filter {k + 1}")) for k, pixels in enumerate(images)]
    scale = (
        "Mid-grey is zero; the colours are the three channels."
        if channels == 3
        else "Red is positive, blue negative, white zero" + ("; channels side by side." if channels > 1 else ".")
    )
    lead: list[Child] = [h("p", f"{count(total, 'filter')} of {size((height, width))} pixels, on one scale. {scale}")]
    if total > _MOST_FILTERS:
        lead.append(h("p", f"The first {_MOST_FILTERS} are shown."))
    wide = channels not in (1, 3) or max(height, width) > 16
    return Section(
        "filters",
        "First-layer filters",
        lead,
        h("ul", shown, class_="filters" + " wide" * wide + " few" * (total <= 16)),
    )

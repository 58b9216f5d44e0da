"""Training images as the network sees them."""

from __future__ import annotations

from striate.reporting.html import Child, Html, h, image, name
from striate.reporting.material import RunMaterial
from striate.reporting.page import Section
from striate.reporting.sheets.augmented import AugmentedImage
from striate.reporting.sheets.rgb import Pixels


def augmentation(material: RunMaterial) -> Section | None:
    """Show a few training images as prepared, then as the first epochs yield them, with their labels."""
    if not material.augmented:
        return None
    lead: list[Child] = [
        h("p", "Training images as the network sees them: as prepared, then in each of the first epochs."),
        h("p", f"Changes: {material.augmentation}."),
    ]
    rows = [h("li", _row(one)) for one in material.augmented]
    return Section("augmentation", "Augmentation", lead, h("ul", rows, class_="epochs"))


def _row(one: AugmentedImage) -> list[Html]:
    seen = zip(one.seen, one.labels, strict=True)
    shown = [_figure(one.prepared, (one.label,), f"{one.name}, prepared", "prepared")]
    return shown + [
        _figure(pixels, label, f"{one.name}, in epoch {number}", f"epoch {number}")
        for number, (pixels, label) in enumerate(seen, start=1)
    ]


def _figure(pixels: Pixels, label: tuple[str, ...], alt: str, place: str) -> Html:
    lines = [h("b", name(line)) for line in label]
    return h("figure", image(pixels, alt=alt), h("figcaption", lines, h("span", place)))

"""The page of an inspection: one HTML file in the style of the report."""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np

from striate.data.split import evenly_spaced
from striate.explaining import Invariance, TopPatches
from striate.plot import MOST_ORDERED, lines
from striate.reporting.html import Child, Html, figure_of, h, name, sharp
from striate.reporting.inspection.inspect import CLASSES, Inspection
from striate.reporting.inspection.sheets import (
    filter_sheet,
    first_of,
    legible,
    map_sheet,
    patch_sheet,
    projection_sheet,
)
from striate.reporting.numbers import count, percent, size
from striate.reporting.page import Section, page
from striate.reporting.sheets.rgb import Rgb

_ALIKE = 0.95
_UNITS_OF = {"shift": "pixels downwards", "scale": "factor", "rotation": "degrees"}


def inspection_page(inspection: Inspection) -> str:
    """Render the page as one HTML document without scripts or external addresses."""
    foot = h("p", "Written by Striate.")
    return page(f"Inside {inspection.title} · Striate", _top(inspection), list(_sections(inspection)), foot)


def written_here(document: str) -> bool:
    """Return whether `document` is an inspection page, by its title."""
    return bool(re.search(r"<title>Inside [^<]* · Striate</title>", document))


def _top(inspection: Inspection) -> Html:
    return h(
        "header",
        h("p", h("span", "Striate", class_="wordmark"), " inspection of a network", class_="kicker"),
        h("h1", name(inspection.title)),
        h("p", "What excites its units", class_="verdict"),
        h(
            "p",
            f"With {count(inspection.seen, 'image')} of ",
            h("b", name(inspection.source)),
            class_="trained",
        ),
        [h("p", note, class_="trained") for note in inspection.notes],
        class_="masthead",
    )


def _sections(inspection: Inspection) -> Iterator[Section]:
    if inspection.filters:
        yield _filters(inspection)
    for top in inspection.tops:
        yield _place(inspection, top)
    if classes := _classes(inspection):
        yield classes
    yield _maps(inspection)
    yield _moved(inspection)


def _filters(inspection: Inspection) -> Section:
    sheets = [_figure(*filter_sheet(found)) for found in inspection.filters]
    lead = h("p", "The weights of the convolutions. With three channels, the colours are the channels and mid-grey is "
             "zero; otherwise red is positive, blue negative, white zero.")  # fmt: skip
    return Section("filters", "Filters", lead, h("div", sheets, class_="sheets"))


def _place(inspection: Inspection, top: TopPatches) -> Section:
    chosen = inspection.chosen[top.place]
    lead: list[Child] = [h("p", _about(top, len(chosen))), h("p", _dead(top))]
    if redundant := top.units.redundant(_ALIKE):
        pairs = ", ".join(f"{one} and {other} ({alike:.2f})" for one, other, alike in redundant[:6])
        more = f" and {len(redundant) - 6} more pairs" if len(redundant) > 6 else ""
        lead.append(h("p", f"Redundant channels (correlation): {pairs}{more}."))
    units = [_unit(inspection, top, nth, unit) for nth, unit in enumerate(chosen)]
    return Section(top.place, top.place, lead, h("ul", units, class_="units"))


def _about(top: TopPatches, chosen: int) -> str:
    dead = len(top.units.dead())
    field = f"each value has a receptive field of {size(top.size)} pixels."
    if not chosen:
        return f"Every channel of {top.place} is dead, so none is shown; {field}"
    shown = first_of(chosen, len(top.values) - dead, "channel")
    return (
        f"{shown[0].upper()}{shown[1:]} of {top.place}{' that are not dead' if dead else ''}; {field} For each: an "
        "image synthesised to excite it, the nine patches that excite it most, and their projections back to pixels."
    )


def _dead(top: TopPatches) -> str:
    dead = top.units.dead()
    if not dead:
        return "No channel is dead."
    shown = ", ".join(map(str, dead[:12])) + (" …" if len(dead) > 12 else "")
    return f"Dead channels, which are constant: {len(dead)} ({shown})."


def _unit(inspection: Inspection, top: TopPatches, nth: int, unit: int) -> Html:
    spec, projections = inspection.input, inspection.projections.get(top.place)
    images = (
        ("synthesised image", inspection.synthesised.get((top.place, unit)), "no image: see above"),
        ("strongest patches", patch_sheet(top, unit, spec), ""),
        ("projections", None if projections is None else projection_sheet(projections[nth], spec),
         "no projection: see above"),
    )  # fmt: skip
    shown = [
        h("span", missing, class_="gap") if pixels is None else sharp(legible(pixels), alt=f"{title} of channel {unit}")
        for title, pixels, missing in images
    ]
    activity = f" · largest {top.units.largest[unit]:.3g}, above zero {percent(float(top.units.active[unit]), 0)}"
    caption = h("figcaption", h("b", f"channel {unit}"), activity)
    return h("li", h("figure", h("div", shown, class_="three"), caption), id=f"{top.place}-{unit}")


def _classes(inspection: Inspection) -> Section | None:
    images = {
        inspection.classes[k]: pixels for (place, k), pixels in inspection.synthesised.items() if place == CLASSES
    }
    if not images:
        return None
    cards = [
        h("li", _figure(pixels, f"synthesised for {label}", h("b", name(label)))) for label, pixels in images.items()
    ]
    total = len(inspection.classes)
    of = "each class" if len(images) == total else f"{count(len(images))} of {count(total)} classes"
    lead = h("p", f"Images synthesised to maximise the score of {of}.")
    return Section("classes", "Classes", lead, h("ul", cards, class_="gallery"))


def _maps(inspection: Inspection) -> Section:
    label, pixels = inspection.example
    sheets = [_figure(pixels, label, name(label)), *(_figure(*map_sheet(found)) for found in inspection.maps)]
    lead = h("p", "The activations of one image. Each map has its own scale: white is zero, deep teal its largest "
             "value, blue is negative; maps of a single value share one scale.")  # fmt: skip
    return Section("maps", "Activation maps", lead, h("div", sheets, class_="sheets"))


def _moved(inspection: Inspection) -> Section:
    charts = [_chart(moved) for moved in inspection.moved]
    places = inspection.moved[0].places
    of = "each place" if len(places) <= MOST_ORDERED else f"{MOST_ORDERED} of {len(places)} places, evenly spaced,"
    about = (
        f"The relative distance that the features of {of} move, and the probability of the predicted class, when "
        "images are shifted, scaled and rotated."
    )
    return Section("invariance", "Invariance", h("p", about), h("div", charts, class_="charts"))


def _chart(moved: Invariance) -> list[Html]:
    across, amounts = f"{moved.change}, {_UNITS_OF[moved.change]}", moved.amounts.tolist()
    distances = moved.relative().mean(axis=2)
    features = {
        moved.places[k]: list(zip(amounts, distances[k].tolist(), strict=True))
        for k in evenly_spaced(np.arange(len(moved.places)), MOST_ORDERED).tolist()
    }
    answer = {"answer": list(zip(amounts, moved.probability.mean(axis=1).tolist(), strict=True))}
    charts = [
        figure_of(
            lambda theme: lines(features, across=across, up="relative distance", ordered=True, theme=theme),
            alt=f"features under {moved.change}",
        ),
        figure_of(
            lambda theme: lines(answer, across=across, up="probability", theme=theme),
            alt=f"answer under {moved.change}",
        ),
    ]
    return [h("figure", chart) for chart in charts]


def _figure(pixels: Rgb, about: str, caption: Child = None) -> Html:
    return h("figure", sharp(legible(pixels), alt=about), h("figcaption", about if caption is None else caption))

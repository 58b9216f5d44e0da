"""The page of an inspection: one HTML file, in the form of the report."""

from __future__ import annotations

import re
from collections.abc import Iterator

from striate.plot import enlarged, lines
from striate.reporting.html import Child, Html, figure_of, h, name, sharp
from striate.reporting.inspection.material import Inspection, Moved, PlaceShown, Rgb, UnitShown
from striate.reporting.numbers import count, percent, size
from striate.reporting.page import Section, page

_MISSING = "no time to make an image", "no patch", "no projection: see above"
"""What stands in the place of an image that there is not."""

_LEGIBLE = 240  # pixels: sheets are enlarged by whole pixels to about this


def inspection_page(inspection: Inspection) -> str:
    """The whole document: no script, no address outside itself."""
    foot = h("p", "Written by Striate.")
    return page(f"Inside {inspection.title} · Striate", _top(inspection), list(_sections(inspection)), foot)


def written_here(document: str) -> bool:
    """Whether `document` is a page of this kind, by its title."""
    return bool(re.search(r"<title>Inside [^<]* · Striate</title>", document))


def _top(inspection: Inspection) -> Html:
    return h(
        "header",
        h("p", h("span", "Striate", class_="wordmark"), " looks inside a network", class_="kicker"),
        h("h1", name(inspection.title)),
        h("p", "What its units want to see", class_="verdict"),
        h(
            "p",
            f"Found with {count(inspection.seen, 'picture')} of ",
            h("b", name(inspection.source)),
            class_="trained",
        ),
        [h("p", note, class_="trained") for note in inspection.notes],
        class_="masthead",
    )


def _sections(inspection: Inspection) -> Iterator[Section]:
    if inspection.filters:
        yield _filters(inspection)
    for place in inspection.places:
        yield _place(place)
    if inspection.classes:
        yield _classes(inspection)
    if inspection.maps:
        yield _maps(inspection)
    if inspection.moved:
        yield _moved(inspection)


def _filters(inspection: Inspection) -> Section:
    sheets: list[Child] = []
    for found in inspection.filters:
        told = f"{found.layer}: {_of(found.shown, found.count, 'filter')} of {size(found.size)}, {found.said}"
        sheets.append(_figure(found.sheet, told))
    lead = h("p", "The weights of the convolutions. In colours they are those of the picture, mid-grey is zero; "
             "otherwise vermilion is positive, blue negative, paper zero.")  # fmt: skip
    return Section("filters", "Filters", lead, h("div", sheets, class_="sheets"))


def _place(place: PlaceShown) -> Section:
    told = (
        f"{_first_upper(_of(len(place.units), place.count, 'channel'))} of {place.place}; each value sees "
        f"{size(place.sees)} pixels. For each: the picture made for it, the nine patches that excite it most, and what "
        "of them it saw."
    )
    lead: list[Child] = [h("p", told), h("p", _dead(place))]
    if place.redundant:
        pairs = ", ".join(f"{one} and {other} ({alike:.2f})" for one, other, alike in place.redundant[:6])
        more = f" and {len(place.redundant) - 6} more pairs" if len(place.redundant) > 6 else ""
        lead.append(h("p", f"Nearly the same (correlation): {pairs}{more}."))
    return Section(
        place.place, place.place, lead, h("ul", [_unit(place, unit) for unit in place.units], class_="units")
    )


def _dead(place: PlaceShown) -> str:
    if not place.dead:
        return "None is dead."
    shown = ", ".join(map(str, place.dead[:12])) + (" …" if len(place.dead) > 12 else "")
    return f"Dead, giving the same everywhere: {len(place.dead)} ({shown})."


def _unit(place: PlaceShown, unit: UnitShown) -> Html:
    titles = ("the picture made for", "the strongest patches of", "the projections of")
    pictures = (unit.wanted, unit.patches, unit.projections)
    shown = [
        h("span", missing, class_="gap")
        if pixels is None
        else sharp(_legible(pixels), alt=f"{title} channel {unit.number}")
        for title, missing, pixels in zip(titles, _MISSING, pictures, strict=True)
    ]
    told = f" · largest {unit.largest:.3g}, above zero {percent(unit.active, 0)}"
    return h(
        "li", h("figure", h("div", shown, class_="three"), h("figcaption", h("b", f"channel {unit.number}"), told)),
        id=f"{place.place}-{unit.number}",
    )  # fmt: skip


def _classes(inspection: Inspection) -> Section:
    cards = [h("li", _figure(pixels, f"made for {label}", h("b", name(label)))) for label, pixels in inspection.classes]
    lead = h("p", "Pictures made, from almost nothing, to raise the score of each class.")
    return Section("classes", "What each class wants", lead, h("ul", cards, class_="gallery"))


def _maps(inspection: Inspection) -> Section:
    label, pixels = inspection.example
    sheets: list[Child] = [_figure(pixels, label, name(label))]
    for found in inspection.maps:
        told = f"{found.place}: {_of(found.shown, found.count, 'map')} of {size(found.size)}"
        sheets.append(_figure(found.sheet, told))
    lead = h("p", "What becomes of one picture. Each map has its own scale: paper is zero, deep teal its largest "
             "value; maps of one value share one scale. Negative values are blue.")  # fmt: skip
    return Section("maps", "One picture, layer by layer", lead, h("div", sheets, class_="sheets"))


def _moved(inspection: Inspection) -> Section:
    charts = [_chart(moved) for moved in inspection.moved]
    lead = h("p", "How far the features of each place move, as a share of their length, and the probability of the "
             "answer, when pictures are shifted, scaled and turned.")  # fmt: skip
    return Section("moved", "When the picture moves", lead, h("div", charts, class_="charts"))


def _chart(moved: Moved) -> list[Html]:
    across = f"{moved.change}, {moved.unit}"
    features = figure_of(
        lambda theme: lines(moved.places, across=across, up="features move by", ordered=True, theme=theme),
        alt=f"features under {moved.change}",
    )
    answer = figure_of(
        lambda theme: lines({"answer": moved.probability}, across=across, up="probability of the answer", theme=theme),
        alt=f"answer under {moved.change}",
    )
    return [h("figure", features), h("figure", answer)]


def _figure(pixels: Rgb, told: str, caption: Child = None) -> Html:
    """A sheet with what is `told` of it, as the caption too unless that is another one."""
    return h("figure", sharp(_legible(pixels), alt=told), h("figcaption", told if caption is None else caption))


def _of(shown: int, total: int, noun: str) -> str:
    return count(total, noun) if shown == total else f"the first {shown} of {count(total, noun)}"


def _first_upper(text: str) -> str:
    return text[0].upper() + text[1:]


def _legible(pixels: Rgb) -> Rgb:
    return enlarged(pixels, max(1, round(_LEGIBLE / max(pixels.shape[:2]))))

"""The page around the sections: head, style, navigation and footer, without external resources."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files

from striate.reporting.html import Child, Html, h, join

_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
"""Forbids the browser to load anything from outside the file, and to run scripts."""


@dataclass(frozen=True)
class Section:
    """A section of a page: `word` is its anchor, `lead` one or two sentences about its content."""

    word: str
    title: str
    lead: Child
    content: Child

    @property
    def label(self) -> str:
        """The text of links to the section: `word`, capitalized unless it is also the title (the path of a module)."""
        return self.word if self.word == self.title else self.word.capitalize()

    def render(self) -> Html:
        """Render title and lead to the left of the content, or above it on a narrow screen."""
        return h(
            "section",
            h("header", h("h2", self.title), h("div", self.lead, class_="lead")),
            h("div", self.content, class_="content"),
            id=self.word,
        )


def page(title: str, top: Html, sections: Sequence[Section], foot: Child) -> str:
    """Render a complete HTML document."""
    style = files("striate.reporting").joinpath("style.css").read_text(encoding="utf-8")
    links = [h("a", section.label, href=f"#{section.word}") for section in sections]
    head = h(
        "head",
        h("meta", charset="utf-8"),
        h("meta", name="viewport", content="width=device-width, initial-scale=1"),
        h("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        h("meta", name="color-scheme", content="light dark"),
        h("title", title),
        h("style", Html(style)),
    )
    body = h(
        "body",
        top,
        h("nav", links, aria_label="Sections") if links else None,
        h("main", [section.render() for section in sections]),
        h("footer", foot),
    )
    return join([Html("<!DOCTYPE html>\n"), h("html", head, body, lang="en"), Html("\n")])


def facts(pairs: Sequence[tuple[str, Child]]) -> Html:
    """List labels with their values; omit pairs without a value."""
    shown = [h("div", h("dt", label), h("dd", value)) for label, value in pairs if value]
    return h("dl", shown, class_="facts")


def table(heads: Sequence[str], rows: Sequence[Sequence[Child]], *, numeric_from: int = 1, class_: str = "") -> Html:
    """Build a table whose columns from `numeric_from` on are numbers."""

    def kind(column: int) -> str | None:
        return "number" if column >= numeric_from else None

    top = h("tr", [h("th", head, class_=kind(k), scope="col") for k, head in enumerate(heads)])
    body = [h("tr", [h("td", cell, class_=kind(k)) for k, cell in enumerate(row)]) for row in rows]
    return h("div", h("table", h("thead", top), h("tbody", body), class_=class_), class_="scroll")


def folded(summary: str, *content: Child) -> Html:
    """Fold content under a summary; it is open in print."""
    return h("details", h("summary", summary), *content)

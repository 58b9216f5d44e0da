"""Answers with their images: the most confident wrong ones, and the most confident correct ones."""

from __future__ import annotations

from collections.abc import Sequence

from striate.reporting.html import Child, Html, h, image, name
from striate.reporting.material import Example, RunMaterial
from striate.reporting.numbers import percent
from striate.reporting.page import Section

CONFIDENT = 0.9
"""Lowest confidence of a confident answer."""


def examples(material: RunMaterial) -> Section | None:
    """Show the most confident mistakes, then the most confident correct answers, each with its file."""
    flawless = material.test is not None and material.test.top1.correct == material.test.count
    content: list[Child] = []
    if material.mistakes:
        content += _groups(material.mistakes, "Wrong", class_="gallery why")
    elif flawless:
        content += [h("h3", "Wrong"), h("p", "There are no mistakes on the test images.", class_="none")]
    content += _groups(material.surest, "Correct")
    if not content:
        return None
    lead: list[Child] = [h("p", "A confident mistake is often a wrong label, or an image of something else.")]
    if material.unexplained:
        lead.append(h("p", f"There are no maps for the mistakes. {material.unexplained}"))
    if material.mistakes and material.explained:
        lead.append(
            h(
                "p",
                f"Next to each mistake: the evidence for {_explained(material.mistakes)}, by {material.explained}; "
                "lighter is stronger.",
            )
        )
    return Section("answers", "Most confident answers", lead, content)


def _explained(mistakes: Sequence[Example]) -> str:
    return "the wrong answer" if all(each.label == each.predicted for each in mistakes) else "the class"


def _groups(shown: Sequence[Example], word: str, class_: str = "gallery") -> list[Child]:
    """Group the answers: confident ones, and others."""
    confident = [example for example in shown if example.confidence >= CONFIDENT]
    others = [example for example in shown if example.confidence < CONFIDENT]
    groups = ((f"{word}, confident", confident), (f"{word}, less confident", others))
    return [child for title, group in groups if group for child in (h("h3", title), gallery(group, class_))]


def gallery(shown: Sequence[Example], class_: str = "gallery") -> Html:
    return h("ul", [h("li", _card(example)) for example in shown], class_=class_)


def _card(example: Example) -> Html:
    right = example.given == example.predicted
    alt = f"{example.name}: {example.given}, predicted {example.predicted}"
    labels = [h("b", name(example.predicted), class_=None if right else "predicted")]
    if not right:
        labels.append(h("span", "true: ", name(example.given), class_="true"))
    return h(
        "figure",
        h("div", h("div", image(example.image, alt=alt), class_="frame"), _why(example), class_="pair"),
        h(
            "figcaption",
            h("div", labels, h("span", percent(example.confidence), class_="sure"), class_="labels"),
            h("i", class_=f"bar {'right' if right else 'wrong'}", style=f"--share:{example.confidence:.4f}"),
            h("div", name(example.name), class_="file", title=f"{example.name} (sample {example.index})"),
        ),
    )


def _why(example: Example) -> Html | None:
    if example.why is None:
        return None
    return h("div", image(example.why, alt=f"evidence for {example.label}"), class_="frame")

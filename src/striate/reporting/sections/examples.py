"""Answers to look at: where it was sure and wrong, and where it was sure and right."""

from __future__ import annotations

from collections.abc import Sequence

from striate.reporting.html import Child, Html, h, name
from striate.reporting.inline_images import picture
from striate.reporting.material import Example, RunMaterial
from striate.reporting.numbers import percent
from striate.reporting.page import Section

SURE = 0.9
"""The confidence from which on an answer is called sure."""


def examples(material: RunMaterial) -> Section | None:
    """The most confident mistakes, then the most confident right answers, each with its file."""
    flawless = material.test is not None and material.test.top1.correct == material.test.count
    content: list[Child] = []
    if material.mistakes:
        content += _groups(material.mistakes, "wrong", class_="gallery why")
    elif flawless:
        content += [h("h3", "Sure, and wrong"), h("p", "Not one test image was answered wrong.", class_="none")]
    content += _groups(material.surest, "right")
    if not content:
        return None
    lead: list[Child] = [
        h("p", "Look at the mistakes first: a confident one is often a wrong label, or an image of something else.")
    ]
    if material.unexplained:
        lead.append(h("p", f"The mistakes are shown without maps. {material.unexplained}"))
    if material.mistakes and material.explained:
        lead.append(
            h(
                "p",
                f"Beside each mistake, what spoke for the wrong answer ({material.explained}): the lighter, the more.",
            )
        )
    return Section("answers", "Its surest answers", lead, content)


def _groups(shown: Sequence[Example], word: str, class_: str = "gallery") -> list[Child]:
    """The answers of which the classifier was sure, and apart from them the others."""
    sure = [example for example in shown if example.confidence >= SURE]
    others = [example for example in shown if example.confidence < SURE]
    groups = ((f"Sure, and {word}", sure), (f"Less sure, and {word}", others))
    return [child for title, group in groups if group for child in (h("h3", title), _gallery(group, class_))]


def _gallery(shown: Sequence[Example], class_: str = "gallery") -> Html:
    return h("ul", [h("li", _card(example)) for example in shown], class_=class_)


def _card(example: Example) -> Html:
    right = example.given == example.predicted
    alt = f"{example.name}: {example.given}, answered {example.predicted}"
    told = (
        [h("b", name(example.given))]
        if right
        else [h("b", name(example.predicted), class_="said"), h("span", "truly ", name(example.given), class_="true")]
    )
    return h(
        "figure",
        h("div", h("div", picture(example.picture, alt=alt), class_="frame"), _why(example), class_="pair"),
        h(
            "figcaption",
            h("div", told, h("span", percent(example.confidence), class_="sure"), class_="told"),
            h("i", class_=f"bar {'right' if right else 'wrong'}", style=f"--share:{example.confidence:.4f}"),
            h("div", name(example.name), class_="file", title=f"{example.name} (sample {example.index})"),
        ),
    )


def _why(example: Example) -> Html | None:
    if example.why is None:
        return None
    return h("div", picture(example.why, alt=f"what spoke for {example.predicted}"), class_="frame")

"""What was trained on: where the pictures came from and how they were divided."""

from __future__ import annotations

from striate.reporting.html import Child, Html, h, name
from striate.reporting.material import DataFacts, RunMaterial
from striate.reporting.numbers import count, listed, percent
from striate.reporting.page import Section, facts, folded, table

_WORDS = {"train": "training", "val": "validation", "test": "test"}


def data(material: RunMaterial) -> Section | None:
    """The splits as one bar, and the images of each class in each split."""
    facts_ = material.data
    if facts_ is None:
        return None
    totals = {split: sum(counts) for split, counts in facts_.counts.items()}
    empty = [
        f"{_WORDS.get(split, split)}: {listed([facts_.classes[k] for k, n in enumerate(counts) if not n])}"
        for split, counts in facts_.counts.items()
        if not all(counts)
    ]
    lead: list[Child] = [h("p", count(sum(totals.values()), "image"), f" in {len(facts_.classes)} classes.")]
    if empty:
        lead.append(h("p", "Classes without an image: ", "; ".join(empty), ".", class_="warning"))
    content = [
        _bar(totals),
        facts([
            ("data", name(facts_.name)),
            ("given as", h("code", name(facts_.source))),
            ("splits", facts_.origin),
            ("left out as unreadable", count(facts_.left_out, "image") if facts_.left_out else "none"),
        ]),
        _by_class(facts_),
    ]  # fmt: skip
    return Section("data", "What it was trained on", lead, content)


def _bar(totals: dict[str, int]) -> Html:
    whole = max(1, sum(totals.values()))
    parts = [
        h("div", h("b", _WORDS.get(split, split)), h("span", f"{count(total)} · {percent(total / whole, 0)}"),
          class_=f"part {split if split in _WORDS else 'other'}", style=f"flex-grow:{total / whole:.4f}")
        for split, total in totals.items()
    ]  # fmt: skip
    return h("div", parts, class_="splits")


def _by_class(facts_: DataFacts) -> Html:
    splits = list(facts_.counts)
    rows = [
        [name(class_), *(count(facts_.counts[split][k]) for split in splits)] for k, class_ in enumerate(facts_.classes)
    ]
    whole = table(["class", *(_WORDS.get(split, split) for split in splits)], rows)
    return folded("Images per class", whole)

"""The data of a run: their splits, and the findings of the audit."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence

from striate.data.audit import Audit
from striate.data.audit.warnings import Finding
from striate.data.dataset import SPLITS, Split
from striate.reporting.html import Child, Html, h, name
from striate.reporting.material import RunMaterial
from striate.reporting.numbers import count, listed, percent
from striate.reporting.page import Section, facts, folded, table

_WORDS: dict[str, str] = {"train": "training", "val": "validation", "test": "test"}
_AT_ONCE = 3
_MOST = 200
_ORDER = ("warning", "note", "fine")


def data(material: RunMaterial) -> Section | None:
    """Show the splits as one bar, and the number of images of each class in each split."""
    found = material.audit
    if found is None:
        return None
    splits: list[Split] = [split for split in SPLITS if any(getattr(row, split) for row in found.classes)]
    totals: dict[str, int] = {split: len(found.splits[split]) for split in splits}
    missing = {split: [row.name for row in found.classes if not getattr(row, split)] for split in splits}
    listing = [f"{_WORDS[split]}: {listed(names)}" for split, names in missing.items() if names]
    lead: list[Child] = [h("p", count(sum(totals.values()), "image"), f" in {len(found.classes)} classes.")]
    if listing:
        lead.append(h("p", "Classes without an image: ", "; ".join(listing), ".", class_="warning"))
    content = [
        _bar(totals),
        facts([
            ("name", name(found.name)),
            ("source", h("code", name(found.dataset.source))),
            ("splits", _origin(splits, found.dataset.splits)),
            ("unreadable", count(len(found.unread), "image") if found.unread else "none"),
        ]),
        _by_class(found, splits),
    ]  # fmt: skip
    return Section("data", "Data", lead, content)


def _origin(splits: Sequence[str], given: Container[str]) -> str:
    kinds = (
        ("defined by the data", [split for split in splits if split in given]),
        ("split by Striate", [split for split in splits if split not in given]),
    )
    return "; ".join(f"{', '.join(_WORDS[split] for split in names)}: {how}" for how, names in kinds if names)


def _bar(totals: Mapping[str, int]) -> Html:
    whole = max(1, sum(totals.values()))
    parts = [
        h("div", h("b", _WORDS[split]), h("span", f"{count(total)} · {percent(total / whole, 0)}"),
          class_=f"part {split}", style=f"flex-grow:{total / whole:.4f}")
        for split, total in totals.items()
    ]  # fmt: skip
    return h("div", parts, class_="splits")


def _by_class(found: Audit, splits: Sequence[str]) -> Html:
    rows = [[name(row.name), *(count(getattr(row, split)) for split in splits)] for row in found.classes]
    return folded("Images per class", table(["class", *(_WORDS[split] for split in splits)], rows))


def audit(material: RunMaterial) -> Section | None:
    """List the findings of the audit, warnings first, with the files that they are about."""
    if material.audit is None:
        return None
    findings = material.audit.findings
    warnings = sum(finding.level == "warning" for finding in findings)
    lead = h("p", f"{count(warnings, 'warning')}." if warnings else "No warnings.")
    ordered = sorted(findings, key=lambda finding: _ORDER.index(finding.level))
    content = h("ul", [h("li", _finding(finding), class_=finding.level) for finding in ordered], class_="findings")
    return Section("audit", "Data audit", lead, content)


def _finding(finding: Finding) -> list[Html | None]:
    files = [h("li", name(file)) for file in finding.names[:_MOST]]
    if len(finding.names) > _MOST:
        files.append(h("li", f"and {count(len(finding.names) - _MOST)} more"))
    listing = h("ul", files, class_="files") if files else None
    if listing is not None and len(finding.names) > _AT_ONCE:
        listing = folded(count(len(finding.names), "file"), listing)
    return [h("p", finding.sentence), listing]

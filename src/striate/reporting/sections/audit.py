"""What was found in the data before the training."""

from __future__ import annotations

from striate.reporting.html import Html, h, name
from striate.reporting.material import Finding, RunMaterial
from striate.reporting.numbers import count
from striate.reporting.page import Section, folded

_AT_ONCE = 3
_MOST = 200
_ORDER = ("warning", "note", "fine")


def audit(material: RunMaterial) -> Section | None:
    """The audit's sentences, the grave ones first, with the files that they are about."""
    findings = material.audit
    if findings is None:
        return None
    grave = sum(finding.level == "warning" for finding in findings)
    lead = h("p", f"{count(grave, 'thing')} to look at." if grave else "Nothing in the data asks for attention.")
    ordered = sorted(findings, key=lambda finding: _ORDER.index(finding.level))
    content = h("ul", [h("li", _finding(finding), class_=finding.level) for finding in ordered], class_="findings")
    return Section("audit", "What is in the data", lead, content)


def _finding(finding: Finding) -> list[Html | None]:
    files = [h("li", name(file)) for file in finding.names[:_MOST]]
    if len(finding.names) > _MOST:
        files.append(h("li", f"and {count(len(finding.names) - _MOST)} more"))
    listing = h("ul", files, class_="files") if files else None
    if listing is not None and len(finding.names) > _AT_ONCE:
        listing = folded(count(len(finding.names), "file"), listing)
    return [h("p", finding.sentence), listing]

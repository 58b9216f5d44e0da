"""What the facts of an audit mean, in sentences: a rule each, and each says nothing where there is nothing to say."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from striate.data.audit.statistics import Group
from striate.data.images.decoded import NOTED
from striate.data.images.kinds import common_maximum

if TYPE_CHECKING:
    from striate.data.audit.audit import Audit

_FEW = 10  # pictures: below, neither learning a class nor judging it is worth the name
_UNEVEN, _VERY_UNEVEN = 3, 10


@dataclass(frozen=True)
class Finding:
    """A sentence, how much it matters, and the pictures that it is about; `kind` names the rule."""

    kind: str
    level: Literal["fine", "note", "warning"]
    sentence: str
    names: tuple[str, ...] = ()


Rule = Callable[["Audit"], Iterator[Finding]]


def findings(audit: Audit) -> tuple[Finding, ...]:
    """What all rules find, in the order of the rules."""
    return tuple(finding for rule in _RULES for finding in rule(audit))


def many(count: int, noun: str) -> str:
    """`1 picture`, `2 pictures`, `1,200 classes`."""
    plural = noun if count == 1 else f"{noun}es" if noun.endswith("s") else f"{noun}s"
    return f"{count:,} {plural}"


def _contents(audit: Audit) -> Iterator[Finding]:
    sentence = f"{many(audit.pictures, 'picture')} in {many(len(audit.classes), 'class')}"
    if audit.sizes and audit.sizes.distinct == 1:
        sentence += ", all of {}×{} pixels".format(*audit.sizes.median)
    elif audit.sizes:
        ends = ["{}×{}".format(*size) for size in (audit.sizes.smallest, audit.sizes.largest, audit.sizes.median)]
        sentence += ", from {} to {} pixels (height×width; medians {})".format(*ends)
    yield Finding("contents", "fine", f"{sentence}.")


def _notes(audit: Audit) -> Iterator[Finding]:
    for note in audit.notes:
        yield Finding("note", "note", note)
    for caution in audit.cautions:
        yield Finding("caution", "warning", caution)


def _unreadable(audit: Audit) -> Iterator[Finding]:
    if audit.unread:
        reasons = Counter(row.reason for row in audit.unread).most_common()
        listing = ", ".join(f"{count:,} {reason}" for reason, count in reasons)
        yield Finding(
            "unreadable",
            "warning",
            f"{many(len(audit.unread), 'picture')} of {audit.pictures:,} cannot be read and "
            f"{'is' if len(audit.unread) == 1 else 'are'} left out: {listing}.",
            tuple(f"{row.name}: {row.detail or row.reason}" for row in audit.unread),
        )


def _duplicates(audit: Audit) -> Iterator[Finding]:
    for kind, sign, like in (("equal", "=", "have the same pixels"), ("alike", "≈", "look alike")):
        every = [group for group in audit.groups if group.kind == kind]
        large = [group for group in every if group.large]
        labels = [group for group in every if len(group.classes) > 1]
        leaks = [group for group in every if len(group.parts) > 1]
        if not every and (kind == "equal" or audit.compared):
            yield Finding(kind, "fine", f"No two pictures {like}.")
        elif every:
            extra = sum(len(group.names) - 1 for group in every)
            sentence = (
                f"{many(len(every), 'group')} of pictures {like}: {many(extra, 'picture')} beside the first ones."
            )
            yield Finding(kind, "note", sentence, _listed(every, sign))
        if large:
            sizes = ", ".join(f"{len(group.names):,}" for group in large)
            yield Finding(
                f"{kind}, large group",
                "warning",
                f"Groups of {sizes} pictures {like}; groups so large are not kept in one part.",
                _listed(large, sign),
            )
        if labels:
            yield Finding(
                f"{kind}, other label",
                "warning",
                f"{many(len(labels), 'group')} of pictures that {like} bear different labels.",
                tuple(f"{row} ({', '.join(g.classes)})" for g, row in zip(labels, _listed(labels, sign), strict=True)),
            )
        if leaks:
            yield Finding(
                f"{kind}, across parts",
                "warning",
                f"{many(len(leaks), 'group')} of pictures that {like} lie in more than one part: what is judged was "
                "partly seen in training.",
                tuple(f"{row} ({', '.join(g.parts)})" for g, row in zip(leaks, _listed(leaks, sign), strict=True)),
            )


def _listed(groups: list[Group], sign: str) -> tuple[str, ...]:
    """Each group as a line of its first few names."""
    most = 4
    return tuple(
        f" {sign} ".join(group.names[:most])
        + (f" {sign} {len(group.names) - most:,} more" if len(group.names) > most else "")
        for group in groups
    )


def _tiny_classes(audit: Audit) -> Iterator[Finding]:
    tiny = [row for row in audit.classes if row.total < _FEW]
    if tiny:
        listing = ", ".join(f"{row.name} ({row.total})" for row in tiny[:10]) + (" …" if len(tiny) > 10 else "")
        noun = "class has" if len(tiny) == 1 else "classes have"
        yield Finding("tiny class", "warning", f"{len(tiny):,} {noun} fewer than {_FEW} pictures: {listing}.")


def _imbalance(audit: Audit) -> Iterator[Finding]:
    present = sorted((row for row in audit.classes if row.total), key=lambda row: row.total)
    if len(present) > 1 and present[-1].total >= _UNEVEN * present[0].total:
        ratio = present[-1].total / present[0].total
        yield Finding(
            "imbalance",
            "warning" if ratio >= _VERY_UNEVEN else "note",
            f"{present[-1].name} has {ratio:.3g} times as many images as {present[0].name} "
            f"({present[-1].total:,} and {present[0].total:,}).",
        )


def _missing_classes(audit: Audit) -> Iterator[Finding]:
    for part, names in audit.lacking.items():
        listing = ", ".join(names[:10]) + (" …" if len(names) > 10 else "")
        yield Finding("missing class", "warning", f"The part {part} has no picture of {listing}.")


def _rotated(audit: Audit) -> Iterator[Finding]:
    if audit.rotated:
        noun = "picture is" if audit.rotated == 1 else "pictures are"
        yield Finding("rotated", "note", f"{audit.rotated:,} {noun} turned upright by the EXIF orientation.")


def _noted(audit: Audit) -> Iterator[Finding]:
    noted = [row for row in audit.kinds if NOTED in row.what]
    if noted:
        count = sum(row.count for row in noted)
        sentence = f"{many(count, 'image')} {'is' if count == 1 else 'are'} read although the file is irregular."
        yield Finding("noted", "note", sentence, tuple(f"{row.count:,} × {row.what}" for row in noted))


def _mixed_kinds(audit: Audit) -> Iterator[Finding]:
    channels = Counter[str]()
    for row in audit.kinds:
        channels[row.what.rpartition(": ")[2]] += row.count
    if len(channels) > 1:
        listing = ", ".join(f"{count:,} {name.replace(',', ' ')}" for name, count in channels.most_common())
        yield Finding("mixed channels", "note", f"The pictures do not all have the same channels: {listing}.")


def _mixed_depths(audit: Audit) -> Iterator[Finding]:
    found = audit.survey
    depths = Counter(found.maxima[found.readable].tolist())
    if len(depths) < 2 or not len(audit.parts["train"]):
        return
    common = common_maximum(found.maxima[audit.parts["train"]])
    listing = ", ".join(f"{count:,} with {_depth(maximum)}" for maximum, count in depths.most_common())
    sentence = f"The images do not all have the same depth: {listing}. All are prepared with {_depth(common)}"
    floating = 1.0 in depths and common != 1.0
    sentence += "; floating values below 0 and above 1 are cut off." if floating else "."
    others = np.flatnonzero(found.readable & (found.maxima != common)).tolist()
    names = tuple(audit.names[index] for index in others)
    yield Finding("mixed depths", "warning" if floating else "note", sentence, names)


def _depth(maximum: float) -> str:
    return {255.0: "8 bits", 65535.0: "16 bits"}.get(maximum, "floating values")


_RULES: tuple[Rule, ...] = (
    _contents,
    _notes,
    _unreadable,
    _duplicates,
    _missing_classes,
    _tiny_classes,
    _imbalance,
    _noted,
    _mixed_kinds,
    _mixed_depths,
    _rotated,
)

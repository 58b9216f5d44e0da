"""Findings about a data set: each rule yields a sentence where the statistics call for one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from striate.core.imbalance import effective_numbers, imbalance, is_imbalanced, moderate_beta
from striate.data.audit.statistics import Group, Statistics
from striate.data.images.decoded import NOTED
from striate.data.images.kinds import common_maximum

_FEW = 10  # images: fewer are too few to learn a class or to evaluate it
_VERY_UNEVEN = 10


@dataclass(frozen=True)
class Finding:
    """A sentence, its level, and the names of the images it concerns; `kind` names the rule."""

    kind: str
    level: Literal["fine", "note", "warning"]
    sentence: str
    names: tuple[str, ...] = ()


Rule = Callable[[Statistics], Iterator[Finding]]


def findings(found: Statistics) -> tuple[Finding, ...]:
    """Return the findings of all rules, in the order of the rules."""
    return tuple(finding for rule in _RULES for finding in rule(found))


def many(count: int, noun: str) -> str:
    """Write a count with its noun: `1 image`, `2 images`, `1,200 classes`."""
    plural = noun if count == 1 else f"{noun}es" if noun.endswith("s") else f"{noun}s"
    return f"{count:,} {plural}"


def _contents(found: Statistics) -> Iterator[Finding]:
    sentence = f"{many(found.images, 'image')} in {many(len(found.classes), 'class')}"
    if found.sizes and found.sizes.distinct == 1:
        sentence += ", all of {}×{} pixels".format(*found.sizes.median)
    elif found.sizes:
        ends = ["{}×{}".format(*size) for size in (found.sizes.smallest, found.sizes.largest, found.sizes.median)]
        sentence += ", from {} to {} pixels (height×width; medians {})".format(*ends)
    yield Finding("contents", "fine", f"{sentence}.")


def _notes(found: Statistics) -> Iterator[Finding]:
    for note in found.dataset.notes:
        yield Finding("note", "note", note)
    for caution in found.dataset.cautions:
        yield Finding("caution", "warning", caution)


def _unreadable(found: Statistics) -> Iterator[Finding]:
    if found.unread:
        reasons = Counter(row.reason for row in found.unread).most_common()
        listing = ", ".join(f"{count:,} {reason}" for reason, count in reasons)
        yield Finding(
            "unreadable",
            "warning",
            f"{many(len(found.unread), 'image')} of {found.images:,} cannot be read and "
            f"{'is' if len(found.unread) == 1 else 'are'} left out: {listing}.",
            tuple(f"{row.name}: {row.detail or row.reason}" for row in found.unread),
        )


def _duplicates(found: Statistics) -> Iterator[Finding]:
    for kind, sign, like in (("equal", "=", "have the same pixels"), ("alike", "≈", "look alike")):
        every = [group for group in found.groups if group.kind == kind]
        large = [group for group in every if group.large]
        labels = [group for group in every if len(group.classes) > 1]
        leaks = [group for group in every if len(group.splits) > 1]
        if not every and (kind == "equal" or found.comparable):
            yield Finding(kind, "fine", f"No two images {like}.")
        elif every:
            extra = sum(len(group.names) - 1 for group in every)
            sentence = (
                f"{many(len(every), 'group')} of images {like}: {many(extra, 'image')} in addition to the first ones."
            )
            yield Finding(kind, "note", sentence, _listed(every, sign))
        if large:
            sizes = ", ".join(f"{len(group.names):,}" for group in large)
            yield Finding(
                f"{kind}, large group",
                "warning",
                f"Groups of {sizes} images {like}; groups so large may be divided between splits.",
                _listed(large, sign),
            )
        if labels:
            yield Finding(
                f"{kind}, other label",
                "warning",
                f"{many(len(labels), 'group')} of images that {like} have different labels.",
                _listed(labels, sign, with_labels=True),
            )
        if leaks:
            yield Finding(
                f"{kind}, across splits",
                "warning",
                f"{many(len(leaks), 'group')} of images that {like} are in more than one split: the evaluation "
                "includes images seen in training.",
                _with_splits(leaks, sign),
            )


def _parted_groups(found: Statistics) -> Iterator[Finding]:
    if found.parted:
        yield Finding(
            "group, across splits",
            "warning",
            f"{many(len(found.parted), 'group')} of images that the data bind together are in more than one split: the "
            "evaluation includes groups seen in training.",
            _with_splits(found.parted, "+"),
        )


def _with_splits(groups: Sequence[Group], sign: str) -> tuple[str, ...]:
    rows = zip(groups, _listed(groups, sign), strict=True)
    return tuple(f"{row} ({', '.join(group.splits)})" for group, row in rows)


def _listed(groups: Sequence[Group], sign: str, *, with_labels: bool = False) -> tuple[str, ...]:
    """Return a line for each group, with its first few names, and their labels."""
    most, lines = 4, []
    for group in groups:
        names = group.names[:most]
        if with_labels:
            names = [f"{name} ({label})" for name, label in zip(names, group.labels[:most], strict=True)]
        more = [f"{len(group.names) - most:,} more"] if len(group.names) > most else []
        lines.append(f" {sign} ".join([*names, *more]))
    return tuple(lines)


def _tiny_classes(found: Statistics) -> Iterator[Finding]:
    tiny = [row for row in found.classes if row.total < _FEW]
    if tiny:
        listing = ", ".join(f"{row.name} ({row.total})" for row in tiny[:10]) + (" …" if len(tiny) > 10 else "")
        noun = "class has" if len(tiny) == 1 else "classes have"
        yield Finding("tiny class", "warning", f"{len(tiny):,} {noun} fewer than {_FEW} images: {listing}.")


def _imbalance(found: Statistics) -> Iterator[Finding]:
    """Count the images of the training split: weights and sampling are those of its classes."""
    present = sorted((row for row in found.classes if row.train), key=lambda row: row.train)
    counts = np.array([row.train for row in present], np.int64)
    if not is_imbalanced(counts):
        return
    ratio, beta = imbalance(counts), moderate_beta(counts)
    few, many_ = effective_numbers(counts[[0, -1]], beta).tolist()
    sampling = "" if found.dataset.has_label_sets else ", or sampling.name=balanced to show all classes equally often"
    yield Finding(
        "imbalance",
        "warning" if ratio >= _VERY_UNEVEN else "note",
        f"{present[-1].name} has {ratio:.3g} times as many training images as {present[0].name} "
        f"({present[-1].train:,} and {present[0].train:,}). If all classes matter alike, train with "
        f"--set loss.class_balance={beta:g} (effective numbers of {many_:.3g} and {few:.3g} images: those of "
        f"{present[0].name} weigh {many_ / few:.2g} times as much){sampling}.",
        tuple(f"{row.name}: {row.train:,}" for row in present),
    )


def _missing_classes(found: Statistics) -> Iterator[Finding]:
    for split, names in found.lacking.items():
        listing = ", ".join(names[:10]) + (" …" if len(names) > 10 else "")
        yield Finding("missing class", "warning", f"The {split} split has no image of {listing}.")


def _rotated(found: Statistics) -> Iterator[Finding]:
    if found.rotated:
        noun = "image is" if found.rotated == 1 else "images are"
        yield Finding("rotated", "note", f"{found.rotated:,} {noun} turned upright by the EXIF orientation.")


def _noted(found: Statistics) -> Iterator[Finding]:
    noted = [row for row in found.kinds if NOTED in row.what]
    if noted:
        count = sum(row.count for row in noted)
        sentence = f"{many(count, 'image')} {'is' if count == 1 else 'are'} read although the file is irregular."
        yield Finding("noted", "note", sentence, tuple(f"{row.count:,} × {row.what}" for row in noted))


def _mixed_kinds(found: Statistics) -> Iterator[Finding]:
    channels = Counter[str]()
    for row in found.kinds:
        channels[row.what.rpartition(": ")[2]] += row.count
    if len(channels) > 1:
        listing = ", ".join(f"{count:,} {name.replace(',', ' ')}" for name, count in channels.most_common())
        yield Finding("mixed channels", "note", f"The images do not all have the same channels: {listing}.")


def _mixed_depths(found: Statistics) -> Iterator[Finding]:
    index = found.index
    depths = Counter(index.maxima[index.readable].tolist())
    if len(depths) < 2:
        return
    learned = found.splits["train"] if len(found.splits["train"]) else np.flatnonzero(index.readable)
    common = common_maximum(index.maxima[learned])
    listing = ", ".join(f"{count:,} with {_depth(maximum)}" for maximum, count in depths.most_common())
    sentence = f"The images do not all have the same depth: {listing}. All are prepared with {_depth(common)}"
    floating = 1.0 in depths and common != 1.0
    sentence += "; floating values below 0 and above 1 are cut off." if floating else "."
    others = np.flatnonzero(index.readable & (index.maxima != common)).tolist()
    names = tuple(found.dataset.store.name(other) for other in others)
    yield Finding("mixed depths", "warning" if floating else "note", sentence, names)


def _depth(maximum: float) -> str:
    return {255.0: "8 bits", 65535.0: "16 bits"}.get(maximum, "floating values")


_RULES: tuple[Rule, ...] = (
    _contents,
    _notes,
    _unreadable,
    _duplicates,
    _parted_groups,
    _missing_classes,
    _tiny_classes,
    _imbalance,
    _noted,
    _mixed_kinds,
    _mixed_depths,
    _rotated,
)

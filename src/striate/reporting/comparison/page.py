"""The page of a comparison: one HTML file in the style of the report; and its tables, for the terminal and others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from striate.core.config import written
from striate.core.proportion import Proportion
from striate.metrics import ClassificationScores, MultilabelScores
from striate.reporting.comparison.figure import JUDGED_ON, comparison_figure
from striate.reporting.comparison.material import Material, Pair
from striate.reporting.html import Html, figure_of, h, name
from striate.reporting.numbers import NOT_KNOWN, percent
from striate.reporting.page import Section, page, table


def comparison_page(material: Material) -> str:
    """Render the page as one HTML document without scripts or external addresses."""
    names = [each.name for each in material.runs]
    sections = [_scores(material, names)]
    if material.pairs:
        sections.append(_pairs(material))
    if comparison_figure(material) is not None:
        drawn = figure_of(lambda theme: _drawn(material, theme), alt="Curves and accuracies of the runs")
        sections.append(
            Section("curves", "Curves", h("p", "Each run has one colour, dashed from the fifth run on."), drawn)
        )
    sections.append(_settings(material, names))
    top = h(
        "header",
        h("p", h("span", "Striate", class_="wordmark"), " comparison of runs", class_="kicker"),
        h("h1", name(", ".join(names))),
        h("p", verdict(material), class_="verdict"),
        class_="masthead",
    )
    return page("Comparison · Striate", top, sections, h("p", "Written by Striate."))


def _drawn(material: Material, theme: Any) -> Any:
    return comparison_figure(material, theme=theme)


def verdict(material: Material) -> str:
    """Return the outcome of the tests in one sentence."""
    judged = str(material.judged)
    found = [each.evaluations[judged].scores for each in material.runs if judged in each.evaluations]
    if not material.pairs and all(isinstance(scores, ClassificationScores) for scores in found):
        return "No two of these runs were judged on the same images."
    where = JUDGED_ON[judged]
    if not material.pairs:
        return f"The scores on {where} are not tested against each other: the test is for one answer for each image."
    differ = [pair for pair in material.pairs if pair.differs]
    if not differ:
        return f"No difference between these runs is significant on their {where}."
    if len(material.pairs) == 1:
        pair = differ[0]
        better, worse = (pair.second, pair.first) if pair.paired.difference > 0 else (pair.first, pair.second)
        return f"{better} is more accurate than {worse} on their {where}."
    return f"{len(differ)} of {len(material.pairs)} differences are significant on their {where}."


def score_rows(material: Material) -> list[tuple[str, ...]]:
    """Return a row for each evaluation and quantity, with a cell for each run."""
    rows = []
    for key, where in JUDGED_ON.items():
        found = [each.evaluations.get(key) for each in material.runs]
        scores = [None if each is None else each.scores for each in found]
        if all(each is None for each in scores):
            continue
        if any(isinstance(each, ClassificationScores) for each in scores):
            if any(each is not None and each.imbalanced for each in scores):
                rows += _shares(scores, where, {"balanced accuracy": "balanced_accuracy", "macro F1": "macro_f1"})
            rows.append((f"accuracy, {where}", *(_accuracy(each.top1) if each else "" for each in scores)))
            rows.append((f"loss, {where}", *(f"{each.loss:.4f}" if each else "" for each in scores)))
        elif any(isinstance(each, MultilabelScores) for each in scores):
            rows += _shares(
                scores, where, {"mAP": "mean_average_precision", "micro F1": "micro_f1", "macro F1": "macro_f1"}
            )
            rows.append((f"all labels right, {where}", *(_accuracy(each.exact) if each else "" for each in scores)))
            rows.append((f"loss, {where}", *(f"{each.loss:.4f}" if each else "" for each in scores)))
        else:
            sums = [each.summary() if each else {} for each in scores]
            for quantity in dict.fromkeys(quantity for each in sums for quantity in each):
                values = (f"{each[quantity]:.4g}" if quantity in each else "" for each in sums)
                rows.append((f"{quantity}, {where}", *values))
    rows.append(("time of training", *(_time(each.seconds) for each in material.runs)))
    rows.append(("end of training", *(each.state for each in material.runs)))
    return rows


def _shares(scores: Sequence[Any], where: str, quantities: Mapping[str, str]) -> list[tuple[str, ...]]:
    """Return a row for each quantity, by its title, with its percentage in each run that has scores."""

    def cell(found: Any, quantity: str) -> str:
        value = None if found is None else getattr(found, quantity)
        return "" if found is None else NOT_KNOWN if value is None else percent(value)

    return [(f"{title}, {where}", *(cell(each, quantity) for each in scores)) for title, quantity in quantities.items()]


def pair_row(pair: Pair) -> tuple[str, str, str, str]:
    """Return the pair, the difference with its interval, the counts behind it, and the p-value."""
    paired = pair.paired
    low, high = (100 * end for end in paired.interval)
    return (
        f"{pair.second} − {pair.first}",
        f"{100 * paired.difference:+.2f} ({low:+.2f} to {high:+.2f})",
        f"{paired.second} : {paired.first} of {paired.count:,}",
        f"{pair.p:.2g}" if pair.p >= 1e-4 else "<0.0001",
    )


PAIR_HEADS = ("difference of accuracy", "points (95 % interval)", "only one right", "p")


def _accuracy(measured: Proportion) -> str:
    if measured.interval is None or measured.value is None:
        return NOT_KNOWN
    low, high = measured.interval
    return f"{percent(measured.value)} ({100 * low:.1f} to {100 * high:.1f})"


def _time(seconds: float | None) -> str:
    if seconds is None:
        return NOT_KNOWN
    return f"{seconds:.1f} s" if seconds < 600 else f"{seconds / 60:.1f} min"


def _scores(material: Material, names: Sequence[str]) -> Section:
    lead = [h("p", "With 95 % intervals."), *(h("p", note) for note in material.notes)]
    return Section("scores", "Scores", lead, table(["", *names], score_rows(material)))


def _pairs(material: Material) -> Section:
    lead = h(
        "p",
        "The same images, judged by two runs. p is the probability of such a difference between equally accurate "
        "classifiers (McNemar's exact test, adjusted for the number of pairs by Holm's method). The intervals are of "
        "one pair each.",
    )
    return Section("differences", "Differences", lead, table(PAIR_HEADS, list(map(pair_row, material.pairs))))


def _settings(material: Material, names: Sequence[str]) -> Section:
    rows: list[list[str | Html]] = [
        [h("code", key), *(h("code", name(written(value))) for value in values)]
        for key, values in material.settings.items()
    ]
    content = table(["setting", *names], rows, numeric_from=9) if rows else h("p", "All settings are equal.")
    return Section("settings", "Settings", h("p", "Those that differ."), content)

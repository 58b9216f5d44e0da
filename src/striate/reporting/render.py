"""The report of a run: one HTML file without external resources."""

from __future__ import annotations

from collections.abc import Callable

from striate.core.registry import Registry
from striate.reporting.html import h
from striate.reporting.material import RunMaterial as RunMaterial
from striate.reporting.page import Section, page
from striate.reporting.sections.advice import advice
from striate.reporting.sections.augmentation import augmentation
from striate.reporting.sections.classes import classes, confusions
from striate.reporting.sections.confidence import confidence
from striate.reporting.sections.data import audit, data
from striate.reporting.sections.examples import examples
from striate.reporting.sections.generalization import generalization
from striate.reporting.sections.health import health
from striate.reporting.sections.labels import labels
from striate.reporting.sections.model import filters, model
from striate.reporting.sections.recipe import provenance, recipe
from striate.reporting.sections.training import training
from striate.reporting.sections.transfer import transfer
from striate.reporting.sections.verdict import verdict

SECTIONS: Registry[Callable[[RunMaterial], Section | None]] = Registry("section of a report")
"""By the names that a task lists (`striate.tasks.Task.sections`)."""

for _make in (
    advice, examples, generalization, confusions, classes, confidence, labels, transfer, training, health, augmentation,
    data, audit, model, filters, recipe, provenance,
):  # fmt: skip
    SECTIONS.add(_make.__name__, _make)


def render(material: RunMaterial) -> str:
    """Render the report as one HTML document without scripts or external addresses."""
    sections = [section for name in material.sections if (section := SECTIONS[name](material)) is not None]
    foot = h("p", "Written by Striate. Every score on this page carries its full value and its path in the evaluation.")
    return page(f"{material.title} · Striate", verdict(material), sections, foot)

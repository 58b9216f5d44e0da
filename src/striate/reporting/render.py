"""The report of a run: one HTML file without external resources."""

from __future__ import annotations

from striate.reporting.html import h
from striate.reporting.material import RunMaterial as RunMaterial
from striate.reporting.page import page
from striate.reporting.sections.classes import classes, confusions
from striate.reporting.sections.confidence import confidence
from striate.reporting.sections.data import audit, data
from striate.reporting.sections.examples import examples
from striate.reporting.sections.generalization import generalization
from striate.reporting.sections.model import filters, model
from striate.reporting.sections.recipe import provenance, recipe
from striate.reporting.sections.training import training
from striate.reporting.sections.verdict import verdict

_SECTIONS = (
    examples, generalization, confusions, classes, confidence, training, data, audit, model, filters, recipe,
    provenance,
)  # fmt: skip


def render(material: RunMaterial) -> str:
    """Render the report as one HTML document without scripts or external addresses."""
    sections = [section for make in _SECTIONS if (section := make(material)) is not None]
    foot = h("p", "Written by Striate. Every score on this page carries its full value and its path in the evaluation.")
    return page(f"{material.title} · Striate", verdict(material), sections, foot)

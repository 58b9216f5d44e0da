"""The report of a run: one HTML file that needs nothing else."""

from __future__ import annotations

from pathlib import Path

from striate.core.files import write_atomically
from striate.reporting.html import h
from striate.reporting.material import RunMaterial as RunMaterial
from striate.reporting.page import page
from striate.reporting.sections.audit import audit
from striate.reporting.sections.classes import classes
from striate.reporting.sections.confidence import confidence
from striate.reporting.sections.confusions import confusions
from striate.reporting.sections.data import data
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
    """The report as one HTML document: no script, no address outside itself."""
    sections = [section for make in _SECTIONS if (section := make(material)) is not None]
    foot = h(
        "p", "Written by Striate. Every score on this page carries its full value and its place in the evaluation."
    )
    return page(f"{material.title} · Striate", verdict(material), sections, foot)


def write_report(material: RunMaterial, path: Path) -> None:
    """Write the report to `path`, whole or not at all.

    Raises:
        StriateError: the folder cannot be written, or the disk is full.
    """
    write_atomically(path, render(material))

"""The report of a run: one HTML file that needs nothing else."""

from __future__ import annotations

from pathlib import Path

from striate.core.files import write_atomically
from striate.reporting.material import RunMaterial as RunMaterial


def render(material: RunMaterial) -> str:
    """The report as one HTML document: no script, no address outside itself."""
    raise NotImplementedError(material.title)


def write_report(material: RunMaterial, path: Path) -> None:
    """Write the report to `path`, whole or not at all.

    Raises:
        StriateError: the folder cannot be written, or the disk is full.
    """
    write_atomically(path, render(material))

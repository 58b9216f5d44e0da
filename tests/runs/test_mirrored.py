"""Mirroring is measured after training where class names leave it open, and the run says what speaks for a change."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

import striate
from striate.cli.show.display import finished
from striate.runs.events import RunFinished
from striate.runs.mirrored import Mirrored

Draw = Callable[[np.random.Generator, int], np.ndarray]


def slope(draws: np.random.Generator, number: int) -> np.ndarray:
    """Brighter to the right in the first class, to the left in the second."""
    ramp = np.linspace(20, 220, 16)[:: 1 - 2 * number]
    return np.clip(ramp[None, :, None] + draws.normal(0, 12, (16, 16, 3)), 0, 255)


def tone(draws: np.random.Generator, number: int) -> np.ndarray:
    """Dark in the first class, light in the second."""
    return np.clip(60 + 130 * number + draws.normal(0, 20, (16, 16, 3)), 0, 255)


def data(folder: Path, draw: Draw, names: tuple[str, str], count: int) -> Path:
    draws = np.random.default_rng(0)
    for split, part in (("train", 24), ("val", count)):
        for number, name in enumerate(names):
            (folder / split / name).mkdir(parents=True)
            for image in range(part):
                pixels = draw(draws, number).astype(np.uint8)
                Image.fromarray(pixels).save(folder / split / name / f"{image}.png")
    return folder


def end(folder: Path, *, epochs: int = 12, **options: str) -> RunFinished:
    settings = ["precision=float32", *(f"{key}={value}" for key, value in options.items())]
    events = striate.train.events(folder, model="mlp", epochs=epochs, batch_size=16, runs=folder.parent, set=settings)
    last = [*events][-1]
    assert isinstance(last, RunFinished)
    return last


def test_mirroring_that_was_on_where_the_side_matters_is_warned_of_in_lines_and_in_the_report(tmp_path: Path) -> None:
    event = end(data(tmp_path / "d", slope, ("uno", "dos"), 24))
    found = event.mirrored
    assert found is not None
    assert found.used
    assert (found.near, found.near_mirrored) == (48, 0)
    assert found.warning is not None
    assert "--set augmentation.flip=false" in found.warning
    assert found.warning in finished(event)
    assert Mirrored.read(event.run) == found
    assert str(found) in event.run.report_file.read_text()


def test_an_alternating_flip_is_mirroring(tmp_path: Path) -> None:
    options: dict[str, Any] = {"augmentation.alternating_flip": "true"}
    found = end(data(tmp_path / "d", tone, ("uno", "dos"), 24), epochs=1, **options).mirrored
    assert found is not None
    assert found.used


def test_mirroring_that_was_off_and_would_have_been_harmless_is_reported(tmp_path: Path) -> None:
    found = end(data(tmp_path / "d", tone, ("1", "2"), 30)).mirrored
    assert found is not None
    assert (found.used, found.kept, found.right, found.right_mirrored) == (False, 60, 60, 60)
    assert found.warning is not None
    assert "--set augmentation.flip=true" in found.warning


def test_where_mirroring_is_off_and_changes_the_answers_nothing_is_advised(tmp_path: Path) -> None:
    options: dict[str, Any] = {"augmentation.flip": "false"}
    found = end(data(tmp_path / "d", slope, ("uno", "dos"), 24), **options).mirrored
    assert found is not None
    assert (found.used, found.kept, found.right, found.right_mirrored) == (False, 0, 48, 0)
    assert found.warning is None


def test_names_that_decide_are_not_measured(tmp_path: Path) -> None:
    assert end(data(tmp_path / "d", tone, ("left", "right"), 4), epochs=1).mirrored is None


def counted(**values: int | bool) -> Mirrored:
    return Mirrored(**({"used": True, "count": 200, "kept": 180, "right": 180, "right_mirrored": 180, "lost": 5,
                        "won": 5} | values))  # fmt: skip  # pyright: ignore[reportArgumentType]


def test_only_falls_beyond_chance_are_warned_of() -> None:
    assert counted().warning is None
    assert counted(lost=8, won=3).warning is None
    assert counted(lost=20, won=2).warning is not None
    assert counted(near_lost=40, near_won=5).warning is not None
    assert counted(used=False, lost=1, won=1).warning is not None
    assert counted(used=False, lost=12, won=1).warning is None
    assert counted(used=False, lost=1, won=1, informative=False).warning is None

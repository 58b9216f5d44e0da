"""nearest as a user has it: on a run of its own, in Python and as a command."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import striate
from striate.classifier import Failure
from striate.cli.main import main
from striate.core.errors import ConfigError
from striate.runs.folder import Run
from striate.runs.images import read_images
from striate.verbs.nearest import Nearest


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A short training on blobs of two colours, in folders."""
    root = tmp_path_factory.mktemp("nearest")
    drawn = np.random.default_rng(0)
    for label, colour in (("blue", (30, 60, 200)), ("red", (200, 60, 30))):
        (root / "photos" / label).mkdir(parents=True)
        for number in range(15):
            pixels = np.clip(np.array(colour) + drawn.normal(0, 40, (32, 32, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(root / "photos" / label / f"{number}.png")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STRIATE_CACHE", str(root / "cache"))
        return striate.train(root / "photos", model="tiny_vgg", epochs=1, name="run", runs=root, device="cpu")


def photos(run: Run, split: str) -> list[str]:
    return [name for name, entry in (read_images(run.images_file) or {}).items() if entry.split == split]


def test_the_nearest_of_a_training_image_is_the_image_itself(run: Run) -> None:
    trained, folder = photos(run, "train"), run.path.parent / "photos"
    broken = run.path.parent / "broken.png"
    broken.write_bytes(b"no image")
    found = striate.nearest(run, folder / trained[0], broken, folder / photos(run, "test")[0], count=4, device="cpu")
    own, failure, other = found
    assert isinstance(own, Nearest)
    assert isinstance(failure, Failure)
    assert isinstance(other, Nearest)
    first = own.neighbours[0]
    assert (first.name, first.label) == (trained[0], trained[0].split("/")[0])
    assert first.similarity == pytest.approx(1, abs=1e-5)
    for one in (own, other):
        assert len(one.neighbours) == 4
        assert {neighbour.name for neighbour in one.neighbours} <= set(trained), "only the training split is searched"
        assert one.sheet is not None
        assert one.sheet.parent == run.path / "nearest"
        with Image.open(one.sheet) as sheet:
            assert sheet.format == "PNG"
    assert [path.name for path in found.save(run.path.parent / "saved")] == [
        f"{Path(one.name).stem}.png" for one in (own, other)
    ]
    assert found._repr_html_().count("<img") == 2
    assert "Most similar training images" in own.save(run.path.parent / "own.svg").read_text()


def test_the_command_prints_names_classes_and_similarities(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    trained = photos(run, "train")
    path = run.path.parent / "photos" / trained[0]
    given = ["nearest", str(run.path), str(path), "--count", "2", "--device", "cpu"]
    with pytest.raises(SystemExit, match="0"):
        main(given)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(f"{path}: ")
    assert lines[1].split() == ["1.000", trained[0].split("/")[0], trained[0]]
    assert len(lines) == 4
    with pytest.raises(SystemExit, match="0"):
        main([*given, "--json"])
    (told,) = json.loads(capsys.readouterr().out)
    assert next(one["image"] for one in told["nearest"]) == trained[0]


def test_a_classifier_without_its_run_has_no_training_images(run: Run, tmp_path: Path) -> None:
    (run.path / "classifier").rename(tmp_path / "classifier")
    try:
        with pytest.raises(ConfigError, match="without its run"):
            striate.nearest(tmp_path / "classifier", run.path.parent / "broken.png")
    finally:
        (tmp_path / "classifier").rename(run.path / "classifier")
    with pytest.raises(ConfigError, match="count of 0"):
        striate.nearest(run, run.path.parent / "broken.png", count=0)

"""retrieve, concepts and clusters as a user has them: on a run of its own, in Python and as commands."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import striate
from striate.classifier import Failure
from striate.cli.main import main
from striate.core.errors import ConfigError, DataError
from striate.runs.folder import Run
from striate.runs.images import read_images
from striate.verbs.retrieve import Retrieved


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A short training on blobs of two colours, in folders."""
    root = tmp_path_factory.mktemp("retrieve")
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
    found = striate.retrieve(run, folder / trained[0], broken, folder / photos(run, "test")[0], count=4, device="cpu")
    own, failure, other = found
    assert isinstance(own, Retrieved)
    assert isinstance(failure, Failure)
    assert isinstance(other, Retrieved)
    first = own.neighbours[0]
    assert (first.name, first.label) == (trained[0], trained[0].split("/")[0])
    assert first.similarity == pytest.approx(1, abs=1e-5)
    for one in (own, other):
        assert len(one.neighbours) == 4
        assert {neighbour.name for neighbour in one.neighbours} <= set(trained), "only the training split is searched"
        assert one.sheet is not None
        assert one.sheet.parent == run.path / "retrieved"
        with Image.open(one.sheet) as sheet:
            assert sheet.format == "PNG"
    assert [path.name for path in found.save(run.path.parent / "saved")] == [
        f"{Path(one.name).stem}.png" for one in (own, other)
    ]
    assert found._repr_html_().count("<img") == 2
    assert "Most similar images" in own.save(run.path.parent / "own.svg").read_text()


def test_the_command_prints_names_classes_and_similarities(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    trained = photos(run, "train")
    path = run.path.parent / "photos" / trained[0]
    given = ["retrieve", str(run.path), str(path), "--count", "2", "--device", "cpu"]
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


def test_other_images_need_no_classes_and_their_features_may_be_in_a_file(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    photos_folder, flat = run.path.parent / "photos", tmp_path / "flat"
    flat.mkdir()
    for number in range(3):
        (flat / f"{number}.png").write_bytes((photos_folder / "red" / f"{number}.png").read_bytes())
    (flat / "broken.png").write_bytes(b"no image")
    written = striate.features(run, "flat", out="flat.npz", device="cpu")
    assert written.names == ("flat/0.png", "flat/1.png", "flat/2.png")
    assert written.labels is None
    assert [(failure.name, failure.reason) for failure in written.failures] == [("flat/broken.png", "not an image")]
    assert written.vectors.shape == (3, written.width)
    assert "flat/1.png" in written._repr_html_()
    (by_images,) = striate.retrieve(run, "flat/1.png", data="flat", count=2, device="cpu")
    (by_file,) = striate.retrieve(run, "flat/1.png", data="flat.npz", count=2, device="cpu")
    assert isinstance(by_images, Retrieved)
    assert isinstance(by_file, Retrieved)
    assert [one.name for one in by_images.neighbours] == [one.name for one in by_file.neighbours]
    assert (by_file.neighbours[0].name, by_file.neighbours[0].label) == ("flat/1.png", "")
    with pytest.raises(ConfigError, match="has features at"):
        striate.retrieve(run, "flat/1.png", data="flat.npz", at="features.pool1", device="cpu")
    with pytest.raises(SystemExit, match="0"):
        main(
            ["retrieve", str(run.path), "flat/1.png", "--data", "flat.npz", "--count", "1", "--csv", "--device", "cpu"]
        )
    assert capsys.readouterr().out.splitlines() == [
        "image,rank,found,class,similarity",
        "flat/1.png,1,flat/1.png,,1.000000",
    ]
    with pytest.raises(SystemExit, match="1"):  # one image cannot be read
        main(["features", str(run.path), "flat", "--json", "--device", "cpu"])
    out, err = capsys.readouterr()
    told = json.loads(out)
    assert Path(told["file"]) == run.path / "features" / "flat.npz"
    assert (told["images"], told["features"]) == (3, written.width)
    assert "flat/broken.png cannot be read: not an image" in err
    with pytest.raises(DataError, match=r"no image that can be read \(the first is flat/broken\.png: not an image\)"):
        striate.features(run, "flat/broken.png")


def test_the_former_name_warns_and_works(run: Run) -> None:
    with pytest.warns(DeprecationWarning, match=r"striate\.nearest is now striate\.retrieve"):
        assert striate.nearest is striate.retrieve


def test_patches_are_drawn_next_to_the_image_for_each_position_of_a_map(run: Run) -> None:
    photo = run.path.parent / "photos" / photos(run, "train")[0]
    (found,) = striate.retrieve(run, photo, patches=True, at="features.pool1", device="cpu")
    assert isinstance(found, Retrieved)
    assert found.grid is not None
    rows, columns = found.grid.strength.shape
    assert (rows, columns) == found.grid.index.shape
    assert rows > 1
    np.testing.assert_allclose(found.grid.similarity, 1, atol=1e-4)  # it is among the images that are searched
    assert found.sheet is not None
    assert found.sheet.name == f"{photo.stem}-patches-at features.pool1.png"
    assert "Most similar patches" in found.save(run.path.parent / "patches.svg").read_text()


def test_concepts_in_folders_are_tested_and_the_sheet_says_what_each_does(
    run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, drawn = run.path.parent / "reddish", np.random.default_rng(1)
    folder.mkdir()
    for number in range(12):
        pixels = np.clip(np.array((220, 40, 20)) + drawn.normal(0, 30, (32, 32, 3)), 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
    (folder / "broken.png").write_bytes(b"no image")
    others = run.path.parent / "photos" / "blue"
    found = striate.concepts(run, folder, target="red", random=others, device="cpu")
    (score,) = found.scores
    assert (found.label, score.concept, score.scores.shape) == ("red", "reddish", (50,))
    assert [Path(failure.name).name for failure in found.failures] == ["broken.png"]
    assert score.accuracy > 0.9
    assert found.sheet == run.path / "concepts" / "red-reddish.png"
    assert "Concepts for red" in found.save(run.path.parent / "concepts.svg").read_text()
    given = ["concepts", str(run.path), str(folder), "--target", "red", "--random", str(others), "--device", "cpu"]
    with pytest.raises(SystemExit, match="1"):  # one image cannot be read
        main(given)
    assert capsys.readouterr().out.startswith("reddish: ")
    with pytest.raises(SystemExit, match="1"):
        main([*given, "--json"])
    told = json.loads(capsys.readouterr().out)
    assert told["concepts"][0]["tcav"] == pytest.approx(score.score)
    with pytest.raises(ConfigError, match="each with a name of its own"):
        striate.concepts(run, folder, folder, target="red")


def test_the_maps_of_each_class_are_clustered_and_a_sheet_shows_them(
    run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    found = striate.clusters(run, device="cpu")
    assert [one.label for one in found] == ["blue", "red"]
    trained = photos(run, "train")
    for one in found:
        names = [name for cluster in one.clusters for name in cluster]
        assert sorted(names) == sorted(name for name in trained if name.startswith(one.label))
        assert len(one.alike) == len(one.clusters)
        assert one.sheet == run.path / "clusters" / f"{one.label}-grad_cam.png"
    assert "Where the network looks for blue" in found[0].save(run.path.parent / "clusters.svg").read_text()
    with pytest.raises(SystemExit, match="0"):
        main(["clusters", str(run.path), "--target", "red", "--method", "saliency", "--json", "--device", "cpu"])
    (told,) = json.loads(capsys.readouterr().out)
    assert told["class"] == "red"
    with pytest.raises(ConfigError, match="at least 4 images of a class"):
        striate.clusters(run, images=3)
    with pytest.raises(ConfigError, match="Saliency reads no place"):
        striate.clusters(run, method="saliency", at="conv1", target="red")


def test_classes_whose_names_differ_in_signs_have_a_sheet_each(run: Run, tmp_path: Path) -> None:
    for label, other in (("blue", "c#"), ("red", "c+")):
        shutil.copytree(run.path.parent / "photos" / label, tmp_path / "photos" / other)
    own = striate.train(tmp_path / "photos", model="tiny_vgg", epochs=1, name="run", runs=tmp_path, device="cpu")
    sheets = [one.sheet and one.sheet.name for one in striate.clusters(own, method="saliency", device="cpu")]
    assert sheets == ["c--saliency.png", "c--2-saliency.png"]


def test_a_classifier_without_its_run_has_no_training_images(run: Run, tmp_path: Path) -> None:
    (run.path / "classifier").rename(tmp_path / "classifier")
    try:
        with pytest.raises(ConfigError, match="without its run"):
            striate.retrieve(tmp_path / "classifier", run.path.parent / "broken.png")
    finally:
        (tmp_path / "classifier").rename(run.path / "classifier")
    with pytest.raises(ConfigError, match="received 0"):
        striate.retrieve(run, run.path.parent / "broken.png", count=0)

"""The whole road: images in, a judged classifier and its report out, by the verbs as a user has them."""

from __future__ import annotations

import csv
import errno
import json
import os
import signal
import subprocess
import sys
import time
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import striate
from striate.core import files
from striate.core.errors import DataError, RunError
from striate.data.sources.opening import open_data
from striate.runs.events import RunFinished, RunStarted
from striate.runs.folder import Run
from striate.training import Evaluated, SafePoint, read_events
from striate.training.event_log import without_wall

QUICK = ["epochs=3", "stop.metric=loss"]


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each road begins with an empty cache and ends in a folder of its own."""
    monkeypatch.setenv("STRIATE_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A short training on the digits from nothing; the others follow its way to compute a step."""
    folder = tmp_path_factory.mktemp("whole")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STRIATE_CACHE", str(folder / "cache"))
        return striate.train("digits", name="whole", runs=folder, set=QUICK)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Forty small photos of two classes that a network can distinguish, and what goes wrong in real folders."""
    draws = np.random.default_rng(3)
    for name, colour in (("grün", (60, 160, 70)), ("red", (180, 60, 50))):
        folder = tmp_path / "photos" / name
        folder.mkdir(parents=True)
        for number in range(20):
            height, width = draws.integers(70, 120, 2)
            noise = draws.normal(0, 25, (height, width, 3)) + np.array(colour)
            picture = Image.fromarray(np.clip(noise, 0, 255).astype(np.uint8))
            exif = picture.getexif()
            exif[0x0112] = 6 if number == 0 else 1
            picture.save(folder / f"{number}.jpg", quality=90, exif=exif)
    (tmp_path / "photos" / "red" / "truncated.jpg").write_bytes((folder / "1.jpg").read_bytes()[:600])
    (tmp_path / "photos" / "red" / "notes.txt").write_text("not an image")
    return tmp_path / "photos"


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.pictures = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.pictures += tag == "img"
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href")]


def _page(run: Path) -> tuple[str, _Page]:
    text = (run / "report.html").read_text(encoding="utf-8")
    page = _Page()
    page.feed(text)
    return text, page


def test_digits_from_nothing_to_a_report(whole: Run) -> None:
    run = whole
    classifier = striate.load(run.path)
    digits = open_data("digits")
    test = digits.splits["test"]
    answers = classifier.predict([digits.store.read(int(index)) for index in test])
    right = sum(
        answer.label == digits.classes[digits.targets[index]] for answer, index in zip(answers, test, strict=True)
    )
    # What the run says of itself is what its classifier does, one image at a time.
    stored = json.loads((run.evaluations / "test.json").read_text())["scores"]["top1"]
    assert stored["count"] == len(test)
    assert stored["correct"] == right == striate.evaluate(run.path).scores.top1.correct
    assert right / len(test) > 0.8
    with open(run.evaluations / "test.csv", newline="", encoding="utf-8") as file:
        rows = {int(row["index"]): row for row in csv.DictReader(file)}
    assert {index: row["answer"] for index, row in rows.items()} == {
        int(index): answer.label for index, answer in zip(test, answers, strict=True)
    }
    assert all(row["picture"] == digits.store.name(index) for index, row in rows.items())
    started, *_, last = read_events(run.events_file)
    assert started["steps_per_epoch"] == last["clock"]["step"] / 3
    text, page = _page(run.path)
    assert "digits" in text
    assert all(address.startswith(("data:", "#")) for address in page.addresses)
    assert page.pictures > 12


def test_photos_with_a_broken_file_go_down_the_road_and_the_file_is_named(photos: Path) -> None:
    events = list(
        striate.train.events(photos, model="tiny_vgg", epochs=3, name="mine", set=["batch_size=8", "optimizer.lr=0.01"])
    )
    started = next(event for event in events if isinstance(event, RunStarted))
    finished = next(event for event in events if isinstance(event, RunFinished))
    assert any("truncated.jpg" in sentence or "cannot be read" in sentence for sentence in started.findings)
    assert sum(started.counts.values()) == 40
    assert finished.scores["test"].top1.value == 1.0
    assert (photos / "red" / "truncated.jpg").exists()
    audit = striate.audit(photos)
    assert [row.name for row in audit.unread] == ["red/truncated.jpg"]
    assert audit.rotated == 2
    assert "truncated.jpg" in _page(started.run.path)[0]
    answer = striate.load("runs/mine").predict(photos / "grün" / "3.jpg")
    assert answer.label == "grün"


def test_more_broken_images_than_the_recipe_admits_stop_the_run_before_it_has_a_folder(photos: Path) -> None:
    for number in range(5):
        (photos / "red" / f"empty{number}.jpg").write_bytes(b"")
    with pytest.raises(DataError, match=r"6 of 46 images .* cannot be read"):
        striate.train(photos, model="tiny_vgg", set=QUICK)
    assert not Path("runs").exists()


def test_other_data_are_matched_by_the_name_of_the_class(photos: Path) -> None:
    run = striate.train(photos, model="tiny_vgg", epochs=3, set=["batch_size=8", "optimizer.lr=0.01"])
    other = photos.parent / "other"
    (other / "zebra").mkdir(parents=True)
    (photos / "red").rename(other / "red")  # alone it would be class 0; in the classifier it is class 1
    Image.new("RGB", (80, 80)).save(other / "zebra" / "1.png")
    verdict = striate.evaluate(run, other, all_images=True)
    assert verdict.scores.top1.value == 1.0
    assert verdict.scores.count == 20
    assert verdict.unknown == ("zebra",)
    assert verdict.unreadable == 1


def _weights(run: Path) -> bytes:
    return (run / "classifier" / "model.safetensors").read_bytes()


def _record(run: Path) -> list[dict[str, object]]:
    """The record without what a clock on the wall decides, and without the notes of where it was stopped."""
    return [event for event in without_wall(read_events(run / "events.jsonl")) if event["event"] != "stopped"]


def test_leaving_the_events_at_a_safe_point_and_resuming_gives_the_same_run(whole: Run) -> None:
    events = striate.train.events("digits", name="parted", set=QUICK, execution=whole.path)
    for event in events:
        if isinstance(event, SafePoint) and event.clock.step == 11:
            break
    events.close()
    parted = striate.resume("runs/parted")
    assert _weights(parted.path) == _weights(whole.path)
    assert _record(parted.path) == _record(whole.path)


def test_a_killed_command_resumes_to_the_same_weights() -> None:
    words = [sys.executable, "-m", "striate"]
    settings = ["epochs=3", "in_memory=false", "loader_threads=2"]
    striate.train("digits", name="whole", set=settings)
    settings = [item for setting in settings for item in ("--set", setting)]
    execution = ["--execution", "runs/whole"]
    killed = subprocess.Popen([*words, "train", "digits", "--name", "killed", *execution, "--quiet", *settings])
    events = Path("runs/killed/events.jsonl")
    while killed.poll() is None and (not events.exists() or events.read_bytes().count(b"\n") < 20):
        time.sleep(0.01)
    killed.send_signal(signal.SIGKILL)
    assert killed.wait() == -signal.SIGKILL
    subprocess.run([*words, "resume", "runs/killed", "--quiet"], check=True)
    assert _weights(Path("runs/killed")) == _weights(Path("runs/whole"))
    assert _record(Path("runs/killed")) == _record(Path("runs/whole"))


def test_ctrl_c_saves_and_says_how_to_go_on() -> None:
    command = [sys.executable, "-m", "striate", "train", "digits", "--name", "stopped", "--set", "epochs=500"]
    running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    events = Path("runs/stopped/events.jsonl")
    while running.poll() is None and (not events.exists() or events.read_bytes().count(b"\n") < 20):
        time.sleep(0.01)
    running.send_signal(signal.SIGINT)
    said, complained = running.communicate(timeout=60)
    assert running.returncode == 130
    for way in ("striate resume runs/stopped", "striate finish runs/stopped", "striate predict runs/stopped IMAGES"):
        assert way in said
    assert "stopped     at epoch " in said
    assert "Traceback" not in complained
    assert list(Path("runs/stopped/checkpoints").glob("step-*.safetensors"))


def test_a_run_that_is_being_written_is_busy_for_everybody_else() -> None:
    events = striate.train.events("digits", name="one", set=QUICK)
    for event in events:
        if isinstance(event, SafePoint):
            break
    with pytest.raises(RunError, match="Another process is writing in"):
        striate.resume("runs/one")
    events.close()


def test_a_taken_name_is_refused_before_any_work() -> None:
    Path("runs/mine").mkdir(parents=True)
    (Path("runs/mine") / "precious.txt").write_text("keep me")
    with pytest.raises(RunError, match="already exists"):
        striate.train("digits", name="mine", set=QUICK)
    assert [path.name for path in Path("runs/mine").iterdir()] == ["precious.txt"]


def test_a_full_disk_is_one_sentence_and_the_last_checkpoint_can_be_resumed(
    whole: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    events = striate.train.events("digits", name="full", set=QUICK, execution=whole.path)
    write = files.write_chunk

    def full(file: object, chunk: bytes) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(RunError, match="The disk is full"):  # noqa: PT012 (the disk fills while the loop goes on)
        for event in events:
            if isinstance(event, Evaluated):
                monkeypatch.setattr(files, "write_chunk", full)
    monkeypatch.setattr(files, "write_chunk", write)
    assert not list(Path("runs/full").rglob("*.tmp"))
    assert _weights(striate.resume("runs/full").path) == _weights(whole.path)


def test_changed_data_are_refused_and_restored_data_are_gone_on_with(photos: Path) -> None:
    events = striate.train.events(photos, model="tiny_vgg", name="mine", epochs=3, set=["batch_size=8"])
    for event in events:
        if isinstance(event, SafePoint):
            break
    events.close()
    Image.new("RGB", (90, 90), (9, 9, 9)).save(photos / "red" / "new.png")
    with pytest.raises(RunError, match="not those that this run was started with"):
        striate.resume("runs/mine")
    (photos / "red" / "new.png").unlink()
    assert striate.resume("runs/mine").report_file.exists()


def test_a_diverging_loss_stops_with_a_sentence() -> None:
    with pytest.raises(striate.core.errors.TrainingError, match="loss became"):
        striate.train("digits", name="wild", set=["epochs=3", "optimizer.lr=1e12"])

"""Predictions written to a file: the rows of `predict`, each once, however often the job is killed."""

from __future__ import annotations

import csv
import errno
import io
import json
import os
import re
import sys
import tarfile
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pyarrow.parquet as parquet
import pytest
import torch
from PIL import Image
from torch import nn

import striate
from rehearsal.classifiers import untrained
from striate.classifier import Classifier, Ensemble, Failure, Prediction
from striate.classifier.execution import Execution
from striate.core import files
from striate.core.errors import BusyError, ConfigError, DataError, RunError
from striate.core.spec import RGB, InputSpec
from striate.predicting import job
from striate.predicting.formats import cells, fields
from striate.predicting.images import ListedImage

SPEC = InputSpec(channels=RGB, height=12, width=12, mean=(0.5,) * 3, std=(0.5,) * 3)
COUNT = 75


class Killed(BaseException):
    """A kill: nothing of the program handles it."""


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    return untrained("mlp", SPEC, ("a", "b", "c"))


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images of which two cannot be read, in folders."""
    folder = tmp_path_factory.mktemp("photos")
    random = np.random.default_rng(0)
    for number in range(COUNT):
        place = folder / f"day {number // 50}" / f"{number}.png"
        place.parent.mkdir(exist_ok=True)
        Image.fromarray(random.integers(0, 256, (12, 14, 3), np.uint8)).save(place)
    (folder / "day 0" / "7.png").write_bytes(b"")
    (folder / "day 1" / "66.png").write_bytes(b"no image")
    return folder


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job, "PART", 32)


def table(path: Path) -> list[dict[str, Any]]:
    return parquet.read_table(path).to_pylist()


def due(classifier: Classifier, photos: Path) -> list[Prediction | Failure]:
    return striate.predict(classifier, photos)


def check(rows: list[dict[str, Any]], expected: list[Prediction | Failure], classes: tuple[str, ...]) -> None:
    """Rows are those of `predict`, to the bit."""
    assert len(rows) == len(expected)
    for row, one in zip(rows, expected, strict=True):
        if isinstance(one, Failure):
            assert (row["image"], row["error"], row["class"]) == (one.name, one.reason, None)
        else:
            assert (row["image"], row["error"], row["class"]) == (one.name, None, one.label)
            assert row["probabilities"] == [one.probabilities[label] for label in classes]


def test_a_parquet_file_has_the_rows_of_predict(classifier: Classifier, photos: Path, tmp_path: Path) -> None:
    stages: list[tuple[str, int, int]] = []
    written = striate.predict(
        classifier, photos, out=tmp_path / "r.parquet", progress=lambda *stage: stages.append(stage)
    )
    assert (written.images, written.failures) == (COUNT, 2)
    check(table(written.path), due(classifier, photos), classifier.labels.classes)
    schema = parquet.read_schema(written.path)
    assert str(schema.field("probabilities").type) == "list<element: float>"  # which every reader reads, nulls included
    about = json.loads(schema.metadata[b"striate"])
    assert about["classes"] == ["a", "b", "c"]
    assert stages[0] == ("predicting", 0, COUNT)
    assert re.fullmatch(r"predicting \([0-9,.]+ images/s\)", stages[-1][0])
    assert stages[-1][1:] == (COUNT, COUNT)
    assert os.listdir(tmp_path) == ["r.parquet"]


class Remembers(nn.Module):
    """A network that keeps what it is given, and computes with it a moment later; it notes the threads it runs in."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(3, 3)
        self.given = torch.zeros(1)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        self.given = images
        threads.add(threading.get_ident())
        time.sleep(0.02)
        return self.head(self.given.mean(dim=(2, 3)))


threads: set[int] = set()


@pytest.mark.parametrize("members", [1, 2])
def test_each_thread_answers_whole_batches_with_modules_of_its_own(
    classifier: Classifier, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, members: int
) -> None:
    monkeypatch.setattr("striate.predicting.write.usable_cores", lambda: 0)
    own = replace(classifier, model=Remembers().eval())
    predictor = own if members == 1 else Ensemble([own, replace(classifier, model=Remembers().eval())])
    expected = table(striate.predict(predictor, photos, out=tmp_path / "one.parquet").path)
    monkeypatch.setattr("striate.predicting.write.usable_cores", lambda: 3)
    threads.clear()
    assert table(striate.predict(predictor, photos, out=tmp_path / "three.parquet").path) == expected
    assert len(threads) > 1
    own.model.register_forward_hook(lambda *_: None)  # may not be made for several threads
    threads.clear()
    assert table(striate.predict(predictor, photos, out=tmp_path / "hooked.parquet").path) == expected
    assert len(threads) == 1


def test_csv_and_json_lines_are_those_of_the_command_line(classifier: Classifier, photos: Path, tmp_path: Path) -> None:
    expected = due(classifier, photos)
    as_csv = striate.predict(classifier, photos, out=tmp_path / "r.csv")
    with as_csv.path.open(newline="") as file:
        head, *rows = csv.reader(file)
    assert head == ["image", "class", "probability", "none_of_these", "among", "error"]
    assert rows == [list(cells(one)) for one in expected]
    as_json = striate.predict(classifier, photos, out=tmp_path / "r.jsonl")
    assert [json.loads(line) for line in as_json.path.read_text().splitlines()] == [fields(one) for one in expected]


def test_a_job_killed_at_any_moment_continues(
    classifier: Classifier, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = due(classifier, photos)
    moments = 0
    monkeypatch.setattr("striate.predicting.write.usable_cores", lambda: 0)  # no threads to start and end

    def dying(real: Callable[..., Any], at: list[int]) -> Callable[..., Any]:
        def run(*given: Any, **named: Any) -> Any:
            at[0] -= 1
            if at[0] == 0:
                raise Killed
            result = real(*given, **named)
            at[0] -= 1
            if at[0] == 0:
                raise Killed
            return result

        return run

    monkeypatch.setattr(files.os, "fsync", lambda handle: None)  # quicker; that it is called is another test's matter
    for moment in range(1, 1000):
        out, at = tmp_path / f"{moment}.parquet", [moment]
        with monkeypatch.context() as patch:
            patch.setattr(files.os, "replace", dying(os.replace, at))
            patch.setattr(files.os, "fsync", dying(os.fsync, at))
            patch.setattr(Path, "rename", dying(Path.rename, at))
            try:
                striate.predict(classifier, photos, out=out)
            except Killed:
                moments += 1
            else:
                break
        if out.exists() and not out.with_name(f"{out.name}.unfinished").exists():
            continue  # killed after the end
        if out.exists():
            check(table(out), expected, classifier.labels.classes)
        striate.predict(classifier, photos, out=out)
        check(table(out), expected, classifier.labels.classes)
        assert not out.with_name(f"{out.name}.unfinished").exists()
    assert moments > 20


def test_done_parts_are_not_predicted_again(
    classifier: Classifier, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(stage: str, done: int, total: int) -> None:
        if done >= 64:
            raise Killed

    with pytest.raises(Killed):
        striate.predict(classifier, photos, out=tmp_path / "r.csv", progress=stop)
    asked: list[int] = []
    real = Classifier.answers

    def answers(self: Classifier, images: Any, views: Any = ()) -> Any:
        asked.append(len(next(iter(images.values()))))
        return real(self, images, views)

    monkeypatch.setattr(Classifier, "answers", answers)
    (photos / "later.png").write_bytes(b"")  # not in the list that was made at the beginning
    try:
        assert striate.predict(classifier, photos, out=tmp_path / "r.csv").images == COUNT
    finally:
        (photos / "later.png").unlink()
    assert sum(asked) == COUNT - 64 - 1


def test_a_full_disk_is_a_sentence_and_the_job_continues(
    classifier: Classifier, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = [4]

    def full(handle: int) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(files.os, "fsync", full)
        with pytest.raises(RunError, match="The disk is full"):
            striate.predict(classifier, photos, out=tmp_path / "r.csv")
    assert striate.predict(classifier, photos, out=tmp_path / "r.csv").images == COUNT


def test_two_at_once_and_other_jobs_are_refused(classifier: Classifier, photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "r.csv"

    def while_running(stage: str, done: int, total: int) -> None:
        if done == 32:
            with pytest.raises(BusyError, match=r"Another process is writing .*r\.csv\. Wait"):
                striate.predict(classifier, photos, out=out)
            raise Killed

    with pytest.raises(Killed):
        striate.predict(classifier, photos, out=out, progress=while_running)
    with pytest.raises(RunError, match=r"another value of: views\. Give the command that began them"):
        striate.predict(classifier, photos, views="flip", out=out)
    with pytest.raises(RunError, match="another value of: classifier"):
        striate.predict(untrained("mlp", SPEC, ("a", "b", "c"), seed=2), photos, out=out)
    striate.predict(classifier, photos, out=out)
    with pytest.raises(RunError, match=r"exists already\. Choose another name, or delete it"):
        striate.predict(classifier, photos, out=out)
    assert os.listdir(tmp_path) == ["r.csv"]


def test_a_file_of_another_program_is_not_overwritten(
    classifier: Classifier, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, elsewhere = tmp_path / "r.csv", tmp_path / "elsewhere.csv"

    def stop(stage: str, done: int, total: int) -> None:
        if done == 32:
            raise Killed

    def other(stage: str, done: int, total: int) -> None:
        if done == COUNT:
            out.write_text("another table\n")

    with pytest.raises(Killed):
        striate.predict(classifier, photos, out=out, progress=stop)
    out.write_text("my table\n")
    for table_of in ("my table\n", "another table\n"):
        with pytest.raises(RunError, match=r"r\.csv was written by another program.*Move it elsewhere"):
            striate.predict(classifier, photos, out=out, progress=other)
        assert out.read_text() == table_of
        out.rename(elsewhere)
    assert striate.predict(classifier, photos, out=out).images == COUNT
    assert sorted(os.listdir(tmp_path)) == ["elsewhere.csv", "r.csv"]


def test_an_export_counts_by_its_content_not_by_its_path(classifier: Classifier, photos: Path, tmp_path: Path) -> None:
    def computed(path: str, content: str) -> Classifier:
        rows = lambda images: [np.full((len(images), 3), 1 / 3, np.float32)]  # noqa: E731
        run = Execution(rows, f"onnxruntime 1, float32 ({path})", f"onnxruntime 1, float32, {content}", ())
        return replace(classifier, execution=run)

    def stop(stage: str, done: int, total: int) -> None:
        if done == 32:
            raise Killed

    out = tmp_path / "r.csv"
    with pytest.raises(Killed):
        striate.predict(computed("runs/a", "1f"), photos, out=out, progress=stop)
    with pytest.raises(RunError, match="another value of: runtime"):
        striate.predict(computed("runs/a", "2e"), photos, out=out)
    assert striate.predict(computed("elsewhere/runs/a", "1f"), photos, out=out).images == COUNT


def test_shards_buckets_and_lists(
    classifier: Classifier, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = [one.label if isinstance(one, Prediction) else None for one in due(classifier, photos)]
    paths = sorted(photos.rglob("*.png"), key=lambda path: int(path.stem))
    with tarfile.open(tmp_path / "shard-000000.tar", "w") as archive:
        for path in paths:
            archive.add(path, f"{path.stem}.png")
    bucket = fsspec.filesystem("memory")
    for path in paths:
        bucket.pipe(f"/bucket/photos/{int(path.stem):03}.PNG", path.read_bytes())
    bucket.pipe("/bucket/photos/notes.txt", b"")
    bucket.pipe("/bucket/photos/.hidden/1.png", b"")
    bucket.pipe("/bucket/photos/.000.PNG", b"")

    def labels(*images: str | Path) -> list[str | None]:
        out = tmp_path / f"{time.monotonic_ns()}.parquet"
        return [row["class"] for row in table(striate.predict(classifier, *images, out=out).path)]

    assert labels(tmp_path / "shard-000000.tar") == expected
    inside = [
        one.name for one in striate.predict(classifier, paths[0], tmp_path / "shard-000000.tar", Image.new("L", (8, 8)))
    ]
    assert inside == [
        str(paths[0]),
        *(f"shard-000000.tar/{path.stem}.png" for path in paths),
        f"image {len(paths) + 2}",
    ]
    assert labels("memory://bucket/photos") == expected
    for pattern in ("00*.PNG", "?0[0-9].PNG", "*00?.PNG"):
        assert labels(f"memory://bucket/photos/{pattern}") == expected[:10]
    assert labels("memory://bucket/p*/*.PNG") == expected
    names = [*map(str, paths[:9]), "gone[1].png", "memory://bucket/photos/009.PNG"]
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO("\n".join(names).encode())))
    assert labels("-") == [*expected[:9], None, expected[9]]


def test_a_bucket_that_fails_ends_the_job_and_a_missing_object_is_a_row(
    classifier: Classifier, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket = fsspec.filesystem("memory")
    for name in ("a.png", "b.png"):
        bucket.pipe(f"/other/{name}", (photos / "day 0" / "1.png").read_bytes())
    find, real = type(bucket).find, type(bucket)._open

    def broken(self: Any, path: str, *given: Any, **named: Any) -> Any:
        if path.endswith("b.png"):
            raise ConnectionError("the line is cut")
        return real(self, path, *given, **named)

    monkeypatch.setattr("striate.data.sources.bucket._PAUSES", (0.0, 0.0))
    monkeypatch.setattr(type(bucket), "find", lambda *given, **named: [*find(*given, **named), "/other/gone.png"])
    with monkeypatch.context() as patch:
        patch.setattr(type(bucket), "_open", broken)
        with pytest.raises(RunError, match=r"b\.png could not be read three times: the line is cut\. Give the same"):
            striate.predict(classifier, "memory://other", out=tmp_path / "r.parquet")
    rows = table(striate.predict(classifier, "memory://other", out=tmp_path / "r.parquet").path)
    assert [row["error"] for row in rows] == [None, None, "missing"]


def test_mistakes(classifier: Classifier, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "r.csv"
    with pytest.raises(ConfigError, match=r"written as \.parquet, \.csv, \.jsonl; received 'r.xlsx'"):
        striate.predict(classifier, photos, out=tmp_path / "r.xlsx")
    with pytest.raises(ConfigError, match="received images in memory"):
        striate.predict(classifier, np.zeros((12, 12, 3), np.uint8), out=out)  # pyright: ignore[reportCallIssue, reportArgumentType]
    with pytest.raises(ConfigError, match="received no image"):
        striate.predict(classifier, out=out)
    with pytest.raises(ConfigError, match="Name one, as in --out"):
        striate.predict(classifier, photos, cluster="local")  # pyright: ignore[reportCallIssue]
    with pytest.raises(ConfigError, match=r"at least 1; received 0"):
        striate.predict(classifier, photos, out=out, cluster="local", workers=0)
    with pytest.raises(ConfigError, match=r"too few|no scores"):
        striate.predict(classifier, photos, out=out, coverage=0.9)
    with pytest.raises(DataError, match="holds no image"):
        striate.predict(classifier, "memory://nothing", out=out)
    with pytest.raises(ConfigError, match="Protocol not known: nowhere"):
        striate.predict(classifier, "nowhere://bucket", out=out)
    with pytest.raises(DataError, match="Download it first"):
        striate.predict(classifier, "https://example.org/a.png", out=out)
    for name in ("ray", "pyarrow"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ConfigError, match=r"A cluster needs Ray.*striate\[cluster\]"):
        striate.predict(classifier, photos, out=out, cluster="local")
    with pytest.raises(ConfigError, match=r"written by pyarrow.*striate\[parquet\]"):
        striate.predict(classifier, photos, out=tmp_path / "r.parquet")
    assert os.listdir(tmp_path) == []


def test_an_image_in_an_archive_that_has_changed_is_no_row_of_another_one(tmp_path: Path) -> None:
    (tmp_path / "a.tar").write_bytes(b"x" * 100)
    image = ListedImage("a.tar/1.png", str(tmp_path / "a.tar"), (0, 10, 99, 0))
    assert ListedImage.of_line(image.line()) == image
    with pytest.raises(DataError, match="has changed since"):
        image.content()

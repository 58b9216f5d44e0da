"""Rows of a cluster are those of a local job, also where a worker is killed, and a cluster that hangs is a sentence.

`make cluster` installs Ray, runs these tests, and takes minutes.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as parquet
import pytest
from PIL import Image
from torch import nn

import striate
from rehearsal.classifiers import untrained
from striate.classifier import Classifier, save_classifier
from striate.core.errors import RunError
from striate.core.spec import RGB, InputSpec
from striate.predicting import cluster, job

pytestmark = [
    pytest.mark.skipif(not os.environ.get("STRIATE_CLUSTER"), reason="needs Ray, and minutes: make cluster"),
    pytest.mark.filterwarnings("default"),  # Ray warns of options of its own
]

SPEC = InputSpec(channels=RGB, height=48, width=48, mean=(0.5,) * 3, std=(0.5,) * 3)
COUNT = 700


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    return untrained("resnet18", SPEC, ("a", "b", "c"))


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    random = np.random.default_rng(0)
    for number in range(COUNT):
        Image.fromarray(random.integers(0, 256, (48, 60, 3), np.uint8)).save(folder / f"{number}.png")
    (folder / "7.png").write_bytes(b"")
    return folder


@pytest.fixture(scope="module")
def due(classifier: Classifier, photos: Path, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    out = tmp_path_factory.mktemp("local") / "r.parquet"
    return table(striate.predict(classifier, photos, out=out).path)


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job, "PART", 32)


@pytest.fixture(scope="module")
def ray() -> Iterator[Any]:
    """A cluster of this machine, for several jobs."""
    with cluster._connected("local") as started:
        yield started


def table(path: Path) -> list[dict[str, Any]]:
    return parquet.read_table(path).to_pylist()


def processes(name: str) -> list[int]:
    found = []
    for folder in Path("/proc").iterdir():
        with contextlib.suppress(OSError, ValueError):
            if name in (folder / "cmdline").read_text():
                found.append(int(folder.name))
    return found


def command_of(process: int) -> str:
    """Return the command line of a process, or nothing if it has ended, though nobody has waited for it."""
    try:
        return Path(f"/proc/{process}/cmdline").read_text().replace("\0", " ").strip()
    except OSError:
        return ""


def descendants(of: int) -> set[int]:
    parents = {}
    for folder in Path("/proc").iterdir():
        with contextlib.suppress(OSError, ValueError):
            parents[int(folder.name)] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
    found = {of}
    while new := {child for child, parent in parents.items() if parent in found} - found:
        found |= new
    return found - {of}


def test_rows_are_those_of_a_local_job_though_a_worker_is_killed(
    ray: Any, classifier: Classifier, photos: Path, due: list[dict[str, Any]], tmp_path: Path
) -> None:
    killed: list[int] = []

    def kill_one(stage: str, done: int, total: int) -> None:
        if done >= 64 and not killed:
            killed.append(min(set(processes("ray::MapWorker")) & descendants(os.getpid())))
            os.kill(killed[0], signal.SIGKILL)

    out = tmp_path / "r.parquet"
    written = striate.predict(classifier, photos, out=out, cluster="local", workers=2, progress=kill_one)
    assert killed
    assert (written.images, written.failures) == (COUNT, 1)
    assert table(out) == due


def test_an_error_of_a_worker_is_a_sentence(ray: Any, classifier: Classifier, photos: Path, tmp_path: Path) -> None:
    class Unknown(nn.Module):
        def __init__(self, classes: int) -> None:
            super().__init__()
            self.head = nn.Linear(1, classes)

        def forward(self, images: Any) -> Any:
            return self.head(images.mean(dim=(1, 2, 3), keepdim=False)[:, None])

    own = replace(classifier, model=Unknown(3).eval(), model_name="Unknown")
    with pytest.raises(RunError, match="names a model that is not known here"):
        striate.predict(own, photos, out=tmp_path / "r.csv", cluster="local", workers=1)


def test_a_cluster_without_a_free_processor_is_a_sentence(
    ray: Any, classifier: Classifier, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    @ray.remote(num_cpus=ray.cluster_resources()["CPU"])
    def hold(seconds: float) -> None:
        time.sleep(seconds)

    held = hold.remote(600.0)
    monkeypatch.setattr(cluster, "_SILENCE", 1.0)
    monkeypatch.setattr(cluster, "_PATIENCE", 8.0)
    stages: list[str] = []

    def hear(stage: str, done: int, total: int) -> None:
        stages.append(stage)

    try:
        with pytest.raises(RunError, match=r"given no row for .* see 'ray status'.* Give the same command again"):
            striate.predict(
                classifier,
                photos,
                out=tmp_path / "r.csv",
                cluster="local",
                progress=lambda *given: stages.append(given[0]),
            )
    finally:
        ray.cancel(held, force=True)
    assert any("are the cluster's processors free" in stage for stage in stages)


def test_a_killed_job_continues_locally_and_leaves_no_process(
    classifier: Classifier, photos: Path, due: list[dict[str, Any]], tmp_path: Path
) -> None:
    save_classifier(classifier, tmp_path / "classifier")
    out = tmp_path / "r.parquet"
    program = (
        "import sys, striate\nfrom striate.predicting import job\njob.PART = 32\n"
        "striate.predict(sys.argv[1], sys.argv[2], out=sys.argv[3], cluster='local', workers=2)"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "classifier"), str(photos), str(out)]
    with subprocess.Popen(command) as driver:
        parts = out.with_name("r.parquet.unfinished") / "parts"
        limit = time.monotonic() + 300
        while not (parts.exists() and len(os.listdir(parts)) > 2):
            assert driver.poll() is None
            assert time.monotonic() < limit
            time.sleep(0.01)
        started = descendants(driver.pid)
        driver.kill()
    assert not out.exists()
    assert table(striate.predict(str(tmp_path / "classifier"), photos, out=out).path) == due
    # Two agents of Ray report the end of their node to the killed cluster for 60 s, and then end.
    limit = time.monotonic() + 180
    while left := {process: name for process in started if (name := command_of(process))}:
        assert time.monotonic() < limit, f"processes of Ray are left: {left}"
        time.sleep(0.2)

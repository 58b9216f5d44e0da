"""A run on several processes: one folder, and the same weights after a process was killed and torchrun restarted it."""

from __future__ import annotations

import dataclasses
import io
import signal
from pathlib import Path

import numpy as np
import pytest
from torch.distributed import TCPStore  # pyright: ignore[reportPrivateImportUsage]

from rehearsal.several import together, train_data
from striate.cli.main import main
from striate.core.errors import ConfigError
from striate.core.processes import Processes
from striate.runs.folder import Run
from striate.runs.recipes import RECIPES
from striate.runs.several import begun_before, check_several, mark
from striate.runs.transfer import Full
from striate.training import read_events
from striate.training.event_log import without_wall

LAUNCHED = {"TORCHELASTIC_RUN_ID": "job"}


def noise(folder: Path) -> Path:
    draw = np.random.default_rng(0)
    pixels = draw.integers(0, 256, (60, 10, 10, 3), np.uint8)
    file = io.BytesIO()
    np.savez(file, images=pixels, labels=np.arange(60) % 2)
    folder.mkdir()
    (folder / "noise.npz").write_bytes(file.getvalue())
    return folder / "noise.npz"


def test_a_killed_process_changes_no_bit_of_the_result(tmp_path: Path) -> None:
    data, runs = noise(tmp_path / "data"), tmp_path / "runs"
    assert together(2, tmp_path / "1", train_data, data, runs, "whole")[1] == [0, 0]
    # As torchrun's, the store outlives the processes, and holds the addresses of those that have ended.
    store = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    launched = LAUNCHED | {"TORCHELASTIC_USE_AGENT_STORE": "True", "MASTER_PORT": str(store.port)}
    _, codes = together(2, tmp_path / "2", train_data, data, runs, "killed", 7, environment=launched)
    assert codes == [1, -signal.SIGKILL]
    again = launched | {"TORCHELASTIC_RESTART_COUNT": "1"}
    assert together(2, tmp_path / "3", train_data, data, runs, "killed", environment=again)[1] == [0, 0]
    assert sorted(path.name for path in runs.iterdir()) == ["killed", "whole"]
    whole, killed = Run(runs / "whole"), Run(runs / "killed")
    weights = [(run.classifier_folder / "model.safetensors").read_bytes() for run in (killed, whole)]
    assert weights[0] == weights[1]
    assert without_wall(read_events(killed.events_file)) == without_wall(read_events(whole.events_file))
    assert (killed.evaluations / "test.csv").read_bytes() == (whole.evaluations / "test.csv").read_bytes()


def test_a_restart_finds_its_own_run_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "recipe.json").write_text("{}")
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "job")
    mark(Run(tmp_path / "two"), 1)
    assert begun_before(tmp_path, 1) is None  # nothing was started again
    monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", "1")
    assert begun_before(tmp_path, 1) == Run(tmp_path / "two")
    assert begun_before(tmp_path, 2) is None
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")  # torchrun's default: the process that has started this one
    assert begun_before(tmp_path, 1) is None
    monkeypatch.delenv("TORCHELASTIC_RUN_ID")
    assert begun_before(tmp_path, 1) is None


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"batch_size": 7}, "at least 2 images of a batch; received batch_size 7 and 4 processes"),
        ({"transfer": Full(folds=5), "weights": "any"}, "is not repeated for folds"),
        ({"device": "mps"}, "train on cpu or cuda"),
        ({"device": "cuda:1"}, "train on cpu or cuda"),
    ],
    ids=["small batches", "folds", "mps", "a numbered GPU"],
)
def test_what_several_processes_cannot_do_is_a_sentence(changes: dict[str, object], sentence: str) -> None:
    recipe = dataclasses.replace(RECIPES["photos"](), **changes)
    check_several(recipe, Processes())
    with pytest.raises(ConfigError, match=sentence):
        check_several(recipe, Processes(0, 4))


def test_other_commands_run_in_one_process(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "0")
    with pytest.raises(SystemExit) as ended:
        main(["audit", "digits"])
    assert ended.value.code == 2
    assert "'striate audit' runs in one process" in capsys.readouterr().err

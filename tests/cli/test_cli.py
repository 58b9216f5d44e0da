"""The command line: quick help, one sentence for a mistake, and no logic of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from striate.cli.commands import COMMANDS
from striate.cli.main import main


def run(*words: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "striate", *words]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, check=False)


@pytest.mark.parametrize("statement", ["import striate", "from striate.cli.main import build; build().help_print([])"])
def test_neither_import_nor_help_loads_a_heavy_library(statement: str) -> None:
    heavy = ("torch", "numpy", "matplotlib", "PIL", "safetensors", "jaxtyping")
    code = f"import sys; {statement}; print(sorted(set(sys.modules) & {set(heavy)}))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip().splitlines()[-1] == "[]"


@pytest.mark.parametrize("name", list(COMMANDS))
def test_each_help_has_an_example(name: str) -> None:
    shown = run(name, "--help")
    assert shown.returncode == 0
    assert f"Example: striate {name}" in shown.stdout
    assert "Raises" not in shown.stdout


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["train", "nowhere/"], "There is nothing at nowhere/"),
        (["train", "digitz"], "Did you mean 'digits'?"),
        (["train", "digits", "--model", "lenet6"], "Did you mean 'lenet5'?"),
        (["train", "digits", "--recipe", "digit"], "Did you mean 'digits'?"),
        (["train", "digits", "--set", "lr=1"], "Did you mean 'optimizer.lr'?"),
        (["train", "digits", "--epochs", "-1"], "more than nothing"),
        (["train", "digits", "--set", "input.height=4"], "takes pictures from"),
        (["train", "digits", "--set", "loss.auxiliary=0.3"], "lenet5 has none for pictures of 32×32"),
        (["train", "digits", "--set", "input.width=4", "--model", "lenet5"], "takes pictures from"),
        (["train", "digits", "--execution", "runs/none"], "runs/none"),
        (["resume", "runs/none"], "There is no run in runs/none"),
        (["evaluate", "runs/none"], "There is no classifier in runs/none"),
        (["predict", "runs/none", "a.png"], "There is no classifier in runs/none"),
        (["explain", "runs/none", "a.png"], "There is no classifier in runs/none"),
        (["explain", "runs/none", "a.png", "--method", "ocllusion"], "Did you mean 'occlusion'?"),
        (["explain", "runs/none", "a.png", "--method", "rise", "--compare"], "leave one of them out"),
        (["explain", "runs/none", "a.png", "--check", "3ep"], "'30s' or '2min'"),
        (["inspect", "runs/none"], "There is no classifier in runs/none"),
        (["inspect", "runs/none", "--units", "0"], "At least 1 picture and 1 unit"),
        (["fool", "runs/none", "a.png"], "There is no classifier in runs/none"),
        (["fool", "runs/none", "a.png", "--method", "pgdd"], "Did you mean 'pgd'?"),
        (["report", "runs/none"], "There is no run in runs/none"),
        (["data", "nowhere"], "There is nothing at nowhere"),
        (["summary", "lenet"], "Did you mean 'lenet5'?"),
        (["summary", "lenet5", "--size", "9"], "from 12×12 pixels on"),
        (["summary", "lenet5", "--size", "big"], "A size is"),
    ],
)
def test_a_mistake_is_one_sentence_and_leaves_nothing_behind(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    sentence: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as ended:
        main(words)
    said = capsys.readouterr().err
    assert ended.value.code == 2
    assert sentence in said
    assert said.startswith("striate: ")
    assert said.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_mistake_ends_the_process_with_status_2_and_no_traceback(tmp_path: Path) -> None:
    finished = run("predict", "runs/none", "a.png", cwd=tmp_path)
    assert finished.returncode == 2
    assert finished.stderr == "striate: There is no classifier in runs/none: classifier.json is not there.\n"


def test_output_cut_off_by_its_reader_is_no_error(tmp_path: Path) -> None:
    code = f"{sys.executable} -m striate models --json | head -c 1"
    finished = subprocess.run(code, shell=True, capture_output=True, text=True, check=False)
    assert "Traceback" not in finished.stderr

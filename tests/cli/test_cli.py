"""The command line: quick help, one sentence for a mistake, and no logic of its own."""

from __future__ import annotations

import inspect
import json
import math
import re
import shlex
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from PIL import Image

import striate
from rehearsal.classifiers import untrained
from striate.classifier import Failure, Prediction, save_classifier
from striate.cli import hints
from striate.cli.commands import COMMANDS, FORMER
from striate.cli.main import main
from striate.cli.show.console import _encoded, percent, print_json
from striate.cli.show.pace import Pace
from striate.cli.show.predictions import show_predictions
from striate.core.duration import Clock, Duration
from striate.core.errors import command
from striate.core.settings_types import setting_keys
from striate.core.spec import GREY, InputSpec
from striate.runs.recipe import Recipe
from striate.runs.recipes import RECIPES


def run(*words: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "striate", *words]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, check=False)


def loaded(statement: str) -> set[str]:
    """Return the modules that a new process has imported after `statement`."""
    code = f"import sys\n{statement}\nprint(*sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(ran.stdout.strip().splitlines()[-1].split())


@pytest.mark.parametrize(
    ("statement", "heavy"),
    [
        ("import striate", {"cyclopts", "rich"}),
        ("from striate.cli.main import main; main(['--help'])", {"cyclopts", "rich"}),
        ("from striate.cli.main import build, COMMANDS; build(COMMANDS)", set[str]()),
    ],
)
def test_neither_import_nor_help_loads_a_heavy_library(statement: str, heavy: set[str]) -> None:
    never = {"torch", "numpy", "matplotlib", "PIL", "safetensors", "jaxtyping"}
    assert not loaded(statement) & (heavy | never)


def test_what_uses_a_network_imports_no_trainer_and_no_compiler(tmp_path: Path) -> None:
    """Which would cost a second each: what explains an image needs a classifier, not what trains one."""
    spec = InputSpec(channels=GREY, height=32, width=32, mean=(0.5,), std=(0.5,))
    save_classifier(untrained("lenet5", spec, ("a", "b"), seed=0), tmp_path / "net")
    for name in "ab":
        (tmp_path / "data" / name).mkdir(parents=True)
        for number in range(10):
            Image.new("L", (32, 32), 25 * number).save(tmp_path / "data" / name / f"{number}.png")
    image = str(tmp_path / "data" / "a" / "1.png")
    commands = [
        ["predict", image],
        ["explain", image, "--method", "saliency"],
        ["explain", image],
        ["fool", image],
        ["inspect", "--data", str(tmp_path / "data"), "--units", "1", "--time", "0.1s"],
    ]
    modules = loaded(f"""
import contextlib
from striate.cli.main import main
for verb, *words in {commands}:
    with contextlib.suppress(SystemExit):
        main([verb, {str(tmp_path / "net")!r}, *words])
""")
    assert {"striate.classifier", "striate.explaining.visualize.fourier"} <= modules
    assert not [name for name in modules if name.startswith(("striate.training", "striate.runs"))]
    assert not modules & {"torch._dynamo", "sympy"}


def test_an_audit_loads_no_torch(tmp_path: Path) -> None:
    """Which would take three of its four seconds."""
    for name in "ab":
        (tmp_path / "data" / name).mkdir(parents=True)
        for number in range(3):
            Image.new("RGB", (32, 32), (25 * number, 0, 0)).save(tmp_path / "data" / name / f"{number}.jpg")
    modules = loaded(f"""
import contextlib
from striate.cli.main import main
with contextlib.suppress(SystemExit):
    main(["audit", {str(tmp_path / "data")!r}])
""")
    assert "striate.data.audit" in modules
    assert "torch" not in modules


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["trian", "photos"], "There is no command 'trian'. Did you mean train? All commands: striate --help."),
        (["train", "photos", "more"], "'striate train' does not take 'more'. See striate train --help."),
        (["clusters"], "'striate clusters' needs RUN. See striate clusters --help."),
        (["train", "photos", "--lr"], "--lr needs a value. See striate train --help."),
        (["train", "photos", "--lr", "a"], "--lr takes a number; received 'a'."),
        (["train", "photos", "--seed", "1.5"], "--seed takes a whole number; received '1.5'."),
        (["train", "photos", "--seed", "x"], "--seed takes a whole number; received 'x'."),
        (["clusters", "runs/photos", "--images", "8.0"], "--images takes a whole number; received '8.0'."),
        (["train", "photos", "--quiet=3"], "--quiet takes no value; received '3'."),
        (["train", "photos", "--lr", "1", "--lr", "2"], "--lr was given more than once. Give it once."),
    ],
)
def test_a_mistake_in_the_words_of_a_command(
    words: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(words)
    assert stopped.value.code == 2
    assert capsys.readouterr().err == f"striate: {sentence}\n"


def test_the_overview_has_a_line_for_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    main([])
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines if re.match(r"  [a-z]", line)] == list(COMMANDS)


def test_every_command_is_a_verb_of_the_same_name_in_python() -> None:
    assert {name.replace("-", "_") for name in COMMANDS} <= set(dir(striate))


@pytest.mark.parametrize("former", list(FORMER))
def test_a_former_name_of_a_command_works_and_tells_the_new_one(
    former: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main([former, "--help"])
    said = capsys.readouterr()
    assert said.err == f"striate: 'striate {former}' is now called 'striate {FORMER[former]}'.\n"
    assert f"Usage: striate {FORMER[former]}" in said.out


@pytest.mark.parametrize("name", list(COMMANDS))
def test_each_help_has_an_example(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([name, "--help"])
    assert ended.value.code == 0
    shown = capsys.readouterr().out
    assert f"Example: striate {name}" in shown
    assert "Raises" not in shown


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["train", "nowhere/"], "There is nothing at nowhere/"),
        (["train", "digitz"], "Did you mean 'digits'?"),
        (["train", "digits", "--model", "lenet6"], "Did you mean 'lenet5'?"),
        (["train", "digits", "--recipe", "digit"], "Did you mean 'digits'?"),
        (["train", "digits", "--set", "lr=1"], "Did you mean 'optimizer.lr'?"),
        (["train", "digits", "--epochs", "-1"], "must be above 0"),
        (["train", "digits", "--set", "input.height=4"], "needs images of at least"),
        (["train", "digits", "--set", "loss.auxiliary=0.3"], "lenet5 has none for images of 32×32"),
        (["train", "digits", "--set", "input.width=4", "--model", "lenet5"], "needs images of at least"),
        (["train", "digits", "--execution", "runs/none"], "runs/none"),
        (["resume", "runs/none"], "There is no run in runs/none"),
        (["evaluate", "runs/none"], "There is no classifier in runs/none"),
        (
            ["predict", "runs/none", "a.png"],
            "There is no classifier in runs/none: there is no such folder. Train one: striate train DATA\n",
        ),
        (["explain", "runs/none", "a.png"], "There is no classifier in runs/none"),
        (["explain", "runs/none", "a.png", "--method", "ocllusion"], "Did you mean 'occlusion'?"),
        (["explain", "runs/none", "a.png", "--method", "rise", "--compare"], "leave one of them out"),
        (["explain", "runs/none", "a.png", "--check", "3ep"], "'30s' or '2min'"),
        (["inspect", "runs/none"], "There is no classifier in runs/none"),
        (["inspect", "runs/none", "--units", "0"], "At least 1 image and 1 unit"),
        (["fool", "runs/none", "a.png"], "There is no classifier in runs/none"),
        (["fool", "runs/none", "a.png", "--method", "pgdd"], "Did you mean 'pgd'?"),
        (["report", "runs/none"], "There is no run in runs/none"),
        (["audit", "nowhere"], "There is nothing at nowhere"),
        (["summary", "lenet"], "Did you mean 'lenet5'?"),
        (["summary", "lenet5", "--size", "9"], "at least 12×12 pixels"),
        (["summary", "lenet5", "--size", "big"], "A size is"),
    ],
)
def test_a_mistake_is_one_sentence_and_leaves_no_files(
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
    finished = run("audit", "nowhere", cwd=tmp_path)
    assert finished.returncode == 2
    assert re.fullmatch(r"striate: There is nothing at nowhere.*\n", finished.stderr)


def test_output_cut_off_by_its_reader_is_no_error(tmp_path: Path) -> None:
    code = f"{sys.executable} -m striate list-models --json | head -c 1"
    finished = subprocess.run(code, shell=True, capture_output=True, text=True, check=False)
    assert "Traceback" not in finished.stderr


@pytest.mark.parametrize(
    ("option", "sentence"),
    [
        ("--learning-rate=0.1", "Use --lr."),
        ("--learning_rate=0.1", "Use --lr."),
        ("--bs=8", "Use --batch-size."),
        ("--image-size=64", "Use --size."),
        ("--num-epochs=3", "Use --epochs."),
        ("--gpu=0", "Use --device."),
        ("--momentum=0.9", "--set optimizer.momentum=…"),
        ("--start-factor=0.1", "--set schedule.start_factor=…"),
        ("--label-smoothing=0.1", "--set loss.label_smoothing=…"),
        ("--frobnicate=1", "--frobnicate"),
    ],
)
def test_an_option_of_other_programs_is_answered_with_its_name_here(
    capsys: pytest.CaptureFixture[str], option: str, sentence: str
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["train", "digits", option])
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert sentence in said
    assert said.count("\n") == 1


def test_every_option_that_a_hint_names_exists() -> None:
    """And every setting: a hint must not lead to another mistake."""
    parameters = inspect.signature(COMMANDS["train"].function("train")).parameters
    for name in hints._OPTIONS:
        assert name.lstrip("-").replace("-", "_") in parameters, name
    assert set(hints._SETTINGS) <= set(setting_keys(Recipe))


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["train", "digits", "--transfer", "ful"], "Did you mean 'full'?"),
        (["train", "digits", "--model", "lenet5", "--transfer", "full"], "The catalogue has no weights for lenet5"),
        (["train", "digits", "--device", "gpu"], "A device is auto, cpu, cuda"),
        (["train", "digits", "--device", "cuda:99"], "This machine has no 'cuda:99'"),
        (["train", "digits", "--size", "big"], "A size is"),
        (["train", "digits", "--optimizer", "adamm"], "There is no optimizer 'adamm'. Did you mean 'adam'?"),
        (["train", "digits", "--lr", "0.1", "--set", "optimizer.lr=0.2"], "optimizer.lr is given twice"),
        (["predict", "runs/none", "a.png", "--device", "cuda:99"], "This machine has no 'cuda:99'"),
    ],
)
def test_an_impossible_choice_is_one_sentence(
    capsys: pytest.CaptureFixture[str], words: list[str], sentence: str
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(words)
    said = capsys.readouterr().err
    assert (ended.value.code, said.count("\n")) == (2, 1)
    assert sentence in said


@pytest.mark.parametrize("path", ["runs/plain", "my runs/a", "it's", 'say "so"', "$HOME;ls", "ünï"])
def test_a_printed_command_means_the_same_to_a_shell(path: str) -> None:
    assert shlex.split(command("resume", path)) == ["striate", "resume", path]


def test_json_never_holds_what_is_not_json(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"a": [math.nan, {"b": -math.inf}], "c": (1.5, math.inf)})
    read = json.loads(capsys.readouterr().out, parse_constant=lambda name: pytest.fail(name))
    assert read == {"a": [None, {"b": None}], "c": [1.5, None]}
    assert percent(math.nan) == "–"


def test_an_unreadable_image_is_a_row_with_its_reason(capsys: pytest.CaptureFixture[str]) -> None:
    results = [Prediction("a.png", "cat", 0.75, {"cat": 0.75, "dog": 0.25}), Failure("b.png", "missing")]

    def answer(on_start: object, on_result: Any = None) -> list[Prediction | Failure]:
        for result in results if on_result else ():
            on_result(result)
        return results

    for form in ("json", "csv"):
        with pytest.raises(SystemExit) as ended:
            show_predictions(answer, **{form: True})
        assert ended.value.code == 1
        said = capsys.readouterr()
        assert "b.png cannot be read: missing" in said.err
        if form == "csv":
            assert said.out.splitlines() == [
                "image,class,probability,none_of_these,among,error",
                "a.png,cat,0.750000,,,",
                "b.png,,,,,missing",
            ]
        else:
            rows = json.loads(said.out)
            assert [(row["image"], row["class"], row["error"]) for row in rows] == [
                ("a.png", "cat", None),
                ("b.png", None, "missing"),
            ]


def test_an_image_of_none_of_the_classes_is_said_to_be_so(capsys: pytest.CaptureFixture[str]) -> None:
    known = Prediction("a.png", "cat", 0.75, {"cat": 0.75, "dog": 0.25}, 0.9, 0.5, False, ("cat", "dog"))
    results = [known, replace(known, name="b.png", similarity=0.2, p_value=0.01, none_of_these=True, among=())]

    def answer(on_start: object, on_result: Any = None) -> list[Prediction | Failure]:
        for result in results if on_result else ():
            on_result(result)
        return list(results)

    show_predictions(answer)
    said = capsys.readouterr().out.splitlines()
    assert "cat, dog" in next(line for line in said if "a.png" in line)
    assert "none of these" in next(line for line in said if "b.png" in line)
    assert "nearest: cat 75.0" in next(line for line in said if "b.png" in line)
    show_predictions(answer, csv=True)
    assert capsys.readouterr().out.splitlines()[1:] == ["a.png,cat,0.750000,no,cat | dog,", "b.png,cat,0.750000,yes,,"]
    show_predictions(answer, json=True)
    (first, second) = json.loads(capsys.readouterr().out)
    assert (first["none_of_these"], first["among"], first["p_value"]) == (False, ["cat", "dog"], 0.5)
    assert (second["none_of_these"], second["among"], second["similarity"]) == (True, [], 0.2)


@pytest.mark.parametrize("width", [40, 66, 80, 120])
@pytest.mark.parametrize("steps", [34, 5_000_000])
def test_a_line_of_progress_fits_the_terminal(width: int, steps: int) -> None:
    started: Any = SimpleNamespace(
        until=Duration(float(steps), "st"),
        steps_per_epoch=37,
        plan=SimpleNamespace(recipe=RECIPES["photos"]()),
    )
    pace = Pace(started)
    pace.step(Clock(37, step=1), 12.3456)
    pace.evaluated({"accuracy": 0.12345, "loss": 10.4321})
    pace.step(Clock(37, step=steps // 3), 12.3456)
    line = pace.line(width)
    assert len(line) <= max(width, 60)
    assert line.startswith("epoch ")
    assert "step" in pace.line(200)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
@pytest.mark.parametrize("words", [["--help"], ["list-models"], ["recipes", "--show", "digits"]])
def test_output_that_cannot_be_written_is_a_sentence(words: list[str]) -> None:
    with open("/dev/full", "w") as full:
        command = [sys.executable, "-m", "striate", *words]
        ran = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert ran.returncode == 2
    assert ran.stderr == "striate: The output cannot be written: No space left on device.\n"


def test_a_closed_output_is_no_mistake() -> None:
    ran = subprocess.run(
        f"{shlex.quote(sys.executable)} -m striate list-models >&-", shell=True, capture_output=True, check=False
    )
    assert (ran.returncode, ran.stderr) == (0, b"")


def test_names_that_an_encoding_lacks_are_spelled_out_for_programs() -> None:
    assert _encoded("a\u732b\udcff\n", "latin-1") == b"a\\u732b\xff\n"
    assert _encoded("a\u732b\udcff\n", "utf-8") == b"a\xe7\x8c\xab\xff\n"


@pytest.mark.parametrize(
    "words",
    [
        ["predict", "efficientnet_lite0", "~no-such-user/x.jpg"],
        ["features", "efficientnet_lite0", "~no-such-user/x"],
        ["train", "digits", "--set", "loss.name=distill", "--set", "loss.teacher=~no-such-user/r"],
    ],
)
def test_the_home_folder_of_no_user_is_a_sentence(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("STRIATE_CACHE", str(tmp_path / "cache"))
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code
    assert "~no-such-user/" in capsys.readouterr().err

"""Modules of a user's own, imported before a command."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from striate.cli.main import main
from striate.runs.recipes import RECIPES


def _said(capsys: pytest.CaptureFixture[str], *words: str, status: int = 0) -> str:
    capsys.readouterr()
    with pytest.raises(SystemExit, match=str(status)):
        main(list(words))
    out, err = capsys.readouterr()
    return out if status == 0 else err


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("form", ["file", "module", "variable", "equals"])
def test_what_a_module_registers_is_known_to_the_command(
    form: str, place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"own_{form}"
    code = f"from striate.runs.recipes import RECIPES\nRECIPES.add({name!r}, RECIPES['photos'])\n"
    (place / f"{name}.py").write_text(code)
    monkeypatch.setattr(RECIPES, "_entries", {**RECIPES._entries})
    words = {
        "file": ("recipes", "--import", f"{name}.py"),
        "module": ("--import", name, "recipes"),
        "equals": ("recipes", f"--import={name}"),
        "variable": ("recipes",),
    }[form]
    if form == "variable":
        monkeypatch.setenv("STRIATE_IMPORT", f" {name} ,")
    assert name in _said(capsys, *words)
    assert name in _said(capsys, *words)  # imported once, not registered twice
    del sys.modules[name]


@pytest.mark.parametrize(
    ("words", "content", "expected"),
    [
        (("--import", "nothing"), "", "there is no module 'nothing', neither in the working folder nor installed"),
        (("--import", "nothing.py"), "", "there is no file nothing.py."),
        (("--import",), "", "--import needs a module or a Python file"),
        (("--import", "failing.py"), "\nx = 1 / 0\n", "ZeroDivisionError: division by zero (line 2 of"),
        (("--import", "failing.py"), "x = (\n", "Correct the module."),
        (("--import", "failing"), "import not_there\n", "No module named 'not_there' (line 1 of"),
        (("--import", "json.py"), "", "a module 'json' is loaded already"),
    ],
)
def test_a_module_that_cannot_be_imported_is_one_sentence(
    words: tuple[str, ...], content: str, expected: str, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (place / "failing.py").write_text(content)
    (place / "json.py").write_text("")
    said = _said(capsys, "recipes", *words, status=2)
    assert expected in said
    assert said.count("\n") == 1
    assert "failing" not in sys.modules

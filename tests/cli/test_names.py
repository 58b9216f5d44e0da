"""Names that act on a terminal, turn the text or are not UTF-8: shown spelled out, kept in what programs read."""

from __future__ import annotations

import csv
import io
import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rehearsal.classifiers import untrained
from striate.classifier import save_classifier
from striate.cli.main import main
from striate.cli.show.console import Screen
from striate.core.names import canonical, json_escaped, legible, visible, visible_lines
from striate.core.spec import GREY, InputSpec

NAMES = (
    "=HYPERLINK(1)",
    "\udce9",
    "\x1b]0;owned\x07",
    "\x9b31m",
    "\u202egpj",
    "\u2066iso\u200f",
    "line\nbreak\u2028",
    "carriage\rreturn",
    "tab\t",
    "$x_1^{",
    "%s {0} [b]",
    "é",
)
CLASSES = ("\x1b[31mred", "caf\udce9\u202e")
ACTING = [*map(chr, range(32)), *map(chr, range(127, 160)), "\u202a", "\u202e", "\u2066", "\u2069", "\u200e", "\u061c"]


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("STRIATE_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    draws = np.random.default_rng(0)
    for label in CLASSES:
        folder = tmp_path / "photos" / label
        folder.mkdir(parents=True)
        for name in NAMES:
            data = io.BytesIO()
            Image.fromarray(draws.integers(0, 256, (8, 8), dtype=np.uint8)).save(data, "PNG")
            (folder / f"{name}.png").write_bytes(data.getvalue())
    return tmp_path / "photos"


@pytest.fixture
def classifier(tmp_path: Path) -> Path:
    spec = InputSpec(channels=GREY, height=8, width=8, mean=(0.5,), std=(0.25,))
    folder = tmp_path / "net\udcff"
    save_classifier(untrained("mlp", spec, CLASSES), folder)
    return folder


def ran(capsysbinary: pytest.CaptureFixture[bytes], *words: str, status: int = 0) -> tuple[bytes, str]:
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == status
    shown = capsysbinary.readouterr()
    return shown.out, shown.err.decode()


def acts(text: str) -> bool:
    return any(character in text for character in ACTING if character != "\n")


@pytest.mark.parametrize(
    "words", [("data", "photos", "--all"), ("predict", "net\udcff", "photos"), ("evaluate", "net\udcff", "photos")]
)
def test_no_name_acts_where_it_is_shown(
    photos: Path, classifier: Path, words: tuple[str, ...], capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    out, err = ran(capsysbinary, *words)
    assert not acts(out.decode()), out
    assert not acts(err)
    assert "\\u001b[31mred" in out.decode()
    assert "caf\\xe9\\u202e" in out.decode()


def test_json_and_csv_keep_the_names_that_programs_open(
    photos: Path, classifier: Path, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    there = {os.fsencode(path) for path in Path("photos").rglob("*.png")}
    out, _ = ran(capsysbinary, "predict", "net\udcff", "photos", "--json")
    assert {os.fsencode(next(iter(answer.values()))) for answer in json.loads(out)} == there
    assert not acts(out.decode())
    out, _ = ran(capsysbinary, "predict", "net\udcff", "photos", "--csv")
    rows = list(csv.reader(io.StringIO(out.decode(errors="surrogateescape"), newline="")))
    assert {os.fsencode(row[0]) for row in rows[1:]} == there


def test_no_name_acts_in_an_error(photos: Path, classifier: Path, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    for words in (
        ("data", "\x1b[31m/nosuch\u202e"),
        ("predict", "\x1b[31m\udcff", "x.png"),
        ("data", "photos", "--\x1b[1m"),
    ):
        with pytest.raises(SystemExit):
            main(words)
        shown = capsysbinary.readouterr()
        assert not acts(shown.err.decode())
        assert "\\u001b[" in shown.err.decode() + shown.out.decode()
    _, err = ran(capsysbinary, "predict", "net\udcff", "no\x1b\udcff.png", status=1)
    assert "no\\u001b\\xff.png cannot be read: missing" in err


@pytest.mark.parametrize("text", [*ACTING, "\udcff", "\u2028"])
def test_invisible_and_control_characters_are_spelled_out(text: str) -> None:
    for shown in (visible(text), visible_lines(text) if text != "\n" else "\\"):
        assert shown.startswith("\\")
        assert shown.isprintable()
    assert visible_lines("a\nb") == "a\nb"
    document = json.dumps([text], ensure_ascii=False)
    assert json.loads(json_escaped(document)) == [text]
    json_escaped(document).encode()


@pytest.mark.parametrize("name", ["café", "صورة", "猫 🐈‍⬛", "a\u200db", "naïve"])
def test_names_in_any_script_are_shown_as_they_are(name: str) -> None:
    assert visible(name) == legible(name) == canonical(name) == name


def test_a_screen_spells_out_texts_and_keeps_their_lines(capsys: pytest.CaptureFixture[str]) -> None:
    Screen(highlight=False, markup=False, soft_wrap=True).print("a\x1b[31m\nb\u202e")
    assert capsys.readouterr().out == "a\\u001b[31m\nb\\u202e\n"

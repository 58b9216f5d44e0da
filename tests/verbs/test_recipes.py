"""Recipes listed, shown and compared: what is printed is what `--set` takes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import striate
from striate.cli.main import main
from striate.core.config import override, to_json, written
from striate.core.difference import difference, dotted
from striate.core.errors import ConfigError
from striate.runs.folder import Run
from striate.runs.plan import make_plan
from striate.runs.recipes import RECIPES


def test_all_recipes_are_listed_with_a_sentence_about_each(capsys: pytest.CaptureFixture[str]) -> None:
    assert [each.name for each in striate.recipes()] == list(RECIPES)
    _command("recipes")
    printed = capsys.readouterr().out.splitlines()
    for name, line in zip(RECIPES, printed, strict=False):
        assert line.startswith(f"{name} ")
        assert line.endswith(".")


def _command(*words: str) -> None:
    with pytest.raises(SystemExit) as ended:
        main(list(words))
    assert ended.value.code == 0


@pytest.mark.parametrize("name", list(RECIPES))
def test_the_settings_that_are_shown_make_the_recipe_from_any_other(name: str) -> None:
    """Choices come first: setting a name resets the options of that choice."""
    wanted = RECIPES[name]()
    settings = dotted(wanted)
    texts = [f"{key}={written(value)}" for key, value in settings.items()]
    made = override(RECIPES["digits"](), [text.replace("e+", "e") for text in texts])
    close = {key: pair for key, pair in difference(made, wanted).items() if pair[0] != pytest.approx(pair[1], rel=1e-5)}
    assert not close


def test_two_recipes_are_compared_and_a_run_is_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = Run(tmp_path / "mine")
    run.path.mkdir()
    make_plan("photos", "digits", {"seed": 3}).write(run)
    found = striate.recipes(diff=("digits", str(run.path)))
    assert found.values == {"seed": (0, 3)}
    assert "seed" in found._repr_html_()
    shown = striate.recipes(show=run)  # pyright: ignore[reportCallIssue, reportArgumentType]
    assert shown.settings["seed"] == 3
    _command("recipes", "--show", "mnist", "--json")
    assert json.loads(capsys.readouterr().out) == to_json(RECIPES["mnist"]())
    _command("recipes", "--diff", "mnist", "mnist")
    assert capsys.readouterr().out == "mnist and mnist have the same settings.\n"


@pytest.mark.parametrize(("value", "text"), [(0.1, "0.1"), (1e-5, "1e-05"), (2.0, "2"), (0.12345678, "0.12345678")])
def test_numbers_are_written_in_full(value: float, text: str) -> None:
    """Rounded, different ones of two recipes would look the same."""
    assert written(value) == text


def test_mistakes_get_a_sentence() -> None:
    with pytest.raises(ConfigError, match=r"There is no recipe 'keras'. Did you mean 'keras_cifar10'\?"):
        striate.recipes(show="keras")
    with pytest.raises(ConfigError, match=r"Show one recipe or compare two; received both\."):
        striate.recipes(show="mnist", diff=("mnist", "digits"))  # pyright: ignore[reportCallIssue, reportArgumentType]

"""What results look like in a notebook: a line of text, and a table where a person would rather look."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import numpy as np
import pytest

import striate
from striate.core.notebook import table
from striate.data.sources.opening import open_data


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    """One result of each verb, and what is in them."""
    folder = tmp_path_factory.mktemp("notebook")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STRIATE_CACHE", str(folder / "cache"))
        patch.chdir(folder)
        run = striate.train("digits", set=["epochs=1"])
        classifier = striate.load(run)
        verdict = striate.evaluate(run)
        shown: dict[str, object] = {
            "run": run,
            "audit": striate.audit("digits"),
            "classifier": classifier,
            "verdict": verdict,
            "scores": verdict.scores,
            "prediction": classifier.predict(np.zeros((32, 32), np.uint8)),
            "summary": striate.summary("resnet18"),
            "summary of the run": striate.summary(run),
            "dataset": open_data("digits"),
        }
        return shown | {f"{name} html": html(value) for name, value in shown.items()}


def html(value: object) -> str:
    return value._repr_html_()  # pyright: ignore[reportAttributeAccessIssue]


class Cells(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.cells: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.open.append(tag)
        if tag == "td":
            self.cells.append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "td":
            self.cells[-1] += data


def test_every_result_is_one_short_line_and_a_balanced_table(results: dict[str, object]) -> None:
    for name, value in results.items():
        if name.endswith(" html"):
            found = Cells(str(value))
            assert not found.open
            assert found.cells, name
        else:
            assert len(repr(value)) < 160, name
            assert "\n" not in repr(value), name


def test_a_run_shows_the_accuracy_that_its_verdict_has(results: dict[str, object]) -> None:
    (accuracy,) = re.findall(r"of 359 \(95 % interval ([\d.]+) %", repr(results["scores"]))
    assert f"{accuracy}% to" in str(results["run html"])


def test_a_list_of_models_is_a_line_for_each() -> None:
    (card,) = striate.list_models("vgg16_bn")
    assert repr(card) == "ModelCard('vgg16_bn', 2014, input 3×224×224, 138,365,992 parameters, 15,470,264,320 MACs)"


def test_the_zoo_and_the_catalogue_are_tables() -> None:
    shown = Cells(html(striate.list_models()))
    first = striate.list_models()[0]
    assert shown.cells[:3] == [first.name, first.family, str(first.year)]
    assert len(shown.cells) == 60 * 6
    weights = Cells(html(striate.list_models("mobilenet_v2*", weights=True)))
    assert weights.cells[0].startswith("mobilenet_v2")
    assert html(striate.list_models("*nothing*")).count("<tr>") == 1


def test_a_long_table_says_how_many_rows_it_leaves_out() -> None:
    shown = Cells(table(("number",), [(number,) for number in range(75)]))
    assert len(shown.cells) == 60
    assert "… and 15 more" in table(("number",), [(number,) for number in range(75)])

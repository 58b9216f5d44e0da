"""The courses' known answers: each example asserts its own."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("stacked_kernels", "3 of 3×3        7×7      6,912      3"),
        ("where_alexnet_is_heavy", "fc6 holds most parameters, conv2 has most operations."),
        ("cost_of_a_head", "averaging saves 123,129,856: 89%."),
    ],
)
def test_an_example_gives_the_known_answer(name: str, answer: str, capsys: pytest.CaptureFixture[str]) -> None:
    path = EXAMPLES / f"{name}.py"
    runpy.run_path(str(path), run_name="__main__")
    assert answer in capsys.readouterr().out
    assert len(path.read_text("utf-8").splitlines()) <= 150

"""A registry is loud about duplicates, helpful about unknown names, and in natural order."""

from __future__ import annotations

import itertools
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from striate.core.errors import ConfigError, ModelError
from striate.core.registry import Registry, natural_key


def test_entries_are_found_counted_and_listed_in_natural_order() -> None:
    registry: Registry[int] = Registry("thing")
    for number, name in enumerate(["b", "a10", "a9", "a10b2", "a"]):
        assert registry.add(name, number) == number
    assert list(registry) == ["a", "a9", "a10", "a10b2", "b"]
    assert (len(registry), registry["a9"], "a9" in registry, "c" in registry) == (5, 2, True, False)


def test_an_unknown_name_is_an_error_of_the_given_kind_with_a_suggestion() -> None:
    models: Registry[int] = Registry("model", ModelError)
    models.add("lenet5", 1)
    with pytest.raises(ModelError, match=r"^There is no model 'lenet'\. Did you mean 'lenet5'\?$"):
        models["lenet"]
    with pytest.raises(ConfigError, match=r"^There is no thing 'x'\. None is known\.$"):
        Registry("thing")["x"]


def test_a_second_entry_of_one_name_is_a_defect_and_the_first_stays() -> None:
    registry: Registry[int] = Registry("thing")
    registry.add("a", 1)
    with pytest.raises(ValueError, match="thing 'a' is registered twice"):
        registry.add("a", 2)
    assert registry["a"] == 1


def test_an_expected_entry_is_known_by_name_and_imported_when_it_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = "import sys\nsys.registry.add('late', 2)"
    (tmp_path / "announced_entry.py").write_text(module)
    monkeypatch.syspath_prepend(tmp_path)
    registry: Registry[int] = Registry("thing")
    monkeypatch.setattr(sys, "registry", registry, raising=False)
    registry.add("early", 1)
    registry.expect("announced_entry", ["late", "false"])
    assert list(registry) == ["early", "false", "late"]
    assert (len(registry), "late" in registry, "announced_entry" in sys.modules) == (3, True, False)
    assert registry["early"] == 1
    assert "announced_entry" not in sys.modules
    assert registry["late"] == 2
    with pytest.raises(ConfigError, match="There is no thing 'false'"):
        registry["false"]


@pytest.mark.parametrize(
    "ordered",
    [
        ["0", "2", "10", "a"],
        ["class2", "class10"],
        ["Ant", "bee", "Cat"],
        ["img2x3", "img2x12", "img10x1"],
        ["", "1", "é"],
        ["x", "x1", "x1y", "xy"],
    ],
)
def test_numbers_inside_names_count_as_numbers_and_case_does_not_count(ordered: list[str]) -> None:
    backwards = ordered[::-1]
    assert sorted(backwards, key=natural_key) == ordered


@given(st.lists(st.text(max_size=8), max_size=8))
def test_any_names_can_be_ordered(names: list[str]) -> None:
    ordered = [natural_key(name) for name in sorted(names, key=natural_key)]
    assert all(first <= second for first, second in itertools.pairwise(ordered))


@given(st.integers(0, 10**12), st.integers(0, 10**12))
def test_the_order_of_numbered_names_is_that_of_the_numbers(first: int, second: int) -> None:
    assert (natural_key(f"n{first}") < natural_key(f"n{second}")) == (first < second)

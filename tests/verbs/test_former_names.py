"""Programs written before the packages were regrouped still run, with a warning."""

from __future__ import annotations

import importlib
import sys

import pytest

from striate import _former


@pytest.mark.parametrize("name", _former._MOVED)
def test_a_module_under_its_former_name_warns_and_gives_the_module_of_today(name: str) -> None:
    sys.modules.pop(name, None)
    with pytest.warns(DeprecationWarning, match=f"{name} is now {_former._MOVED[name]}"):
        former = importlib.import_module(name)
    today = importlib.import_module(_former._MOVED[name])
    adapted = _former._CHANGED.get(name, {})
    public = [each for each in vars(today) if not each.startswith("_") and each not in adapted]
    assert public
    assert all(getattr(former, each) is getattr(today, each) for each in public)


def test_what_never_was_a_module_is_none() -> None:
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("striate.data.nothing")

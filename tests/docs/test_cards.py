"""The models' cards: one table for each family, written by `docs/zoo_page.py --count`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import zoo_page

from striate.models import MODELS, families
from striate.models._zoo import card_table

FAMILIES = sorted({entry.family for entry in MODELS.values()})


def _table(family: str) -> dict[str, Any]:
    return json.loads(card_table(family).read_text(encoding="utf-8"))


def test_each_family_has_a_table_and_a_module_and_none_is_left_over() -> None:
    modules = [path.stem for path in Path(families.__path__[0]).glob("[a-z]*.py")]
    assert sorted(path.stem for path in card_table("resnet").parent.iterdir()) == FAMILIES == sorted(modules)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_table_has_the_familys_models_and_reads_as_it_is_written(family: str) -> None:
    table = _table(family)
    assert set(table["models"]) == {entry.name for entry in MODELS.values() if entry.family == family}
    assert card_table(family).read_text(encoding="utf-8") == zoo_page.card_text(table)


def test_counting_writes_the_counts_and_keeps_everything_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = _table("lenet5")
    stripped = json.loads(json.dumps(whole))
    for name in ("parameters", "macs", "depth"):
        del stripped["models"]["lenet5"][name]
        stripped["models"]["lenet5_rgb"][name] = 1
    path = tmp_path / "lenet5.json"
    path.write_text(json.dumps(stripped), encoding="utf-8")
    monkeypatch.setattr(zoo_page, "card_table", lambda family: path)
    zoo_page.count(["lenet5"])
    assert path.read_text(encoding="utf-8") == card_table("lenet5").read_text(encoding="utf-8")

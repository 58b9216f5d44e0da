"""All judges there are: those of every file of `tests/judges/nets/`."""

from __future__ import annotations

import importlib
from pathlib import Path

from judges.parity import Judge
from promises.subject import asks_all, families
from striate.models import MODELS

_LARGEST = 20_000_000


def all_judges() -> list[Judge]:
    files = sorted((Path(__file__).parent / "nets").glob("*.py"))
    return [judge for file in files for judge in importlib.import_module(f"judges.nets.{file.stem}").JUDGES]


def one_of_each_family() -> list[Judge]:
    """Return the first judge of the smallest judged member of each family that `promises.subject.families` names.

    `results/zoo.json` records the verdict of every judge, on the networks as they are; those of more than `_LARGEST`
    parameters are left to it, unless everything is asked.
    """
    chosen: dict[str, Judge] = {}
    kinds = {MODELS[name].card.family for name in families()}
    known = [judge for judge in all_judges() if judge.name in MODELS and MODELS[judge.name].card.family in kinds]
    for judge in sorted(known, key=lambda judge: MODELS[judge.name].card.parameters):
        if asks_all() or MODELS[judge.name].card.parameters <= _LARGEST:
            chosen.setdefault(MODELS[judge.name].card.family, judge)
    return sorted(chosen.values(), key=lambda judge: judge.name)

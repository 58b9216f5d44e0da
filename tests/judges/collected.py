"""All judges there are: those of every file of `tests/judges/nets/`."""

from __future__ import annotations

import importlib
import os
from pathlib import Path

from judges.parity import Judge
from striate.models import MODELS


def all_judges() -> list[Judge]:
    files = sorted((Path(__file__).parent / "nets").glob("*.py"))
    return [judge for file in files for judge in importlib.import_module(f"judges.nets.{file.stem}").JUDGES]


_MOST_PARAMETERS, _MOST_MACS = 15e6, 1.6e9


def one_of_each_family() -> list[Judge]:
    """Return the first judge of the smallest judged member of each family that is compared within seconds.

    With `STRIATE_FAMILIES=all`, as `make zoo` runs, of every family. `results/zoo.json` records every judge's verdict.
    """
    chosen: dict[str, Judge] = {}
    known = [judge for judge in all_judges() if judge.name in MODELS]
    for judge in sorted(known, key=lambda judge: MODELS[judge.name].card.parameters):
        chosen.setdefault(MODELS[judge.name].card.family, judge)
    everything = os.environ.get("STRIATE_FAMILIES") == "all"
    return sorted((judge for judge in chosen.values() if everything or _is_quick(judge)), key=lambda judge: judge.name)


def _is_quick(judge: Judge) -> bool:
    card = MODELS[judge.name].card
    return card.parameters <= _MOST_PARAMETERS and card.macs <= _MOST_MACS

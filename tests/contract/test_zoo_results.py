"""The zoo's table in `results/` is of the zoo as it is."""

from __future__ import annotations

import json
from pathlib import Path

from promises.sources import digest_of_the_zoo
from striate.models import MODELS

RESULT = Path(__file__).resolve().parents[2] / "results" / "zoo.json"


def test_everything_was_asked_of_all_models_as_they_are_and_held() -> None:
    """Written by `make zoo`, which takes hours: it asks what the suite has no time for."""
    result = json.loads(RESULT.read_text())
    names = [row[0] for row in result["tables"]["Models"]["rows"]]
    assert names == list(MODELS)
    assert f"{len(names)} models" in result["notes"][0]
    assert result["notes"][0].endswith(" 0 problems.")
    assert digest_of_the_zoo() in result["notes"][-1], "models/ or layers/ have changed since: make zoo"

"""The zoo's table in `results/` is of the zoo as it is."""

from __future__ import annotations

from promises import recorded
from striate.models import MODELS


def test_everything_was_asked_of_all_models_as_they_are_and_held() -> None:
    """Written by `make zoo`, which takes hours: it asks what the suite has no time for."""
    assert list(recorded.models()) == list(MODELS)
    summary = recorded.study()["notes"][0]
    assert summary.startswith(f"{len(MODELS)} models, ")
    assert summary.endswith(" 0 problems.")

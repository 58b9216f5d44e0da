"""What must be the same for a run to be resumed exactly, and the sentence when it is not."""

from __future__ import annotations

from importlib.metadata import version

import pytest

from striate.core.device import ExecutionPlan
from striate.core.errors import RunError
from striate.tasks import CLASSIFICATION
from striate.training import circumstances, require_exact

PLAN = ExecutionPlan(layout="channels_last", threads=2)


def test_machine_versions_and_plan_are_returned() -> None:
    told = circumstances(PLAN, CLASSIFICATION)
    assert told["torch"] == version("torch")
    assert (told["layout"], told["threads"], told["device"]) == ("channels_last", "2", "cpu")
    assert {"processor", "instructions", "striate", "numpy", "pillow", "simplejpeg", "precision"} <= set(told)
    require_exact(told, circumstances(PLAN, CLASSIFICATION))


def test_differences_are_named_with_the_way_to_continue() -> None:
    then = circumstances(PLAN, CLASSIFICATION) | {"torch": "1.0", "gone": "yes"}
    with pytest.raises(RunError) as error:
        require_exact(then, circumstances(PLAN, CLASSIFICATION))
    assert str(error.value) == (
        f"This run cannot be resumed exactly here: torch {version('torch')} (was 1.0), gone none (was yes). Resume it "
        "where it was started, or accept a result that differs in the last bits with --inexact."
    )

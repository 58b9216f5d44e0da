"""Training does without torch's compiler, whose import takes more than a second of each process.

It also leaves a variable in the environment. One process runs all that must not load it, one after the other.
"""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

INITIALISING = """
import torch
from striate.layers import SqueezeExcitation, he_, normal_, truncated_normal_, xavier_
with torch.device("meta"):
    module = SqueezeExcitation(8, 2)
before = set(sys.modules)
he_(module), xavier_(module), normal_(module, 0.1), truncated_normal_(module, 0.1)
assert module.reduce.weight.is_meta
assert set(sys.modules) == before
"""
BUILDING = """
from striate.models import create_model
from striate.tracing import describe
for name in ("lenet5", "tiny_vgg"):
    describe(create_model(name, classes=3, size=(64, 64), seed=1), (3, 64, 64))
"""
FITTING = """
from striate.models import build_sketch
from striate.runs.fitting import check_norms
from striate.tasks import CLASSIFICATION as task
network = build_sketch("conv3-4 bn relu dropout.5 gap fcK", classes=3, channels=3, size=(9, 9))
check_norms(network, task.example((2, 3, 9, 9), torch.Size([3]), torch.Generator()))
"""
TRAINING = """
from rehearsal.small import MadeBatches, make_model, make_state
from striate.core.duration import Duration
from striate.training import OPTIMIZERS, LogPosition, restore, train
from striate.training.checkpoint import snapshot
for name in OPTIMIZERS:
    model = make_model()
    state = make_state(model, optimizer=OPTIMIZERS[name](lr=0.1).create(model))
    list(train(state, MadeBatches(), until=Duration.parse("2st")))
    restore(state, snapshot(state, LogPosition(0, "", 0.0, 0)))
"""
PROGRAMS = {"initialising": INITIALISING, "building": BUILDING, "fitting": FITTING, "training": TRAINING}


@pytest.fixture(scope="module")
def loaded() -> dict[str, list[str]]:
    """What of the compiler is loaded after each of the programs, in one process."""
    path = next(entry for entry in sys.path if entry.endswith("tests"))
    told = "found[{!r}] = sorted({{'torch._dynamo', 'sympy'}} & set(sys.modules))"
    lines = ["import json, sys", f"sys.path.insert(0, {path!r})", "found = {}"]
    lines += [f"{program}\n{told.format(name)}" for name, program in PROGRAMS.items()]
    command = [sys.executable, "-c", "\n".join([*lines, "print(json.dumps(found))"])]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


@pytest.mark.parametrize("program", PROGRAMS)
def test_torchs_compiler_is_not_loaded(program: str, loaded: dict[str, list[str]]) -> None:
    assert "torch._dynamo" not in loaded[program]


def test_building_a_network_does_not_load_sympy_either(loaded: dict[str, list[str]]) -> None:
    assert "sympy" not in loaded["building"]

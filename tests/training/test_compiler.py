"""Training does without torch's compiler, whose import takes more than a second."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import sys
from rehearsal.small import MadeBatches, make_model, make_state
from striate.core.duration import Duration
from striate.training import OPTIMIZERS, LogPosition, restore, train
from striate.training.checkpoint import snapshot
for name in OPTIMIZERS:
    model = make_model()
    state = make_state(model, optimizer=OPTIMIZERS[name](lr=0.1).create(model))
    list(train(state, MadeBatches(), until=Duration.parse("2st")))
    restore(state, snapshot(state, LogPosition(0, "", 0.0, 0)))
sys.exit("torch._dynamo" in sys.modules)
"""


def test_a_training_does_not_load_torchs_compiler() -> None:
    path = next(entry for entry in sys.path if entry.endswith("tests"))
    done = subprocess.run([sys.executable, "-c", f"import sys; sys.path.insert(0, {path!r})\n{PROGRAM}"])
    assert done.returncode == 0

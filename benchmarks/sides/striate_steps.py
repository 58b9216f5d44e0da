"""Striate's training by a recipe, a few steps at a time: python -m sides.striate_steps DATA RECIPE STEPS [KEY=VALUE …]

Says "ready" after the data are prepared, the execution is chosen and the first step is made, then answers every line
that it is sent with the seconds of so many steps: loading, augmentation, gradient and update.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator

from striate.core.allocator import tune_process
from striate.core.config import parse_overrides
from striate.core.duration import Duration
from striate.runs.start import plan_run
from striate.runs.train import Session, first_state, on_device
from striate.training import StepDone, train

from .standing import stand


def main(data: str, recipe: str, count: int, changes: list[str]) -> None:
    tune_process()
    session = Session(*plan_run(data, dict(parse_overrides(changes)), recipe=recipe)[:2])
    batches, _ = session.prepared.load(session.plan.recipe)
    state = first_state(session, batches)
    batches = on_device(batches, state.plan)
    with contextlib.closing(train(state, batches, until=Duration(1e6, "ep"))) as events:
        steps: Iterator[StepDone] = (event for event in events if isinstance(event, StepDone))
        losses = [next(steps).loss]
        told = {
            "images": count * session.plan.recipe.batch_size,
            "losses": losses,
            "parameters": sum(each.numel() for each in state.model.parameters()),
            "execution": state.plan.sentence(),
        }
        stand(lambda: losses.extend(next(steps).loss for _ in range(count)), lambda: told)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4:])

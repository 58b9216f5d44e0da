"""Striate's `train`, cold: python -m sides.striate_train JOB

Caches and run lie in a folder that is made for it, so the audit, the trial of execution plans and the measuring of
the data are part of every run, as in a user's first one. The recipe's settings are replaced by the job's.
"""

from __future__ import annotations

import os
import tempfile

import numpy as np

import striate
from striate.runs.events import RunFinished, RunStarted
from striate.training import Evaluated, StepDone

from .job import Job, Stopwatch


def settings(job: Job) -> dict[str, object]:
    return {
        "batch_size": job.batch_size,
        "optimizer.name": "sgd",
        "optimizer.lr": job.lr,
        "optimizer.momentum": job.momentum,
        "optimizer.nesterov": True,
        "optimizer.weight_decay": 0.0,
        "schedule.name": "constant",
        "augmentation.shift": 0.0,
        "augmentation.rotation": 0.0,
        "augmentation.scale": 0.0,
    }


def main(job: Job, folder: str) -> None:
    watch = Stopwatch()
    losses, accuracies, steps, execution, images = [], [], [], "", 0
    events = striate.train.events(
        job.data, model="lenet5", recipe="mnist", epochs=job.epochs, seed=job.seed, set=settings(job), runs=folder
    )
    for event in events:
        match event:
            case RunStarted():
                execution, images = event.execution.sentence(), event.counts["train"]
            case StepDone(loss=loss):
                steps.append(loss)
            case Evaluated(scores=scores):
                watch.epoch_ended()
                losses.append(float(np.mean(steps)))
                accuracies.append(scores["accuracy"])
                steps.clear()
            case RunFinished():
                break
    watch.answer(images=images, losses=losses, accuracies=accuracies, execution=execution)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        os.environ["STRIATE_CACHE"] = f"{folder}/cache"
        main(Job.from_argument(), f"{folder}/runs")

"""Trainings on several processes of this machine, as torchrun starts them; forked from a server with torch loaded."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import socket
from collections.abc import Callable
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from striate.core.device import ExecutionPlan
from striate.core.duration import Clock, Duration
from striate.core.processes import Processes, processes
from striate.core.spec import RGB, InputSpec
from striate.data.augmentation.augmentations import Augmentation, Flip, Shift
from striate.data.augmentation.mixing import Mixup
from striate.data.dataset import ArrayStore, Dataset, numbered
from striate.data.loading.loader import Loader, Randomization
from striate.runs.start import start_run
from striate.tasks import Classification
from striate.training import StepDone, TrainState, evaluate, train
from striate.training.averages import EMA, SWA
from striate.training.optimizers import SGD
from striate.training.schedules import Constant
from striate.training.synchronised import synchronise

COUNT, BATCH = 27, 8  # the last batch of an epoch has 3 images
EPOCHS = Duration.parse("2ep")
SPEC = InputSpec(channels=RGB, height=10, width=10, mean=(0.5,) * 3, std=(0.3,) * 3)
CASES: dict[str, dict[str, Any]] = {
    "plain": {"clip_norm": 0.5, "average": EMA(decay=0.8), "gradient_noise": 1e-3},
    "mixed": {"sharpness": 0.05, "augmentations": (Flip(), Mixup(alpha=1.0))},
    "local": {"norm": True},
    "synchronised": {"norm": True, "average": SWA(start=0.0)},
}


def context() -> ForkServerContext:
    """The fork server, with everything heavy loaded once."""
    made = multiprocessing.get_context("forkserver")
    made.set_forkserver_preload(["torch", "striate.runs.start", "rehearsal.several"])
    return made


def together(
    count: int, folder: Path, work: Callable[..., Any], *arguments: Any, environment: dict[str, str] | None = None
) -> tuple[list[Any], list[int]]:
    """Run `work(processes, *arguments)` in `count` processes; return results (None after a failure) and exit codes."""
    folder.mkdir(parents=True, exist_ok=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    given = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": str(count), "OMP_NUM_THREADS": "1"}
    children = []
    for rank in range(count):
        ranks = {"RANK": str(rank), "LOCAL_RANK": str(rank), "LOCAL_WORLD_SIZE": str(count)}
        own = given | ranks | (environment or {})
        children.append(context().Process(target=_take_part, args=(own, folder / str(rank), work, arguments)))
    for child in children:
        child.start()
    for child in children:
        child.join()
    files = [folder / str(rank) for rank in range(count)]
    results = [pickle.loads(file.read_bytes()) if file.exists() else None for file in files]
    return results, [child.exitcode for child in children]


def _take_part(environment: dict[str, str], answer: Path, work: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    os.environ.update(environment)
    torch.set_num_threads(1)
    answer.write_bytes(pickle.dumps(work(processes(), *arguments)))


def noise(count: int = COUNT) -> Dataset:
    """Random images of three classes."""
    pixels = np.random.default_rng(3).integers(0, 256, (count, 10, 10, 3), np.uint8)
    return Dataset("noise", ArrayStore(pixels, numbered("train", count)), ("a", "b", "c"), np.arange(count) % 3)


def loader(group: Processes, augmentations: tuple[Augmentation, ...] = (Flip(), Shift(fraction=0.2))) -> Loader:
    """The batches to train on."""
    changed = Randomization(seed=5, augmentations=augmentations)
    return Loader(noise(), np.arange(COUNT), SPEC, batch_size=BATCH, randomization=changed, threads=0, processes=group)


def network(norm: bool) -> nn.Sequential:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        norms = [nn.BatchNorm2d(6)] if norm else []
        return nn.Sequential(nn.Conv2d(3, 6, 3), *norms, nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(96, 3))


def learn(group: Processes, case: str) -> dict[str, Any]:
    """Train as `case` says; return losses, all weights at the end, outputs for all images, and the samples seen."""
    options = dict(CASES[case])
    norm, augmentations = options.pop("norm", False), options.pop("augmentations", None)
    batches = loader(group) if augmentations is None else loader(group, augmentations)
    model = network(norm)
    if case == "synchronised":
        synchronise(model, group)
    state = TrainState(
        model=model,
        optimizer=SGD(lr=0.02, momentum=0.9).create(model),
        schedule=Constant().over(EPOCHS),
        task=Classification(),
        clock=Clock(len(batches)),
        plan=ExecutionPlan(threads=1),
        length=EPOCHS,
        processes=group,
        **options,
    )
    events = list(train(state, batches, until=EPOCHS))
    judged = Loader(noise(), np.arange(COUNT), SPEC, batch_size=5, threads=0, processes=group)
    outputs = evaluate(state.network, state.task, judged, state.plan, processes=group)
    return {
        "losses": [event.loss for event in events if isinstance(event, StepDone)],
        "seconds": state.clock.seconds,
        "weights": torch.cat([value.double().reshape(-1) for value in state.model.state_dict().values()]),
        "kept": torch.cat([value.double().reshape(-1) for value in state.network.state_dict().values()]),
        "evaluated": outputs.index.tolist(),
        "first": evaluate(network(norm), state.task, judged, state.plan, processes=group).values,
        "seen": [(batch.index.tolist(), batch.weight) for batch in batches.epoch(1)],
    }


def learn_all(group: Processes) -> dict[str, Any]:
    """Train as every case says, and try out how processes agree."""
    found: dict[str, Any] = {case: learn(group, case) for case in CASES}
    found["once"] = group.once(lambda: f"computed by {group.rank}")
    found["any"] = group.any(group.rank == group.count - 1), group.any(False)
    try:
        group.require_same("data", group.rank)
    except Exception as error:
        found["differing"] = f"{type(error).__name__}: {error}"
    try:
        group.once(lambda: CASES["other"] if group.count == 1 else _refuse())
    except Exception as error:
        found["refused"] = f"{type(error).__name__}: {error}"
    return found


def _refuse() -> None:
    from striate.core.errors import DataError

    raise DataError("No.")


def lose_one(group: Processes) -> str:
    """Return the error of the process that remains after all have met."""
    try:
        group.gather("here")
        if group.rank:
            os.kill(os.getpid(), signal.SIGKILL)
        group.mean(1.0)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return "none"


def train_data(group: Processes, data: Path, runs: Path, name: str, die_at: int = 0) -> str:
    """Train on `data`; the last process kills itself after step `die_at`."""
    changes = {
        "model": "conv3-4 relu pool2 fc2",
        "epochs": 3,
        "batch_size": 8,
        "input.height": 10,
        "input.width": 10,
        "device": "cpu",
    }
    for event in start_run(data, changes, recipe="photos", name=name, folder=runs):
        if isinstance(event, StepDone) and event.clock.step == die_at and group.rank == group.count - 1:
            os.kill(os.getpid(), signal.SIGKILL)
    return "done"

"""A small training that can be killed at a chosen moment, in a process of its own, and resumed in another.

It is put together as a recipe does it: images from files, a network with batch normalization, dropout and an
auxiliary classifier, validation, checkpoints, log. The processes come from a fork server that has torch loaded, so
that each costs a fork and not an import. The server's children do not carry the test's hook that checks shapes.
"""

from __future__ import annotations

import contextlib
import hashlib
import multiprocessing
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import nn

from rehearsal.small import WithAuxiliary
from striate.core import files
from striate.core.device import ExecutionPlan
from striate.core.duration import Clock, Duration
from striate.core.rng import Stream
from striate.core.spec import InputSpec
from striate.data.augmentation.augmentations import Brightness, Flip, Shift
from striate.data.dataset import Dataset, FileStore
from striate.data.loading.loader import Loader, Randomization
from striate.tasks import Classification
from striate.training import (
    CheckpointPolicy,
    EarlyStopping,
    EventLog,
    StepDone,
    TrainState,
    evaluate,
    event_log,
    newest_checkpoint,
    read_checkpoint,
    read_events,
    restore,
    train_session,
)
from striate.training.losses import CrossEntropy
from striate.training.optimizers import AdamW
from striate.training.schedules import OneCycle

PICTURES, BATCH, EPOCHS = 36, 5, 4
TRAINING_PICTURES = 28
STEPS = EPOCHS * -(-TRAINING_PICTURES // BATCH)
BOUNDARIES = ("after open", "half the bytes", "before the sync", "before the rename", "after the rename", "folder sync")


@dataclass(frozen=True)
class Kill:
    """When a process ends itself with the signal that cannot be caught.

    `boundary` of the `count`-th checkpoint that it writes; or, where `boundary` is None, when it is told of its
    `count`-th step.
    """

    boundary: str | None
    count: int


@dataclass(frozen=True)
class Session:
    """How one process trains: loader threads, how often it saves (every step or every epoch), and when it is killed."""

    threads: int = 0
    every_step: bool = False
    kill: Kill | None = None


def make_pictures(folder: Path) -> None:
    """Noise, the same each time, as small JPEG files of several sizes."""
    folder.mkdir(parents=True)
    for number in range(PICTURES):
        size = 14 + number % 5
        values = Stream(7, "pictures").uniform(epoch=number, index=np.arange(size * size), draws=3, high=256.0)
        Image.fromarray(values.astype(np.uint8).reshape(size, size, 3)).save(folder / f"{number:02d}.jpg", quality=95)


def sit(pictures: Path, run: Path, session: Session) -> None:
    """Train in this process from the last good checkpoint in `run`, to the end or to the kill."""
    if session.kill is not None and session.kill.boundary is not None:
        _arm(session.kill)
    train, val = (_loader(pictures, part, session.threads) for part in ("train", "val"))
    state, until = _state(len(train))
    checkpoint, _ = newest_checkpoint(run / "checkpoints")
    if checkpoint is not None:
        restore(state, checkpoint)
    # Few lines, so that checkpoints fall between them, and the sums between them must be kept.
    position = checkpoint.log_position if checkpoint else None
    with EventLog(run / "events.jsonl", position, lines_per_epoch=2) as record:
        if checkpoint is None:
            record.write("started", seed=state.seed)
        events = train_session(
            state,
            train,
            until=until,
            log=record,
            checkpoints=run / "checkpoints",
            stopping=EarlyStopping("loss"),
            evaluate=lambda: evaluate(state.model, state.task, val, state.plan).scores(),
            policy=CheckpointPolicy(seconds=1e-9 if session.every_step else 3600.0, share=1e9),
        )
        steps = 0
        with contextlib.closing(events):
            for event in events:
                steps += isinstance(event, StepDone)
                if session.kill == Kill(None, steps):
                    _die()


def outcome(run: Path) -> tuple[str, list[dict[str, Any]]]:
    """SHA-256 of the final weights, and the events without what the wall clock decides."""
    final = read_checkpoint(run / "checkpoints" / f"step-{STEPS:08d}.safetensors")
    digest = hashlib.sha256()
    for name, value in sorted(final.tensors.items()):
        digest.update(name.encode() + value.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest(), event_log.without_wall(read_events(run / "events.jsonl"))


def server() -> ForkServerContext:
    """The fork server, with everything heavy loaded once."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["torch", "striate.training", "striate.data.loading.loader", "rehearsal.resume"])
    return context


def in_process(context: ForkServerContext, pictures: Path, run: Path, session: Session, delay: float = 0.0) -> int:
    """Run `sit` in a child; its exit code (0, or minus the signal). With a `delay` it is killed after so long."""
    child = context.Process(target=sit, args=(pictures, run, session))
    child.start()
    if delay:
        child.join(delay)
        child.kill()
    child.join()
    assert child.exitcode is not None
    return child.exitcode


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _arm(kill: Kill) -> None:
    """Let this process die at `kill.boundary` of the `kill.count`-th file that it writes."""
    written = 0
    syncing = False
    write_chunk, sync, replace, sync_folder = files.write_chunk, os.fsync, os.replace, files.sync_folder

    def at(boundary: str) -> bool:
        return kill.boundary == boundary and written == kill.count

    def chunk(file: Any, data: memoryview) -> None:
        nonlocal written, syncing
        written += 1  # these checkpoints are smaller than one chunk
        syncing = True
        if at("after open"):
            _die()
        if at("half the bytes"):
            write_chunk(file, data[: len(data) // 2])
            file.flush()
            _die()
        write_chunk(file, data)

    def fsync(handle: int) -> None:
        nonlocal syncing
        if syncing and at("before the sync"):
            _die()
        syncing = False
        sync(handle)

    def rename(source: Path, target: Path) -> None:
        if at("before the rename"):
            _die()
        replace(source, target)
        if at("after the rename"):
            _die()

    def folder(path: Path) -> None:
        if at("folder sync"):
            _die()
        sync_folder(path)

    replacements: list[tuple[Any, str, Callable[..., None]]] = [
        (files, "write_chunk", chunk),
        (os, "fsync", fsync),
        (os, "replace", rename),
        (files, "sync_folder", folder),
    ]
    for owner, name, function in replacements:
        setattr(owner, name, function)


def _loader(pictures: Path, part: str, threads: int) -> Loader:
    paths = sorted(path.name for path in pictures.iterdir())
    targets = np.arange(len(paths)) % 3
    dataset = Dataset("noise", FileStore(pictures, paths), ("a", "b", "c"), targets.astype(np.int64))
    spec = InputSpec(channels=("red", "green", "blue"), height=12, width=12, mean=(0.5,) * 3, std=(0.3,) * 3)
    indices = np.arange(TRAINING_PICTURES) if part == "train" else np.arange(TRAINING_PICTURES, PICTURES)
    augmentations = (Flip(), Shift(fraction=0.2), Brightness(fraction=0.2))
    return Loader(
        dataset,
        indices,
        spec,
        batch_size=BATCH,
        randomization=Randomization(seed=11, augmentations=augmentations) if part == "train" else None,
        threads=threads,
    )


def _state(steps_per_epoch: int) -> tuple[TrainState, Duration]:
    plan = ExecutionPlan(layout="channels_last", threads=1)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        model = WithAuxiliary(
            nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2)),
            nn.Sequential(nn.Conv2d(8, 8, 3), nn.ReLU(), nn.Dropout(0.3), nn.Flatten(), nn.Linear(72, 3)),
            nn.Sequential(nn.AvgPool2d(5), nn.Dropout(0.5), nn.Flatten(), nn.Linear(8, 3)),
        )
    model = plan.adopt(model)
    until = Duration(float(EPOCHS), "ep")
    state = TrainState(
        model=model,
        optimizer=AdamW(lr=3e-3, weight_decay=0.01).create(model),
        schedule=OneCycle().over(until),
        task=Classification(criterion=CrossEntropy(label_smoothing=0.1), auxiliary=0.3),
        clock=Clock(steps_per_epoch),
        plan=plan,
        seed=11,
        clip_norm=1.0,
        l1=1e-5,
    )
    return state, until

"""Save and restore a training between two steps: tensors in safetensors, everything else as JSON in the header.

Nothing is pickled. The file holds a digest of all of its content, so that damage is detected. It is written atomically:
a kill or a power cut at any moment leaves it whole or absent.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Shaped
from safetensors import SafetensorError
from safetensors.torch import load as parse_tensors
from safetensors.torch import save as format_tensors
from torch import Tensor

from striate.core.config import from_json, to_json
from striate.core.device import ExecutionPlan
from striate.core.duration import Clock
from striate.core.errors import RunError, StriateError, TrainingError
from striate.core.files import open_regular, write_atomically
from striate.training.environment import circumstances
from striate.training.event_log import LogPosition
from striate.training.state import TrainState

FORMAT = 1
_NAME = re.compile(r"step-([0-9]{8,})\.safetensors")


class DamagedCheckpointError(RunError):
    """A checkpoint whose content differs from what was written, or that has another format."""


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """The state of a training between two steps.

    `tensors` are the weights and buffers (`model.…`), their average, of `averaged` values, if any (`average.…`), and
    the optimizer's statistics (`optimizer.<parameter>.<name>`);
    `scalars` are the statistics that are not tensors, by parameter and name. `log_position` is the end of the
    event log, `plan` the execution plan, `circumstances` the environment that affects the last bits of a result.
    """

    clock: Clock
    plan: ExecutionPlan
    log_position: LogPosition
    tensors: Mapping[str, Tensor]
    scalars: Mapping[str, Mapping[str, Any]]
    circumstances: Mapping[str, str]
    averaged: int = 0

    @property
    def weights(self) -> dict[str, Tensor]:
        """The model's state dict."""
        return self._within("model.")

    @property
    def average(self) -> dict[str, Tensor]:
        """The state dict of the network with the averaged weights; empty where there is no average."""
        return self._within("average.")

    def _within(self, prefix: str) -> dict[str, Tensor]:
        return {name.removeprefix(prefix): value for name, value in self.tensors.items() if name.startswith(prefix)}


def snapshot(state: TrainState, log_position: LogPosition) -> Checkpoint:
    """Copy the present `state` into a checkpoint with the `log_position` that belongs to it.

    Raises:
        TrainingError: a weight is not a finite number, so the training cannot continue from here.
    """
    for name, parameter in state.model.named_parameters():
        if not bool(torch.isfinite(parameter).all()):
            raise TrainingError(
                f"After step {state.clock.step} {name} holds values that are not finite, so no checkpoint was written. "
                "Lower the learning rate, or bound the gradient (optimizer.clip_norm=1)."
            )
    tensors = {f"model.{name}": _copy(value) for name, value in state.model.state_dict().items()}
    averaged = state.averaged.count if state.averaged else 0
    tensors |= {f"average.{name}": _copy(value) for name, value in state.network.state_dict().items() if averaged}
    scalars: dict[str, dict[str, Any]] = {}
    for parameter, statistics in state.optimizer.state_dict()["state"].items():
        for name, value in statistics.items():
            if isinstance(value, Tensor):
                tensors[f"optimizer.{parameter}.{name}"] = _copy(value)
            else:
                scalars.setdefault(str(parameter), {})[name] = value
    return Checkpoint(
        clock=state.clock,
        plan=state.plan,
        log_position=log_position,
        tensors=tensors,
        scalars=scalars,
        circumstances=circumstances(state.plan, state.task, state.processes),
        averaged=averaged,
    )


def restore(state: TrainState, checkpoint: Checkpoint) -> None:
    """Load `checkpoint` into `state`, which was built with the same settings.

    Raises:
        RunError: the checkpoint is of another model or optimizer.
    """
    statistics: dict[int, dict[str, Any]] = {int(key): dict(value) for key, value in checkpoint.scalars.items()}
    for name, value in checkpoint.tensors.items():
        kind, _, rest = name.partition(".")
        if kind == "optimizer":
            parameter, _, key = rest.partition(".")
            statistics.setdefault(int(parameter), {})[key] = value
    try:
        state.model.load_state_dict(checkpoint.weights)
        if state.averaged is not None:
            state.averaged.restore(state.model, checkpoint.average, checkpoint.averaged)
        groups = state.optimizer.state_dict()["param_groups"]
        state.optimizer.load_state_dict({"state": statistics, "param_groups": groups})
    except (RuntimeError, ValueError) as error:
        raise RunError(f"The checkpoint at step {checkpoint.clock.step} belongs to another network: {error}") from error
    for parameter, values in state.optimizer.state.items():
        for key, value in values.items():
            if isinstance(value, Tensor) and value.ndim and value.shape != parameter.shape:
                raise RunError(
                    f"The checkpoint at step {checkpoint.clock.step} belongs to another optimizer: {key} of shape "
                    f"{tuple(value.shape)} for a parameter of shape {tuple(parameter.shape)}. Restore the former "
                    "settings, or start a new run."
                )
            # The optimizer itself allocates statistics in the memory layout of their parameter. Some kernels assume it;
            # others round differently without it.
            if isinstance(value, Tensor) and value.shape == parameter.shape:
                values[key] = torch.empty_like(parameter, dtype=value.dtype, requires_grad=False).copy_(value)
    state.clock = checkpoint.clock


def checkpoint_path(folder: Path, step: int) -> Path:
    """Return the path of the checkpoint after `step` steps."""
    return folder / f"step-{step:08d}.safetensors"


def checkpoint_steps(folder: Path) -> list[int]:
    """List the steps of the checkpoints in `folder`, damaged ones included, in ascending order.

    Raises:
        RunError: the folder cannot be read.
    """
    try:
        names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
    except OSError as error:
        raise RunError(f"{folder} cannot be read ({error.strerror}). Give yourself the right to read it.") from error
    return sorted(int(match[1]) for match in map(_NAME.fullmatch, names) if match)


def write_checkpoint(folder: Path, checkpoint: Checkpoint) -> Path:
    """Write `checkpoint` into `folder`, atomically and durably.

    Raises:
        StriateError: the folder cannot be written, or the disk is full; other checkpoints are untouched.
    """
    content = {
        "format": FORMAT,
        "clock": to_json(checkpoint.clock),
        "plan": to_json(checkpoint.plan),
        "mark": to_json(checkpoint.log_position),
        "scalars": checkpoint.scalars,
        "circumstances": checkpoint.circumstances,
    } | ({"averaged": checkpoint.averaged} if checkpoint.averaged else {})
    text = json.dumps(content, ensure_ascii=False)
    header = {"striate": text, "sha256": _digest(text, checkpoint.tensors)}
    path = checkpoint_path(folder, checkpoint.clock.step)
    write_atomically(path, format_tensors(dict(checkpoint.tensors), metadata=header))
    return path


def read_checkpoint(path: Path) -> Checkpoint:
    """Read the checkpoint at `path`.

    Raises:
        DamagedCheckpointError: it is damaged, or of another format; the message says which.
    """
    try:
        with open_regular(path) as file:
            data = file.read()
        size = int.from_bytes(data[:8], "little")
        header = json.loads(data[8 : 8 + size])["__metadata__"]
        tensors = parse_tensors(data)
        intact = header["sha256"] == _digest(header["striate"], tensors)
        if not intact:
            raise ValueError("its content does not match its digest")
        content = json.loads(header["striate"])
        if content["format"] != FORMAT:
            raise DamagedCheckpointError(
                f"The checkpoint {path} has format {content['format']}; this version of Striate reads format {FORMAT}."
            )
        return Checkpoint(
            clock=from_json(Clock, content["clock"]),
            plan=from_json(ExecutionPlan, content["plan"]),
            log_position=from_json(LogPosition, content["mark"]),
            tensors=tensors,
            scalars=content["scalars"],
            circumstances=content["circumstances"],
            averaged=content.get("averaged", 0),
        )
    except DamagedCheckpointError:
        raise
    except (OSError, ValueError, KeyError, TypeError, RecursionError, SafetensorError, StriateError) as error:
        raise DamagedCheckpointError(f"The checkpoint {path} is damaged ({error or type(error).__name__}).") from error


def newest_checkpoint(folder: Path) -> tuple[Checkpoint | None, list[str]]:
    """Return the newest valid checkpoint in `folder` (None without one), and a message for each newer one refused."""
    refused: list[str] = []
    for step in reversed(checkpoint_steps(folder)):
        try:
            return read_checkpoint(checkpoint_path(folder, step)), refused
        except StriateError as error:
            refused.append(f"{error} The one before it is used.")
    return None, refused


def _copy(value: Shaped[Tensor, ...]) -> Shaped[Tensor, ...]:
    """Copy to contiguous memory of its own on the CPU (safetensors refuses tensors that share memory)."""
    return value.detach().to("cpu", copy=True, memory_format=torch.contiguous_format)


def _digest(text: str, tensors: Mapping[str, Tensor]) -> str:
    digest = hashlib.sha256(text.encode())
    for name in sorted(tensors):
        value = tensors[name]
        digest.update(f"{name} {value.dtype} {list(value.shape)}".encode())
        digest.update(value.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()

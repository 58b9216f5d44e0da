"""Every choice of one training run, as one frozen dataclass."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal

import torch
from torch import nn
from torch.optim import Optimizer

from striate.core import config
from striate.core.duration import Duration
from striate.core.errors import ConfigError
from striate.core.spec import ResizeRule
from striate.data.augmentation.augment import Augmentation
from striate.training.losses import Loss, create_loss
from striate.training.optimizers import create_optimizer
from striate.training.schedules import Schedule, create_schedule


@dataclass(frozen=True, kw_only=True)
class InputChoice:
    """How pictures are fed; a side that is not given is measured from the data. The others are those of `InputSpec`."""

    height: int | None = None
    width: int | None = None
    resize: ResizeRule = "cover"
    crop: float = 1.0
    decode_scale: float = 2.0

    def __post_init__(self) -> None:
        for name, size in (("height", self.height), ("width", self.width)):
            if size is not None and size < 1:
                raise ConfigError(f"input.{name} is at least 1 pixel; received {size}.")
        if not 0 < self.crop <= 1:
            raise ConfigError(
                f"input.crop is the share of the picture that is kept, above 0 and at most 1; received {self.crop:g}."
            )
        if self.decode_scale != 0 and self.decode_scale < 1:
            raise ConfigError(f"input.decode_scale is 0 (off) or at least 1; received {self.decode_scale:g}.")


@dataclass(frozen=True, kw_only=True)
class LossChoice:
    """The loss and its options; an option that is not given is the loss's own default.

    `auxiliary` is by what the loss of each auxiliary classifier is multiplied before it is added, where it is not given
    what the network's authors use (NASNet's 0.4, else 0.3); a network without any takes no such setting. At 0 they are
    not trained.
    """

    name: Literal["cross_entropy", "hinge"] = "cross_entropy"
    label_smoothing: float | None = None
    margin: float | None = None
    auxiliary: float | None = None

    def __post_init__(self) -> None:
        if self.auxiliary is not None and self.auxiliary < 0:
            raise ConfigError(f"loss.auxiliary is at least 0; received {self.auxiliary:g}.")
        self.create()  # an option that the loss does not have is refused now

    def create(self) -> Loss:
        """The loss as a function of (logits, targets)."""
        return create_loss(self.name, **given(self, "name", "auxiliary"))

    def auxiliary_weight(self, model: str) -> float:
        """The weight given, or that of the model's authors.

        The code of NASNet (TF-Slim) has 0.4; others have that of Szegedy et al. 2015 (arXiv:1409.4842,
        section 5).
        """
        if self.auxiliary is not None:
            return self.auxiliary
        return 0.4 if model.startswith("nasnet_") else 0.3


@dataclass(frozen=True, kw_only=True)
class OptimizerChoice:
    """The rule of the update and its options; one that is not given is the rule's own default.

    `lr` is for this recipe's batch size. `weight_decay` (L2) and `l1` act on weights, never on biases and norms.
    `clip_norm` bounds the norm of the gradient.
    """

    name: Literal["sgd", "adam", "adamw"] = "sgd"
    lr: float | None = None
    momentum: float | None = None
    nesterov: bool | None = None
    betas: tuple[float, ...] | None = None
    epsilon: float | None = None
    weight_decay: float = 0.0
    l1: float = 0.0
    clip_norm: float | None = None

    def __post_init__(self) -> None:
        if self.lr is not None and self.lr <= 0:
            raise ConfigError(f"optimizer.lr is more than 0; received {self.lr:g}.")
        if self.weight_decay < 0 or self.l1 < 0:
            raise ConfigError("optimizer.weight_decay and optimizer.l1 are at least 0.")
        if self.clip_norm is not None and self.clip_norm <= 0:
            raise ConfigError(f"optimizer.clip_norm is more than 0, or none; received {self.clip_norm:g}.")
        self.create(nn.ParameterList([torch.zeros(1)]))  # an option that the rule does not have is refused now

    def create(self, model: nn.Module) -> Optimizer:
        """The optimizer over the parameters of `model`."""
        options = given(self, "name", "lr", "weight_decay", "l1", "clip_norm")
        return create_optimizer(self.name, model, lr=self.rate, weight_decay=self.weight_decay, **options)

    @property
    def rate(self) -> float:
        """The base learning rate: the one given, or what is usual for the rule."""
        return self.lr if self.lr is not None else {"sgd": 0.05, "adam": 1e-3, "adamw": 1e-3}[self.name]


@dataclass(frozen=True, kw_only=True)
class ScheduleChoice:
    """How the learning rate changes, and the schedule's options; one that is not given is the schedule's default."""

    name: Literal["constant", "step", "time_decay", "cosine", "one_cycle"] = "one_cycle"
    warmup_share: float | None = None
    start_factor: float | None = None
    final_factor: float | None = None
    every_epochs: float | None = None
    factor: float | None = None
    decay_per_epoch: float | None = None

    def __post_init__(self) -> None:
        self.create(Duration.parse("1ep"))  # an option that the schedule does not have is refused now

    def create(self, length: Duration) -> Schedule:
        """The schedule over a training of `length`."""
        return create_schedule(self.name, length, **given(self, "name"))


@dataclass(frozen=True, kw_only=True)
class AugmentationChoice:
    """The changes of `data.augment.Augmentation`; what is not given follows from the data."""

    flip: bool | None = None
    shift: float | None = None
    rotation_degrees: float | None = None
    scale: float | None = None
    brightness: float | None = None
    contrast: float | None = None
    cutout: float | None = None

    def __post_init__(self) -> None:
        self.over(Augmentation())

    def over(self, default: Augmentation) -> Augmentation:
        """`default` with what is given here in its place."""
        return replace(default, **given(self))


@dataclass(frozen=True, kw_only=True)
class StopChoice:
    """Which weights are kept, and early stopping: when `metric` on the validation part has not improved for
    `patience` evaluations.

    `keep`: the weights that were `best` by that metric, or the `last`. After a schedule that ends at nothing the last
    are as good as any, and the best of many evaluations of a few hundred pictures is mostly luck.
    """

    metric: Literal["accuracy", "loss"] = "accuracy"
    keep: Literal["best", "last"] = "best"
    patience: int | None = None

    def __post_init__(self) -> None:
        if self.patience is not None and self.patience < 1:
            raise ConfigError(f"stop.patience is at least 1 evaluation, or none; received {self.patience}.")


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Every choice of one training run.

    `epochs`: how long, as a duration (`30ep`, `5000st`, `10min`). `precision`: `auto` lets a measured trial choose
    bf16 where it is right and faster, `float32` forbids it. `device`: auto (the fastest here), cpu,
    cuda, cuda:1 or mps. `evaluate_every`: how often the validation split is judged.
    `in_memory`: whether a set that fits is held in memory; `loader_threads`: how many threads decode it, one for each
    core where not given (their number changes no result).
    `unreadable`: the share of pictures that may be unreadable before the run stops.
    """

    model: str
    epochs: Duration
    batch_size: int = 64
    input: InputChoice = field(default_factory=InputChoice)
    augmentation: AugmentationChoice = field(default_factory=AugmentationChoice)
    loss: LossChoice = field(default_factory=LossChoice)
    optimizer: OptimizerChoice = field(default_factory=OptimizerChoice)
    schedule: ScheduleChoice = field(default_factory=ScheduleChoice)
    stop: StopChoice = field(default_factory=StopChoice)
    evaluate_every: Duration = field(default_factory=lambda: Duration.parse("1ep"))
    precision: Literal["auto", "float32"] = "auto"
    device: str = "auto"
    in_memory: bool = True
    loader_threads: int | None = None
    unreadable: float = 0.05
    seed: int = 0

    def __post_init__(self) -> None:
        if self.batch_size < 1:
            raise ConfigError(f"batch_size is at least 1; received {self.batch_size}.")
        if self.loader_threads is not None and self.loader_threads < 0:
            raise ConfigError(f"loader_threads is at least 0; received {self.loader_threads}.")
        if not 0 <= self.unreadable <= 1:
            raise ConfigError(f"unreadable is a share from 0 to 1; received {self.unreadable:g}.")
        if self.seed < 0:
            raise ConfigError(f"seed is at least 0; received {self.seed}.")

    def changed(self, changes: config.Overrides) -> Recipe:
        """This recipe with some settings replaced, strictly (see `core.config.override`).

        Another loss, optimizer or schedule brings its own defaults: the options of the one it replaces are not its.

        Raises:
            ConfigError: a setting that does not exist, has the wrong type or cannot be.
        """
        pairs = config.pairs(changes)
        base = self
        for group in ("loss", "optimizer", "schedule"):
            name = dict(pairs).get(f"{group}.name")
            if name is not None and name != getattr(self, group).name:
                fresh = replace(base, **{group: type(getattr(self, group))()})
                base = config.override(fresh, {f"{group}.name": name})
        return config.override(base, dict(pairs))


def given(choice: object, *but: str) -> dict[str, Any]:
    """The fields of a choice that are given (not None), but those named."""
    values = {item.name: getattr(choice, item.name) for item in fields(choice) if item.name not in but}  # pyright: ignore[reportArgumentType]
    return {name: value for name, value in values.items() if value is not None}

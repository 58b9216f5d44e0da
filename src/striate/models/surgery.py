"""Reuse a trained network for another task: a new head, frozen layers, groups of layers.

Yosinski, Clune, Bengio and Lipson, "How transferable are features in deep neural networks?", NIPS 2014,
arXiv:1411.1792: early layers are general, late ones are specific to the task that they were trained for.
"""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrize import type_before_parametrizations

from striate.core.arguments import checked
from striate.core.errors import ModelError, first_line, nearest
from striate.core.protocols import Auxiliary, Described
from striate.core.rng import Stream, torch_random_state_kept
from striate.hooks import borrow

Model = TypeVar("Model", bound=nn.Module)
HEAD = "head"
_SIZE = (224, 224)
APART = "apart"
MOST_OUTPUTS = 10_000_000


@checked
def replace_head(
    model: Model, classes: int, *, size: int | tuple[int, int] | None = None, seed: int | None = None
) -> Model:
    """Replace the last layer of `model` by a new one with `classes` outputs, in place, and return the model.

    Networks of the zoo declare their head and those of auxiliary classifiers. The head of any other module is the last
    linear layer or 1×1 convolution of a forward pass, which must compute the module's output. The new layer is of the
    kind of the old one, or fully connected where that has nothing to train, and has torch's initial weights; with a
    `seed` they depend on it alone.

    Example:
        network = striate.replace_head(network, 5)

    Args:
        model: any module that takes images (n, c, h, w) and returns logits (n, k).
        classes: number of outputs of the new layer.
        size: height and width of the images; by default that of the model's card, else 224.
        seed: seed of the new weights.

    Raises:
        ConfigError: an argument is of another type.
        ModelError: no head is found, and the message names the last linear layer; or the network does not run with the
            new one.
    """
    if not 1 <= classes <= MOST_OUTPUTS:
        raise ModelError(f"A head has 1 to {MOST_OUTPUTS:,} outputs; received classes={classes}.")
    with torch_random_state_kept(None if seed is None else Stream(seed, "weights.head").torch_seed()):
        replaced = {path: model.get_submodule(path) for path in heads_of(model, size)}
        new = {path: _like(path, old, int(classes)) for path, old in replaced.items()}
        _set(model, new)
        try:
            if not isinstance(model, Described):  # layers after the head may depend on its outputs
                found = calls_of(model, size)[-1].output.shape[1:2]
                if found != (classes,):
                    raise ModelError(
                        f"The last linear layer, {next(iter(new))!r}, does not compute the outputs of this "
                        f"{type(model).__name__}. Replace the layer by hand: network.fc = torch.nn.Linear(…)."
                    )
        except ModelError:
            _set(model, replaced)
            raise
    return model


def _set(model: nn.Module, layers: Mapping[str, nn.Module]) -> None:
    for path, layer in layers.items():
        parent, _, name = path.rpartition(".")
        setattr(model.get_submodule(parent), name, layer)


def heads_of(model: nn.Module, size: int | tuple[int, int] | None = None) -> tuple[str, ...]:
    """Return the paths of the layers that compute the outputs of `model`: its head, then its auxiliary heads.

    Raises:
        ModelError: no head is declared, and none is found by a forward pass.
    """
    if isinstance(model, Described):
        auxiliary = model.auxiliary_heads if isinstance(model, Auxiliary) else {}
        return model.head, *auxiliary.values()
    calls = calls_of(model, size)
    layers = [call for call in calls if call.outputs is not None]
    direct = [call for call in layers if call.output is calls[-1].output]  # other layers may run after the head
    layers = direct or layers
    if not layers or not layers[-1].path or calls[-1].output.shape[1:2] != (layers[-1].outputs,):
        last = f"its last linear layer is {layers[-1].path!r}" if layers else "it has no linear layer"
        found = last if not layers or layers[-1].path else "it is one layer itself"
        raise ModelError(
            f"No head is found in this {type(model).__name__}: {found}, and the last linear layer or 1×1 convolution "
            "must compute the outputs. Replace the layer by hand: network.fc = torch.nn.Linear(…)."
        )
    return (layers[-1].path,)


@checked
def layer_groups(model: nn.Module, *, size: int | tuple[int, int] | None = None) -> dict[str, tuple[nn.Module, ...]]:
    """Return the layers of `model` with parameters or buffers in groups, from the input to the head.

    The groups of a network of the zoo end at its feature maps and have their names. Those of any other module end where
    its maps become smaller for good: group1, group2 …. The last group, `head`, is the layers of `replace_head`. Before
    it, `apart` is the layers that run in training only, as those before auxiliary heads do, or never.

    Example:
        groups = striate.layer_groups(network)  # {"stem": (Conv2d, BatchNorm2d), "stage1": …, "head": (Linear,)}

    Args:
        model: any module that takes images (n, c, h, w).
        size: height and width of the images; by default that of the model's card, else 224.

    Raises:
        ModelError: no head is found, or the model does not run on images of this size.
    """
    inside = tuple(f"{path}." for path in heads_of(model, size))
    calls = calls_of(model, size)
    ends = {path: name for name, path in model.feature_maps.items()} if isinstance(model, Described) else {}
    groups: dict[str, list[nn.Module]] = {}
    calls = [call for call in calls if not f"{call.path}.".startswith(inside)]
    sizes = [call.area or 0 if _owns_tensors(call.module) else 0 for call in calls]
    # No group ends at a map that is smaller only for a while, as in a gate: larger ones follow.
    ahead = list(itertools.accumulate(reversed(sizes), max))[::-1]
    seen: set[nn.Module] = set()
    waiting: list[nn.Module] = []
    area = 0
    for call, largest in zip(calls, ahead, strict=True):
        if call.module in seen:
            continue
        if _owns_tensors(call.module):
            if not ends and call.area == largest:
                if largest < area:
                    groups[f"group{len(groups) + 1}"], waiting = waiting, []
                area = largest
            seen.add(call.module)
            waiting.append(call.module)
        if call.path in ends:
            groups[ends[call.path]], waiting = waiting, []
    if waiting:  # layers between the last map and the head
        groups[f"group{len(groups) + 1}" if not ends else "top"] = waiting
    group_of = {module: group for group in groups.values() for module in group}
    apart: list[nn.Module] = []
    head: list[nn.Module] = []
    for path, module in model.named_modules():
        if _owns_tensors(module) and module not in seen:
            parent = path.rpartition(".")[0]
            # Of a module that computes with the weights of a child, as attention does, the child is never called.
            beside = group_of.get(model.get_submodule(parent), apart) if parent else apart
            (head if f"{path}.".startswith(inside) else beside).append(module)
    groups[APART] = apart
    return {name: tuple(group) for name, group in groups.items() if group} | {HEAD: tuple(head)}


@checked
def freeze(model: Model, *groups: str, size: int | tuple[int, int] | None = None) -> Model:
    """Freeze groups of layers of `model`, by default all but the head, in place, and return the model.

    The parameters of a frozen layer receive no gradient, and the layer is in evaluation mode, so that the statistics of
    its batch norms stay as they are. `model.train()` ends that mode: call `freeze` after it in a loop of your own.
    Training by Striate keeps it.

    Example:
        striate.freeze(network, "stem", "stage1")

    Args:
        model: any module that takes images (n, c, h, w).
        groups: names of groups (`layer_groups`); without any, all but the head.
        size: height and width of the images; by default that of the model's card, else 224.

    Raises:
        ModelError: there is no such group, or no head is found.
    """
    for module in _layers(model, groups, size, lambda name: name != HEAD):
        for parameter in module.parameters(recurse=False):  # its children may be in other groups
            parameter.requires_grad_(False)
        module.training = False
    return model


@checked
def thaw(model: Model, *groups: str, size: int | tuple[int, int] | None = None) -> Model:
    """Make groups of layers of `model` trainable again, by default all, in place, and return the model.

    Example:
        striate.thaw(network, "stage4", "head")

    Args:
        model: any module that takes images (n, c, h, w).
        groups: names of groups (`layer_groups`); without any, all.
        size: height and width of the images; by default that of the model's card, else 224.

    Raises:
        ModelError: there is no such group, or no head is found.
    """
    for module in _layers(model, groups, size, lambda name: True):
        if any(parameter.is_inference() for parameter in module.parameters(recurse=False)):
            raise ModelError(
                "The network was made in torch.inference_mode(), so its parameters cannot receive gradients. Make it "
                "outside of that mode."
            )
        for parameter in module.parameters(recurse=False):
            parameter.requires_grad_(True)
        module.training = model.training
    return model


@dataclass(frozen=True, eq=False)
class Call:
    """A call of a module in a forward pass: its first tensor, and its output (the first, where it has several)."""

    path: str
    module: nn.Module
    input: Tensor | None
    output: Tensor = field(repr=False)

    @property
    def area(self) -> int | None:
        """Number of positions of the output, where it is a map."""
        return self.output.shape[2:].numel() if self.output.ndim == 4 else None

    @property
    def outputs(self) -> int | None:
        """Number of outputs, where the module may be a head: a linear layer or a 1×1 convolution."""
        if isinstance(self.module, nn.Linear):
            return self.module.out_features
        is_product = isinstance(self.module, nn.Conv2d) and self.module.kernel_size == (1, 1)
        return self.module.out_channels if is_product else None  # pyright: ignore[reportReturnType]


def calls_of(model: nn.Module, size: int | tuple[int, int] | None) -> list[Call]:
    """Return the calls of all modules in a forward pass on a blank image, in the order in which they end."""
    parameter = next(model.parameters(), None)
    card = getattr(model, "card", None)
    usual: tuple[int, int] = card.input[1:] if card is not None else _SIZE
    height, width = usual if size is None else size if isinstance(size, (tuple, list)) else (size, size)
    if min(height, width) < 1:
        raise ModelError(f"Images have at least 1×1 pixels; received size={size!r}.")
    convolution = next((module for module in model.modules() if isinstance(module, nn.Conv2d)), None)
    channels = convolution.in_channels if convolution is not None else card.input[0] if card is not None else 3
    failures: list[str] = []
    for count in dict.fromkeys((channels, 3, 1)):  # the first convolution need not be the first that runs
        calls: list[Call] = []
        with borrow(model), torch.no_grad():
            like = torch.zeros(0) if parameter is None else parameter.detach()
            image = torch.zeros(1, count, height, width, dtype=like.dtype, device=like.device)
            try:
                for path, module in model.named_modules():
                    module.register_forward_hook(_noting(calls, path))
                model(image)
                return calls
            except Exception as error:  # a forward pass may raise any
                failures.append(f"{count}×{height}×{width} ({first_line(error)})")
    raise ModelError(
        f"This {type(model).__name__} does not run on images of {failures[0]}. Pass the size of its images: "
        "size=(height, width)."
    )


def _noting(calls: list[Call], path: str) -> Callable[..., None]:
    def note(module: nn.Module, arguments: tuple[object, ...], output: object) -> None:
        if isinstance(output, (tuple, list)) and output:
            output = output[0]
        if isinstance(output, Tensor):
            first = arguments[0] if arguments and isinstance(arguments[0], Tensor) else None
            calls.append(Call(path, module, first, output))

    return note


def _like(path: str, old: nn.Module, classes: int) -> nn.Module:
    """Return a new layer of the kind of `old` with other outputs, on its device, in its precision and mode.

    One that has inputs and nothing to train is replaced by a fully connected layer.
    """
    inputs = getattr(old, "in_features", None)
    if isinstance(old, nn.Linear):
        new = _built_as(path, old, old.in_features, classes)
    elif isinstance(old, nn.Conv2d) and old.groups == 1:
        new = _built_as(path, old, old.in_channels, classes)
    elif isinstance(inputs, int) and next(old.parameters(), None) is None:
        new = nn.Linear(inputs, classes)
    else:
        raise ModelError(
            f"The head {path!r} is a {type(old).__name__}; one that can be replaced is a linear layer or a convolution "
            "without groups."
        )
    like = next(itertools.chain(old.parameters(), old.buffers()), torch.zeros(0))
    return new.to(like.device, like.dtype).train(old.training)


def _built_as(path: str, old: nn.Linear | nn.Conv2d, inputs: int, outputs: int) -> nn.Module:
    """Build a layer of the class of `old` from those of its attributes that the constructor takes."""
    kind = type_before_parametrizations(old)
    names = list(inspect.signature(kind).parameters)[2:]
    options = {name: getattr(old, name) for name in names if name != "bias" and hasattr(old, name)}
    if "bias" in names:
        options["bias"] = old.bias is not None
    try:
        return kind(inputs, outputs, **options)
    except TypeError as error:
        raise ModelError(
            f"The head {path!r} is a {kind.__name__}, which is not built from its inputs, outputs and attributes. "
            "Replace the layer by hand."
        ) from error


def _owns_tensors(module: nn.Module) -> bool:
    return any(True for _ in module.parameters(recurse=False)) or any(True for _ in module.buffers(recurse=False))


def _layers(
    model: nn.Module,
    names: tuple[str, ...],
    size: int | tuple[int, int] | None,
    usual: Callable[[str], bool],
) -> Iterator[nn.Module]:
    groups = layer_groups(model, size=size)
    for name in names:
        if name not in groups:
            raise ModelError(f"There is no group of layers {name!r} in this network. {nearest(name, groups)}")
    for name in names or filter(usual, groups):
        yield from groups[name]

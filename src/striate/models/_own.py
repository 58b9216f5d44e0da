"""The user's own models: any function, class or module, built by name as a model of the zoo."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import nn

from striate.core.errors import ModelError, first_line
from striate.models._zoo import MODELS
from striate.models.notation.grammar import is_notation

ModelSource = nn.Module | Callable[..., nn.Module]  # a class is a function that builds it
Source = TypeVar("Source", bound=ModelSource)

_MEANINGS = {
    "classes": "classes",
    "num_classes": "classes",
    "channels": "channels",
    "in_channels": "channels",
    "in_chans": "channels",
    "size": "size",
}


@dataclass(frozen=True, eq=False)
class OwnModel:
    """A registered model: `source` is the module to copy, or the function or class that builds the model."""

    name: str
    source: ModelSource

    def build(self, *, channels: int, size: tuple[int, int], classes: int) -> nn.Module:
        """Build the model on the CPU for images of `size` (height, width) and check its output.

        Raises:
            ModelError: it cannot be built or run for such images, or does not return logits (n, classes).
        """
        model = self._make({"classes": classes, "channels": channels, "size": size})
        if not isinstance(model, nn.Module):
            raise ModelError(f"{self.name} builds a {type(model).__name__}; a model is a torch.nn.Module.")
        _check_output(self.name, model, (channels, *size), classes)
        return model

    def _make(self, given: dict[str, Any]) -> object:
        if isinstance(self.source, nn.Module):
            return _copied(self.source, self.name)
        arguments = {name: given[meaning] for name, meaning in _taken(self.source).items()}
        try:
            made: object = self.source(**arguments)
            return made.cpu() if isinstance(made, nn.Module) else made
        except Exception as error:  # a constructor may raise any
            with_these = ", ".join(f"{name}={value!r}" for name, value in arguments.items())
            raise ModelError(f"{self.name}({with_these}) cannot be built: {first_line(error)}") from error


OWN_MODELS: dict[str, OwnModel] = {}


def register_model(source: Source, /, *, name: str | None = None) -> Source:
    """Register a model of your own, so that it can be trained, resumed and loaded by name in this process.

    Use it as a function or as a decorator. A function or class receives those of the arguments `classes` (or
    `num_classes`), `channels` (or `in_channels`, `in_chans`) and `size` (height, width) that its signature contains. A
    module is copied with its present weights, and the copy is trained, not compiled. The model takes images
    (n, c, h, w) and returns logits (n, classes).

    A classifier stores the name, not the code: register the model before you load it in another process.

    Example:
        striate.register_model(MyNet)
        run = striate.train("photos/", model="MyNet")

    Args:
        source: a function or class that builds the model, or the model itself.
        name: the name of the model; by default that of the function or class.

    Raises:
        ModelError: the name belongs to a model of the zoo or to the notation, or is not an identifier, or `source`
            builds no model or cannot be copied.
    """
    if not callable(source):  # a module is callable too
        raise ModelError(f"A model is a torch.nn.Module, or a function that builds one; received {source!r}.")
    if isinstance(source, torch.jit.ScriptModule):
        raise ModelError("A scripted module cannot be copied and trained. Pass the module that it was made from.")
    is_module = isinstance(source, nn.Module)
    chosen = _own_name(source) if name is None else name
    if not isinstance(chosen, str) or not chosen.isidentifier():
        raise ModelError(
            f"The name of a model is a word such as my_net; received {chosen!r}. Register it under one first: "
            "striate.register_model(…, name='my_net')."
        )
    if chosen in MODELS:
        raise ModelError(f"The zoo has a model {chosen!r}. Pass another name=… for yours.")
    if is_notation(chosen):
        raise ModelError(f"{chosen!r} is a network of one layer in the notation. Pass another name=… for yours.")
    if not is_module:
        _taken(source)  # a signature that cannot be called is refused now
    OWN_MODELS[chosen] = OwnModel(chosen, _copied(_uncompiled(source), chosen) if is_module else source)
    return source


def registered(source: ModelSource) -> str:
    """Register a model under its own name and return that name.

    Raises:
        ModelError: as `register_model`.
    """
    register_model(source)
    return _own_name(source)


def _own_name(source: ModelSource) -> str:
    return getattr(type(_uncompiled(source)) if isinstance(source, nn.Module) else source, "__name__", "")


def _uncompiled(model: nn.Module) -> nn.Module:
    """Return the module that `torch.compile` has wrapped: a classifier has the names of its layers."""
    return getattr(model, "_orig_mod", model)


def _taken(source: Callable[..., object]) -> dict[str, str]:
    """Map the parameters of `source` that receive an argument to the name of that argument."""
    name = getattr(source, "__name__", source)
    try:
        parameters = inspect.signature(source).parameters.values()
    except ValueError as error:  # of a type or function that is written in C
        raise ModelError(f"{name} has no signature to build a model by. Register a function that calls it.") from error
    by_place = [p.name for p in parameters if p.name in _MEANINGS and p.kind is p.POSITIONAL_ONLY]
    if by_place:
        raise ModelError(f"{name} takes {', '.join(by_place)} by position only. Leave the / out of its signature.")
    unknown = [
        parameter.name
        for parameter in parameters
        if parameter.name not in _MEANINGS
        and parameter.default is parameter.empty
        and parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
    ]
    if unknown:
        raise ModelError(
            f"{name} needs {', '.join(unknown)}, and a model is built from "
            f"{', '.join(_MEANINGS)} only. Give the others a default, or register a function that fills them in."
        )
    return {p.name: _MEANINGS[p.name] for p in parameters if p.name in _MEANINGS}


def _copied(model: nn.Module, name: str) -> nn.Module:
    """Return a copy on the CPU, where every network is built; a training moves it to its device."""
    try:
        return copy.deepcopy(model).cpu()
    except Exception as error:  # of tensors that were computed, as by weight_norm; or a lock, a file …
        raise ModelError(
            f"{name} cannot be copied: {first_line(error)}. Register the function or class that builds it instead."
        ) from error


def _check_output(name: str, model: nn.Module, shape: tuple[int, int, int], classes: int) -> None:
    """Check the output for two blank images by a forward pass, because the model need not be traceable."""
    was_training = model.training
    try:
        with torch.no_grad():
            found = model.eval()(torch.zeros(2, *shape))
    except Exception as error:
        raise ModelError(
            f"{name} does not run on images of {'×'.join(map(str, shape))} (channels × height × width): {error}"
        ) from error
    finally:
        model.train(was_training)
    if not isinstance(found, torch.Tensor):
        raise ModelError(f"{name} returns a {type(found).__name__}; a model returns logits of shape (n, classes).")
    if tuple(found.shape) != (2, classes):
        raise ModelError(
            f"{name} returns {tuple(found.shape)} for 2 images of {'×'.join(map(str, shape))}; {classes} classes need "
            f"(2, {classes})."
        )

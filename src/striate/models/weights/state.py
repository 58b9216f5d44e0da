"""Extract the state dict from checkpoints and from the state dicts of wrapped models."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from striate.core.errors import ModelError

# Keys under which training programs store the weights, next to an optimizer's state, an epoch and the like.
_KEPT_UNDER = ("state_dict", "model_state_dict", "model", "ema", "state_dict_ema", "model_ema", "module", "weights")
# Prefixes of names from DataParallel, torch's averaged models and torch.compile.
_WRAPPERS = ("module.", "_orig_mod.")
_COUNTER = "n_averaged"  # of an averaged model, next to its module


def tensors_of(state: object) -> dict[str, Tensor]:
    """Return the tensors of a state dict by name, extracted from a checkpoint and without prefixes of wrappers.

    NumPy arrays are converted to tensors. A checkpoint must have weights under exactly one key.

    Raises:
        ModelError: `state` is not a mapping, holds several sets of weights or none, or values that are not tensors.
    """
    held = _inside(state)
    for _ in range(len(_WRAPPERS)):
        for wrapper in _WRAPPERS:
            names = [name for name in held if name != _COUNTER]
            if names and all(name.startswith(wrapper) for name in names):
                held = {name.removeprefix(wrapper): held[name] for name in names}
    return {name: _tensor(name, value) for name, value in held.items()}


def _inside(state: object) -> Mapping[str, Any]:
    if isinstance(state, nn.Module):
        raise ModelError("Weights are the tensors of a network by name, not the network: pass network.state_dict().")
    if not isinstance(state, Mapping):
        raise ModelError(
            f"Weights are a mapping from names to tensors, as torch.load and safetensors return; received a "
            f"{type(state).__name__}."
        )
    if not state or not all(isinstance(name, str) for name in state):
        raise ModelError("These weights are a mapping without tensors, or with keys that are not names.")
    found = [name for name in _KEPT_UNDER if isinstance(state.get(name), Mapping)]
    if not found and any(isinstance(value, (Tensor, np.ndarray)) for value in state.values()):
        return state
    if len(found) == 1:
        return _inside(state[found[0]])
    shown = ", ".join(map(repr, list(state)[:6]))
    if found:
        raise ModelError(
            f"This is a checkpoint with several sets of weights: pass one of them, as in "
            f"{' or '.join(f'checkpoint[{name!r}]' for name in found)}."
        )
    raise ModelError(f"These weights hold no tensors, but {shown}. Pass the mapping of names to tensors inside.")


def _tensor(name: str, value: object) -> Tensor:
    if isinstance(value, np.ndarray):
        try:
            value = torch.from_numpy(np.array(value, value.dtype.newbyteorder("="), order="C"))
        except (TypeError, ValueError) as error:
            raise ModelError(f"{name!r} of these weights is an array of {value.dtype}, which is no number.") from error
    if not isinstance(value, Tensor):
        raise ModelError(f"{name!r} of these weights is no tensor but a {type(value).__name__}: leave it out.")
    return value.detach()

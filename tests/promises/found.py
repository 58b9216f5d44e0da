"""The state of a network that must be the same after it was borrowed."""

from __future__ import annotations

import torch
from torch import nn


def state(network: nn.Module) -> list[object]:
    """Modes, hooks, parameters, gradients, buffers and torch's random state, as a list that can be compared."""
    told: list[object] = []
    for path, module in network.named_modules():
        told.append((path, module.training, *(len(value) for key, value in vars(module).items() if "_hooks" in key)))
    for path, parameter in network.named_parameters():
        told.append((path, id(parameter), parameter.requires_grad, id(parameter.grad), parameter._version))
    for path, buffer in network.named_buffers():
        told.append((path, id(buffer), buffer.double().sum().item()))
    return [*told, torch.get_rng_state().tolist(), torch.is_grad_enabled()]

"""The rules of the update: torch's, with the decay of weights kept off biases and normalizations."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _NormBase  # every batch and instance normalization, and nothing else
from torch.optim import SGD, Adam, AdamW, Optimizer

from striate.core.errors import ConfigError
from striate.core.registry import Registry
from striate.training.named import bind

Groups = list[dict[str, Any]]

OPTIMIZERS: Registry[Callable[..., Optimizer]] = Registry("optimizer")

_LEFT_OUT = "__dynamo_disable"
_NORMALIZATIONS = (_NormBase, nn.GroupNorm, nn.LayerNorm, nn.RMSNorm)


def create_optimizer(name: str, model: nn.Module, *, lr: float, weight_decay: float = 0.0, **chosen: Any) -> Optimizer:
    """The registered optimizer `name` over the trainable parameters of `model`, in two groups: `weights`, which decay,
    and the rest (biases, normalizations), which do not.

    `lr` is the base rate that a schedule multiplies. `weight_decay` is the L2 penalty of `sgd` and `adam` (added to the
    gradient: weight_decay · w) and the decoupled decay of `adamw`. Create it after the model has taken its place on
    its device.

    Raises:
        ConfigError: there is no such optimizer or option, or the option's value cannot be.
    """
    rule = bind(OPTIMIZERS, name, chosen)
    if lr <= 0 or weight_decay < 0:
        raise ConfigError(f"lr is more than 0 and weight_decay at least 0; received {lr:g} and {weight_decay:g}.")
    decayed, others = split_parameters(model)
    groups = [
        {"params": decayed, "weight_decay": weight_decay, "lr": lr, "initial_lr": lr},
        {"params": others, "weight_decay": 0.0, "lr": lr, "initial_lr": lr},
    ]
    return rule([group for group in groups if group["params"]])


def _leave_compiler_unloaded(rule: type[Optimizer]) -> Callable[..., Optimizer]:
    """`rule` without the import of torch's compiler, more than a second of every process that trains.

    torch's optimizers load the compiler only to have themselves left out of what it compiles: some methods at their
    first call, unless they carry the mark that this leaves behind, and `step` in the wrapper that turns gradients off.
    Nothing is compiled here. A torch that does this in another way is not affected.
    """
    for method in (rule.add_param_group, rule.zero_grad, rule.state_dict, rule.load_state_dict):
        plain = inspect.unwrap(method)
        if not hasattr(plain, _LEFT_OUT):
            setattr(plain, _LEFT_OUT, plain)
    return type(rule.__name__, (rule,), {"step": torch.no_grad()(inspect.unwrap(rule.step))})


def split_parameters(model: nn.Module) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """The trainable parameters of `model`: the weights that penalties act on, and all others, each once.

    Penalties shrink the function by shrinking the weights; a bias or a normalization's scale bends nothing, and
    decaying it costs accuracy (He et al. 2018, arXiv:1812.01187, section 3.1).
    """
    weights: list[nn.Parameter] = []
    others: list[nn.Parameter] = []
    seen: set[nn.Parameter] = set()
    for module in model.modules():
        for name, parameter in module.named_parameters(recurse=False):
            if parameter in seen or not parameter.requires_grad:
                continue
            seen.add(parameter)
            exempt = name.endswith("bias") or parameter.ndim < 2 or isinstance(module, _NORMALIZATIONS)
            (others if exempt else weights).append(parameter)
    return weights, others


_SGD, _Adam, _AdamW = (_leave_compiler_unloaded(rule) for rule in (SGD, Adam, AdamW))

# torch's fused kernels do an update in one pass over memory, with one call from Python instead of several for each
# parameter: that is most of the update's time in a small network.


def sgd(groups: Groups, *, momentum: float = 0.9, nesterov: bool = False) -> Optimizer:
    """Gradient descent with a heavy ball: v ← μ v + g, w ← w - lr v (Polyak 1964), or with Nesterov's look-ahead
    w ← w - lr (g + μ v), in the form of Sutskever et al. 2013. As in torch the rate multiplies the velocity, where they
    put it inside."""
    if not 0 <= momentum < 1:
        raise ConfigError(f"momentum is at least 0 and below 1; received {momentum:g}.")
    if nesterov and momentum == 0:
        raise ConfigError("nesterov looks ahead along the momentum; give it some, or turn it off (nesterov=false).")
    return _SGD(groups, momentum=momentum, nesterov=nesterov, fused=True)


def adam(groups: Groups, *, betas: tuple[float, ...] = (0.9, 0.999), epsilon: float = 1e-8) -> Optimizer:
    """Each weight has its own rate from running means of gradient and squared gradient (Kingma and Ba 2014,
    arXiv:1412.6980, algorithm 1)."""
    return _Adam(groups, betas=_betas(betas), eps=epsilon, fused=True)


def adamw(groups: Groups, *, betas: tuple[float, ...] = (0.9, 0.999), epsilon: float = 1e-8) -> Optimizer:
    """Adam with the decay taken out of the gradient: w ← w - lr · weight_decay · w beside Adam's own move
    (Loshchilov and Hutter 2017, arXiv:1711.05101, algorithm 2)."""
    return _AdamW(groups, betas=_betas(betas), eps=epsilon, fused=True)


def _betas(betas: tuple[float, ...]) -> tuple[float, float]:
    if len(betas) != 2 or not all(0 <= beta < 1 for beta in betas):
        raise ConfigError(f"betas are two numbers, at least 0 and below 1; received {betas}.")
    return betas[0], betas[1]


OPTIMIZERS.add("sgd", sgd)
OPTIMIZERS.add("adam", adam)
OPTIMIZERS.add("adamw", adamw)

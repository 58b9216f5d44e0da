"""Keep torch's compiler out of processes that do not compile: its import takes more than a second."""

from __future__ import annotations

import inspect
from collections.abc import Callable

import torch
from torch.optim import Optimizer

_LEFT_OUT = "__dynamo_disable"


def without_compiler(rule: type[Optimizer]) -> Callable[..., Optimizer]:
    """Return `rule` without the import of torch's compiler, which takes more than a second in every process.

    torch's optimizers import the compiler only to exclude themselves from compilation: some methods at their first
    call, unless they have the attribute set here, and `step` in the wrapper that disables gradients. Nothing is
    compiled here. A version of torch without this mechanism is not affected.
    """
    for method in (rule.add_param_group, rule.zero_grad, rule.state_dict, rule.load_state_dict):
        plain = inspect.unwrap(method)
        if not hasattr(plain, _LEFT_OUT):
            setattr(plain, _LEFT_OUT, plain)
    return type(rule.__name__, (rule,), {"step": torch.no_grad()(inspect.unwrap(rule.step))})

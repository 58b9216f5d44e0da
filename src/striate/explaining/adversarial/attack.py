"""The decorator of attacks, which leaves each attack as its formula."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Concatenate, ParamSpec, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from striate.core.registry import Registry
from striate.core.spec import InputSpec
from striate.explaining._method import registers_method
from striate.explaining.adversarial.attacked import AttackedModel, Levels
from striate.explaining.adversarial.goal import ANY_OTHER, Goal, ResolvedGoal
from striate.explaining.adversarial.pixels import AttackError, InputPath, OnGrid, Pixels, checked, to_levels, to_pixels
from striate.explaining.adversarial.result import Adversarial, Answers
from striate.hooks import borrow

Settings = ParamSpec("Settings")


@dataclass(frozen=True)
class Attempt:
    """The result of an attack's formula: `pixels`, whole and within their range, and further values by name."""

    pixels: Float[Tensor, "n c h w"]
    found: Mapping[str, Float[Tensor, " n"]] = field(default_factory=dict)


Formula = Callable[Concatenate[AttackedModel, Levels, ResolvedGoal, Settings], Attempt]


@runtime_checkable
class Attack(Protocol[Settings]):
    """An attack, as users call it; the package describes its arguments."""

    def __call__(
        self,
        model: nn.Module,
        spec: InputSpec | InputPath,
        pixels: Pixels,
        goal: Goal = ANY_OTHER,
        *args: Settings.args,
        **settings: Settings.kwargs,
    ) -> Adversarial: ...


@dataclass(frozen=True)
class AttackMethod:
    """An attack by its `name`. `bounded`: it takes an `epsilon` that no change exceeds."""

    name: str
    title: str
    paper: str
    function: Callable[..., Adversarial]
    bounded: bool


ATTACKS: Registry[AttackMethod] = Registry("attack", AttackError)


def attack_method(*, title: str, paper: str) -> Callable[[Formula[Settings]], Attack[Settings]]:
    """Return a decorator that registers a formula in `ATTACKS` and makes it the function that users call.

    The formula receives the images that do not meet the goal yet, and works on a borrowed network. Its result is
    evaluated after the exact input path.
    """

    def describe(name: str, function: Callable[..., Adversarial], formula: Formula[Settings]) -> AttackMethod:
        return AttackMethod(name, title, paper, function, "epsilon" in inspect.signature(formula).parameters)

    return registers_method(ATTACKS, describe, _attack)


def _attack(
    method: AttackMethod,
    formula: Callable[..., Attempt],
    model: nn.Module,
    spec: InputSpec | InputPath,
    pixels: Any,  # `checked` raises a better error than a type
    goal: Goal = ANY_OTHER,
    **settings: Any,
) -> Adversarial:
    path = OnGrid(spec) if isinstance(spec, InputSpec) else spec
    original = checked(pixels, path)
    with borrow(model):
        attacked = AttackedModel(model, path)
        clean = to_levels(original, attacked.device)
        before = attacked.answers(clean)
        resolved = ResolvedGoal.of(goal, before)
        already = resolved.reached(before)
        attempt = _attempt(formula, attacked, clean, resolved, ~already, **settings)
        after = attacked.answers(attempt.pixels)
        fooled = resolved.reached(after) & ~already
    return Adversarial(
        attack=method.name,
        settings=settings,
        goal=goal,
        spec=path.spec,
        original=original,
        adversarial=to_pixels(attempt.pixels, attacked.depth),
        classes=resolved.classes.cpu().numpy(),
        before=Answers(before.cpu().numpy()),
        after=Answers(after.cpu().numpy()),
        already=already.cpu().numpy(),
        fooled=fooled.cpu().numpy(),
        found={key: value.cpu().numpy().astype(np.float64) for key, value in attempt.found.items()},
    )


def _attempt(
    formula: Callable[..., Attempt],
    attacked: AttackedModel,
    clean: Levels,
    resolved: ResolvedGoal,
    wanted: Tensor,
    **settings: Any,
) -> Attempt:
    """Run the formula on the `wanted` images; the others stay as they are, and their further values are NaN.

    Pixels that do not reach the network stay as they are too, whatever the formula (its random start, for example) has
    changed in them.
    """
    if not wanted.any():
        return Attempt(clean)
    part = formula(attacked, clean[wanted], resolved[wanted], **settings)
    pixels = clean.clone()
    pixels[wanted] = torch.where(attacked.reach(clean[wanted]), part.pixels, clean[wanted])
    found = {}
    for key, values in part.found.items():
        found[key] = torch.full((len(clean),), torch.nan, device=clean.device, dtype=torch.float64)
        found[key][wanted] = values.double()
    return Attempt(pixels, found)

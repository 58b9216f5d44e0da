"""What all attacks have in common, so that each is its formula: `@attacks` around it."""

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
from striate.explaining._options import around
from striate.explaining.adversarial.attacked import Levels, Subject
from striate.explaining.adversarial.goal import ANY_OTHER, Chase, Goal
from striate.explaining.adversarial.pixels import AttackError, OnGrid, Pixels, Road, checked, to_levels, to_pixels
from striate.explaining.adversarial.result import Adversarial, Answers
from striate.hooks import borrow

Settings = ParamSpec("Settings")


@dataclass(frozen=True)
class Attempt:
    """What the formula of an attack gives: `pixels`, whole and within their range, and what else it has found."""

    pixels: Float[Tensor, "n c h w"]
    found: Mapping[str, Float[Tensor, " n"]] = field(default_factory=dict)


Formula = Callable[Concatenate[Subject, Levels, Chase, Settings], Attempt]


@runtime_checkable
class Attack(Protocol[Settings]):
    """An attack as people call it; the package says what it is given."""

    def __call__(
        self,
        model: nn.Module,
        spec: InputSpec | Road,
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


def attacks(*, title: str, paper: str) -> Callable[[Formula[Settings]], Attack[Settings]]:
    """Register the formula below as an attack of its own name, and make it the function that people call.

    The formula is given those pictures that do not yet answer as the goal wants, and works on a borrowed network. What
    it gives is judged here, after the real road.
    """

    def register(formula: Formula[Settings]) -> Attack[Settings]:
        name = formula.__name__

        @around(formula)
        def attack(
            model: nn.Module,
            spec: InputSpec | Road,
            pixels: Any,  # of which `checked` says more than a type
            goal: Goal = ANY_OTHER,
            *args: Settings.args,
            **settings: Settings.kwargs,
        ) -> Adversarial:
            road = OnGrid(spec) if isinstance(spec, InputSpec) else spec
            original = checked(pixels, road)
            with borrow(model):
                subject = Subject(model, road)
                clean = to_levels(original, subject.device)
                before = subject.answers(clean)
                chase = Chase.of(goal, before)
                already = chase.reached(before)
                attempt = _attempt(formula, subject, clean, chase, ~already, *args, **settings)
                after = subject.answers(attempt.pixels)
                fooled = chase.reached(after) & ~already
            return Adversarial(
                attack=name,
                settings=settings,
                goal=goal,
                spec=road.spec,
                original=original,
                adversarial=to_pixels(attempt.pixels, subject.depth),
                classes=chase.classes.cpu().numpy(),
                before=Answers(before.cpu().numpy()),
                after=Answers(after.cpu().numpy()),
                already=already.cpu().numpy(),
                fooled=fooled.cpu().numpy(),
                found={key: value.cpu().numpy().astype(np.float64) for key, value in attempt.found.items()},
            )

        bounded = "epsilon" in inspect.signature(formula).parameters
        ATTACKS.add(name, AttackMethod(name, title, paper, attack, bounded))
        return attack

    return register


def _attempt(
    formula: Formula[Settings],
    subject: Subject,
    clean: Levels,
    chase: Chase,
    wanted: Tensor,
    *args: Settings.args,
    **settings: Settings.kwargs,
) -> Attempt:
    """The formula on the `wanted` images; the others stay as they are, and nothing is found of them (NaN).

    Pixels that the network is given nothing of stay as they are too, whatever the formula (its random start, say) has
    made of them.
    """
    if not wanted.any():
        return Attempt(clean)
    part = formula(subject, clean[wanted], chase[wanted], *args, **settings)
    pixels = clean.clone()
    pixels[wanted] = torch.where(subject.reach(clean[wanted]), part.pixels, clean[wanted])
    found = {}
    for key, values in part.found.items():
        found[key] = torch.full((len(clean),), torch.nan, device=clean.device, dtype=torch.float64)
        found[key][wanted] = values.double()
    return Attempt(pixels, found)

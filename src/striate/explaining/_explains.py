"""What all explanations have in common, so that each is its formula: `@explains` around it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Concatenate, ParamSpec, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from striate.core.errors import StriateError
from striate.explaining._lent import lent
from striate.explaining._settings import around
from striate.explaining.attribution import Attribution
from striate.explaining.call import Call
from striate.explaining.method import METHODS, Method, Reduce, total
from striate.explaining.pictures import suited
from striate.explaining.target import Aim, Target

Settings = ParamSpec("Settings")


@dataclass(frozen=True)
class Relevance:
    """What the formula of a method gives: `values` and, where it applies, the place read and remarks.

    `difference` (n): for an additive method, what the values of each picture should add up to.
    """

    values: Float[Tensor, "n h w"] | Float[Tensor, "n c h w"]
    at: str | None = None
    notes: tuple[str, ...] = ()
    difference: Float[Tensor, " n"] | None = None


Formula = Callable[Concatenate[nn.Module, Tensor, Aim, Settings], Relevance]


@runtime_checkable
class Explanation(Protocol[Settings]):
    """A method as people call it."""

    def __call__(
        self,
        model: nn.Module,
        images: Float[Tensor, "n c h w"],
        target: Target = None,
        *args: Settings.args,
        **settings: Settings.kwargs,
    ) -> Attribution: ...


class NotFiniteError(StriateError):
    """The numbers of which a map would be made are infinite or undefined."""


def explains(
    *,
    title: str,
    paper: str,
    signed: bool,
    places: bool = False,
    additive: bool = False,
    reduce: Reduce = total,
    needs: str = "",
) -> Callable[[Formula[Settings]], Explanation[Settings]]:
    """Register the formula below as a method of its own name, and make it the function that people call.

    Within the formula the model is borrowed (see `striate.hooks.borrow`): in eval mode, frozen, with autograd
    recording; it is given copies, for it may overwrite them. The pictures have the model's device and kind of numbers.
    `aim` gives the score of logits; the formula must hand it the logits of the pictures as they are first. The
    arguments are described at `Method`. A map with values that are not finite is none: the caller gets a
    `NotFiniteError`.
    """

    def register(formula: Formula[Settings]) -> Explanation[Settings]:
        @around(formula)
        def explain(
            model: nn.Module,
            images: Float[Tensor, "n c h w"],
            target: Target = None,
            *args: Settings.args,
            **settings: Settings.kwargs,
        ) -> Attribution:
            aim = Aim(target)
            with lent(model):
                relevance = formula(model, suited(model, images), aim, *args, **settings)
            return _attribution(method, relevance, aim, Call.of(explain, model, images, target, settings))

        method = Method(
            _name(formula), title, paper, explain, signed=signed, places=places, additive=additive, reduce=reduce,
            needs=needs,
        )  # fmt: skip
        METHODS.add(method.name, method)
        return explain

    return register


def _name(formula: Callable[..., Any]) -> str:
    return str(getattr(formula, "__name__", formula))


def _attribution(method: Method, relevance: Relevance, aim: Aim, call: Call) -> Attribution:
    values = _array(relevance.values)
    if not np.isfinite(values).all():
        raise NotFiniteError(
            f"{method.title} gives no finite map here: where it asks for the score or its gradient, one of them is "
            "infinite or undefined."
        )
    residue = None
    if relevance.difference is not None:
        difference = _array(relevance.difference)
        missing = np.abs(values.sum(axis=tuple(range(1, values.ndim)), dtype=np.float64) - difference)
        residue = (missing / np.maximum(np.abs(difference), np.finfo(np.float32).tiny)).astype(np.float32)
    height, width = call.images.shape[-2:]
    return Attribution(
        method, values, aim.classes, _array(aim.scores), (height, width), relevance.at, relevance.notes, residue, call
    )


def _array(values: Tensor) -> np.ndarray:
    return values.detach().to("cpu", torch.float32).numpy()

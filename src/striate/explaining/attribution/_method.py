"""What all explanations have in common, so that each is its formula: `@explains` around it."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Concatenate, ParamSpec, Protocol, cast, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from striate.core.errors import StriateError
from striate.explaining._apart import NOTE, sharing
from striate.explaining._borrowed import lent
from striate.explaining._options import around
from striate.explaining.attribution.attribution import Attribution
from striate.explaining.attribution.methods import METHODS, Method, Reduce, total
from striate.explaining.invocation import Call
from striate.explaining.model_input import is_network, suited
from striate.explaining.target import Aim, Target
from striate.hooks import place_name
from striate.tasks import CLASSIFICATION, Task

Settings = ParamSpec("Settings")


@dataclass(frozen=True)
class Relevance:
    """What the formula of a method gives: `values` and, where it applies, the place read and remarks.

    `remarks` are on single images, by their numbers; `notes` on all. `difference` (n): for an additive method, what the
    values of each image should add up to.
    """

    values: Float[Tensor, "n h w"] | Float[Tensor, "n c h w"]
    at: str | None = None
    notes: tuple[str, ...] = ()
    remarks: Mapping[int, str] = field(default_factory=dict)
    difference: Float[Tensor, " n"] | None = None

    def told(self) -> tuple[str, ...]:
        """All notes and remarks."""
        return (*self.notes, *(f"Image {image}: {remark}" for image, remark in self.remarks.items()))

    @classmethod
    def joined(cls, parts: Sequence[Relevance]) -> Relevance:
        """That of many images, each explained by itself."""
        differences = [part.difference for part in parts if part.difference is not None]
        return cls(
            torch.cat([part.values for part in parts]),
            parts[0].at,
            tuple(dict.fromkeys(note for part in parts for note in part.notes)),
            {image: remark for image, part in enumerate(parts) for remark in part.remarks.values()},
            torch.cat(differences) if differences else None,
        )


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
    variants: bool = False,
    reduce: Reduce = total,
    needs: str = "",
) -> Callable[[Formula[Settings]], Explanation[Settings]]:
    """Register the formula below as a method of its own name, and make it the function that people call.

    What people call takes also `task`, which converts the model's outputs to probabilities (`striate.tasks.Task`).

    Within the formula the model is borrowed (see `striate.hooks.borrow`): in eval mode, frozen, with autograd
    recording; it is given copies, for it may overwrite them. The pictures have the model's device and kind of numbers.
    `aim` gives the score of logits; the formula must hand it the logits of the pictures as they are first. The
    arguments are described at `Method`; `variants`: the formula gives many variants of an image to the network at once.
    Where several images or variants would share a batch and the network mixes the images of one, the formula is given
    each image by itself, and `shares` one variant at a time. A map with values that are not finite is none: the caller
    gets a `NotFiniteError`.
    """

    def register(formula: Formula[Settings]) -> Explanation[Settings]:
        @around(formula)
        def explain(
            model: Any,  # what these are is checked within, in sentences
            images: Any,
            target: Any = None,
            *args: Settings.args,
            **settings: Settings.kwargs,
        ) -> Attribution:
            is_network(model)
            task = cast(Task, settings.pop("task", CLASSIFICATION))
            aim = Aim(target, task)
            if settings.get("at") is not None:
                settings.update(at=place_name(model, settings["at"]))
            with lent(model):
                given = suited(model, images)
                run = functools.partial(formula, model)
                if len(given) == 1 and not variants:
                    relevance = run(given, aim, *args, **settings)
                else:
                    with sharing(model, given, aim.answer) as shared:
                        relevance = (run if shared else _apart(run))(given, aim, *args, **settings)
            return _attribution(method, relevance, aim, Call.of(explain, model, images, aim.target, settings, task))

        method = Method(
            _name(formula), title, paper, explain, signed=signed, places=places, additive=additive, reduce=reduce,
            needs=needs,
        )  # fmt: skip
        METHODS.add(method.name, method)
        return explain

    return register


def _apart(run: Callable[..., Relevance]) -> Callable[..., Relevance]:
    """The formula for each image by itself."""

    def formula(images: Float[Tensor, "n c h w"], aim: Aim, *args: Any, **settings: Any) -> Relevance:
        aims = aim.apart(len(images))
        parts = [
            run(image[None], one, *args, **{name: _of_image(value, number, images) for name, value in settings.items()})
            for number, (image, one) in enumerate(zip(images, aims, strict=True))
        ]
        aim.join(aims)
        joined = Relevance.joined(parts)
        return replace(joined, notes=(*joined.notes, NOTE))

    return formula


def _of_image(setting: Any, number: int, images: Float[Tensor, "n c h w"]) -> Any:
    """A setting for one image: of a tensor that has a part for each (a baseline, say), its part."""
    per_image = isinstance(setting, Tensor) and setting.shape == images.shape
    return setting[number : number + 1] if per_image else setting


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
        method, values, aim.classes, _array(aim.scores), (height, width), relevance.at, relevance.told(), residue, call
    )


def _array(values: Tensor) -> np.ndarray:
    return values.detach().to("cpu", torch.float32).numpy()

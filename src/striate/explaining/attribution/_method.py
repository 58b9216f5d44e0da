"""The decorator of attribution methods, which leaves each method as its formula."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Concatenate, ParamSpec, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from striate.core.errors import StriateError
from striate.explaining._batching import NOTE, checked_batching
from striate.explaining._method import registers_method
from striate.explaining.attribution.attribution import METHODS, Attribution, Method, Reduce, total
from striate.explaining.invocation import Invocation, settings_of_rows
from striate.explaining.model_input import as_model_input, borrowed_with_copies, check_model
from striate.explaining.target import ResolvedTarget, Target
from striate.hooks import place_name
from striate.tasks import CLASSIFICATION, Task

Settings = ParamSpec("Settings")


@dataclass(frozen=True)
class RawAttribution:
    """The result of a method's formula: `values` and, where it applies, the place read and remarks.

    `remarks` concern single images, by their numbers; `notes` all of them. `difference` (n): for an additive method,
    the number that the values of each image should add up to.
    """

    values: Float[Tensor, "n h w"] | Float[Tensor, "n c h w"]
    at: str | None = None
    notes: tuple[str, ...] = ()
    remarks: Mapping[int, str] = field(default_factory=dict)
    difference: Float[Tensor, " n"] | None = None

    def told(self) -> tuple[str, ...]:
        """Return all notes and remarks."""
        return (*self.notes, *(f"Image {image}: {remark}" for image, remark in self.remarks.items()))

    @classmethod
    def joined(cls, parts: Sequence[RawAttribution]) -> RawAttribution:
        """Join the results of images that were explained one at a time."""
        differences = [part.difference for part in parts if part.difference is not None]
        return cls(
            torch.cat([part.values for part in parts]),
            parts[0].at,
            tuple(dict.fromkeys(note for part in parts for note in part.notes)),
            {image: remark for image, part in enumerate(parts) for remark in part.remarks.values()},
            torch.cat(differences) if differences else None,
        )


Formula = Callable[Concatenate[nn.Module, Tensor, ResolvedTarget, Settings], RawAttribution]


@runtime_checkable
class Explanation(Protocol[Settings]):
    """An attribution method, as users call it."""

    def __call__(
        self,
        model: nn.Module,
        images: Float[Tensor, "n c h w"],
        target: Target = None,
        *args: Settings.args,
        **settings: Settings.kwargs,
    ) -> Attribution: ...


class NotFiniteError(StriateError):
    """A map, or the numbers it is computed from, would be infinite or undefined."""


def attribution_method(
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
    """Return a decorator that registers a formula in `METHODS` and makes it the function that users call.

    That function also takes `task`, which converts the model's outputs to probabilities (`striate.tasks.Task`).

    Within the formula the model is borrowed (see `striate.hooks.borrow`): in eval mode, frozen, with autograd
    recording; it receives copies, because it may overwrite its inputs. The images have the model's device and dtype.
    `target` maps logits to scores; the formula must first call it on the logits of the unchanged images. The arguments
    are described at `Method`; `variants`: the formula runs many variants of an image at once. Where several images or
    variants would share a batch and the network mixes the images of a batch, the formula receives one image at a time,
    and `in_batches` runs one variant at a time. A map with values that are not finite raises `NotFiniteError`.
    """

    def describe(name: str, function: Callable[..., Any], formula: Formula[Settings]) -> Method:
        return Method(
            name, title, paper, function, signed=signed, places=places, additive=additive, reduce=reduce, needs=needs
        )

    return registers_method(METHODS, describe, functools.partial(_explain, variants))


def _explain(
    variants: bool,
    method: Method,
    formula: Callable[..., RawAttribution],
    model: Any,  # the types of these are checked within, with an error of one sentence
    images: Any,
    target: Any = None,
    *,
    task: Task = CLASSIFICATION,
    **settings: Any,
) -> Attribution:
    check_model(model)
    resolved = ResolvedTarget(target, task)
    if settings.get("at") is not None:
        settings.update(at=place_name(model, settings["at"]))
    with borrowed_with_copies(model):
        given = as_model_input(model, images)
        if not given.isfinite().all():
            raise NotFiniteError(f"{method.title} needs finite images; received NaN or infinite values.")
        run = functools.partial(formula, model)
        if len(given) == 1 and not variants:
            raw = run(given, resolved, **settings)
        else:
            with checked_batching(model, given, resolved.answer) as shared:
                raw = (run if shared else _apart(run))(given, resolved, **settings)
    return _attribution(
        method, raw, resolved, Invocation.of(method.function, model, images, resolved.target, settings, task)
    )


def _apart(run: Callable[..., RawAttribution]) -> Callable[..., RawAttribution]:
    """Return the formula applied to one image at a time."""

    def formula(
        images: Float[Tensor, "n c h w"], resolved: ResolvedTarget, *args: Any, **settings: Any
    ) -> RawAttribution:
        each = resolved.apart(len(images))
        parts = [
            run(image[None], one, *args, **settings_of_rows(settings, [number], images))
            for number, (image, one) in enumerate(zip(images, each, strict=True))
        ]
        resolved.join(each)
        joined = RawAttribution.joined(parts)
        return replace(joined, notes=(*joined.notes, NOTE))

    return formula


def _attribution(method: Method, raw: RawAttribution, resolved: ResolvedTarget, invocation: Invocation) -> Attribution:
    values = _array(raw.values)
    if not np.isfinite(values).all():
        raise NotFiniteError(
            f"{method.title} needs a finite score and gradient; here one of them is infinite or undefined."
        )
    residue = None
    if raw.difference is not None:
        difference = _array(raw.difference)
        missing = np.abs(values.sum(axis=tuple(range(1, values.ndim)), dtype=np.float64) - difference)
        residue = (missing / np.maximum(np.abs(difference), np.finfo(np.float32).tiny)).astype(np.float32)
    height, width = invocation.images.shape[-2:]
    return Attribution(
        method,
        values,
        resolved.classes,
        _array(resolved.scores),
        (height, width),
        raw.at,
        raw.told(),
        residue,
        invocation,
    )


def _array(values: Tensor) -> np.ndarray:
    return values.detach().to("cpu", torch.float32).numpy()

"""The settings and data of a run so far, from its record, and how those to resume with differ."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from striate.core.config import digest, from_json, written
from striate.core.device import ExecutionPlan
from striate.core.difference import difference
from striate.core.errors import ConfigError, RunError
from striate.core.spec import InputSpec
from striate.runs.folder import Run
from striate.runs.plan import Plan
from striate.runs.recipe import Recipe, read_recipe
from striate.training import Checkpoint, first_event, read_events

_WITHOUT_EFFECT = ("loader_threads", "in_memory", "unreadable", "memory.recompute")
_FIXED = ("model", "batch_size", "average", "freezing", "input.", "weights", "transfer.", "initial.")
_FIXED += ("optimizer.name", "optimizer.norm_bias_rate", "optimizer.centered")
"""Settings that cannot change within a run: its weights, its statistics or its steps would have another form."""
_FIXED_AT_ZERO = "optimizer.momentum"
"""Without momentum there are no statistics of it, so it cannot change from or to 0."""


@dataclass(frozen=True, kw_only=True)
class Origin:
    """The settings and data of a run up to a checkpoint, as recorded in its event log.

    `first_data`, `input`, `classes` and `execution` are those of the first session. `data` and `recipe` are the latest,
    also after changes on resuming. `recipe` is None where only its digest is known.
    """

    recipe: Recipe | None
    recipe_digest: str
    first_data: str
    data: str
    input: InputSpec
    classes: tuple[str, ...]
    execution: ExecutionPlan

    @classmethod
    def read(cls, run: Run, checkpoint: Checkpoint | None) -> Origin | None:
        """Read the origin of what `checkpoint` holds; None where nothing was recorded yet.

        Raises:
            RunError: the record does not say what the run was started with.
        """
        if checkpoint is None:
            event = first_event(run.events_file)
            events = [] if event is None else [event]
        else:
            events = read_events(run.events_file, length=checkpoint.log_position.length)
        if not events and checkpoint is None:
            return None
        if not events:
            raise RunError(f"{run.events_file} is empty, though {run.checkpoints} is not. Restore it from a copy.")
        first = events[0]
        latest = first | _latest(events)
        try:
            return cls(
                recipe=_recipe(latest.get("recipe")),
                recipe_digest=latest["recipe_sha256"],
                first_data=first["data_sha256"],
                data=latest["data_sha256"],
                input=from_json(InputSpec, first["input"]),
                classes=tuple(first["classes"]),
                execution=from_json(ExecutionPlan, first["execution"]),
            )
        except (KeyError, TypeError, ValueError, ConfigError) as error:
            raise RunError(
                f"{run.events_file} does not record how this run was started ({error}). Restore it from a copy."
            ) from error

    def changed_settings(self, plan: Plan) -> dict[str, tuple[Any, Any]]:
        """Return the settings of `plan` that change the result and differ from the training so far: (old, new) by name.

        A new end that was asked for by `striate resume --epochs` is not among them.
        """
        if self.recipe is None:
            same = digest(plan.recipe) == self.recipe_digest
            return {} if same else {"recipe": (self.recipe_digest[:12], digest(plan.recipe)[:12])}
        changed = difference(plan.recipe, self.recipe)
        if plan.end_before == self.recipe.epochs:
            changed.pop("epochs", None)
        return {key: values for key, values in changed.items() if key not in _WITHOUT_EFFECT}


def check_settings(run: Run, origin: Origin, plan: Plan, *, inexact: bool) -> list[str]:
    """Compare the settings of `plan` with those of the training so far: a phrase for each that changed.

    Raises:
        RunError: a setting changed and `inexact` is false, or it is one that cannot change within a run.
    """
    changed = origin.changed_settings(plan)
    phrases = [f"{key} {written(old)} → {written(new)}" for key, (old, new) in changed.items()]
    fixed = [
        key for key, values in changed.items() if key.startswith(_FIXED) or (key == _FIXED_AT_ZERO and 0.0 in values)
    ]
    if fixed:
        raise RunError(
            f"{run.recipe_file} was changed since the training began: {', '.join(phrases)}. Within a run "
            f"{', '.join(fixed)} cannot change: restore the former value, or start a new run."
        )
    if phrases and not inexact:
        raise RunError(
            f"{run.recipe_file} was changed since the training began: {', '.join(phrases)}. Restore the former values, "
            "or resume with the new ones by --inexact."
        )
    return phrases


def _latest(events: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the recipe and the data of the last line that changed them."""
    lines = [event for event in events if event["event"] == "resumed"]
    kept = ("recipe", "recipe_sha256", "data_sha256")
    return {key: lines[-1][key] for key in kept if key in lines[-1]} if lines else {}


def _recipe(stored: object) -> Recipe | None:
    """Return the recipe of the record; None where it has none, or one of another version."""
    try:
        return None if stored is None else read_recipe(stored)
    except ConfigError:
        return None

"""What a report is made from: plain values, so that a report can be drawn without the run that made it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from jaxtyping import Float, UInt8

from striate.metrics import Judgement, Rows, Temperature


@dataclass(frozen=True, kw_only=True)
class DataFacts:
    """What was trained on.

    `counts`: for each split, in the order train, val, test, the number of pictures per class. `origin` says where each
    split came from ("brought by the data", "made here") where that is known. `left_out`: unreadable pictures.
    """

    name: str
    source: str
    classes: tuple[str, ...]
    counts: Mapping[str, Sequence[int]]
    origin: str | None = None
    left_out: int = 0


@dataclass(frozen=True, kw_only=True)
class LayerRow:
    """One line of the model's table. `output` is without the batch; `receptive_field` in input pixels (y, x).

    Where `bound` is true a value may see less than its receptive field.
    """

    name: str
    kind: str
    output: tuple[int, ...]
    parameters: int
    macs: int
    receptive_field: tuple[int, int] | None = None
    bound: bool = False


@dataclass(frozen=True, kw_only=True)
class ModelFacts:
    """Which network. `title` is that of its paper, `paper` where to find it; `input` is channels, height, width.

    `macs` is None and there are no `layers` where a forward pass cannot be traced."""

    name: str
    title: str
    input: tuple[int, int, int]
    parameters: int
    macs: int | None
    layers: tuple[LayerRow, ...] = ()
    authors: str | None = None
    year: int | None = None
    paper: str | None = None


@dataclass(frozen=True, kw_only=True)
class Example:
    """One answer to look at. `given` is the true class; `index` the sample's index in the data set. `why`: the picture
    as the network is given it, under a map of what spoke for the answer."""

    picture: UInt8[np.ndarray, "h w 3"] | UInt8[np.ndarray, "h w 1"]
    name: str
    index: int
    given: str
    predicted: str
    confidence: float
    why: UInt8[np.ndarray, "rows columns 3"] | None = None


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One sentence of the audit, how much it matters, and the files that it is about."""

    sentence: str
    level: Literal["fine", "note", "warning"] = "note"
    names: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class RunMaterial:
    """Everything that a run's report shows; what is None is said to be missing, or its section is left out.

    `train` is a judgement of images of the training split. `temperature` is how the temperature was fitted, `selected`
    whether the weights kept were those of the best evaluation on the validation images.

    `events` are the objects of `events.jsonl` as read; `best_epoch` is that of the best evaluation, `kept_epoch` the
    one whose weights were kept, and `reason` why the training ended. `test` and `validation` are judgements of the two
    splits, with the temperature fitted on validation data, and `rows` the single answers behind `test`. `mistakes` are
    wrong answers, most confident first, and `surest` right ones; `explained` names the method of the mistakes' maps,
    and `unexplained` says why there are none; `unread` says why the data could not be read again. `settings` are
    those in effect, as (name, value, where it comes from). `filters` are the weights of the first layer that sees
    the picture, one per output channel. `recipe` is in JSON form, `difference` maps a dotted key to (the recipe's
    value, the run's value). `unfinished` says how far a training is that is not over. `provenance` maps labels to
    short texts, in the order to show them.
    """

    title: str
    events: Sequence[Mapping[str, Any]] = ()
    best_epoch: float | None = None
    kept_epoch: float | None = None
    reason: str | None = None
    data: DataFacts | None = None
    model: ModelFacts | None = None
    train: Judgement | None = None
    test: Judgement | None = None
    validation: Judgement | None = None
    rows: Rows | None = None
    mistakes: tuple[Example, ...] | None = None
    surest: tuple[Example, ...] = ()
    explained: str | None = None
    unexplained: str | None = None
    unread: str | None = None
    temperature: Temperature | None = None
    selected: bool = False
    settings: tuple[tuple[str, str, str], ...] = ()
    audit: tuple[Finding, ...] | None = None
    filters: Float[np.ndarray, "n c h w"] | None = None
    recipe: Mapping[str, Any] | None = None
    difference: Mapping[str, Sequence[Any]] | None = None
    provenance: Mapping[str, str] | None = None
    unfinished: str | None = None

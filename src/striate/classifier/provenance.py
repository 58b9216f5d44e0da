"""Provenance of a classifier: data, recipe, environment and scores of its training."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """The origin of a set of weights.

    `data`: the data set as the user named it, and its digest. `recipe`: the name of the base recipe, and the digest of
    the whole recipe. `epochs`: epochs of training until these weights. `scores`: scores of the weights by split
    (`{"test": {"accuracy": 0.991, …}}`). `temperature`: the fit of the temperature: its value, its interval, the number
    of images, and whether the same images selected the weights. `circumstances`: machine, versions and execution plan
    of the training. `unfinished`: the position of a training that was not over ("epoch 40 of 60"); the weights are then
    the best so far, neither evaluated nor calibrated.
    """

    run: str
    created: str
    data: str
    data_digest: str
    recipe: str
    recipe_digest: str
    seed: int
    epochs: float
    circumstances: dict[str, str] = field(default_factory=dict)
    scores: dict[str, dict[str, float]] = field(default_factory=dict)
    temperature: dict[str, float | bool] = field(default_factory=dict)
    unfinished: str | None = None

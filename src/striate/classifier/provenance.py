"""Where a classifier came from: enough to know what it was trained on, by what, and how well it did."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """The origin of a set of weights.

    `data`: what the user named, with its digest. `recipe`: the name of the base recipe, with the digest of the
    whole. `epochs`: how long it was trained until these weights. `scores`: what was measured on them, split by
    split (`{"test": {"accuracy": 0.991, …}}`). `temperature`: how the temperature was fitted: its value, its
    interval, on how many images, and whether these chose the weights too. `circumstances`: machine, versions and
    execution plan of the training. `unfinished`: how far the training was ("epoch 40 of 60") where it was still
    going on; the weights are then the best so far, and neither judged nor calibrated.
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

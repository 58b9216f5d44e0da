"""How a model starts: logits and maps of a sensible size, and a loss that falls."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from judges.parity import still
from promises.subject import Subject, all_logits, pictures
from striate.models import Network

STEPS, LEARNING_RATE, LEARNED = 100, 1e-3, 0.05


@dataclass(frozen=True)
class Start:
    """At the initial weights: the standard deviation of the logits, and by which factor each map's root mean square
    exceeds that of the map before it (the picture's, for the first)."""

    spread: float
    growth: dict[str, float]

    @property
    def usual(self) -> bool:
        return 0.05 <= self.spread <= 5 and all(1 / 30 <= factor <= 30 for factor in self.growth.values())


def start(subject: Subject, count: int = 32) -> Start:
    """Of `count` normal pictures of the card's size. In training mode, as at the first step: an untrained batch norm's
    statistics say nothing; no dropout."""
    size = subject.card.input[1:]
    network = subject.network(size, channels=subject.card.input[0], classes=subject.card.classes).train()
    still(network)
    sizes: dict[str, float] = {}

    def note(name: str) -> Callable[..., None]:
        return lambda module, given, output: sizes.update({name: _size(output)})

    for place in network.feature_maps:
        network.get_submodule(place.module).register_forward_hook(note(place.name))
    with torch.no_grad():
        logits = network(pictures(count, size, subject.card.input[0]))
    growth, before = {}, 1.0
    for name, found in sizes.items():
        growth[name], before = found / before, found
    return Start(float(logits.std()), growth)


def it_starts_with_sensible_sizes(subject: Subject, count: int = 32) -> None:
    found = start(subject, count)
    if subject.card.initial:
        assert not found.usual, f"{found} needs no reason: {subject.card.initial}"
    else:
        assert found.usual, str(found)


def steps_to_memorise(network: Network, count: int, size: tuple[int, int], steps: int = STEPS) -> int | None:
    """After how many of at most `steps` updates the loss on `count` random pictures is below `LEARNED`; else None.

    Adam, all pictures in each batch, no dropout; auxiliary classifiers learn along. The loss is that of the next batch
    in training mode, main logits only.
    """
    network.train()
    still(network)
    seen = pictures(count, size, network.card.input[0])
    targets = torch.arange(count) % network.card.classes
    optimizer = torch.optim.Adam(network.parameters(), lr=LEARNING_RATE)
    for step in range(steps + 1):
        losses = [nn.functional.cross_entropy(logits, targets) for logits in all_logits(network, seen)]
        if float(losses[0]) < LEARNED:
            return step
        optimizer.zero_grad()
        sum(losses[1:], losses[0]).backward()
        optimizer.step()
    return None


def _size(values: Tensor) -> float:
    return float(values.square().mean().sqrt())

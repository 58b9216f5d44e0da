"""How a model starts: logits and maps of a sensible size, and a loss that falls."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from judges.parity import still
from promises.subject import CLASSES, Subject, all_logits, pictures
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
    network = subject.fresh(size, channels=subject.card.input[0], classes=subject.card.classes).train()
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


def learning_size(subject: Subject) -> tuple[int, int]:
    """Small pictures: 32×32, or the model's smallest."""
    side = max(subject.smallest, 32)
    return side, side


def losses(network: Network, size: tuple[int, int], steps: int, count: int = 32) -> Iterator[float]:
    """The loss on `count` pictures before each of `steps` updates, and after the last.

    The pictures are patches of colour at random, 4×4 blurred into each other, their classes are drawn by lot. Adam, all
    pictures in each batch, no dropout; auxiliary classifiers learn along. The loss is that of the main logits in
    training mode.
    """
    network.train()
    still(network)
    seen = 2 * nn.functional.interpolate(pictures(count, (4, 4)), size, mode="bilinear")
    targets = torch.arange(count) % CLASSES
    optimizer = torch.optim.Adam(network.parameters(), lr=LEARNING_RATE)
    for step in range(steps + 1):
        main, *others = (nn.functional.cross_entropy(logits, targets) for logits in all_logits(network, seen))
        yield float(main.detach())
        if step < steps:
            optimizer.zero_grad()
            sum(others, main).backward()
            optimizer.step()


def steps_to_memorise(subject: Subject, steps: int = STEPS) -> int | None:
    """After how many of at most `steps` updates the loss on 32 pictures is below `LEARNED`; None if it never is."""
    size = learning_size(subject)
    for step, loss in enumerate(losses(subject.fresh(size), size, steps)):
        if loss < LEARNED:
            return step
    return None


def _size(values: Tensor) -> float:
    return float(values.square().mean().sqrt())

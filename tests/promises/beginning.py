"""How a model starts: logits and maps of a sensible size, and a loss that falls."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from judges.parity import still
from promises.subject import CLASSES, Subject, all_logits, pictures

STEPS, LEARNED = 300, 0.05
# Deep chains without a norm or a shortcut want a smaller one.
LEARNING_RATE = 1e-3
SMALLER = {"all_cnn": 1e-4} | dict.fromkeys(("alexnet_2012", "nin", "squeezenet", "vgg", "zfnet"), 3e-4)


@dataclass(frozen=True)
class Start:
    """At the initial weights: the standard deviation of the logits, and by which factor each map's root mean square
    exceeds that of the map before it (the image's, for the first)."""

    spread: float
    growth: dict[str, float]

    @property
    def usual(self) -> bool:
        return 0.05 <= self.spread <= 5 and all(1 / 30 <= factor <= 30 for factor in self.growth.values())


def start(subject: Subject, count: int) -> Start:
    """Of `count` normal images of the card's size. In training mode, as at the first step: an untrained batch norm's
    statistics say nothing; no dropout."""
    size = subject.card.input[1:]
    network = subject.fresh(size, channels=subject.card.input[0], classes=subject.card.classes).train()
    still(network)
    sizes: dict[str, float] = {}

    def note(name: str) -> Callable[..., None]:
        return lambda module, given, output: sizes.update({name: _size(output)})

    for name, path in network.feature_maps.items():
        network.get_submodule(path).register_forward_hook(note(name))
    with torch.no_grad():
        logits = network(pictures(count, size, subject.card.input[0]))
    growth, before = {}, 1.0
    for name, found in sizes.items():
        growth[name], before = found / before, found
    return Start(float(logits.std()), growth)


def it_starts_with_sensible_sizes(subject: Subject, work: float = 50e9) -> None:
    """Of 32 images, or as many (two at least) as cost `work` multiply-accumulates."""
    found = start(subject, max(2, min(32, int(work / subject.card.macs))))
    if subject.card.initial:
        assert not found.usual, f"{found} needs no reason: {subject.card.initial}"
    else:
        assert found.usual, str(found)


def learning_size(subject: Subject) -> tuple[int, int]:
    """Small images: 32×32, or the model's smallest."""
    side = max(subject.smallest, 32)
    return side, side


def losses(subject: Subject, steps: int, count: int) -> Iterator[float]:
    """The loss of the fresh model on `count` small images before each of `steps` updates, and after the last.

    The images are patches of colour at random, 4×4 blurred into each other, their classes are drawn at random. Adam,
    all images in each batch, no dropout; auxiliary classifiers learn along. The loss is that of the main logits in
    training mode.
    """
    size = learning_size(subject)
    network = subject.fresh(size).train()
    still(network)
    seen = 2 * nn.functional.interpolate(pictures(count, (4, 4)), size, mode="bilinear")
    targets = torch.arange(count) % CLASSES
    rate = SMALLER.get(subject.card.family, LEARNING_RATE)
    optimizer = torch.optim.Adam(network.parameters(), lr=rate)
    for step in range(steps + 1):
        main, *others = (nn.functional.cross_entropy(logits, targets) for logits in all_logits(network, seen))
        yield float(main.detach())
        if step < steps:
            optimizer.zero_grad()
            sum(others, main).backward()
            optimizer.step()


def steps_to_memorise(subject: Subject) -> int | None:
    """After how many of at most `STEPS` updates the loss on 32 images is below `LEARNED`; None if it never is."""
    return next((step for step, loss in enumerate(losses(subject, STEPS, count=32)) if loss < LEARNED), None)


def it_memorises_32_pictures(subject: Subject) -> None:
    assert steps_to_memorise(subject) is not None


def it_begins_to_learn(subject: Subject) -> None:
    """Within 60 updates, the loss on four images is half of a guess's, or of what it was if that is less."""
    found = losses(subject, 60, count=4)
    goal = min(next(found), math.log(CLASSES)) / 2
    assert any(loss < goal for loss in found), f"never below {goal:.3f}"


def _size(values: Tensor) -> float:
    return float(values.square().mean().sqrt())

"""Balanced sampling by its definition: one draw after the other, from a list of each class that is refilled."""

from __future__ import annotations

import numpy as np

from striate.core.rng import Stream


def balanced_epochs(targets: np.ndarray, *, seed: int, epochs: int) -> list[list[int]]:
    """Return the places of each epoch, before they are shuffled."""
    classes = sorted(set(targets.tolist()))
    left: dict[int, list[int]] = {number: [] for number in classes}
    rounds = dict.fromkeys(classes, 0)
    drawn, found = 0, []
    for _ in range(epochs):
        places: list[int] = []
        for _ in targets:
            number = classes[drawn % len(classes)]
            if not left[number]:
                members = [place for place, target in enumerate(targets.tolist()) if target == number]
                stream = Stream(seed, "order.class")
                bits = [int(stream.bits(epoch=rounds[number], index=place)[0, 0]) for place in members]
                left[number] = [place for _, place in sorted(zip(bits, members, strict=True))]
                rounds[number] += 1
            places.append(left[number].pop(0))
            drawn += 1
        found.append(places)
    return found

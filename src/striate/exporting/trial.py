"""Choose how to compute a network: time every way on the user's images, and keep the fastest that passes.

float32 must give the probabilities of torch. Less precision gives others, so its accuracy on held-out images counts: it
is kept if the 95 % interval of the loss, on the same images, ends below a tolerance.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from itertools import islice

import numpy as np
from jaxtyping import Bool

from striate.core.errors import RunError
from striate.core.progress import Progress, silent
from striate.exporting.parity import LIMIT
from striate.exporting.samples import HeldOut
from striate.exporting.ways import PLAIN, Run, Way
from striate.metrics.paired import Paired

LESS_PRECISION_WINS_BY = 1.10
"""Less precision is chosen if it is this many times as fast as the fastest way in float32."""

_LEAST_ROUNDS, _MOST_ROUNDS, _SECONDS = 5, 31, 0.25
_WARMUP = 3
_SHORTEST = 0.005  # seconds that are timed at once
_HOPELESS = 4.0  # times as slow as the fastest in float32: a faster one of less precision may not pass
_BATCH = 32
_TIMING, _JUDGING = "timing runtimes", "measuring accuracy"


@dataclass(frozen=True, kw_only=True)
class Tried:
    """What was measured of a way.

    `milliseconds`: for an image, in the median round; `fastest` and `slowest` in those rounds. `difference`: the
    largest of a probability from torch's. `right`: of `count` held-out images, how many are answered correctly;
    `loss`: the 95 % interval of the accuracy that is lost against float32. `verdict`: chosen, or why not.
    """

    runtime: str
    precision: str
    milliseconds: float
    fastest: float
    slowest: float
    difference: float
    right: int | None = None
    count: int | None = None
    loss: tuple[float, float] | None = None
    verdict: str = ""


def measure(runs: Mapping[Way, Run], images: np.ndarray, batch: int, progress: Progress = silent) -> dict[Way, Tried]:
    """Time `runs`, of which the first is plain torch, on `batch` of the prepared `images`, and compare their answers.

    Where there are fewer images, all are timed at once.

    The ways take turns, so that what else the machine does slows all alike.
    """
    expected = next(iter(runs.values()))(images)[0]
    timed = np.ascontiguousarray(images[:batch])
    taken = _seconds(runs, timed, progress)
    tried = {}
    for way, run in runs.items():
        times = [1000 * seconds / len(timed) for seconds in taken[way]]
        tried[way] = Tried(
            runtime=way.runtime,
            precision=way.precision,
            milliseconds=statistics.median(times),
            fastest=min(times),
            slowest=max(times),
            difference=float(np.abs(run(images)[0] - expected).max()),
            verdict="" if len(times) > 1 else f"more than {_HOPELESS:g} times as slow as float32",
        )
    return tried


def _seconds(runs: Mapping[Way, Run], batch: np.ndarray, progress: Progress) -> dict[Way, list[float]]:
    """Return the seconds of a batch in each round; a hopeless way has one round."""
    taken: dict[Way, list[float]] = {}
    for number, (way, run) in enumerate(runs.items()):
        progress(_TIMING, number, len(runs) + _MOST_ROUNDS)
        run(batch)
        started = time.perf_counter()
        taken[way] = [_timed(run, batch)]
        while len(taken[way]) < _WARMUP and time.perf_counter() - started < _SECONDS:
            taken[way].append(_timed(run, batch))
        taken[way] = [min(taken[way])]
    least = min(times[0] for way, times in taken.items() if way.precision == "float32")
    racing = [way for way in runs if taken[way][0] <= _HOPELESS * least]
    for way in racing:
        taken[way].clear()
    started = time.perf_counter()
    for turn in range(_MOST_ROUNDS):
        if turn >= _LEAST_ROUNDS and time.perf_counter() - started > _SECONDS * len(racing):
            break
        progress(_TIMING, len(runs) + turn, len(runs) + _MOST_ROUNDS)
        for place in range(len(racing)):
            way = racing[(place + turn) % len(racing)]
            taken[way].append(_timed(runs[way], batch))
    progress(_TIMING, 1, 1)
    return taken


def _timed(run: Run, batch: np.ndarray) -> float:
    """Return the seconds of a batch, the mean of as many as take `_SHORTEST`."""
    count, started = 0, time.perf_counter()
    while (passed := time.perf_counter() - started) < _SHORTEST or not count:
        run(batch)
        count += 1
    return passed / count


def choose(
    tried: Mapping[Way, Tried], tolerance: float, answered: Callable[[Way], Bool[np.ndarray, " n"]] | None
) -> tuple[Way, dict[Way, Tried]]:
    """Return the fastest way that passes, and `tried` with a verdict on each.

    float32 passes if no probability differs from torch's by more than `LIMIT`. Less precision passes if it is
    `LESS_PRECISION_WINS_BY` as fast and the loss of accuracy ends below `tolerance`: `answered` returns which held-out
    images a way answers correctly; None where there are none.

    Raises:
        RunError: none passes.
    """
    result = dict(tried)
    ordered = sorted((way for way in tried if not tried[way].verdict), key=lambda way: tried[way].milliseconds)
    exact = [way for way in ordered if way.precision == "float32"]
    best = next((way for way in exact if tried[way].difference <= LIMIT), None)
    limit = math.inf if best is None else tried[best].milliseconds / LESS_PRECISION_WINS_BY
    for way in exact:
        if tried[way].difference > LIMIT:
            result[way] = replace(result[way], verdict=f"a probability differs by more than {LIMIT:g}")
    reference: np.ndarray | None = None
    chosen = best
    for way in ordered:
        if way.precision == "float32" or chosen is not best:
            continue
        if tried[way].milliseconds > limit:
            result[way] = replace(result[way], verdict=f"not {LESS_PRECISION_WINS_BY:g} times as fast as float32")
        elif answered is None:
            result[way] = replace(result[way], verdict="no held-out images to measure its accuracy on")
        else:
            if reference is None:
                reference = answered(base := best or PLAIN)
                result[base] = replace(result[base], right=int(reference.sum()), count=len(reference))
            result[way] = _judged(result[way], reference, answered(way), tolerance)
            chosen = chosen if result[way].verdict else way
    if chosen is None:
        raise RunError(
            "No way to run the network passes: "
            + "; ".join(f"{each.runtime}, {each.precision}: {each.verdict}" for each in result.values())
            + ". Allow another runtime or precision, or a larger tolerance."
        )
    result[chosen] = replace(result[chosen], verdict="chosen")
    return chosen, result


def _judged(tried: Tried, reference: np.ndarray, found: np.ndarray, tolerance: float) -> Tried:
    """Return `tried` with the loss of accuracy, and a verdict if it does not pass."""
    low, high = Paired.of(found, reference).interval
    judged = replace(tried, right=int(found.sum()), count=len(found), loss=(low, high))
    if high <= tolerance:
        return judged
    least = Paired(0, 0, len(found)).interval[1]
    few = f"; {len(found):,} held-out images cannot show less than {100 * least:.1f}" if least > tolerance else ""
    return replace(judged, verdict=f"may lose {100 * high:.1f} points of accuracy, more than {100 * tolerance:g}{few}")


def correct(run: Run, held_out: HeldOut, progress: Progress = silent) -> Bool[np.ndarray, " n"]:
    """Return which held-out images `run` answers correctly; an answer of none of the classes is wrong."""
    images, found = iter(held_out.images), []
    while batch := list(islice(images, _BATCH)):
        probabilities, *others = run(np.stack(batch))
        first = probabilities.argmax(axis=1)
        none = [other for other in others if other.dtype == np.bool_]
        found.append(np.where(none[0], -1, first) if none else first)
        progress(_JUDGING, len(found) * _BATCH, len(held_out.targets))
    return np.concatenate(found) == held_out.targets

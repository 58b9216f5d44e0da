"""Evolution: fooling images for each class of a network, without any gradient."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float64
from torch import nn

from striate.core.registry import Registry
from striate.core.rng import Stream
from striate.core.spec import InputSpec
from striate.explaining.adversarial._encodings import Cppn, Direct
from striate.explaining.adversarial.attacked import AttackedModel
from striate.explaining.adversarial.pixels import AttackError, OnGrid, Pixels, depth, to_levels
from striate.explaining.adversarial.result import Answers, FoolingImages
from striate.hooks import borrow


@runtime_checkable
class Encoding(Protocol):
    """How a genome begins, mutates, and is decoded to an image (`intensities`: fractions of full intensity, 0 to 1)."""

    @property
    def name(self) -> str: ...

    def first(self, spec: InputSpec, draw: np.random.Generator) -> Any: ...

    def mutated(self, genome: Any, draw: np.random.Generator, generation: int) -> Any: ...

    def intensities(self, genome: Any, spec: InputSpec) -> Float64[np.ndarray, "h w c"]: ...


ENCODINGS: Registry[Encoding] = Registry("encoding", AttackError)
for _encoding in (Direct(), Cppn()):
    ENCODINGS.add(_encoding.name, _encoding)


@dataclass(frozen=True, eq=False)
class _Champion:
    genome: Any
    image: Pixels  # (1 h w c)
    logits: np.ndarray
    odds: float


def evolve(
    model: nn.Module,
    spec: InputSpec,
    *,
    encoding: str = "cppn",
    generations: int = 100,
    offspring: int = 100,
    confidence: float = 0.9999,
    seed: int = 0,
) -> FoolingImages:
    """Evolve an image for each class of `model`, for its probability alone (MAP-Elites).

    Each class keeps the best image seen for it, its champion. In each generation `offspring` champions of any classes,
    drawn at random, have one mutated child each, and a child with a higher probability of a class than its champion
    replaces it. So each child is tried for all classes. `encoding`: `direct` (every value is a gene; the result is
    noise) or `cppn` (a network that paints; the result is regular patterns). It ends when every champion has the
    `confidence`, or after `generations`.

    Nguyen, Yosinski and Clune 2015, "Deep neural networks are easily fooled", arXiv:1412.1897, section 2.

    Raises:
        AttackError: there is no such encoding, or nothing to do.
    """
    code = ENCODINGS[encoding]
    if generations < 1 or offspring < 1:
        raise AttackError(
            f"Evolution needs at least 1 generation and 1 child in it; received {generations} and {offspring}."
        )
    draw = np.random.default_rng(Stream(seed, f"adversarial.evolution.{encoding}").torch_seed())
    settings = {"generations": generations, "offspring": offspring, "confidence": confidence, "seed": seed}
    with borrow(model):
        attacked = AttackedModel(model, OnGrid(spec))
        champions = _chosen([], _judged(attacked, code, [code.first(spec, draw) for _ in range(offspring)]))
        history = [_likely(champions)]
        for generation in range(generations):
            if history[-1].min() >= confidence:
                break
            parents = draw.integers(len(champions), size=offspring)
            children = [code.mutated(champions[parent].genome, draw, generation) for parent in parents]
            champions = _chosen(champions, _judged(attacked, code, children))
            history.append(_likely(champions))
    return FoolingImages(
        method=f"evolution, {encoding} encoding",
        settings=settings,
        spec=spec,
        classes=np.arange(len(champions)),
        images=np.concatenate([champion.image for champion in champions]),
        answers=Answers(np.stack([champion.logits for champion in champions])),
        history=np.stack(history),
    )


@dataclass(frozen=True, eq=False)
class _Judged:
    """Genomes, their images (n h w c), the logits (n k) and the log-odds of each class for each."""

    genomes: list[Any]
    images: Pixels
    logits: np.ndarray
    odds: np.ndarray


def _judged(attacked: AttackedModel, code: Encoding, genomes: list[Any]) -> _Judged:
    intensities = np.stack([code.intensities(genome, attacked.spec) for genome in genomes])
    images = np.rint(intensities * attacked.spec.maximum).astype(depth(attacked.spec))
    logits = attacked.answers(to_levels(images, attacked.device)).cpu().numpy()
    return _Judged(genomes, images, logits, _log_odds(logits.astype(np.float64)))


def _log_odds(logits: np.ndarray) -> np.ndarray:
    """Compute log(p / (1 - p)) of every class, exactly even where p is almost 1."""
    odds = np.empty_like(logits)
    for number in range(logits.shape[1]):
        odds[:, number] = logits[:, number] - np.logaddexp.reduce(np.delete(logits, number, axis=1), axis=1)
    return odds


def _chosen(champions: list[_Champion], judged: _Judged) -> list[_Champion]:
    """Return the champion of each class, or the child with higher odds."""
    chosen = []
    for number, best in enumerate(judged.odds.argmax(0)):
        odds = float(judged.odds[best, number])
        if champions and champions[number].odds >= odds:
            chosen.append(champions[number])
        else:
            chosen.append(_Champion(judged.genomes[best], judged.images[best : best + 1], judged.logits[best], odds))
    return chosen


def _likely(champions: list[_Champion]) -> np.ndarray:
    return 1 / (1 + np.exp(-np.array([champion.odds for champion in champions]).clip(-700, 700)))

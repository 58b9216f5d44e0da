"""Concepts: whether a network uses what a set of images has in common, such as stripes, for a class.

found = tcav(network, {"striped": striped}, random, zebras, target=340, at="stage3")
print(found[0])                                # striped raises the score of class 340 at stage3: TCAV 0.97, …
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass
from itertools import chain

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from striate.core.errors import ConfigError
from striate.core.rng import Stream
from striate.explaining._batching import checked_batching
from striate.explaining._repr import ShortRepr
from striate.explaining.attribution._method import NotFiniteError
from striate.explaining.model_input import ImageBatches, ImageError, borrowed_with_copies, for_batches, image_batches
from striate.explaining.places import At, last_map
from striate.explaining.target import ResolvedTarget, Target, TargetError, settled
from striate.hooks import PlaceError, capture, place_name

_FEWEST = 10
_LEVEL = 0.05

Rows = Float[np.ndarray, "n d"]
Numbers = Int[np.ndarray, " _"]
Halves = tuple[Numbers, Numbers]


@dataclass(frozen=True, eq=False, repr=False)
class ConceptScore(ShortRepr):
    """Whether a concept influences the score of a class.

    `scores` (r): in each run, the fraction of the class's images whose score rises when the activation at `place` moves
    towards the concept. `random` (r): the same for sets of random images in the place of the concept, about 0.5.
    `accuracy`: how well the linear classifiers tell other images of the concept from random ones, 0.5 by chance. `p`:
    of the two-sided t-test that `score` is 0.5. `level`: the p below which the influence is significant.
    """

    concept: str
    target: int | None
    place: str
    scores: Float[np.ndarray, " r"]
    random: Float[np.ndarray, " r"]
    accuracy: float
    p: float
    level: float

    @property
    def score(self) -> float:
        """The mean of `scores`."""
        return float(self.scores.mean())

    @property
    def significant(self) -> bool:
        """Whether the concept influences the class more than chance explains."""
        return self.p < self.level

    def __str__(self) -> str:
        whose = "the target" if self.target is None else f"class {self.target}"
        if self.significant:
            does = f"{'raises' if self.score > 0.5 else 'lowers'} the score of {whose}"
        else:
            does = f"has no significant influence on {whose}"
        return f"{self.concept} {does} at {self.place}: TCAV {self.score:.2f}, 0.5 by chance, {p_value(self)}"


def p_value(score: ConceptScore) -> str:
    """Format p of the test."""
    return "p < 0.001" if score.p < 0.001 else f"p = {score.p:.3f}"


def tcav(
    model: nn.Module,
    concepts: Mapping[str, ImageBatches],
    random: ImageBatches,
    images: ImageBatches,
    target: Target,
    *,
    at: At = None,
    runs: int = 50,
    seed: int = 0,
) -> tuple[ConceptScore, ...]:
    """Test with concept activation vectors whether concepts influence the score of a class: Kim et al. 2018.

        S(x) = ∇ₐ score(x) · v,   TCAV = the fraction of `images`, those of the class, with S(x) > 0

    arXiv:1711.11279, sections 3.2 to 3.4. a is the activation at the place `at` (by default the last map that is laid
    out over the image), as one vector; v, the concept activation vector, is the normal of a linear classifier that
    tells activations of a concept's images from those of `random` ones. In each of the `runs` it is trained on a random
    half of both; the other halves give its accuracy. A two-sided t-test compares the scores with 0.5; p is significant
    below 0.05 divided by the number of concepts (Bonferroni).

    Differences from the paper: the classifier is ridge regression, in closed form, rather than gradient descent;
    derivatives of 0 count as half, so that 0.5 is chance for every network; since the halves of the runs overlap, the
    variance is that of Nadeau and Bengio 2003 (Machine Learning 52, section 3), without which chance would often be
    called significant.

    A concept is what its images have and the random ones do not have: both should be of the same kind otherwise.

    Raises:
        ConfigError: there is no concept, or less than 2 runs.
        ImageError: a concept or the random images are fewer than 10, or sizes differ.
        TargetError: the network has no such class, or there is none.
        PlaceError: there is no such place, or the score does not depend on it.
        NotFiniteError: an activation or a derivative is NaN or infinite.
    """
    if not concepts or runs < 2:
        raise ConfigError(f"At least 1 concept and 2 runs are needed; received {len(concepts)} and {runs}.")
    wanted = settled(target)
    if wanted is None or isinstance(wanted, list):
        raise TargetError(f"A concept is tested for one class: give its number as the target; received {target!r}.")
    with closing(image_batches(model, images)) as given, borrowed_with_copies(model):
        first = next(given)
        place = last_map(model, first[1], ResolvedTarget(wanted)).name if at is None else place_name(model, at)
        slopes = _rows(model, place, chain([first], given), wanted)
        others = _activations(model, place, random, "the set of random images", slopes.shape[1])
        found = {name: _activations(model, place, these, name, slopes.shape[1]) for name, these in concepts.items()}
    streams = Stream(seed, "explaining.tcav")
    results = []
    for number, (name, rows) in enumerate(found.items()):
        space = _Space.of(rows, others, slopes)
        draws = [np.random.default_rng(streams.torch_seed(number, run)) for run in range(runs)]
        tested = [space.scored(_halves(len(rows), draw), _halves(len(others), draw, len(rows))) for draw in draws]
        scores, accuracies = (np.array(column) for column in zip(*tested, strict=True))
        chance = np.array([space.chance(draw, len(rows)) for draw in draws])
        p = _two_sided(scores)
        number_of = wanted if isinstance(wanted, int) else None
        results.append(
            ConceptScore(name, number_of, place, scores, chance, float(accuracies.mean()), p, _LEVEL / len(found))
        )
    return tuple(results)


def _activations(model: nn.Module, place: str, batches: ImageBatches, name: str, length: int) -> Rows:
    """Return the activation of each image as a vector.

    Raises:
        ImageError: there are too few images, or they have another size than those of the class.
    """
    rows = _rows(model, place, image_batches(model, batches), None)
    if len(rows) < _FEWEST:
        raise ImageError(f"A concept test needs at least {_FEWEST} images of each kind; {name} has {len(rows)}.")
    if rows.shape[1] != length:
        raise ImageError(f"All images must have one size; those of {name} differ from those of the class.")
    return rows


def _rows(model: nn.Module, place: str, batches: Iterable[tuple[list[int], Tensor]], target: Target) -> Rows:
    """Return for each image the activation of `place` as a vector, or its gradient where there is a target."""
    found: list[Rows] = []

    def look(_: list[int], images: Tensor) -> None:
        with capture(model, [place]) as captured, torch.set_grad_enabled(target is not None):
            answer = model(images)
        value = captured[place]
        if target is not None:
            value = _gradient(ResolvedTarget(target)(answer), value, place)
        found.append(value.detach().flatten(1).to("cpu", torch.float32, copy=True).numpy())

    batches = iter(batches)
    first = next(batches)
    with checked_batching(model, first[1]):
        for_batches(chain([first], batches), look)
    rows = np.concatenate(found)
    if not np.isfinite(rows).all():
        raise NotFiniteError(f"The activations or derivatives at place {place!r} are not finite: check the weights.")
    return rows


def _gradient(score: Float[Tensor, " n"], value: Tensor, place: str) -> Tensor:
    found = torch.autograd.grad(score.sum(), value, allow_unused=True)[0] if score.requires_grad else None
    if found is None:
        raise PlaceError(f"No gradient of the score reaches place {place!r}: name one on the way to the score.")
    return found


@dataclass(frozen=True)
class _Space:
    """Inner products of all activations, of the concept's images and then of the random ones.

    The classifiers are linear combinations of activations, so that these are all that they need: `gram` (n n) between
    activations, `slopes` (m n) between the gradients and the activations. `concept` is the number of concept images.
    """

    gram: Float[np.ndarray, "n n"]
    slopes: Float[np.ndarray, "m n"]
    concept: int

    @classmethod
    def of(
        cls, concept: Float[np.ndarray, "c d"], others: Float[np.ndarray, "o d"], slopes: Float[np.ndarray, "m d"]
    ) -> _Space:
        rows = np.concatenate([concept, others])
        rows -= rows.mean(0)  # no digits are lost to what all activations have in common
        return cls((rows @ rows.T).astype(np.float64), (slopes @ rows.T).astype(np.float64), len(concept))

    def scored(self, concept: Halves, others: Halves) -> tuple[float, float]:
        """Train on the first halves; return TCAV, and the accuracy on the others, each kind counting half."""
        (some, left), (few, rest) = concept, (others[0] + self.concept, others[1] + self.concept)
        train, coefficients = self._classifier(some, few)
        project = self.gram[:, train] @ coefficients
        middle = (project[some].mean() + project[few].mean()) / 2
        accuracy = ((project[left] > middle).mean() + (project[rest] < middle).mean()) / 2
        return self._tcav(train, coefficients), float(accuracy)

    def chance(self, draw: np.random.Generator, concept: int) -> float:
        """Return TCAV for random images in the place of a concept with as many."""
        some, few = _halves(len(self.gram) - self.concept, draw, concept)
        return self._tcav(*self._classifier(some + self.concept, few[: len(some)] + self.concept))

    def _classifier(self, some: Numbers, few: Numbers) -> tuple[Numbers, Float[np.ndarray, " t"]]:
        """Return images and their coefficients, the sum of which with their activations is the normal.

        The classifier is ridge regression of ±1 with a penalty of the mean squared length of the centred activations.
        """
        train = np.concatenate([some, few])
        signs = np.concatenate([np.ones(len(some)), -np.ones(len(few))])
        centre = np.eye(len(train)) - 1 / len(train)
        inner = centre @ self.gram[np.ix_(train, train)] @ centre
        penalty = max(np.trace(inner) / len(train), np.finfo(np.float64).tiny)
        return train, centre @ np.linalg.solve(inner + penalty * np.eye(len(train)), centre @ signs)

    def _tcav(self, train: Numbers, coefficients: Float[np.ndarray, " t"]) -> float:
        derivatives = self.slopes[:, train] @ coefficients
        return float(((derivatives > 0) + (derivatives == 0) / 2).mean())


def _halves(count: int, draw: np.random.Generator, most: int | None = None) -> Halves:
    """Divide `count` images at random into two halves; the first has at most half of `most`."""
    order = draw.permutation(count)
    half = min(count, count if most is None else most) // 2
    return order[:half], order[half:]


def _two_sided(scores: Float[np.ndarray, " r"]) -> float:
    """Return p of the t-test that the mean is 0.5, for scores of runs that each used a random half of the images.

    With t = √(r-1) · tan θ, the density of Student's t is cos^(r-2) θ, integrated by Gauss's rule. Runs share
    images, so few of them may agree by chance: where all are equal, one more with the opposite score is assumed.
    """
    if np.ptp(scores) == 0:
        scores = np.append(scores, 1 - scores[0])
    runs, off = len(scores), abs(float(scores.mean()) - 0.5)
    spread = float(scores.std(ddof=1)) * math.sqrt(1 / runs + 1)
    if off == 0:
        return 1.0
    start = math.atan(off / spread / math.sqrt(runs - 1))
    nodes, weights = np.polynomial.legendre.leggauss(200)

    def area(low: float) -> float:
        angles = low + (math.pi / 2 - low) * (nodes + 1) / 2
        return float((weights * np.cos(angles) ** (runs - 2)).sum() * (math.pi / 2 - low))

    return min(1.0, area(start) / area(0.0))

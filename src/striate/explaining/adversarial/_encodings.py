"""Encodings of evolved images: the CPPN, a small network that paints, and the direct one, whose genome is the image."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float64

from striate.core.spec import InputSpec

ACTIVATIONS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "sine": np.sin,
    "sigmoid": lambda x: np.tanh(x / 2),  # from -1 to 1
    "gaussian": lambda x: np.exp(-np.square(x)),
    "linear": lambda x: x,
}
_NAMES = tuple(ACTIVATIONS)

INPUTS = 4  # x, y, distance from the centre, and 1
_WEIGHT = 1.5  # standard deviation of a new weight
_CHANGED, _CHANGE = 0.5, 0.5  # the share of the weights that change, and the standard deviation of the change
_ADD_NODE, _ADD_LINK, _CHANGE_ACTIVATION = 0.2, 0.3, 0.1


@dataclass(frozen=True)
class Node:
    """One unit: its activation function, and its depth; a link leads from a lesser depth to a greater one."""

    activation: str
    depth: float


@dataclass(frozen=True)
class Link:
    source: int
    target: int
    weight: float


@dataclass(frozen=True)
class Genome:
    """A network: the inputs (depth 0), then one output for each channel (depth 1), then hidden nodes between them."""

    nodes: tuple[Node, ...]
    links: tuple[Link, ...]


@dataclass(frozen=True)
class Cppn:
    """A compositional pattern-producing network (Stanley 2007), which grows as in NEAT.

    It begins without hidden nodes; a mutation changes weights, and sometimes splits a link by a new node, adds a link,
    or changes the activation of a node (sine, sigmoid, Gaussian, linear). Its patterns are regular: symmetric,
    repeated, smooth. Unlike in Nguyen et al. 2015 there is neither crossover nor speciation, and the outputs are the
    channels themselves (|output|, at most 1), not hue, saturation and value.
    """

    name = "cppn"

    def first(self, spec: InputSpec, draw: np.random.Generator) -> Genome:
        outputs = range(INPUTS, INPUTS + len(spec.channels))
        nodes = (*[Node("linear", 0.0)] * INPUTS, *(Node(_any_activation(draw), 1.0) for _ in outputs))
        links = (Link(source, target, draw.normal(0, _WEIGHT)) for target in outputs for source in range(INPUTS))
        return Genome(nodes, tuple(links))

    def mutated(self, genome: Genome, draw: np.random.Generator, generation: int) -> Genome:
        genome = _with_other_weights(genome, draw)
        for chance, change in ((_ADD_NODE, _split), (_ADD_LINK, _linked), (_CHANGE_ACTIVATION, _with_other_activation)):
            if draw.random() < chance:
                genome = change(genome, draw)
        return genome

    def intensities(self, genome: Genome, spec: InputSpec) -> Float64[np.ndarray, "h w c"]:
        """Return the image that it paints, in fractions of full intensity."""
        channels, height, width = spec.shape
        y, x = (np.linspace(-1 + 1 / side, 1 - 1 / side, side) for side in (height, width))  # centres of pixels
        across, down = np.meshgrid(x, y)
        ground = (across, down, np.hypot(across, down), np.ones((height, width)))
        values: dict[int, np.ndarray] = dict(enumerate(ground))
        for index in sorted(range(INPUTS, len(genome.nodes)), key=lambda index: genome.nodes[index].depth):
            arriving = (link.weight * values[link.source] for link in genome.links if link.target == index)
            values[index] = ACTIVATIONS[genome.nodes[index].activation](sum(arriving, np.zeros((height, width))))
        outputs = [values[INPUTS + channel] for channel in range(channels)]
        return np.minimum(np.abs(np.stack(outputs, axis=-1)), 1)


def _any_activation(draw: np.random.Generator) -> str:
    return _NAMES[draw.integers(len(_NAMES))]


def _with_other_weights(genome: Genome, draw: np.random.Generator) -> Genome:
    chosen = draw.random(len(genome.links)) < _CHANGED
    changes = np.where(chosen, draw.normal(0, _CHANGE, len(genome.links)), 0)
    links = (
        replace(link, weight=link.weight + float(change)) for link, change in zip(genome.links, changes, strict=True)
    )
    return replace(genome, links=tuple(links))


def _split(genome: Genome, draw: np.random.Generator) -> Genome:
    """Insert a new node in the middle of a link: weight 1 before it and the old weight after it."""
    place = int(draw.integers(len(genome.links)))
    link = genome.links[place]
    depth = (genome.nodes[link.source].depth + genome.nodes[link.target].depth) / 2
    new = len(genome.nodes)
    halves = Link(link.source, new, 1.0), Link(new, link.target, link.weight)
    links = (*genome.links[:place], *halves, *genome.links[place + 1 :])
    return Genome((*genome.nodes, Node(_any_activation(draw), depth)), links)


def _linked(genome: Genome, draw: np.random.Generator) -> Genome:
    """Add a link between two nodes that had none, if there are such."""
    known = {(link.source, link.target) for link in genome.links}
    depths = [node.depth for node in genome.nodes]
    open_pairs = [
        (source, target)
        for source in range(len(depths))
        for target in range(INPUTS, len(depths))
        if depths[source] < depths[target] and (source, target) not in known
    ]
    if not open_pairs:
        return genome
    source, target = open_pairs[draw.integers(len(open_pairs))]
    return replace(genome, links=(*genome.links, Link(source, target, draw.normal(0, _WEIGHT))))


def _with_other_activation(genome: Genome, draw: np.random.Generator) -> Genome:
    place = int(draw.integers(INPUTS, len(genome.nodes)))
    changed = replace(genome.nodes[place], activation=_any_activation(draw))
    return replace(genome, nodes=(*genome.nodes[:place], changed, *genome.nodes[place + 1 :]))


_RATE, _HALVED_EVERY = 0.1, 1000
_STRENGTH = 15

Intensities = Float64[np.ndarray, "h w c"]


@dataclass(frozen=True)
class Direct:
    """The direct encoding: every value of the image is a gene, in fractions of full intensity.

    The first images are uniform noise. A gene mutates with probability 0.1, which is halved every 1,000 generations,
    by Deb's polynomial mutation of strength 15: most changes are small, none is longer than the range. As in Nguyen et
    al. 2015, section "Generating images with evolution".
    """

    name = "direct"

    def first(self, spec: InputSpec, draw: np.random.Generator) -> Intensities:
        channels, height, width = spec.shape
        return draw.random((height, width, channels))

    def mutated(self, genome: Intensities, draw: np.random.Generator, generation: int) -> Intensities:
        chosen = draw.random(genome.shape) < _RATE * 0.5 ** (generation // _HALVED_EVERY)
        return np.clip(genome + np.where(chosen, polynomial(draw.random(genome.shape)), 0), 0, 1)

    def intensities(self, genome: Intensities, spec: InputSpec) -> Intensities:
        return genome


def polynomial(uniform: np.ndarray) -> np.ndarray:
    """Deb's polynomial mutation, from numbers uniform in [0, 1) to changes in (-1, 1): with η = 15,

    (2u)^(1/(η+1)) - 1  for u < ½,   else  1 - (2 (1-u))^(1/(η+1))
    """
    power = 1 / (_STRENGTH + 1)
    return np.where(uniform < 0.5, (2 * uniform) ** power - 1, 1 - (2 * (1 - uniform)) ** power)

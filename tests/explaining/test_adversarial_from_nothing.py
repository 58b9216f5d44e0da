"""Images of nothing: the climb from noise, the two encodings, and their evolution."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from promises.found import state
from promises.strangers import stranger
from striate.core.spec import GREY, RGB, InputSpec
from striate.data.preparation.arrays import scale
from striate.explaining.adversarial import AttackError, FoolingImages, evolve, fooling_images
from striate.explaining.adversarial._encodings import ACTIVATIONS, INPUTS, Cppn, Direct, Genome, Link, Node, polynomial
from striate.explaining.target import TargetError

SPEC = InputSpec(channels=RGB, height=16, width=12, mean=(0.5,) * 3, std=(0.25,) * 3)
SMALL = InputSpec(channels=GREY, height=3, width=4, mean=(0.5,), std=(0.25,))


def climb(model: nn.Module, spec: InputSpec, **settings: Any) -> FoolingImages:
    return fooling_images(model, spec, range(4), steps=3, **settings)


def by_pixels(model: nn.Module, spec: InputSpec, **settings: Any) -> FoolingImages:
    return evolve(model, spec, encoding="direct", generations=3, offspring=10, **settings)


def by_patterns(model: nn.Module, spec: InputSpec, **settings: Any) -> FoolingImages:
    return evolve(model, spec, encoding="cppn", generations=3, offspring=10, **settings)


EVERY_WAY = pytest.mark.parametrize("make", [climb, by_pixels, by_patterns])
Way = Callable[..., FoolingImages]


@EVERY_WAY
@pytest.mark.parametrize("maximum", [255.0, 65535.0])
def test_three_steps_raise_the_confidence_and_the_last_row_is_that_of_the_images(make: Way, maximum: float) -> None:
    spec, model = replace(SPEC, maximum=maximum), stranger()
    made = make(model, spec)
    assert made.history.shape == (4, 4)
    assert (made.history[-1] > made.history[0]).all() if make is climb else (made.history[-1] > made.history[0]).any()
    assert made.images.shape == (4, 16, 12, 3)
    assert made.images.dtype == (np.uint8 if maximum == 255 else np.uint16)
    with torch.no_grad():
        logits = model(scale(torch.from_numpy(made.images.transpose(0, 3, 1, 2).copy()), spec)).numpy()
    assert np.allclose(logits, made.answers.logits, rtol=1e-4, atol=1e-4)
    assert made.confidences() == pytest.approx(made.history[-1], rel=1e-5)
    assert made.classes.tolist() == [0, 1, 2, 3]


@EVERY_WAY
def test_a_seed_repeats_and_the_network_comes_back_as_found(make: Way) -> None:
    model = stranger().train()
    before = state(model)
    first, again, other = (make(model, SPEC, seed=seed).images for seed in (0, 0, 1))
    assert state(model) == before
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("encoding", ["direct", "cppn"])
def test_a_champion_is_only_replaced_by_a_better_one(encoding: str) -> None:
    made = evolve(stranger(), SPEC, encoding=encoding, generations=8, offspring=12)
    assert (np.diff(made.history, axis=0) >= 0).all()
    assert (np.diff(made.history, axis=0) > 0).any()


def test_a_child_of_one_class_may_replace_the_champion_of_another() -> None:
    # Two classes, of which one wants what the other does not, and only the first is ever far from its wish.
    net = nn.Sequential(nn.Flatten(), nn.Linear(12, 2, bias=False))
    with torch.no_grad():
        net[1].weight.copy_(torch.tensor([[1.0], [-1.0]]).expand(2, 12))  # type: ignore[union-attr]
    made = evolve(net, SMALL, encoding="cppn", generations=30, offspring=20)
    assert made.images[0].mean() > 200  # bright
    assert made.images[1].mean() < 55  # dark


def test_it_ends_when_the_network_is_sure() -> None:
    made = evolve(stranger(), SPEC, encoding="cppn", generations=50, offspring=5, confidence=0.0)
    assert len(made.history) == 1
    climbed = fooling_images(stranger(), SPEC, [2], steps=50, confidence=0.0)
    assert len(climbed.history) == 1


def test_a_pattern_is_the_arithmetic_of_its_network() -> None:
    # hidden = sin(2x - r) and output = exp(-(1.5 hidden + 0.5 y - 0.25)²), written out for each pixel.
    nodes = (*[Node("linear", 0.0)] * INPUTS, Node("gaussian", 1.0), Node("sine", 0.5))
    links = (Link(0, 5, 2.0), Link(2, 5, -1.0), Link(5, 4, 1.5), Link(1, 4, 0.5), Link(3, 4, -0.25))
    painted = Cppn().intensities(Genome(nodes, links), SMALL)
    for row, y in enumerate((-2 / 3, 0, 2 / 3)):
        for column, x in enumerate((-0.75, -0.25, 0.25, 0.75)):
            hidden = math.sin(2 * x - math.hypot(x, y))
            total = 1.5 * hidden + 0.5 * y - 0.25
            assert painted[row, column, 0] == pytest.approx(math.exp(-(total**2)))


def test_outputs_are_cut_to_full_intensity_whatever_their_sign() -> None:
    nodes = (*[Node("linear", 0.0)] * INPUTS, Node("linear", 1.0))
    painted = Cppn().intensities(Genome(nodes, (Link(0, 4, -2.0),)), SMALL)
    assert painted[0, :, 0].tolist() == pytest.approx([1, 0.5, 0.5, 1])


def test_mutated_genomes_stay_networks_without_circles_and_grow() -> None:
    code, draw = Cppn(), np.random.default_rng(0)
    genome = code.first(SPEC, draw)
    assert len(genome.links) == INPUTS * 3
    for generation in range(60):
        genome = code.mutated(genome, draw, generation)
        depths = [node.depth for node in genome.nodes]
        assert all(depths[link.source] < depths[link.target] for link in genome.links)
        assert len({(link.source, link.target) for link in genome.links}) == len(genome.links)
        assert {node.activation for node in genome.nodes} <= set(ACTIVATIONS)
    assert len(genome.nodes) > INPUTS + 3 + 5
    assert np.isfinite(code.intensities(genome, SPEC)).all()


def test_a_split_link_leaves_the_image_as_it_is_where_the_new_node_is_linear() -> None:
    from striate.explaining.adversarial._encodings import _split

    code = Cppn()
    for seed in range(20):
        draw = np.random.default_rng(seed)
        genome = code.first(SMALL, draw)
        grown = _split(genome, draw)
        if grown.nodes[-1].activation == "linear":
            assert np.allclose(code.intensities(genome, SMALL), code.intensities(grown, SMALL))
            return
    raise AssertionError("no seed gave a linear node")


def test_direct_genes_mutate_at_the_rate_of_the_paper() -> None:
    draw, code = np.random.default_rng(0), Direct()
    genome = np.full((200, 200, 1), 0.5)
    for generation, rate in ((0, 0.1), (999, 0.1), (1000, 0.05), (2500, 0.025)):
        child = code.mutated(genome, draw, generation)
        assert (child != genome).mean() == pytest.approx(rate, rel=0.1)
        assert 0 <= child.min() <= child.max() <= 1


def test_polynomial_mutation_by_hand() -> None:
    found = polynomial(np.array([0.0, 0.25, 0.5, 0.75]))
    assert found.tolist() == pytest.approx([-1, 0.5 ** (1 / 16) - 1, 0, 1 - 0.5 ** (1 / 16)])


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: evolve(stranger(), SPEC, encoding="cpn"), "Did you mean 'cppn'"),
        (lambda: evolve(stranger(), SPEC, generations=0), "received 0 and 100"),
        (lambda: fooling_images(stranger(), SPEC, []), "200 steps for 0 classes"),
        (lambda: fooling_images(stranger(), SPEC, [4]), "4 classes, 0 to 3; received target 4"),
        (lambda: evolve(stranger(), replace(SPEC, maximum=1.0)), "8 or 16 bits"),
    ],
)
def test_mistakes_are_refused_in_a_sentence(call: Callable[[], object], sentence: str) -> None:
    with pytest.raises((AttackError, TargetError), match=sentence):
        call()

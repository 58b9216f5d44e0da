"""Recipes with few operations: their networks have the sizes that the docstrings count, and fit their data."""

from __future__ import annotations

import pytest

from striate.core.duration import Clock
from striate.models import meta_model
from striate.runs.fast_recipes import cifar_fast, fashion, mnist_fast
from striate.runs.recipe import Recipe
from striate.tracing import describe

CASES = [
    (cifar_fast, (3, 32, 32), 45_000, 118_147_360, 1_972_802, 0.324e15),
    (fashion, (1, 28, 28), 55_000, 19_878_816, 623_026, 66e12),
    (mnist_fast, (1, 24, 24), 55_000, 291_456, 39_610, 0.1154e12),
]


@pytest.mark.parametrize(
    ("recipe", "shape", "images", "macs", "parameters", "operations"), CASES, ids=[case[0].__name__ for case in CASES]
)
def test_the_operations_of_a_recipe_are_those_of_its_docstring(
    recipe, shape: tuple[int, int, int], images: int, macs: int, parameters: int, operations: float
) -> None:
    settings: Recipe = recipe()
    network = meta_model(settings.model, classes=10, channels=shape[0], size=shape[1:])
    totals = describe(network, shape).totals
    assert (totals.macs, totals.parameters) == (macs, parameters)
    epochs, resizing = settings.epochs.amount, settings.resizing
    passes = [(epochs, macs)]
    if resizing is not None:
        sides = [resizing.side(epoch / epochs, shape[1]) for epoch in range(int(epochs))]
        passes = [(1.0, describe(network, (shape[0], side, side)).totals.macs) for side in sides]
    assert sum(6 * each * count * images for count, each in passes) == pytest.approx(operations, rel=0.02)
    assert settings.input.height in (None, shape[1])
    text = str(recipe.__doc__)
    assert any(f"{macs / unit:.3g} {word} MACs" in text for unit, word in ((1e6, "million"), (1e3, "thousand")))


@pytest.mark.parametrize("side", [24, 28, 32])
def test_the_network_of_cifar_fast_takes_images_of_any_size_with_the_same_weights(side: int) -> None:
    network = meta_model(cifar_fast().model, classes=10, channels=3, size=(side, side))
    assert sum(parameter.numel() for parameter in network.parameters()) == 1_972_802


def test_the_rate_of_cifar_fast_falls_linearly_to_nothing() -> None:
    recipe = cifar_fast()
    factor = recipe.schedule.over(recipe.epochs)
    assert [factor(Clock(45, step)) for step in (0, 315, 629)] == pytest.approx([1.0, 0.5, 0.0], abs=0.002)

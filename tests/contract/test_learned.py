"""The contract of inspections: of all of them, and of the families of the zoo."""

from __future__ import annotations

import copy
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from promises.found import state
from promises.strangers import InPlace, stranger
from promises.subject import pictures, subject
from striate.explaining import (
    activation_maps,
    invariance,
    layers,
    project_patches,
    project_units,
    receptive_fields,
    top_patches,
)
from striate.hooks import NoRectifierError, borrow, capture
from striate.tracing import describe

SIZE = (16, 12)
PLACES = ("relu:1", "conv2")


def _patches_and_projections(model: nn.Module, images: Tensor) -> list[np.ndarray]:
    tops = top_patches(model, [(range(len(images)), images)], PLACES, count=2)
    return [array for top in tops for array in (top.values, project_patches(model, top))]


LOOKS: dict[str, Callable[[nn.Module, Tensor], list[np.ndarray]]] = {
    "activation maps": lambda model, images: [maps.values for maps in activation_maps(model, images, PLACES)],
    "patches": _patches_and_projections,
    "units": lambda model, images: [project_units(model, images, "conv2", [0, 1], [(3, 4), (9, 0)])],
    "receptive fields": lambda model, images: [field.rows for field in receptive_fields(model, images, PLACES)],
    "invariance": lambda model, images: [invariance(model, images, "scale", places=PLACES).distances],
    "layers": lambda model, images: [np.array(len(layers(model, images)))],
}
EVERY_LOOK = pytest.mark.parametrize("look", list(LOOKS.values()), ids=list(LOOKS))
Look = Callable[[nn.Module, Tensor], list[np.ndarray]]


class Tripping(InPlace):
    """It fails in its `number`-th forward pass."""

    def __init__(self, channels: int = 3) -> None:
        super().__init__(channels)
        self.error: BaseException | None = None
        self.number = self.passes = 0

    def forward(self, x: Tensor) -> Tensor:
        self.passes += 1
        logits = super().forward(x)
        if self.error is not None and self.passes == self.number:
            raise self.error
        return logits


def in_training() -> Tripping:
    """Amid a training: some of it frozen, gradients there, statistics moving."""
    model = stranger(Tripping).train()
    assert isinstance(model, Tripping)
    model.conv1.weight.requires_grad_(False)
    model(pictures(2, SIZE)).sum().backward()
    model.passes = 0
    return model


@EVERY_LOOK
@pytest.mark.parametrize("channels", [1, 3])
def test_the_network_is_as_found_and_the_images_are_left_alone(look: Look, channels: int) -> None:
    model, images = stranger(InPlace, channels).train(), pictures(2, SIZE, channels)
    given, before = images.clone(), state(model)
    assert all(np.isfinite(array).all() for array in look(model, images))
    assert torch.equal(images, given)
    assert state(model) == before


@EVERY_LOOK
@pytest.mark.parametrize("error", [ZeroDivisionError(), KeyboardInterrupt()], ids=["an error", "Ctrl-C"])
def test_the_network_is_as_found_after(look: Look, error: BaseException) -> None:
    whole = in_training()
    look(whole, pictures(2, SIZE))
    for number in {1, whole.passes}:
        model = in_training()
        model.error, model.number = error, number
        before = state(model)
        with pytest.raises(type(error)):
            look(model, pictures(2, SIZE))
        assert state(model) == before


@EVERY_LOOK
def test_frozen_and_bf16_networks_are_inspected_alike(look: Look) -> None:
    model, images = stranger(), pictures(2, SIZE)
    expected = look(model, images)
    for one, other in zip(look(copy.deepcopy(model).requires_grad_(False), images), expected, strict=True):
        assert one.tobytes() == other.tobytes()
    for one, other in zip(look(copy.deepcopy(model).to(torch.bfloat16), images), expected, strict=True):
        assert one.shape == other.shape
        assert np.linalg.norm(one - other) <= 0.2 * np.linalg.norm(other)


# `test_hooks` checks for every family that its maps are captured and its rectifiers met: here are those that differ in
# what is made of it.
FAMILIES = ("lenet5_1998", "mlp", "nin", "resnet20", "squeezenet1_1", "mobilenet_v2_035", "highway11")


@pytest.mark.parametrize("name", FAMILIES)
def test_the_zoo_is_shown_and_projected(name: str) -> None:
    network, images = subject(name).first, pictures(1, subject(name).small)
    found = activation_maps(network, images)
    names = list(network.feature_maps) or list(layers(network, images))
    assert [maps.place for maps in found] == names
    with borrow(network), torch.no_grad(), capture(network, names) as captured:
        network(images)
        for maps in found:
            np.testing.assert_allclose(maps.values.squeeze(), captured[maps.place].squeeze(), rtol=1e-4, atol=1e-5)
    unit = int(found[-1].values.max((0, 2, 3)).argmax())
    if name == "lenet5_1998":
        with pytest.raises(NoRectifierError, match="tanh"):
            project_units(network, images, names[-1], [unit])
        return
    projection = project_units(network, images, names[-1], [unit])
    assert projection.shape == images.shape
    assert projection.any()


@pytest.mark.parametrize("name", ["tiny_vgg", "squeezenet1_1"])
def test_a_receptive_field_is_the_described_one(name: str) -> None:
    size = (72, 66)
    network = subject(name).fresh(size)
    fields = receptive_fields(network, pictures(1, size), list(network.feature_maps))
    description = describe(network, (3, *size))
    for path, field in zip(network.feature_maps.values(), fields, strict=True):
        row = description.row(path)
        assert row.receptive_field is not None
        assert row.stride is not None
        for seen, described, stride, side in zip(field.size, row.receptive_field, row.stride, size, strict=True):
            if described + stride <= side:  # there is a position that no border cuts off
                assert seen == described

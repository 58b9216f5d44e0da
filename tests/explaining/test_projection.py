"""The projection of a unit is that of a deconvnet written out, switches, unpooling and all, layer by layer."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pytest
import torch
from torch import nn

from promises.strangers import WRITTEN, stranger
from promises.subject import pictures
from reference.backward_rules import Layer, explain
from striate.explaining import layers, project_patches, project_units, top_patches
from striate.hooks import PlaceError, RewriteError

SIZE = (15, 13)


def network() -> nn.Sequential:
    """Three convolutions, two poolings (the second with windows that overlap), and a dense layer."""
    torch.manual_seed(1)
    return nn.Sequential(
        nn.Conv2d(2, 4, 3), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(4, 5, 2), nn.ReLU(), nn.MaxPool2d(3, 2),
        nn.Conv2d(5, 4, (2, 1)), nn.ReLU(), nn.Flatten(), nn.Linear(4, 3),
    ).double().eval()  # fmt: skip


def written_out(network: Iterable[nn.Module]) -> list[Layer]:
    found: list[Layer] = []
    for layer in network:
        match layer:
            case nn.Conv2d():
                found.append(("conv", layer.weight.detach().numpy(), layer.bias.detach().numpy()))  # type: ignore[union-attr]
            case nn.ReLU():
                found.append(("relu",))
            case nn.MaxPool2d():
                found.append(("pool", layer.kernel_size, layer.stride))
            case nn.Linear():
                found.append(("dense", layer.weight.detach().numpy(), layer.bias.detach().numpy()))
    return found


@pytest.mark.parametrize("place", range(8))
def test_every_layer_is_projected_as_a_deconvnet_written_out_does(place: int) -> None:
    model, images = network(), pictures(6, SIZE, 2, seed=2).double()
    maps = model[: place + 1](images).detach().numpy()
    units = [number % maps.shape[1] for number in range(6)]
    positions = [(number % maps.shape[2], number % maps.shape[3]) for number in range(6)]
    found = project_units(model, images, str(place), units, positions)
    assert found.any()
    for number, (unit, (y, x)) in enumerate(zip(units, positions, strict=True)):
        activation = max(maps[number, unit, y, x], 0)
        expected = explain(written_out(list(model)[: place + 1]), images[number].numpy(), (unit, y, x), guided=False)
        np.testing.assert_allclose(found[number], activation * expected, rtol=1e-5, atol=1e-9)


def test_a_dense_unit_is_projected_too() -> None:
    model, images = network(), pictures(4, SIZE, 2).double()
    scores = model(images).detach().numpy()
    units = scores.argmax(1).tolist()
    found = project_units(model, images, "9", units)
    for number, unit in enumerate(units):
        expected = explain(written_out(model), images[number].numpy(), unit, guided=False)
        np.testing.assert_allclose(found[number], max(scores[number, unit], 0) * expected, rtol=1e-5, atol=1e-9)


def test_without_positions_the_strongest_is_projected() -> None:
    model, images = network(), pictures(3, SIZE, 2).double()
    maps = model[:5](images).detach()
    positions = [divmod(int(maps[number, 2].argmax()), maps.shape[3]) for number in range(3)]
    expected = project_units(model, images, "4", [2, 2, 2], positions)
    assert expected.any()
    assert project_units(model, images, "4", [2, 2, 2]).tobytes() == expected.tobytes()


def test_each_patch_has_its_own_projection_cut_to_the_same_box() -> None:
    model, images = network().float(), pictures(20, SIZE, 2)
    for top in top_patches(model, [(range(20), images)], ["1", "4", "9"], count=3):
        found = project_patches(model, top, [2, 0])
        assert found.shape == (2, 3, 2, *top.size)
        for unit, projections in zip([2, 0], found, strict=True):
            chosen = images[top.index[unit].tolist()]
            positions = [(int(y), int(x)) for y, x in top.positions[unit]]
            whole = project_units(model, chosen, top.place, [unit] * 3, positions)
            for rank in range(3):
                cut = top.cut(whole[rank], unit, rank)
                np.testing.assert_allclose(projections[rank], cut, rtol=1e-5, atol=1e-7)
                # Nothing of the projection lies outside the receptive field.
                np.testing.assert_allclose(np.abs(cut).sum(), np.abs(whole[rank]).sum(), rtol=1e-5)


@pytest.mark.parametrize("written", list(WRITTEN))
def test_projections_do_not_depend_on_how_the_network_is_written(written: str) -> None:
    images, expected = pictures(6, SIZE), []
    for model in (stranger(), stranger(WRITTEN[written])):
        tops = top_patches(model, [(range(6), images)], layers(model, images), count=2)
        expected.append([project_patches(model, top) for top in tops])
    for one, other in zip(*expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-7)


def test_a_patch_that_is_missing_has_no_projection() -> None:
    model, images = network().float(), pictures(2, SIZE, 2)
    (top,) = top_patches(model, [(range(2), images)], ["4"], count=3)
    assert not project_patches(model, top)[:, 2].any()


def test_no_units_have_no_projections() -> None:
    model, images = network().float(), pictures(2, SIZE, 2)
    (top,) = top_patches(model, [(range(2), images)], ["4"], count=3)
    assert project_patches(model, top, []).shape == (0, 3, 2, *top.size)


def test_places_that_cannot_be_projected_are_refused() -> None:
    model, images = network(), pictures(2, SIZE, 2).double()
    with pytest.raises(PlaceError, match="2 images and 1 units"):
        project_units(model, images, "4", [1])
    with pytest.raises(PlaceError, match="has 5 units, 0 to 4; received"):
        project_units(model, images, "4", [1, 5])
    with pytest.raises(PlaceError, match="5×4 positions"):
        project_units(model, images, "4", [1, 1], [(0, 0), (5, 0)])
    with pytest.raises(RewriteError, match="without a rule: tanh 1"):
        project_units(nn.Sequential(nn.Conv2d(2, 2, 3), nn.Tanh()), images.float(), "1", [0, 0])

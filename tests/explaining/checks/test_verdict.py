"""The verdict of a check: methods that do not explain the network fail, methods that do are trusted.

The network is a small one that has been trained; the evidence for its answers is known. A method that fails here
ignores the weights, the class or the place of the evidence, and each fails for its own reason.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from jaxtyping import TypeCheckError
from torch import Tensor, nn

from striate.explaining import METHODS, Attribution, grad_cam, integrated_gradients
from striate.explaining.checks.reference_maps import edges
from striate.explaining.checks.road import imputed
from striate.explaining.invocation import Invocation
from striate.hooks import capture

SIDE, FORM, CLASSES = 16, 7, 3
LONG = "30min"  # no clock decides a test


def _scenes(count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Noise with one form, a plus, a cross or a square, at a random place; and the class, which is the form."""
    generator = torch.Generator().manual_seed(seed)
    images = 0.3 * torch.randn(count, 1, SIDE, SIDE, generator=generator)
    targets = torch.randint(CLASSES, (count,), generator=generator)
    places = torch.randint(SIDE - FORM, (count, 2), generator=generator)
    forms = torch.zeros(CLASSES, FORM, FORM)
    along = torch.arange(FORM)
    forms[0, FORM // 2] = forms[0, :, FORM // 2] = 1
    forms[1, along, along] = forms[1, along, along.flip(0)] = 1
    forms[2, [0, -1]] = forms[2, :, [0, -1]] = 1
    for image, target, (row, column) in zip(images, targets, places.tolist(), strict=True):
        image[0, row : row + FORM, column : column + FORM] += 2 * forms[target]
    return images, targets


@pytest.fixture(scope="module")
def net() -> nn.Module:
    torch.manual_seed(0)
    net = nn.Sequential(
        *(nn.Conv2d(1, 12, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(12, 24, 3, padding=1), nn.ReLU()),
        *(nn.Conv2d(24, 24, 3, padding=1), nn.ReLU(), nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Linear(24, CLASSES)),
    )
    images, targets = _scenes(1000, seed=1)
    optimizer = torch.optim.Adam(net.parameters(), 3e-3)
    loss = torch.tensor(torch.inf)
    for step in range(200):
        batch = torch.arange(64 * step, 64 * step + 64) % len(images)
        loss = F.cross_entropy(net(images[batch]), targets[batch])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.1
    return net.eval()


@pytest.fixture(scope="module")
def images() -> Tensor:
    return _scenes(4, seed=2)[0]


Drawn = Callable[[nn.Module, Tensor, list[int]], np.ndarray]


def _method(draw: Drawn) -> Callable[..., Attribution]:
    def function(model: nn.Module, images: Tensor, target: Any = None, *, task: Any = None) -> Attribution:
        with torch.no_grad():
            logits = model(images)
        classes = logits.argmax(1).tolist() if target is None else list(target)
        values = draw(model, images, classes).astype(np.float32)
        scores = logits[range(len(images)), classes].numpy()
        call = Invocation.of(function, model, images, target, {})
        method = replace(METHODS["saliency"], name=draw.__name__)
        return Attribution(method, values, tuple(classes), scores, (SIDE, SIDE), None, (), None, call)

    return function


def _edge_filter(model: nn.Module, images: Tensor, classes: list[int]) -> np.ndarray:
    return edges(images)


def _random_map(model: nn.Module, images: Tensor, classes: list[int]) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(len(images), SIDE, SIDE))


def _another_random_map(model: nn.Module, images: Tensor, classes: list[int]) -> np.ndarray:
    return np.random.default_rng().normal(size=(len(images), SIDE, SIDE))


def _centred_blob(model: nn.Module, images: Tensor, classes: list[int]) -> np.ndarray:
    down, across = np.linspace(-1, 1, SIDE)[:, None], np.linspace(-1, 1, SIDE)
    return np.tile(-(down**2 + across**2), (len(images), 1, 1))


def _brightness(model: nn.Module, images: Tensor, classes: list[int]) -> np.ndarray:
    return images.mean(1).numpy()


def _brightness_by_sign(model: nn.Module, images: Tensor, classes: list[int]) -> np.ndarray:
    """The image, turned to its negative where the network's first weight is negative."""
    return images.mean(1).numpy() * float(torch.sign(next(model.parameters()).detach().flatten()[0]))


def _constant(model: nn.Module, images: Tensor, classes: list[int]) -> np.ndarray:
    return np.ones((len(images), SIDE, SIDE))


def _class_independent(model: nn.Module, images: Tensor, classes: list[int]) -> np.ndarray:
    """The mean over the channels of the last map: it finds the form, and says the same for every class."""
    with torch.no_grad(), capture(model, ["relu:3"]) as captured:
        model(images)
    return F.interpolate(captured["relu:3"].mean(1, keepdim=True), (SIDE, SIDE), mode="bilinear")[:, 0].numpy()


def _mirrored_grad_cam(model: nn.Module, images: Tensor, classes: list[int]) -> np.ndarray:
    return grad_cam(model, images, classes).map()[:, :, ::-1]


def _grad_cam_of_another_image(model: nn.Module, images: Tensor, classes: list[int]) -> np.ndarray:
    return np.roll(grad_cam(model, images, classes).map(), 1, axis=0)


def _smooth_noise_by_weights(model: nn.Module, images: Tensor, classes: list[int]) -> np.ndarray:
    """Blobs that depend on the weights, and so differ with random ones, but on nothing else."""
    total = sum(float(weight.detach().double().sum()) for weight in model.parameters())
    draw = torch.Generator().manual_seed(int(abs(total) * 1e6) % 2**31)
    blobs = torch.rand(1, 1, 4, 4, generator=draw).expand(len(images), -1, -1, -1)
    return F.interpolate(blobs, (SIDE, SIDE), mode="bilinear")[:, 0].numpy()


def _mirrored_integrated_gradients(model: nn.Module, images: Tensor, classes: list[int]) -> np.ndarray:
    return integrated_gradients(model, images, classes).map()[:, ::-1]


@pytest.mark.parametrize(
    ("draw", "reason"),
    [
        (_edge_filter, "it looks the same with random weights"),
        (_random_map, "made again with the same weights, it is another map"),
        (_another_random_map, "made again with the same weights, it is another map"),
        (_centred_blob, "it looks the same with random weights"),
        (_brightness, "it looks the same with random weights"),
        (_brightness_by_sign, "it looks the same with random weights"),
        (_constant, "the map is the same everywhere"),
        (_smooth_noise_by_weights, "it looks the same for another image"),
    ],
)
@pytest.mark.usefixtures("few_orders")
def test_a_map_that_depends_on_something_else_than_the_network_fails(
    net: nn.Module, images: Tensor, draw: Drawn, reason: str
) -> None:
    check = _method(draw)(net, images).check(LONG)
    assert (check.verdict.trust, str(check)) == (False, f"do not trust: {reason}")


@pytest.mark.parametrize("draw", [_mirrored_grad_cam, _mirrored_integrated_gradients, _grad_cam_of_another_image])
@pytest.mark.usefixtures("few_orders")
def test_a_map_that_marks_other_places_than_the_network_looks_at_is_not_trusted(
    net: nn.Module, images: Tensor, draw: Drawn
) -> None:
    check = _method(draw)(net, images).check(LONG)
    assert check.verdict.trust is not True


@pytest.mark.parametrize("name", ["grad_cam", "saliency", "integrated_gradients"])
@pytest.mark.usefixtures("few_orders")
def test_a_map_of_another_class_fails(net: nn.Module, images: Tensor, name: str) -> None:
    """Each class gets the map of the next one, as by an index that is off by one."""

    def off_by_one(model: nn.Module, images: Tensor, classes: list[int]) -> np.ndarray:
        return METHODS[name].function(model, images, [(each + 1) % CLASSES for each in classes]).map()

    check = _method(off_by_one)(net, images).check(LONG)
    assert check.verdict.trust is False
    assert str(check) == "do not trust: it looks the same with random weights of its class"


@pytest.mark.usefixtures("few_orders")
def test_a_transposed_map_of_a_centred_object_is_not_trusted(net: nn.Module) -> None:
    """It lies where the object is, as no map in a random place does, but its transpose finds more."""

    def transposed(model: nn.Module, images: Tensor, classes: list[int]) -> np.ndarray:
        return METHODS["input_x_gradient"].function(model, images, classes).map().swapaxes(1, 2)

    images, targets = _scenes(12, seed=4)
    crosses = images[targets == 1][:2]
    centred = torch.stack([image.roll((1, 1), (1, 2)) for image in crosses])
    check = _method(transposed)(net, centred).check(LONG)
    assert check.verdict.trust is not True


@pytest.mark.usefixtures("few_orders")
def test_a_map_that_is_the_same_for_every_class_fails(net: nn.Module, images: Tensor) -> None:
    check = _method(_class_independent)(net, images).check(LONG)
    assert check.verdict.trust is False
    assert [row.passed for row in check.rows if row.name == "class weights"] == [False]


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        *[("grad_cam", {}), ("grad_cam_plus_plus", {}), ("guided_grad_cam", {}), ("saliency", {})],
        *[("input_x_gradient", {}), ("integrated_gradients", {"most_steps": 32}), ("smoothgrad", {"samples": 8})],
        *[("occlusion", {"patch": 4}), ("rise", {"masks": 100})],
    ],
)
@pytest.mark.usefixtures("few_orders")
def test_a_map_that_explains_the_network_is_trusted(
    net: nn.Module, images: Tensor, name: str, settings: dict[str, Any]
) -> None:
    check = METHODS[name].function(net, images, **settings).check(LONG)
    assert (check.verdict.trust, str(check)) == (
        True,
        "trust: the map depends on the weights and finds what the answer needs",
    )


def test_a_network_of_two_opposite_classes_is_no_reason_to_distrust_a_gradient() -> None:
    """There the gradients of both logits are each other's negative, and their sizes the same."""
    torch.manual_seed(0)
    last = nn.Linear(8, 2)
    net = nn.Sequential(nn.Conv2d(1, 8, 5), nn.ReLU(), nn.AdaptiveMaxPool2d(1), nn.Flatten(), last)
    with torch.no_grad():
        last.weight[1] = -last.weight[0]
    check = METHODS["saliency"].function(net, _scenes(6, seed=3)[0]).check(LONG)
    assert next(row.passed for row in check.rows if row.name == "class weights") is True


def test_the_shapes_of_signatures_are_executed_in_the_suite() -> None:
    with pytest.raises(TypeCheckError):
        imputed(torch.zeros(1, 1, 4, 4), torch.zeros(1, 4, 5, dtype=torch.bool))


def test_imputed_pixels_are_smooth_and_the_others_do_not_change() -> None:
    """A plane fulfils the equations of ROAD wherever no border is near."""
    rows, columns = torch.meshgrid(torch.arange(12.0), torch.arange(14.0), indexing="ij")
    image = (2 * rows - columns + 3)[None, None]
    removed = torch.zeros(1, 12, 14, dtype=torch.bool)
    removed[0, 3:8, 4:11] = True
    holed = torch.where(removed[:, None], 99.0, image)
    torch.testing.assert_close(imputed(holed, removed, noise=0.0), image, atol=0.05, rtol=0)
    noisy = imputed(holed, removed, seed=1)
    assert torch.equal(noisy[~removed[:, None]], image[~removed[:, None]])
    assert torch.equal(noisy, imputed(holed, removed, seed=1))

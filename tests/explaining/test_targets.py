"""Whose score is explained may be said in every way in which labels come, or is refused in a sentence."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import striate
from promises.strangers import stranger
from promises.subject import pictures
from striate.classifier import Failure
from striate.explaining import (
    NetworkError,
    NoGradientError,
    NoMapError,
    NotFiniteError,
    TargetError,
    grad_cam,
    guided_backpropagation,
    occlusion,
    saliency,
)

IMAGES = pictures(3, (16, 12))


@pytest.mark.parametrize(
    "classes",
    [
        lambda: torch.tensor([0, 3, 2]),
        lambda: torch.tensor([0, 3, 2], dtype=torch.uint8),
        lambda: np.array([0, 3, 2]),
        lambda: np.array([0, 3, 2], dtype=object),
        lambda: (0, np.int64(3), torch.tensor(2)),
        lambda: (label for label in (0, 3, 2)),
    ],
    ids=["tensor", "bytes", "array", "objects", "numbers of others", "generator"],
)
@pytest.mark.parametrize("method", [grad_cam, saliency])
def test_classes_for_each_image(method: Callable[..., Any], classes: Callable[[], Any]) -> None:
    expected = method(stranger(), IMAGES, [0, 3, 2])
    found = method(stranger(), IMAGES, classes())
    assert found.target == (0, 3, 2)
    np.testing.assert_array_equal(found.values, expected.values)
    again = found.invocation.repeat(stranger())
    np.testing.assert_array_equal(again.values, expected.values)


@pytest.mark.parametrize("one", [np.int64(2), np.uint8(2), torch.tensor(2), np.array(2)])
def test_one_class_for_all(one: Any) -> None:
    assert saliency(stranger(), IMAGES, one).target == (2, 2, 2)
    assert saliency(stranger(), IMAGES, range(3)).target == (0, 1, 2)


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("cat", "are numbers from 0; received the name 'cat'"),
        (["cat", "dog", "cat"], "received the name 'cat'"),
        (True, "received True"),
        (torch.tensor([True, False, True]), "received True"),
        (1.0, "received 1.0"),
        (np.float32(1), "received np.float32"),
        ([0, 1.5, 2], "received 1.5"),
        (torch.tensor([0.0, 1.0, 2.0]), "received 0.0"),
        (torch.eye(3, dtype=torch.int64), r"of shape \(3, 3\).*argmax"),
        ({0, 1, 2}, "received {0, 1, 2}"),
        ({"a": 1}, "received {'a': 1}"),
        ([None] * 3, "received None"),
        (4, "0 to 3; received target 4"),
        (-1, "received target -1"),
        (torch.tensor([0, 9, 1]), "received target 9"),
        ([], "3 images and 0 targets"),
        (range(2), "3 images and 2 targets"),
    ],
)
def test_a_target_that_is_no_class_is_refused_in_a_sentence(target: Any, said: str) -> None:
    with pytest.raises(TargetError, match=said):
        saliency(stranger(), IMAGES, target)


class Segmenting(nn.Module):
    """It answers with logits for every pixel, within something of its own."""

    def __init__(self, wrap: Callable[[Tensor], Any]) -> None:
        super().__init__()
        self.conv, self.wrap = nn.Conv2d(3, 2, 3, padding=1), wrap

    def forward(self, x: Tensor) -> Any:
        return self.wrap(self.conv(x))


@pytest.mark.parametrize(
    ("wrap", "unwrap"),
    [
        (lambda maps: maps, lambda answer: answer),
        (lambda maps: {"out": maps, "aux": None}, lambda answer: answer["out"]),
        (lambda maps: (maps, "more"), lambda answer: answer[0]),
        (lambda maps: SimpleNamespace(logits=maps), lambda answer: answer.logits),
    ],
    ids=["maps", "dictionary", "tuple", "object"],
)
@pytest.mark.parametrize("method", [saliency, grad_cam, occlusion])
def test_a_function_is_given_the_answer_as_it_is(method: Callable[..., Any], wrap: Any, unwrap: Any) -> None:
    torch.manual_seed(0)
    model = Segmenting(wrap).eval()
    found = method(model, IMAGES, lambda answer: unwrap(answer)[:, 1].mean((1, 2)))
    plain = nn.Sequential(model.conv, nn.AdaptiveAvgPool2d(1), nn.Flatten())
    settings = {"at": "0"} if method is grad_cam else {}
    np.testing.assert_allclose(found.values, method(plain, IMAGES, 1, **settings).values, rtol=1e-3, atol=1e-6)
    with pytest.raises(TargetError, match="pass a function of that output"):
        method(model, IMAGES, 1)


def test_a_function_must_give_scores() -> None:
    with pytest.raises(TargetError, match="int64, which no gradient passes"):
        saliency(stranger(), IMAGES, lambda logits: logits.argmax(1))
    with pytest.raises(TargetError, match=r"shape \(3, 4\)"):
        saliency(stranger(), IMAGES, lambda logits: logits)


class Detaching(nn.Module):
    """A network of which some part runs without autograd."""

    def __init__(self, what: str) -> None:
        super().__init__()
        self.inner, self.what = stranger(), what

    def forward(self, x: Tensor) -> Tensor:
        if self.what == "output":
            return self.inner(x).detach()
        with torch.no_grad():
            maps = self.inner.relu(self.inner.conv1(x))
        return self.inner.head(self.inner.conv3(maps).mean((2, 3)))


@pytest.mark.parametrize("what", ["output", "backbone"])
def test_a_score_without_a_gradient_is_refused_in_a_sentence(what: str) -> None:
    with pytest.raises(NoGradientError, match="No gradient of the score reaches the image"):
        saliency(Detaching(what), IMAGES, 1)
    assert occlusion(Detaching(what), IMAGES, 1).values.any()


def test_grad_cam_reads_after_a_backbone_that_runs_without_autograd() -> None:
    model = Detaching("backbone")
    assert grad_cam(model, IMAGES, 1).at == "conv2d:2"
    frozen = grad_cam(model, IMAGES, 1, at="inner.relu")
    with torch.no_grad():
        maps = model.inner.relu(model.inner.conv1(IMAGES))
    maps.requires_grad_()
    score = model.inner.head(model.inner.conv3(maps).mean((2, 3)))[:, 1].sum()
    (gradient,) = torch.autograd.grad(score, maps)
    expected = (gradient.mean((2, 3), keepdim=True) * maps.detach()).sum(1).clamp(min=0)
    np.testing.assert_allclose(frozen.values, expected.numpy(), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("method", [grad_cam, saliency])
def test_weights_and_images_of_inference_mode_are_explained(method: Callable[..., Any]) -> None:
    expected = method(stranger(), IMAGES, 1)
    with torch.inference_mode():
        model = stranger()
        images = IMAGES.clone()
        within = method(model, images, 1)
    weights = list(model.parameters())
    np.testing.assert_array_equal(within.values, expected.values)
    np.testing.assert_array_equal(method(model, images, 1).values, expected.values)
    assert all(one is other for one, other in zip(model.parameters(), weights, strict=True))
    assert all(weight.is_inference() for weight in weights)


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ("runs/photos", "received the path 'runs/photos': load it"),
        (Path("runs/photos"), "received the path 'runs/photos': load it"),
        (SimpleNamespace(model=nn.Flatten()), "SimpleNamespace: give the network that it holds, its .model"),
        (torch.relu, "wrap it in a module"),
    ],
)
def test_an_object_that_is_no_network_is_refused_in_a_sentence(model: Any, said: str) -> None:
    with pytest.raises(NetworkError, match=said):
        grad_cam(model, IMAGES)


def test_a_model_that_holds_a_lock_is_checked() -> None:
    model = stranger()
    vars(model)["lock"] = threading.Lock()
    assert saliency(model, IMAGES[:1], 1).check("2min").depths
    assert isinstance(model.lock, type(threading.Lock()))


@pytest.mark.parametrize("inner", ["conv1", "relu1", "head", ""])
def test_backward_hooks_of_its_owner_do_not_hinder_guided_methods(inner: str) -> None:
    expected = guided_backpropagation(stranger(), IMAGES, 1)
    model = stranger()
    model.get_submodule(inner).register_full_backward_hook(lambda *_: None)
    found = guided_backpropagation(model, IMAGES, 1)
    np.testing.assert_array_equal(found.values, expected.values)
    assert found.notes == expected.notes


def test_where_nothing_is_laid_out_over_the_image_the_verb_shows_saliency_and_says_so() -> None:
    torch.manual_seed(0)
    flat = nn.Sequential(nn.Flatten(), nn.Linear(192, 3)).eval()
    (found,) = striate.explain(flat, torch.rand(3, 8, 8))
    assert not isinstance(found, Failure)
    (attribution,) = found.explained.attributions
    assert attribution.method.name == "saliency"
    assert attribution.notes[0].startswith("Saliency is used instead of Grad-CAM")
    with pytest.raises(NoMapError):
        striate.explain(flat, torch.rand(3, 8, 8), method="grad-cam")


class Body(nn.Module):
    """A convolution and a head, called by `forward` of a subclass."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.head = nn.Conv2d(3, 4, 3), nn.Linear(4, 3)

    def logits(self, images: Tensor) -> Tensor:
        return self.head(self.body(images).relu().mean((2, 3)))


def test_a_network_that_needs_more_than_images_is_refused_with_the_remedy() -> None:
    class WithAge(Body):
        def forward(self, images: Tensor, age: Tensor) -> Tensor:
            return self.logits(images) + age

    with pytest.raises(NetworkError, match=r"WithAge.forward\(images.*missing a required argument: 'age'.*wrap it"):
        saliency(WithAge(), IMAGES)


def test_a_network_under_inference_mode_is_refused_by_gradients_with_the_reason_and_occluded() -> None:
    class Sealed(Body):
        def forward(self, images: Tensor) -> Tensor:
            with torch.inference_mode():
                return self.logits(images)

    with pytest.raises(NoMapError, match=r"torch.inference_mode.*Occlusion and RISE need no gradient"):
        grad_cam(Sealed(), IMAGES)
    assert occlusion(Sealed(), IMAGES, patch=8).values.shape == (3, 16, 12)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_images_that_are_not_finite_are_named_as_the_reason(value: float) -> None:
    images = IMAGES.clone()
    images[1, 0, 2, 2] = value
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(560, 3))
    with pytest.raises(NotFiniteError, match="needs finite images"):
        grad_cam(network, images)

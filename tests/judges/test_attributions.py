"""Attributions compared with Captum's and pytorch-grad-cam's, with the same weights, before scaling and resizing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import captum.attr
import numpy as np
import pytest
import pytorch_grad_cam
import timm
import torch
import torchvision
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from torch import Tensor, nn

from promises.strangers import Modular, stranger
from promises.subject import pictures
from striate.explaining import (
    Attribution,
    deconvnet,
    expected_gradients,
    grad_cam,
    grad_cam_plus_plus,
    guided_backpropagation,
    guided_grad_cam,
    hires_cam,
    input_x_gradient,
    integrated_gradients,
    layer_cam,
    saliency,
)

pytestmark = [
    pytest.mark.filterwarnings("ignore:Setting (forward, )?backward hooks on ReLU"),
    pytest.mark.filterwarnings("ignore:Input Tensor . did not already require gradients"),
]

CLASS = 2
IMAGES = pictures(2, (16, 12))


@pytest.fixture
def model() -> Modular:
    network = stranger()
    assert isinstance(network, Modular)
    return network


def _alike(found: np.ndarray, expected: Tensor | np.ndarray) -> None:
    expected = expected.detach().numpy() if isinstance(expected, Tensor) else expected
    assert found.shape == expected.shape
    assert expected.any()
    assert np.abs(found - expected).max() <= 1e-5 * np.abs(expected).max()


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (saliency, captum.attr.Saliency),
        (input_x_gradient, captum.attr.InputXGradient),
        (guided_backpropagation, captum.attr.GuidedBackprop),
        (deconvnet, captum.attr.Deconvolution),
    ],
    ids=lambda one: one.__name__,
)
def test_captum_gives_the_same_of_pixels(model: Modular, ours: Callable[..., Attribution], theirs: Any) -> None:
    expected = theirs(model).attribute(IMAGES.clone().requires_grad_(), target=CLASS)
    _alike(ours(model, IMAGES, CLASS).values, expected)


def test_captum_gives_the_same_of_maps(model: Modular) -> None:
    for layer, at in ((model.relu3, "relu3"), (model.relu1, "relu1")):
        expected = captum.attr.LayerGradCam(model, layer).attribute(IMAGES, target=CLASS, relu_attributions=True)
        assert isinstance(expected, Tensor)
        _alike(grad_cam(model, IMAGES, CLASS, at=at).values, expected[:, 0])


def test_captum_gives_the_same_integral() -> None:
    """Of a smooth network, where two ways to take an integral meet soon."""
    torch.manual_seed(0)
    smooth = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.Tanh(), nn.AvgPool2d(2), nn.Conv2d(4, 4, 3), nn.Tanh(), nn.Flatten(), nn.Linear(60, 3)
    ).double()
    baseline = torch.full((1, 3, 16, 12), 0.3)
    ours = integrated_gradients(smooth, IMAGES, CLASS, baseline=0.3, tolerance=1e-6)
    expected = captum.attr.IntegratedGradients(smooth).attribute(
        IMAGES.double(), baseline.double(), target=CLASS, n_steps=100
    )
    _alike(ours.values, expected)
    assert ours.residue is not None
    assert (ours.residue < 2e-6).all()


def _by_pytorch_grad_cam(method: Any, model: nn.Module, layer: nn.Module) -> np.ndarray:
    with method(model=model, target_layers=[layer]) as cam:
        targets = [ClassifierOutputTarget(CLASS)] * len(IMAGES)
        cam(input_tensor=IMAGES, targets=targets)
        (activations,) = [maps.numpy() for maps in cam.activations_and_grads.activations]
        (gradients,) = [maps.numpy() for maps in cam.activations_and_grads.gradients]
        raw = cam.get_cam_image(IMAGES, layer, targets, activations, gradients, False)
    return np.maximum(raw, 0)


def test_pytorch_grad_cam_gives_the_same_of_maps(model: Modular) -> None:
    expected = _by_pytorch_grad_cam(pytorch_grad_cam.GradCAM, model, model.relu3)
    _alike(grad_cam(model, IMAGES, CLASS).values, expected)


@pytest.mark.parametrize("at", ["relu1", "relu2", "relu3"])
def test_pytorch_grad_cam_weighs_positions_alike(model: Modular, at: str) -> None:
    layer = model.get_submodule(at)
    expected = _by_pytorch_grad_cam(pytorch_grad_cam.LayerCAM, model, layer)
    _alike(layer_cam(model, IMAGES, CLASS, at=at).values, expected)
    expected = _by_pytorch_grad_cam(pytorch_grad_cam.HiResCAM, model, layer)
    found = hires_cam(model, IMAGES, CLASS, at=at).values
    assert (found < 0).any() or at == "relu3"
    _alike(np.maximum(found, 0), expected)


def test_captum_takes_the_same_expectation_of_a_linear_network() -> None:
    """There every draw of a baseline gives its exact part: w ⊙ (x - x'), whatever α."""
    torch.manual_seed(0)
    linear, background = nn.Sequential(nn.Flatten(), nn.Linear(3 * 16 * 12, 3)), pictures(5, (16, 12), seed=7)
    found = expected_gradients(linear, IMAGES, CLASS, background=background, samples=7)
    # Captum draws baselines at random: of one at a time it has no choice.
    shap = captum.attr.GradientShap(linear)
    each = [shap.attribute(IMAGES, baselines=one[None], n_samples=1, stdevs=0.0, target=CLASS) for one in background]
    _alike(found.values, torch.stack(each).mean(0))
    assert found.residue is not None
    assert (found.residue < 1e-4).all()


def _small_vit() -> nn.Module:
    return timm.models.VisionTransformer(img_size=32, patch_size=8, embed_dim=24, depth=3, num_heads=2, num_classes=5)


def _small_mixer() -> nn.Module:
    return timm.models.MlpMixer(img_size=32, patch_size=8, embed_dim=24, num_blocks=3, num_classes=5)


def _small_swin() -> nn.Module:
    return torchvision.models.SwinTransformer(
        [4, 4], embed_dim=24, depths=[2, 2], num_heads=[2, 4], window_size=[4, 4], num_classes=5
    )


def _as_grid(tokens: Tensor) -> Tensor:
    return tokens[:, tokens.shape[1] - 16 :].reshape(len(tokens), 4, 4, -1).permute(0, 3, 1, 2)


@pytest.mark.parametrize(
    ("build", "layer", "place", "reshape"),
    [
        (_small_vit, "blocks.2.norm1", "layer_norm:5", _as_grid),  # the last before the class token reads all others
        (_small_mixer, "norm", "layer_norm:7", _as_grid),  # behind it all tokens are averaged
        (_small_swin, "norm", "layer_norm:11", lambda maps: maps.permute(0, 3, 1, 2)),
    ],
    ids=["ViT", "Mixer", "Swin"],
)
@pytest.mark.filterwarnings("ignore")
def test_pytorch_grad_cam_with_a_reshape_gives_the_same_of_tokens(
    build: Callable[[], nn.Module], layer: str, place: str, reshape: Callable[[Tensor], Tensor]
) -> None:
    torch.manual_seed(2)
    network, images = build().eval(), pictures(2, (32, 32))
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.2)
    with pytorch_grad_cam.GradCAM(network, [network.get_submodule(layer)], reshape_transform=reshape) as cam:
        targets: list[Any] = [ClassifierOutputTarget(CLASS)] * 2
        cam(input_tensor=images, targets=targets)
        (maps,) = [each.numpy() for each in cam.activations_and_grads.activations]
        (gradients,) = [each.numpy() for each in cam.activations_and_grads.gradients]
    expected = np.maximum((gradients.mean((2, 3), keepdims=True) * maps).sum(1), 0)
    for at in (None, layer):
        found = grad_cam(network, images, CLASS, at=at)
        assert found.at == (at or place)
        assert any("laid out as 4 × 4" in note or "channels last" in note for note in found.notes)
        np.testing.assert_allclose(found.values, expected, rtol=1e-3, atol=1e-3 * np.abs(expected).max())
        assert expected.any()


def test_grad_cam_plus_plus_is_the_paper_s_and_pytorch_grad_cam_adds_a_millionth(model: Modular) -> None:
    """It divides by 2 g² + g³ ΣA + 10⁻⁶. Where gradients are large, that is the paper's; where they are small, it is
    not: the map of the paper shrinks with the gradients (here by 1000), theirs much faster.
    """
    with torch.no_grad():
        model.head.weight.mul_(1000)
    large = grad_cam_plus_plus(model, IMAGES, CLASS).values
    _alike(large, _by_pytorch_grad_cam(pytorch_grad_cam.GradCAMPlusPlus, model, model.relu3))
    with torch.no_grad():
        model.head.weight.mul_(1e-6)
    gradients = model.head.weight[CLASS].detach() / 12  # pooled over 4 × 3 positions
    ours = grad_cam_plus_plus(model, IMAGES, CLASS)
    by_hand = _paper(model, gradients)
    _alike(ours.values, by_hand)
    theirs = _by_pytorch_grad_cam(pytorch_grad_cam.GradCAMPlusPlus, model, model.relu3)
    assert np.abs(theirs - by_hand).max() > 0.5 * by_hand.max()


def _paper(model: Modular, gradients: Tensor) -> np.ndarray:
    """Equations 5 and 10 in float64, where a map's gradient is the same everywhere: before a pooled, linear end."""
    kept: list[Tensor] = []
    with model.relu3.register_forward_hook(lambda module, given, output: kept.append(output.detach())):
        model(IMAGES)
    maps, g = kept[0].double().numpy(), gradients.double().numpy()
    found = np.zeros((2, 4, 3))
    for picture in range(2):
        for k in range(8):
            if g[k] > 0:
                alpha = g[k] ** 2 / (2 * g[k] ** 2 + maps[picture, k].sum() * g[k] ** 3)
                found[picture] += 12 * alpha * g[k] * maps[picture, k]
    return np.maximum(found, 0)


def test_captum_multiplies_guided_backpropagation_alike(model: Modular) -> None:
    """Captum enlarges by repeating values by default."""
    expected = captum.attr.GuidedGradCam(model, model.relu3).attribute(
        IMAGES.clone().requires_grad_(), target=CLASS, interpolate_mode="bilinear"
    )
    assert isinstance(expected, Tensor)
    _alike(guided_grad_cam(model, IMAGES, CLASS).values, expected)

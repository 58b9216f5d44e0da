"""Initial weights that a recipe changes: which layers, what the training leaves alone, and exact resume."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

import striate
from reference import initial as reference
from rehearsal.colours import two_colours
from rehearsal.small import MadeBatches, make_model, weights
from striate.core.config import from_json, override, to_json
from striate.core.errors import ConfigError
from striate.models import build_model
from striate.reporting import build
from striate.runs.events import RunStarted
from striate.runs.folder import Run
from striate.runs.initial import Dirac, Whitening, initialize
from striate.runs.recipe import Recipe
from striate.runs.recipes import RECIPES
from striate.training import SafePoint

NETWORK = "conv2-24,valid relu conv3-24,nobias bn relu pool2 fc8 relu"
CHANGES = ["initial=dirac,whitening", "optimizer.norm_bias_rate=4"]
SMALL = {"epochs": "2ep", "batch_size": 8, "input.height": 12, "input.width": 12, "precision": "float32"}


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make ten noisy images of each of two colours; no report is written."""
    monkeypatch.setenv("STRIATE_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(build, "write_run_report", lambda run: run.report_file)
    return two_colours(tmp_path / "photos", 10)


def kept(run: Run) -> dict[str, torch.Tensor]:
    return load_file(run.classifier_folder / "model.safetensors")


def test_a_stopped_training_ends_as_an_uninterrupted_one_and_keeps_the_whitening_filters(photos: Path) -> None:
    changes = [*CHANGES, *(f"{key}={value}" for key, value in SMALL.items())]
    settings: dict[str, Any] = {"model": NETWORK, "device": "cpu", "set": changes}
    whole = striate.train(photos, name="whole", **settings)
    events = striate.train.events(photos, name="stopped", **settings)
    stopped = next(event.run for event in events if isinstance(event, RunStarted))
    next(event for event in events if isinstance(event, SafePoint) and event.clock.epochs == 1)
    events.close()
    ends = [kept(whole), kept(striate.resume(stopped))]
    assert all(torch.equal(ends[0][name], ends[1][name]) for name in ends[0])
    weight = next(value for value in ends[0].values() if value.shape == (24, 3, 2, 2))
    biases = [value for name, value in ends[0].items() if name.endswith("bias") and value.shape == (24,)]
    assert torch.equal(weight[12:], -weight[:12])  # their gradients differ
    assert all(bias.abs().max() > 0 for bias in biases)


def test_the_first_images_of_the_training_are_whitened() -> None:
    model, batches = make_model(), MadeBatches()
    initialize([Whitening(epsilon=0.01, images=7)], model, batches)
    assert batches.given == [(0, 0), (0, 1)]
    images = torch.cat([batch.images for batch in MadeBatches(2).epoch(0)])
    rows = reference.patches(images.numpy(), 3, 3)
    conv = model[0]
    assert isinstance(conv, nn.Conv2d)
    assert conv.bias is not None
    responses = rows @ conv.weight.detach().double().flatten(1).numpy()[:2].T
    values = np.sort(np.linalg.eigvalsh(reference.covariance(rows)))[::-1][:2]
    np.testing.assert_allclose(reference.covariance(responses), np.diag(values / (values + 0.01)), atol=1e-5)
    assert not conv.weight.requires_grad
    assert conv.bias.requires_grad
    initialize([Whitening(frozen=False)], free := make_model(), MadeBatches())
    assert free[0].weight.requires_grad


def test_convolutions_with_a_stride_and_the_first_one_keep_their_weights() -> None:
    networks = [build_model("resnet20", classes=10, size=(32, 32), seed=0) for _ in range(2)]
    initialize([Dirac()], networks[0], MadeBatches())
    pairs = zip(*(list(network.modules()) for network in networks), strict=True)
    changed = [a.stride for a, b in pairs if isinstance(a, nn.Conv2d) and not torch.equal(a.weight, b.weight)]
    assert len(changed) == 16
    assert set(changed) == {(1, 1)}


def test_before_a_checkpoint_is_restored_parameters_are_frozen_and_no_image_is_read() -> None:
    model, untouched, batches = make_model(), make_model(), MadeBatches()
    initialize([Whitening(), Dirac()], model, batches, restored=True)
    assert not batches.given
    assert torch.equal(weights(model), weights(untouched))
    assert not model[0].weight.requires_grad


@pytest.mark.parametrize(
    ("initial", "model", "sentence"),
    [
        (Whitening(), "fc8 relu", "initial.whitening changes a first convolution"),
        (Whitening(), "conv3-1 relu", "initial.whitening changes a first convolution"),
        (Whitening(), "conv3-4 relu", "initial.whitening changes a first convolution that takes the image"),
        (Dirac(), "conv3-8 relu conv3-8/2", "initial.dirac changes convolutions after the first one"),
    ],
    ids=["no convolution", "one filter", "other channels", "a stride"],
)
def test_a_model_without_such_a_layer_is_refused(initial: Any, model: str, sentence: str) -> None:
    network = build_model(model, classes=3, channels=3, size=(6, 6), seed=0)
    with pytest.raises(ConfigError, match=sentence):
        initialize([initial], network, MadeBatches())  # its images have two channels


def test_pretrained_weights_are_not_changed() -> None:
    with pytest.raises(ConfigError, match=r"initial\.dirac changes random weights"):
        override(RECIPES["transfer"](), ["initial=dirac"])


def test_a_recipe_without_the_setting_reads_as_before() -> None:
    stored = to_json(RECIPES["digits"]())
    del stored["initial"], stored["optimizer"]["norm_bias_rate"]
    assert from_json(Recipe, stored) == RECIPES["digits"]()


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        ("initial.whitening.epsilon=0", "initial.whitening.epsilon must be above 0"),
        ("initial.whitening.images=0", "initial.whitening.images must be at least 1"),
        ("initial=whitning", "There is no change of the initial weights 'whitning'. Did you mean 'whitening'?"),
        ("optimizer.norm_bias_rate=0", "optimizer.norm_bias_rate must be above 0"),
    ],
)
def test_what_cannot_be_is_one_sentence(setting: str, sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        override(RECIPES["digits"](), [setting])
    assert sentence in str(caught.value)

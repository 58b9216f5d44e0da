"""A normalization needs more than one value of each channel: said before the training, by name and batch size."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional

import striate
from striate.core.batch import Batch
from striate.core.duration import Duration
from striate.core.errors import ConfigError
from striate.runs.fitting import check_norms
from striate.runs.recipe import Recipe
from striate.tasks import CLASSIFICATION, Classification


class Auxiliary(nn.Module):
    """A norm on a map of 1×1 in the auxiliary classifier only."""

    def __init__(self) -> None:
        super().__init__()
        self.auxiliary_heads = {"early": "early"}
        self.early = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.BatchNorm2d(3))

    def forward(self, x: Tensor) -> Tensor:
        return x.mean((2, 3))

    def forward_with_auxiliary(self, x: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        return self(x), {"early": self.early(x).flatten(1)}


class Functional(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return functional.batch_norm(x.mean((2, 3)), None, None, training=True)


def batch(count: int) -> Batch:
    return CLASSIFICATION.example((count, 3, 6, 6), torch.Size([3]), torch.Generator().manual_seed(0))


def pooled(norm: nn.Module) -> nn.Sequential:
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), norm, nn.Flatten())


NETWORKS = {
    "batch": pooled(nn.BatchNorm2d(3)),
    "batch without statistics": pooled(nn.BatchNorm2d(3, track_running_stats=False)),
    "batch of features": nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.BatchNorm1d(3)),
    "instance": pooled(nn.InstanceNorm2d(3)),
    "map of four": nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.BatchNorm2d(3)),
    "group": pooled(nn.GroupNorm(1, 3)),
    "function": Functional(),
    "none": nn.Conv2d(3, 2, 3),
}


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("name", NETWORKS)
def test_only_batches_that_torch_refuses_in_a_step_are_refused_before_it(name: str, count: int) -> None:
    network = NETWORKS[name].train()
    try:
        network(torch.zeros(count, 3, 6, 6))
        refused = False
    except ValueError:
        refused = True
    if not refused:
        check_norms(network, batch(count))
        return
    with pytest.raises(ConfigError, match=r"single value of each channel.*batch_size") as caught:
        check_norms(network, batch(count))
    assert ("in a batch of 1" in str(caught.value)) == (count == 1)
    assert "\n" not in str(caught.value)


def test_the_layer_is_named_and_the_network_is_left_without_hooks() -> None:
    network = NETWORKS["batch"]
    with pytest.raises(ConfigError, match=r"^1 \(BatchNorm2d\) normalises"):
        check_norms(network, batch(1))
    assert not any(module._forward_pre_hooks for module in network.modules())


def test_auxiliary_classifiers_count_where_they_are_trained() -> None:
    check_norms(Auxiliary(), batch(1))
    with pytest.raises(ConfigError, match=r"early\.1"):
        check_norms(Auxiliary(), batch(1), Classification(auxiliary=0.3))


@pytest.fixture
def noise(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Ten images of each of two classes."""
    monkeypatch.setenv("STRIATE_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    draws = np.random.default_rng(0)
    for label in ("a", "b"):
        (tmp_path / "data" / label).mkdir(parents=True)
        for number in range(10):
            pixels = draws.integers(0, 256, (12, 12, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "data" / label / f"{number}.png")
    return tmp_path / "data"


def test_a_batch_size_of_one_is_a_sentence_and_leaves_no_run(noise: Path) -> None:
    settings = ["batch_size=1", "input.height=12", "input.width=12"]
    with pytest.raises(ConfigError, match=r"^bn2 \(BatchNorm1d\) normalises over a single value.*batch of 1"):
        striate.train(noise, model="conv3-4 relu fc8 bn relu", epochs=1, set=settings)
    assert not Path("runs").exists()
    run = striate.train(noise, model="conv3-4 bn relu gap", epochs=1, set=settings)  # its maps have more values
    assert striate.load(run.path).predict(noise / "a" / "1.png").label in {"a", "b"}


@pytest.mark.parametrize(
    ("settings", "epochs"),
    [
        ({"average": "swa", "average.every_epochs": 5}, "3ep"),
        ({"average": "swa"}, "0.5ep"),
        ({"average": "lookahead", "average.every_steps": 100}, "3ep"),
        # 12 images: the last one joins the batch before, so that an epoch has one step.
        ({"average": "lookahead", "average.every_steps": 2, "batch_size": 11}, "1ep"),
    ],
)
def test_an_average_that_no_weights_enter_is_a_sentence_and_leaves_no_run(
    noise: Path, settings: dict[str, object], epochs: str
) -> None:
    with pytest.raises(ConfigError, match=r"No weights would enter the average .* Train for longer"):
        striate.train(noise, model="conv3-4 relu gap", epochs=epochs, set={"batch_size": 4, **settings})
    assert not Path("runs").exists()


def test_a_network_of_frozen_parameters_is_a_sentence_and_leaves_no_run(noise: Path) -> None:
    layers = [nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2)]
    frozen = nn.Sequential(*layers).requires_grad_(False)
    with pytest.raises(ConfigError, match=r"^Sequential has no parameter to train: .* striate\.thaw\(model, 'head'\)"):
        striate.train(noise, model=frozen, epochs=1)
    assert not Path("runs").exists()
    striate.thaw(frozen, "head")
    run = striate.train(noise, model=frozen, epochs=1)
    trained = striate.load(run).model
    assert torch.equal(trained.get_parameter("0.weight"), frozen.get_parameter("0.weight"))
    assert not torch.equal(trained.get_parameter("4.weight"), frozen.get_parameter("4.weight"))


def test_a_seed_beyond_64_bits_is_a_sentence() -> None:
    with pytest.raises(ConfigError, match=r"seed must be below 2\^63"):
        Recipe(model="lenet5", epochs=Duration.parse("1ep"), seed=2**63)

"""Concepts: a network that provably uses one, one that provably does not, and a slow version of each step."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats
import torch
from torch import Tensor, nn

from striate.core.batch import Batch
from striate.core.errors import ConfigError
from striate.core.rng import Stream
from striate.explaining import TargetError, tcav
from striate.explaining.inspection.tcav import _two_sided
from striate.explaining.model_input import ImageError
from striate.hooks import PlaceError


class Colours(nn.Module):
    """The score of each class is a weighted sum of the mean red, green and blue."""

    def __init__(self, *weights: tuple[float, float, float]) -> None:
        super().__init__()
        self.maps, self.head = nn.Conv2d(3, 3, 1, bias=False), nn.Linear(3, len(weights), bias=False)
        with torch.no_grad():
            self.maps.weight.copy_(torch.eye(3)[:, :, None, None])
            self.head.weight.copy_(torch.tensor(weights))

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.maps(images).relu().mean((2, 3)))


USES_RED = Colours((1.0, 0.0, 0.3), (-1.0, 0.0, 1.0))
IGNORES_RED = Colours((0.0, 1.0, 0.3), (0.0, 0.0, 1.0))


def batches(count: int, seed: int, red: float = 0.0, side: int = 6) -> list[Batch]:
    images = torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(seed))
    images[:, 0] += red
    index = torch.arange(count)
    return [Batch(images[part], index[part] * 0, index[part]) for part in index.split(8)]


@pytest.mark.parametrize("seed", range(3))
def test_a_concept_that_the_network_uses_is_significant_and_one_that_it_ignores_is_not(seed: int) -> None:
    red, random, images = batches(24, seed, red=1.0), batches(40, seed + 50), batches(12, seed + 90)
    (raises,) = tcav(USES_RED, {"red": red}, random, images, 0, at="relu:1", seed=seed)
    (lowers,) = tcav(USES_RED, {"red": red}, random, images, 1, at="relu:1", seed=seed)
    (ignored,) = tcav(IGNORES_RED, {"red": red}, random, images, 0, at="relu:1", seed=seed)
    assert raises.significant
    assert raises.score > 0.95
    assert lowers.significant
    assert lowers.score < 0.05
    assert not ignored.significant
    assert min(raises.accuracy, ignored.accuracy) > 0.95, "the place shows the concept, used or not"
    assert 0.2 < raises.random.mean() < 0.8
    assert str(raises).startswith("red raises the score of class 0 at relu:1: TCAV 1.00, 0.5 by chance, p = 0.001")
    assert "no significant influence on class 0" in str(ignored)


def test_a_score_without_any_derivative_is_exactly_chance() -> None:
    only_blue = Colours((0.0, 0.0, 0.0), (0.0, 0.0, 1.0))
    (found,) = tcav(only_blue, {"red": batches(12, 0, red=1.0)}, batches(12, 1), batches(4, 2), 0, at="relu:1", runs=4)
    assert found.scores.tolist() == [0.5] * 4
    assert found.p == 1.0


def test_each_score_is_that_of_a_ridge_classifier_solved_in_the_space_of_activations() -> None:
    torch.manual_seed(1)
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(64, 5), nn.Tanh(), nn.Linear(5, 2))
    red, random, images = batches(11, 0, red=0.2), batches(14, 1), batches(9, 2)
    (found,) = tcav(model, {"red": red}, random, images, 1, at="1", runs=3, seed=7)
    concept, others, own = (torch.cat([batch.images for batch in some]) for some in (red, random, images))
    with torch.no_grad():
        rows = [model[:2](some).flatten(1).double().numpy() for some in (concept, others)]
    activation = model[:2](own).detach().requires_grad_()
    slopes = torch.autograd.grad(model[2:](activation)[:, 1].sum(), activation)[0].flatten(1).double().numpy()
    for run, score in enumerate(found.scores):
        draw = np.random.default_rng(Stream(7, "explaining.tcav").torch_seed(0, run))
        chosen = [some[draw.permutation(len(some))[: len(some) // 2]] for some in (rows[0],)]
        chosen.append(rows[1][draw.permutation(14)[: min(14, 11) // 2]])
        x = np.concatenate(chosen)
        y = np.repeat([1.0, -1.0], [len(part) for part in chosen])
        x, y = x - x.mean(0), y - y.mean()
        normal = np.linalg.solve(x.T @ x + np.square(x).sum() / len(x) * np.eye(x.shape[1]), x.T @ y)
        assert score == pytest.approx(sum(float(slope @ normal > 0) for slope in slopes) / len(slopes))


def test_p_is_that_of_students_t() -> None:
    for runs, level in ((2, 0.6), (10, 0.55), (50, 0.8)):
        scores = level + np.random.default_rng(runs).random(runs) * 0.3
        t = (scores.mean() - 0.5) / (scores.std(ddof=1) * np.sqrt(1 / runs + 1))
        assert _two_sided(scores) == pytest.approx(2 * scipy.stats.t.sf(abs(t), runs - 1), rel=1e-6)


def test_the_default_place_is_the_last_map_and_the_level_is_shared_by_the_concepts() -> None:
    concepts = {"red": batches(12, 0, red=1.0), "none": batches(12, 4)}
    first, second = tcav(USES_RED, concepts, batches(12, 1), batches(4, 2), 0, runs=4)
    assert (first.concept, second.concept, first.place) == ("red", "none", "relu:1")
    assert first.level == second.level == pytest.approx(0.025)


def test_mistakes_get_a_sentence() -> None:
    red, random, images = batches(12, 0), batches(12, 1), batches(4, 2)
    with pytest.raises(ConfigError, match="1 concept"):
        tcav(USES_RED, {}, random, images, 0)
    with pytest.raises(TargetError, match="one class"):
        tcav(USES_RED, {"red": red}, random, images, None)
    with pytest.raises(TargetError, match="2 classes"):
        tcav(USES_RED, {"red": red}, random, images, 7)
    with pytest.raises(ImageError, match="at least 10 images of each kind; red has 3"):
        tcav(USES_RED, {"red": batches(3, 0)}, random, images, 0)
    with pytest.raises(ImageError, match="one size"):
        tcav(USES_RED, {"red": batches(12, 0, side=8)}, random, images, 0)
    with pytest.raises(PlaceError):
        tcav(USES_RED, {"red": red}, random, images, 0, at="nowhere")


def test_few_runs_that_agree_are_not_significant_and_many_are() -> None:
    assert _two_sided(np.ones(2)) > 0.5
    assert _two_sided(np.zeros(10)) > 0.05
    assert 0.001 < _two_sided(np.ones(50)) < 0.002  # t = 3.40 of 51 runs, of which one disagrees

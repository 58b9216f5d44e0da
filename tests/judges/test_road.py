"""ROAD compared with pytorch-grad-cam, whose imputation is that of the paper's authors."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from pytorch_grad_cam.metrics.road import NoisyLinearImputer, ROADMostRelevantFirstAverage
from pytorch_grad_cam.utils.model_targets import ClassifierOutputSoftmaxTarget
from torch import Tensor, nn

from striate.explaining.checks.areas import Rounds
from striate.explaining.checks.road import SHARES, imputed

HEIGHT, WIDTH = 20, 25

pytestmark = pytest.mark.filterwarnings("ignore:__array_wrap__:DeprecationWarning")  # theirs, of NumPy 2 and tensors


def _image(seed: int) -> Tensor:
    return torch.randn(1, 3, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_pixels_are_imputed_as_the_authors_impute_them(share: float) -> None:
    removed = torch.rand(1, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(0)) < share
    judge = NoisyLinearImputer(noise=0.0)(_image(1)[0], (~removed[0]).float())
    torch.testing.assert_close(imputed(_image(1), removed, noise=0.0)[0], judge, atol=5e-3, rtol=0)


def test_the_mean_score_is_that_of_the_most_relevant_pixels_removed_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """Theirs is a difference to the score of the whole image; noise is as small as cannot matter."""
    monkeypatch.setattr(NoisyLinearImputer.__init__, "__defaults__", (0.0, None))
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 6, 5), nn.Tanh(), nn.Flatten(), nn.Linear(6 * 16 * 21, 3)).eval()
    image, target = _image(2), 1
    a_map = np.random.default_rng(0).permutation(HEIGHT * WIDTH).reshape(1, HEIGHT, WIDTH).astype(np.float32)
    percentiles = [100 * (1 - share) for share in SHARES]
    judge = ROADMostRelevantFirstAverage(percentiles)(image, a_map, [ClassifierOutputSoftmaxTarget(target)], net)
    rounds = Rounds(net, image, lambda logits, pictures: logits.softmax(1)[:, target])
    with torch.no_grad():
        whole = net(image).softmax(1)[0, target].item()
    assert rounds.imputed(a_map, seed=0) == pytest.approx(whole + float(np.ravel(judge)[0]), abs=0.01)

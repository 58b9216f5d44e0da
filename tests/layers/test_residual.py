"""Sums, concatenations, and branches left out."""

from __future__ import annotations

import pytest
import torch

from striate.core.errors import ModelError
from striate.layers import Add, Concat, LayerScale, StochasticDepth


def test_a_sum_adds_any_number_of_maps_and_changes_none() -> None:
    maps = [torch.full((1, 2, 3, 3), float(value)) for value in (1, 20, 300)]
    assert torch.equal(Add()(*maps), torch.full((1, 2, 3, 3), 321.0))
    assert [float(one.mean()) for one in maps] == [1, 20, 300]


def test_maps_are_laid_on_each_other_in_the_order_given() -> None:
    first, second = torch.zeros(2, 3, 4, 5), torch.ones(2, 1, 4, 5)
    assert Concat()(first, second)[0, :, 0, 0].tolist() == [0, 0, 0, 1]


@pytest.mark.parametrize("rate", [0.0, 0.3, 1.0])
def test_a_branch_is_left_out_for_whole_images_at_its_rate_and_the_mean_is_kept(rate: float) -> None:
    torch.manual_seed(0)
    branch = 1 + torch.rand(4000, 2, 3)
    dropped = StochasticDepth(rate).train()(branch)
    survived = dropped.ne(0).flatten(1)
    assert torch.equal(survived.any(dim=1), survived.all(dim=1))
    share = float(survived.any(dim=1).double().mean())
    assert share == pytest.approx(1 - rate, abs=0.03)
    torch.testing.assert_close(dropped[survived.any(dim=1)], branch[survived.any(dim=1)] / max(1 - rate, 1e-9))


@pytest.mark.parametrize(("rate", "training"), [(0.5, False), (0.0, True)])
def test_a_branch_that_is_never_left_out_is_given_back_as_it_is(rate: float, training: bool) -> None:
    branch, state = torch.rand(3, 2, 2, 2), torch.get_rng_state()
    assert StochasticDepth(rate).train(training)(branch) is branch
    assert torch.equal(torch.get_rng_state(), state)


def test_an_image_left_out_gives_the_branch_no_gradient() -> None:
    torch.manual_seed(1)
    branch = torch.ones(50, 1, 2, 2, requires_grad=True)
    dropped = StochasticDepth(0.5)(branch)
    dropped.sum().backward()
    assert branch.grad is not None
    assert torch.equal(branch.grad, dropped.detach())  # 0 or 2, as is the value


@pytest.mark.parametrize("rate", [-0.1, 1.5])
def test_a_rate_is_a_probability(rate: float) -> None:
    with pytest.raises(ModelError, match=f"a rate from 0 to 1; received {rate}"):
        StochasticDepth(rate)


def test_a_scale_has_one_factor_for_each_channel() -> None:
    layer = LayerScale(2, initial=0.5)
    layer.weight.data[1] = 3.0
    scaled = layer(torch.ones(1, 2, 2, 2))
    assert scaled[0, :, 0, 0].tolist() == [0.5, 3.0]

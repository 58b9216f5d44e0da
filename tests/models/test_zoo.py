"""The zoo's table: what it lists, what it refuses, and where it draws its weights."""

from __future__ import annotations

import pytest
import torch

from striate.core.errors import ModelError
from striate.models import MODELS, Network, create_model, list_models
from striate.models._fit import smallest_side
from striate.models._zoo import ModelCard, register


def _names(pattern: str | None = None) -> list[str]:
    return [card.name for card in list_models(pattern)]


def test_everything_is_listed_and_patterns_narrow_it() -> None:
    assert _names() == list(MODELS)
    assert {"linear", "mlp", "lenet5", "tiny_vgg"} <= set(_names())
    assert "tiny_vgg" in _names("vgg")
    assert "tiny_vgg" in _names("*_VGG")
    assert "tiny_vgg" not in _names("vgg*")
    assert _names("lenet?") == ["lenet5"]
    assert _names("no such thing") == []


def test_an_unknown_model_is_an_error_that_offers_the_nearest() -> None:
    with pytest.raises(ModelError, match=r"There is no model 'lenet'\. Did you mean 'lenet5'"):
        create_model("lenet", classes=10, size=(28, 28))


@pytest.mark.parametrize(("classes", "channels", "size"), [(0, 3, (28, 28)), (2, 0, (28, 28)), (2, 3, (28, 0))])
def test_impossible_numbers_are_one_sentence(classes: int, channels: int, size: tuple[int, int]) -> None:
    with pytest.raises(
        ModelError, match=f"received {classes} classes, {channels} channels, {size[0]}×{size[1]} pixels"
    ):
        create_model("linear", classes=classes, channels=channels, size=size)


def test_a_side_that_is_too_short_is_refused_whatever_the_other_is() -> None:
    with pytest.raises(ModelError, match="lenet5 takes pictures from 12×12 pixels on; received 11×400"):
        create_model("lenet5", classes=10, size=(11, 400))


def test_without_a_seed_weights_are_drawn_from_torchs_own_state() -> None:
    torch.manual_seed(7)
    first = create_model("linear", classes=2, size=(4, 4)).state_dict()["fc.weight"]
    second = create_model("linear", classes=2, size=(4, 4)).state_dict()["fc.weight"]
    torch.manual_seed(7)
    again = create_model("linear", classes=2, size=(4, 4)).state_dict()["fc.weight"]
    assert torch.equal(first, again)
    assert not torch.equal(first, second)


def test_a_second_model_of_one_name_is_a_defect() -> None:
    card = ModelCard(
        name="linear", family="", title="", authors="", year=0, paper="", input=(1, 1, 1), classes=1, parameters=0,
        macs=0, depth=0,
    )  # fmt: skip

    def twice(*, channels: int, size: tuple[int, int], classes: int) -> Network:
        return Network()

    with pytest.raises(ValueError, match="model 'linear' is registered twice"):
        register(card)(twice)
    assert MODELS["linear"].card is not card


@pytest.mark.parametrize("limit", [1, 2, 3, 12, 16, 63, 64, 65, 4096])
def test_the_smallest_side_is_found_by_halving(limit: int) -> None:
    asked: list[int] = []

    def works(side: int) -> bool:
        asked.append(side)
        return side >= limit

    assert smallest_side(works) == limit
    assert len(asked) <= 25


def test_a_side_beyond_all_reason_is_not_looked_for() -> None:
    assert smallest_side(lambda side: False) is None

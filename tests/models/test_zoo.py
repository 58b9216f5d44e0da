"""The zoo's table: what it lists, what it refuses, and where it draws its weights."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from striate.core.errors import ModelError
from striate.models import MODELS, Network, create_model, list_models
from striate.models._zoo import register_family
from striate.tracing import smallest_side


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
    with pytest.raises(ModelError, match="lenet5 needs images of at least 12×12 pixels; received 11×400"):
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
    before = MODELS["linear"]
    with pytest.raises(ValueError, match="model 'linear' is registered twice"):
        register_family("lines", Network, {"linear": {}})
    assert MODELS["linear"] is before


def test_a_network_gets_the_size_only_where_it_has_a_parameter_for_it() -> None:
    assert MODELS["resnet18"].assemble(channels=3, size=(1, 1), classes=2).get_submodule("fc").out_features == 2
    assert MODELS["linear"].assemble(channels=3, size=(4, 5), classes=2).get_submodule("fc").in_features == 60


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


@pytest.mark.parametrize(
    ("given", "shape", "classes"),
    [
        ({}, (1, 32, 32), 10),
        ({"classes": 4}, (1, 32, 32), 4),
        ({"size": 40}, (3, 40, 40), 10),
        ({"size": [40, 36], "channels": 2}, (2, 40, 36), 10),
        ({"size": (np.int64(40), np.int64(36)), "classes": np.int32(3)}, (3, 40, 36), 3),
    ],
)
def test_missing_arguments_are_the_cards(given: dict[str, Any], shape: tuple[int, ...], classes: int) -> None:
    assert create_model("lenet5", **given)(torch.zeros(2, *shape)).shape == (2, classes)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"size": "64"}, r"size is \(height, width\).*received '64' \(str\)"),
        ({"size": 64.0}, r"received 64.0 \(float\)"),
        ({"size": (64,)}, r"received \(64,\)"),
        ({"size": (64, None)}, r"received \(64, None\)"),
        ({"size": True}, "received True"),
        ({"classes": "3"}, "classes is a whole number; received '3'"),
        ({"classes": True}, "classes is a whole number; received True"),
        ({"channels": 1.5}, "channels is a whole number; received 1.5"),
        ({"size": 10**9}, "at most 65,536"),
        ({"size": 2**16}, r"more than .* of memory"),
        ({"classes": 10**19}, "at most 10,000,000 classes"),
    ],
)
def test_arguments_of_another_kind_are_one_sentence(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ModelError, match=said):
        create_model("lenet5", **given)


@pytest.mark.parametrize("name", [None, 5, b"lenet5", ("lenet5",)])
def test_a_name_that_is_no_string_is_one_sentence(name: Any) -> None:
    with pytest.raises(ModelError, match="named by a string"):
        create_model(name)

"""A summary of any network: by name, written down, or a module."""

from __future__ import annotations

from typing import Any

import pytest
from torch import nn

from striate.core.errors import ConfigError, ModelError, StriateError
from striate.models import create_model
from striate.verbs.summary import summary


def _module() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))


@pytest.mark.parametrize(
    ("size", "shape"), [(32, (3, 32, 32)), ((20, 30), (3, 20, 30)), ("20x30", (3, 20, 30)), ([8, 9], (3, 8, 9))]
)
def test_any_module_is_described_for_the_size_that_is_given(size: Any, shape: tuple[int, int, int]) -> None:
    found = summary(_module(), size=size)
    assert found.model == "Sequential"
    assert found.description.input_shape == shape
    assert found.description.totals.parameters == 3 * 4 * 9 + 4 + 4 * 2 + 2


def test_a_network_of_the_zoo_is_described_as_its_card_has_it_as_module_and_by_name() -> None:
    by_name, module = summary("lenet5"), summary(create_model("lenet5"))
    assert by_name.description == module.description


@pytest.mark.parametrize(
    ("model", "given", "kind", "said"),
    [
        (_module(), {}, ModelError, "Give the size of the images"),
        (_module(), {"size": 32, "classes": 3}, ModelError, "leave classes out"),
        (_module(), {"size": 32, "channels": 1}, ModelError, "cannot process its input"),
        (_module(), {"size": 32.5}, ConfigError, "received 32.5"),
        (_module(), {"size": True}, ConfigError, "received True"),
        (nn.Sequential(nn.LazyLinear(3)), {"size": 8}, ModelError, "is lazy"),
        ("lenet5", {"size": (3,)}, ConfigError, "A size is one number"),
        (5, {}, ModelError, "received 5 .int."),
        (None, {}, ModelError, "received None"),
    ],
)
def test_modules_that_cannot_be_described_are_refused_in_one_sentence(
    model: Any, given: dict[str, Any], kind: type[StriateError], said: str
) -> None:
    with pytest.raises(kind, match=said):
        summary(model, **given)

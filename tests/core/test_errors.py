"""Suggestions for unknown names."""

from __future__ import annotations

import pytest

from striate.core import errors
from striate.core.errors import StriateError, nearest


@pytest.mark.parametrize(
    ("name", "known", "sentence"),
    [
        ("lenet", ["lenet5", "mlp"], "Did you mean 'lenet5'?"),
        ("LENET5", ["lenet5", "mlp"], "Did you mean 'lenet5'?"),
        ("lenet5", ["LeNet5", "mlp"], "Did you mean 'LeNet5'?"),
        ("resnet18", ["resnet50", "resnet101", "resnet18d"], "Did you mean 'resnet18d'?"),
        ("zebra", ["lenet5", "mlp"], "Known are: lenet5, mlp."),
        ("zebra", [], "None is known."),
    ],
)
def test_the_nearest_name_is_offered_or_all_that_are_known(name: str, known: list[str], sentence: str) -> None:
    assert nearest(name, known) == sentence
    assert nearest(name, iter(known)) == sentence


@pytest.mark.parametrize("name", ["ConfigError", "DataError", "ModelError", "RunError", "TrainingError"])
def test_every_users_mistake_is_a_striate_error_whose_text_is_its_message(name: str) -> None:
    kind = getattr(errors, name)
    assert issubclass(kind, StriateError)
    assert str(kind("One sentence.")) == "One sentence."

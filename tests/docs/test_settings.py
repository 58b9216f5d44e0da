"""Every setting is documented at its type, from where the reference page takes it."""

from __future__ import annotations

import inspect
import re
from dataclasses import fields

import pytest
import torch
from listings import options, recipes

from striate.core.config import from_json, to_json
from striate.core.registry import Registered
from striate.data.augmentation.augmentations import Augmentation
from striate.data.loading.sampling import Sampling
from striate.data.preparation.measure import InputSettings
from striate.runs.recipe import Recipe, StopSettings
from striate.runs.transfer import Transfer
from striate.training import LOSSES, Loss, OptimizerSettings, Schedule


@pytest.mark.parametrize("kind", [Loss, OptimizerSettings, Schedule, Sampling, Augmentation, Transfer])
def test_every_option_of_everything_registered_is_documented_and_has_a_default(kind: type[Registered]) -> None:
    for member in kind.registry.values():
        assert inspect.getdoc(member)
        assert from_json(kind, to_json(member())) == member()
        assert [option.name for option in options(member) if option.about] == [field.name for field in fields(member)]


@pytest.mark.parametrize("kind", [Recipe, InputSettings, StopSettings])
def test_every_setting_of_a_recipe_is_documented(kind: type) -> None:
    assert all(option.about for option in options(kind))


def test_the_example_of_a_loss_of_ones_own_works_as_it_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LOSSES, "_entries", dict(LOSSES._entries))
    found = re.search(r"```py\n(.*)^striate\.train.*?```", recipes(), re.MULTILINE | re.DOTALL)
    assert found is not None
    exec(found[1], {"__name__": "__main__"})
    loss = from_json(Loss, {"name": "poly", "epsilon": 1})
    assert loss(torch.zeros(2, 4), torch.tensor([0, 1])).item() == pytest.approx(0.75 + 1.386294, rel=1e-5)

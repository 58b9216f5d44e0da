"""Every method of attribution can be checked, on a net that suits them all."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from promises.explained import SHORT
from striate.explaining import METHODS

FEWER: dict[str, dict[str, Any]] = {**SHORT, "occlusion": {"patch": 4}, "rise": {"masks": 20}}


@pytest.fixture(scope="module")
def model() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        *(nn.Conv2d(3, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU(inplace=True), nn.MaxPool2d(2)),
        *(nn.Conv2d(6, 8, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 3)),
    )


@pytest.mark.usefixtures("few_orders")
@pytest.mark.parametrize("name", METHODS)
def test_every_method_can_be_checked(name: str, model: nn.Module) -> None:
    images = torch.randn(2, 3, 14, 12, generator=torch.Generator().manual_seed(0))
    check = METHODS[name].function(model, images, **FEWER.get(name, {})).check("30min")
    assert check.method == name
    assert check.skipped == ()
    assert check.randomisation is not None
    assert check.deletions is not None
    assert [depth.layers for depth in check.depths] == [1, 2, 3, 4]
    assert (check.residue is not None) == METHODS[name].additive
    assert all(-1 <= depth.rank <= 1 and -1 <= depth.structure <= 1 for depth in check.depths)

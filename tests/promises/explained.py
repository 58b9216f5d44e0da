"""Every method on a network: a finite map as large as the image or a sentence, and the network as it was found."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import Tensor, nn

from promises.found import state
from striate.core.errors import StriateError
from striate.explaining import METHODS, Attribution

# As little work as a promise needs.
SHORT: dict[str, dict[str, Any]] = {
    "expected_gradients": {"samples": 8},
    "integrated_gradients": {"most_steps": 8},
    "occlusion": {"patch": 8},
    "rise": {"masks": 8},
    "smoothgrad": {"samples": 4},
}


def explain(method: str, model: nn.Module, images: Tensor, target: Any = None) -> Attribution:
    return METHODS[method].function(model, images, target, **SHORT.get(method, {}))


def it_is_explained(network: nn.Module, images: Tensor, method: str) -> str:
    """Nothing, or why not: the method's sentence, which only one that needs something of a network may say."""
    before, refusal = state(network), ""
    try:
        found = explain(method, network, images)
    except StriateError as error:
        refusal = str(error)
    else:
        assert found.map().shape == (len(images), *images.shape[2:])
        assert np.isfinite(found.values).all()
    assert METHODS[method].needs or not refusal, refusal
    assert state(network) == before
    return refusal

"""torchvision's, with its auxiliary classifier, which wants images of 299×299."""

from __future__ import annotations

from typing import Any

import torchvision
from torch import Tensor

from judges.parity import Judge


def _theirs(network: Any, pictures: Tensor) -> Tensor | tuple[Tensor, ...]:
    if not network.training:
        return network(pictures)
    given = network(pictures)
    return given.logits, given.aux_logits


JUDGES = (
    Judge(
        "inception_v3",
        "torchvision",
        lambda: torchvision.models.inception_v3(aux_logits=True, init_weights=False),
        auxiliary=True,
        theirs=_theirs,
    ),
)

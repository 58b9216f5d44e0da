"""torchvision has the form with batch norm, auxiliary classifiers included; no library has the paper's own."""

from __future__ import annotations

from typing import Any

import torchvision
from torch import Tensor

from judges.parity import Judge


def _theirs(network: Any, pictures: Tensor) -> Tensor | tuple[Tensor, ...]:
    if not network.training:
        return network(pictures)
    given = network(pictures)
    return given.logits, given.aux_logits1, given.aux_logits2


JUDGES = (
    Judge(
        "googlenet_bn",
        "torchvision",
        lambda: torchvision.models.googlenet(aux_logits=True, init_weights=False),
        shape=(3, 121, 94),
        auxiliary=True,
        theirs=_theirs,
    ),
)

"""ResNets for CIFAR-10 by Yerlan Idelbayev: https://github.com/akamaster/pytorch_resnet_cifar10.

They are trained as in section 4.2 of the paper, with shortcuts of option A. The input is RGB from 0 to 1, minus the
mean (0.485, 0.456, 0.406), divided by (0.229, 0.224, 0.225).
"""

from __future__ import annotations

from striate.core.spec import RGB, InputSpec
from striate.models.weights.dialects.dialect import Dialect, Rules

_CIFAR10 = InputSpec(channels=RGB, height=32, width=32, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))

IDELBAYEV = Dialect(
    "idelbayev",
    "pytorch_resnet_cifar10",
    {
        r"resnet(20|32|44|56|110|1202)": Rules(
            ours=((r"^stage(\d)\.block(\d+)", "layer<1>.<2-1>"), (r"\bnorm", "bn"), (r"^fc\.", "linear.")),
            input=_CIFAR10,
        )
    },
)

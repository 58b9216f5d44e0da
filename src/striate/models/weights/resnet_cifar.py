"""ResNets for CIFAR-10 by Yerlan Idelbayev: https://github.com/akamaster/pytorch_resnet_cifar10.

They are trained as in section 4.2 of the paper, with shortcuts of option A. The files hold the tensors under the key
"state_dict". The input is RGB from 0 to 1, minus the mean (0.485, 0.456, 0.406), divided by (0.229, 0.224, 0.225).
"""

from __future__ import annotations

import re

from striate.models.weights.load import meant_for


@meant_for("resnet_cifar")
def resnet_cifar(name: str) -> str:
    """Return the path in Striate's model for the name of a tensor.

    >>> resnet_cifar("module.layer3.0.bn2.running_var")
    'stage3.block1.norm2.running_var'
    """
    name = name.removeprefix("module.").replace("linear.", "fc.").replace("bn", "norm")
    return re.sub(r"^layer(\d)\.(\d+)", lambda found: f"stage{found[1]}.block{int(found[2]) + 1}", name)

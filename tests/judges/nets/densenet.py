"""torchvision, and for the paper's 264 layers torchvision's and timm's parts with its numbers.

The network for CIFAR is torchvision's with three blocks, behind a single 3×3 convolution instead of the large stem.
"""

import timm
import torchvision
from timm.models.densenet import DenseNet as TimmDenseNet
from torch import nn
from torchvision.models import DenseNet

from judges.parity import Judge


def _cifar() -> nn.Module:
    network = DenseNet(12, (16, 16, 16), 24, num_classes=10)  # pyright: ignore[reportArgumentType]
    network.features.conv0 = nn.Conv2d(3, 24, 3, padding=1, bias=False)
    for large in ("norm0", "relu0", "pool0"):
        setattr(network.features, large, nn.Identity())
    return network


JUDGES = (
    Judge("densenet_bc100_12", "torchvision", _cifar),
    Judge("densenet121", "torchvision", lambda: torchvision.models.densenet121()),
    Judge("densenet121", "timm", lambda: timm.create_model("densenet121")),
    Judge("densenet169", "torchvision", lambda: torchvision.models.densenet169()),
    Judge("densenet201", "torchvision", lambda: torchvision.models.densenet201()),
    Judge("densenet264", "torchvision", lambda: DenseNet(32, (6, 12, 64, 48), 64)),
    Judge("densenet264", "timm", lambda: TimmDenseNet(block_config=(6, 12, 64, 48))),
)

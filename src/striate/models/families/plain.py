"""The plain twins of the ResNets: the same layers without the shortcuts, for the experiment that ResNet began with.

He, Zhang, Ren and Sun, "Deep residual learning for image recognition", CVPR 2016, arXiv:1512.03385, sections 3.3, 4.1
and 4.2: plain nets get worse with depth, on the training data too (figures 1, 4 left, 6 left), and their twins do not.

Everything but the missing sums is the ResNet's: batch norm after each convolution, He's initial weights. A twin has its
ResNet's parameters exactly where that has shortcuts without any (option A, CIFAR-10); on ImageNet the registered
ResNets have 1×1 convolutions in three shortcuts (option B) as well.
"""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn

from striate.models._stages import Block
from striate.models._zoo import register_family
from striate.models.families.resnet import ResNet
from striate.models.families.resnet_cifar import CifarResNet


class PlainBlock(Block):
    """Two 3×3 convolutions, each with batch norm and ReLU (figure 3, middle)."""

    last = "relu2"

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        self.outputs = width
        self.conv1 = nn.Conv2d(inputs, width, 3, stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(width)
        self.relu1 = nn.ReLU()
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(width)
        self.relu2 = nn.ReLU()

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n k y x"]:
        x = self.relu1(self.norm1(self.conv1(x)))
        return self.relu2(self.norm2(self.conv2(x)))


IMAGENET = {
    "plain18": dict(make_block=PlainBlock, blocks=(2, 2, 2, 2)),
    "plain34": dict(make_block=PlainBlock, blocks=(3, 4, 6, 3)),
}
CIFAR = {
    "plain20": dict(make_block=PlainBlock, layers=20),
    "plain32": dict(make_block=PlainBlock, layers=32),
    "plain44": dict(make_block=PlainBlock, layers=44),
    "plain56": dict(make_block=PlainBlock, layers=56),
    "plain110": dict(make_block=PlainBlock, layers=110),
}
register_family("plain", ResNet, IMAGENET)
register_family("plain", CifarResNet, CIFAR)

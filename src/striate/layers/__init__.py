"""Blocks of networks that are useful on their own.

Layers that torch has are used, not wrapped: `nn.Conv1d`, `nn.Conv2d`, `nn.Conv3d` with `padding_mode="zeros"` or
"replicate" and, for a stride of one, `padding="same"`; `groups=channels` makes them depthwise; `nn.ConvTranspose2d` and
its like; `nn.MaxPool2d`, `nn.AvgPool2d`; `nn.AdaptiveMaxPool2d(1)` for a global maximum; `nn.BatchNorm2d`,
`nn.Dropout`. This package has those that it lacks, or has in another form than the papers.
"""

from striate.layers.attention import SqueezeExcitation as SqueezeExcitation
from striate.layers.constraint import MaxNormConv2d as MaxNormConv2d
from striate.layers.constraint import MaxNormLinear as MaxNormLinear
from striate.layers.conv import Conv2dSame as Conv2dSame
from striate.layers.conv import Pointwise as Pointwise
from striate.layers.conv import SeparableConv2d as SeparableConv2d
from striate.layers.inception import Branches as Branches
from striate.layers.inception import Concat as Concat
from striate.layers.init import dirac_ as dirac_
from striate.layers.init import he_ as he_
from striate.layers.init import normal_ as normal_
from striate.layers.init import truncated_normal_ as truncated_normal_
from striate.layers.init import whiten_ as whiten_
from striate.layers.init import xavier_ as xavier_
from striate.layers.norm import LayerNorm2d as LayerNorm2d
from striate.layers.norm import LocalResponseNorm as LocalResponseNorm
from striate.layers.pooling import AvgPool2dSame as AvgPool2dSame
from striate.layers.pooling import GlobalAveragePool as GlobalAveragePool
from striate.layers.pooling import MaxPool2dSame as MaxPool2dSame
from striate.layers.residual import Add as Add
from striate.layers.residual import LayerScale as LayerScale
from striate.layers.residual import StochasticDepth as StochasticDepth

"""timm has the large network, Keras the mobile one.

TensorFlow's rule, which the authors' code follows, takes a mean over the pixels inside the map and lets nothing from
outside win a maximum. timm counts zeros from outside where a mean has a stride, Keras in every pooling of a reduction
cell. Both are built here with poolings by TensorFlow's rule. Keras's mobile network refuses to work on torch, so its
inner function is called.
"""

from collections.abc import Sequence
from typing import Any
from unittest import mock

import keras
import timm
import torch
from keras.src.applications import nasnet
from timm.layers.pool2d_same import AvgPool2dSame
from torch import Tensor, nn

from judges.parity import Judge


class _Pool(keras.Layer):
    """A 3×3 pooling of (n, h, w, c) by TensorFlow's rule: padded, pooled, and a mean corrected for what was padded."""

    def __init__(self, kind: str, stride: int, name: str | None = None) -> None:
        super().__init__(name=name)
        self.kind, self.stride = kind, stride

    def call(self, x: Any) -> Any:
        if self.kind == "max":
            return keras.ops.max_pool(self._padded(x, -float("inf")), 3, self.stride, "valid")
        inside = keras.ops.average_pool(self._padded(keras.ops.ones_like(x), 0.0), 3, self.stride, "valid")
        total = keras.ops.average_pool(self._padded(x, 0.0), 3, self.stride, "valid")
        return keras.ops.divide(total, inside)

    def _padded(self, x: Any, value: float) -> Any:
        ends = []
        for side in x.shape[1:3]:
            total = (-(-side // self.stride) - 1) * self.stride + 3 - side
            ends.append((total // 2, total - total // 2))
        return keras.ops.pad(x, ((0, 0), *ends, (0, 0)), constant_values=value)


class _Norm(keras.layers.BatchNormalization):
    """Batch norm in use, in the precision of what it is given: Keras's own turns float64 into float32."""

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        if training:
            return super().call(inputs, training=training, mask=mask)
        factor: Any = keras.ops.divide(self.gamma, keras.ops.sqrt(keras.ops.add(self.moving_variance, self.epsilon)))
        return (inputs - self.moving_mean) * factor + self.beta


class _Layers:
    """Keras's layers, with those above; what it pads before a pooling, the pooling pads itself."""

    def __getattr__(self, name: str) -> Any:
        return getattr(keras.layers, name)

    def BatchNormalization(self, **settings: Any) -> keras.Layer:  # noqa: N802
        return _Norm(**settings)

    def ZeroPadding2D(self, *args: Any, name: str = "", **settings: Any) -> keras.Layer:  # noqa: N802
        if name.startswith("reduction_pad"):
            return keras.layers.Identity(name=name)
        return keras.layers.ZeroPadding2D(*args, name=name or None, **settings)

    def MaxPooling2D(self, size: Sequence[int], strides: Sequence[int], padding: str, name: str) -> keras.Layer:  # noqa: N802
        return _Pool("max", strides[0], name)

    def AveragePooling2D(self, size: Sequence[int], strides: Sequence[int], padding: str, name: str) -> keras.Layer:  # noqa: N802
        if tuple(size) == (1, 1):
            return keras.layers.AveragePooling2D(size, strides, padding, name=name)
        return _Pool("average", strides[0], name)


def _mobile() -> Any:
    build: Any = nasnet.NASNet
    with mock.patch.object(nasnet, "layers", _Layers()):
        return build(
            (224, 224, 3),
            penultimate_filters=1056,
            num_blocks=4,
            stem_block_filters=32,
            skip_reduction=False,
            filter_multiplier=2,
            weights=None,
            classifier_activation=None,
            default_size=224,
        )


class _Inside(nn.Module):
    """timm's mean with zeros from outside, divided by how much of its window lies inside."""

    def __init__(self, pool: nn.Module) -> None:
        super().__init__()
        self.pool = pool

    def forward(self, x: Tensor) -> Tensor:
        return self.pool(x) / self.pool(torch.ones_like(x[:1, :1]))


def _large() -> nn.Module:
    network = timm.create_model("nasnetalarge")
    for path, module in [*network.named_modules()]:
        if isinstance(module, AvgPool2dSame):
            parent, _, name = path.rpartition(".")
            setattr(network.get_submodule(parent), name, _Inside(module))
    return network


# timm fits the second stem cell's inputs in the other order.
_SECOND_STEM = {
    "cell_stem_1.conv_1x1.conv": "cells.stem2.fit.conv",
    "cell_stem_1.conv_1x1.bn": "cells.stem2.fit.norm",
    "cell_stem_1.path_1.conv": "cells.stem2.fit_previous.even",
    "cell_stem_1.path_2.conv": "cells.stem2.fit_previous.odd",
    "cell_stem_1.final_path_bn": "cells.stem2.fit_previous.norm",
}

JUDGES = (
    Judge("nasnet_mobile", "keras", _mobile, double=True),
    Judge("nasnet_large", "timm", _large, rename=_SECOND_STEM),
)

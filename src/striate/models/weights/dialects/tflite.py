"""MobileNet v2 from TensorFlow Lite: batch norms are folded, and one class is the background.

https://github.com/tensorflow/models/tree/master/research/slim/nets/mobilenet. The tensors are named by the number of
their operation, `op00.weight`, `op00.bias`, `op01.weight` …; operations without weights have numbers too. The classes
are the background and the 1,000 classes of ImageNet, in their order.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from striate.core.errors import ModelError
from striate.core.spec import RGB, InputSpec
from striate.models._zoo import Network
from striate.models.weights.dialects.dialect import Dialect, Rules

# TensorFlow's bilinear filter is not widened when it shrinks an image.
MOBILENET_V2_INPUT = InputSpec(
    channels=RGB, height=224, width=224, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5), antialias=False
)


def _unfolded(tensors: Mapping[str, Tensor], network: Network) -> Mapping[str, Tensor]:
    """Return the tensors by the paths of `network`.

    Convolutions have the same order in both models, the classifier last. The norms of the source are folded into its
    weights and biases, so the norms of `network` receive the bias, a factor of 1, and statistics that divide by 1. If
    `network` has one output less, the background is left out.

    Raises:
        ModelError: a layer has no bias.
    """
    theirs = [name.removesuffix(".weight") for name in sorted(tensors) if name.endswith(".weight")]
    convolutions = [path for path, module in network.named_modules() if isinstance(module, nn.Conv2d)]
    norms = [(path, module) for path, module in network.named_modules() if isinstance(module, nn.BatchNorm2d)]
    if len(theirs) - 1 != len(convolutions) or not all(name.startswith("op") for name in theirs):
        return tensors  # the comparison of names raises the error
    missing = [f"{name}.bias" for name in theirs if f"{name}.bias" not in tensors]
    if missing:
        raise ModelError(
            f"These weights have no {missing[0]!r}: folded norms leave a bias in every layer. Take the weights of the "
            f"TensorFlow Lite model."
        )
    carried: dict[str, Tensor] = {}
    for name, convolution, (norm, module) in zip(theirs[:-1], convolutions, norms, strict=True):
        bias = tensors[f"{name}.bias"]
        carried |= {
            f"{convolution}.weight": tensors[f"{name}.weight"],
            f"{norm}.weight": torch.ones_like(bias),
            f"{norm}.bias": bias,
            f"{norm}.running_mean": torch.zeros_like(bias),
            f"{norm}.running_var": torch.full_like(bias, 1 - module.eps),
        }
    weight, bias = tensors[f"{theirs[-1]}.weight"].flatten(1), tensors[f"{theirs[-1]}.bias"]
    first = 1 if network.get_submodule(network.head).out_features == len(bias) - 1 else 0
    return carried | {f"{network.head}.weight": weight[first:], f"{network.head}.bias": bias[first:]}


TFLITE = Dialect(
    "tflite",
    "TensorFlow Lite",
    {r"mobilenet_v2(_\d+)?": Rules(prepare=_unfolded, input=MOBILENET_V2_INPUT)},
)

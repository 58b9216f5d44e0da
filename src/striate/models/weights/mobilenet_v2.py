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
from striate.models.weights.state import tensors_of

# TensorFlow's bilinear filter is not widened when it shrinks an image.
MOBILENET_V2_INPUT = InputSpec(
    channels=RGB, height=224, width=224, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5), antialias=False
)


def mobilenet_v2_folded(state: Mapping[str, Tensor], network: nn.Module) -> dict[str, Tensor]:
    """Return the tensors by the paths of `network`, Striate's `mobilenet_v2`, for `load_weights`.

    Convolutions have the same order in both models, the classifier last. The norms of the source are folded into its
    weights and biases, so the norms of `network` receive the bias, a factor of 1, and statistics that divide by 1. If
    `network` has one output less, the background is left out.

    Raises:
        ModelError: the number of convolutions differs from that of the model, or one has no bias.
    """
    state = tensors_of(state)
    theirs = [name.removesuffix(".weight") for name in sorted(state) if name.endswith(".weight")]
    convolutions = [path for path, module in network.named_modules() if isinstance(module, nn.Conv2d)]
    norms = [(path, module) for path, module in network.named_modules() if isinstance(module, nn.BatchNorm2d)]
    heads = [(path, module) for path, module in network.named_modules() if isinstance(module, nn.Linear)]
    if not len(theirs) - 1 == len(convolutions) == len(norms) or len(heads) != 1:
        raise ModelError(
            f"These weights are for {len(theirs) - 1} convolutions with norms and a classifier; the network has "
            f"{len(convolutions)} convolutions, {len(norms)} norms and {len(heads)} fully connected layers. "
            f"Build it as mobilenet_v2."
        )
    missing = [f"{name}.bias" for name in theirs if f"{name}.bias" not in state]
    if missing:
        raise ModelError(
            f"These weights have no {missing[0]!r}: folded norms leave a bias in every layer. Take the weights of the "
            f"TensorFlow Lite model."
        )
    carried: dict[str, Tensor] = {}
    for name, convolution, (norm, module) in zip(theirs[:-1], convolutions, norms, strict=True):
        bias = state[f"{name}.bias"]
        carried |= {
            f"{convolution}.weight": state[f"{name}.weight"],
            f"{norm}.weight": torch.ones_like(bias),
            f"{norm}.bias": bias,
            f"{norm}.running_mean": torch.zeros_like(bias),
            f"{norm}.running_var": torch.full_like(bias, 1 - module.eps),
        }
    weight, bias = state[f"{theirs[-1]}.weight"].flatten(1), state[f"{theirs[-1]}.bias"]
    ((head, layer),) = heads
    first = 1 if layer.out_features == len(bias) - 1 else 0
    return carried | {f"{head}.weight": weight[first:], f"{head}.bias": bias[first:]}

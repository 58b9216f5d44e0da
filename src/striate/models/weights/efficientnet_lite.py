"""EfficientNet-Lite by Luke Melas-Kyriazi's names: https://github.com/lukemelas/EfficientNet-PyTorch."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from striate.core.spec import RGB, InputSpec
from striate.models.families.efficientnet import Block
from striate.models.weights.state import tensors_of

EFFICIENTNET_LITE0_INPUT = InputSpec(
    channels=RGB,
    height=224,
    width=224,
    mean=(127 / 255, 127 / 255, 127 / 255),
    std=(128 / 255, 128 / 255, 128 / 255),
    crop=0.875,
    filter="bicubic",
    decode_scale=0.0,
)

_TOP = {
    "_conv_stem": "stem.conv",
    "_bn0": "stem.norm",
    "_conv_head": "top.conv",
    "_bn1": "top.norm",
    "_fc": "fc",
}
_IN_BLOCK = {
    "_expand_conv": "expand.conv",
    "_bn0": "expand.norm",
    "_depthwise_conv": "depthwise.conv",
    "_bn1": "depthwise.norm",
    "_project_conv": "project.conv",
    "_bn2": "project.norm",
}


def efficientnet_lite(state: Mapping[str, Tensor], network: nn.Module) -> dict[str, Tensor]:
    """Return the tensors by the paths of `network`, for `load_weights`. The source numbers all blocks in one row."""
    blocks = [path for path, module in network.named_modules() if isinstance(module, Block)]
    carried = {}
    for name, tensor in tensors_of(state).items():
        first, _, rest = name.partition(".")
        if first == "_blocks":
            number, part, rest = rest.split(".", 2)
            carried[f"{blocks[int(number)]}.{_IN_BLOCK[part]}.{rest}"] = tensor
        else:
            carried[f"{_TOP[first]}.{rest}"] = tensor
    return carried

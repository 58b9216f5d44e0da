"""The EfficientNets of Luke Melas-Kyriazi and networks modelled on them.

Source: https://github.com/lukemelas/EfficientNet-PyTorch. The weights are those of the papers' authors for TensorFlow,
with its padding.
"""

from __future__ import annotations

from striate.core.spec import RGB, InputSpec
from striate.models.weights.dialects.dialect import Dialect, Rules

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

_NAMES = (
    (r"^stages\.stage\d+\.block\d+", "_blocks.<#>"),
    (r"\bexpand\.conv\.", "_expand_conv."),
    (r"\bexpand\.norm\.", "_bn0."),
    (r"\bdepthwise\.conv\.", "_depthwise_conv."),
    (r"\bdepthwise\.norm\.", "_bn1."),
    (r"\bgate\.(reduce|expand)\.", "_se_<1>."),
    (r"\bproject\.conv\.", "_project_conv."),
    (r"\bproject\.norm\.", "_bn2."),
    (r"^stem\.conv\.", "_conv_stem."),
    (r"^stem\.norm\.", "_bn0."),
    (r"^top\.conv\.", "_conv_head."),
    (r"^top\.norm\.", "_bn1."),
    (r"^fc\.", "_fc."),
)

LUKEMELAS = Dialect(
    "lukemelas",
    "EfficientNet-PyTorch",
    {
        r"efficientnet_lite0": Rules(ours=_NAMES, input=EFFICIENTNET_LITE0_INPUT),
        r"efficientnet_lite[1-4]": Rules(ours=_NAMES),
        r"efficientnet_b\d": Rules(ours=_NAMES, padding="same"),
    },
)

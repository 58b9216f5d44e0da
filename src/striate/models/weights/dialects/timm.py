"""timm: https://github.com/huggingface/pytorch-image-models, state dicts of its releases and of its hub.

Weights converted from TensorFlow have names that begin with `tf_`; their padding and epsilon are TensorFlow's. Their
tensors alone do not distinguish them from timm's own.
"""

from __future__ import annotations

from striate.models.weights.dialects.dialect import Dialect, Rules
from striate.models.weights.dialects.torchvision import DENSENET, INCEPTION_V3, NORMS, RESNET, STAGES

_RESNET_D = Rules(
    ours=(
        STAGES,
        (r"^stem\.conv1\.", "conv1.0."),
        (r"^stem\.norm1\.", "conv1.1."),
        (r"^stem\.conv2\.", "conv1.3."),
        (r"^stem\.norm2\.", "conv1.4."),
        (r"^stem\.conv3\.", "conv1.6."),
        (r"^stem\.norm3\.", "bn1."),
        (r"^shrink\.conv\.", "maxpool.0."),  # of ResNet-RS
        (r"^shrink\.norm\.", "maxpool.1."),
        (r"\bgate\.reduce\.", "se.fc1."),
        (r"\bgate\.expand\.", "se.fc2."),
        (r"\bshortcut\.conv\.", "downsample.1."),
        (r"\bshortcut\.norm\.", "downsample.2."),
        NORMS,
    )
)
_RESNET_V2 = Rules(
    ours=(
        (r"^conv1\.", "stem.conv."),
        (r"^stage(\d+)\.block(\d+)", "stages.<1-1>.blocks.<2-1>"),
        (r"\bshortcut\.", "downsample.conv."),
        (r"^fc\.", "head.fc."),
    )
)
_SENET = Rules(
    ours=(
        (r"^stem\.", "layer0."),
        (r"^stages\.stage(\d)\.block(\d+)", "layer<1>.<2-1>"),
        (r"\bexcitation\.reduce\.", "se_module.fc1."),
        (r"\bexcitation\.expand\.", "se_module.fc2."),
        (r"\bshortcut\.conv\.", "downsample.0."),
        (r"\bshortcut\.norm\.", "downsample.1."),
        NORMS,
        (r"^fc\.", "last_linear."),
    )
)
_INCEPTION_V4 = Rules(
    ours=((r"^.*(?=\.(conv|norm)\.\w+$)", "unit<#>"), (r"\bnorm\.", "bn."), (r"^fc\.", "last_linear.")),
    theirs=((r"^.*(?=\.(conv|bn)\.\w+$)", "unit<#>"),),
)
# In the order in which the network uses them; `linear` are the convolutions with a bias instead of a norm.
_INCEPTION_RESNET = Rules(
    ours=(
        (r"^.*\.linear\.", "linear<#>."),
        (r"^.*(?=\.(conv|norm)\.\w+$)", "unit<#>"),
        (r"\bnorm\.", "bn."),
        (r"^fc\.", "classif."),
    ),
    theirs=(
        (r"^conv2d_(?=[1-4])", "a."),
        (r"^mixed_5b\.", "b."),
        (r"^repeat\.", "c."),
        (r"^mixed_6a\.", "d."),
        (r"^repeat_1\.", "e."),
        (r"^mixed_7a\.", "f."),
        (r"^repeat_2\.", "g."),
        (r"^block8\.", "h."),
        (r"^conv2d_7b\.", "i."),
        (r"^[cegh]\..*?conv2d\.|^h\.conv2d\.", "linear<#>."),
        (r"^.*(?=\.(conv|bn)\.\w+$)|^i(?=\.)", "unit<#>"),
    ),
)
_XCEPTION = Rules(
    ours=(
        (r"^entry\.block(\d)\.shortcut\.", "block<1>.shortcut."),
        (r"^exit\.block\.shortcut\.", "block12.shortcut."),
        (r"\bshortcut\.conv\.", "skip."),
        (r"\bshortcut\.norm\.", "skipbn."),
        (r"^.*\.branch\.conv\d", "separable<#>"),
        (r"^.*\.branch\.norm\d", "line<#>"),
        (r"^entry\.", ""),
        (r"^exit\.conv(\d)\.", "conv<1+2>."),
        (r"^exit\.norm(\d)\.", "bn<1+2>."),
        (r"\bdepthwise\.", "conv1."),
        (r"^norm(?=[12]\.)", "bn"),
    ),
    theirs=(
        (r"^.*\.rep\.\d+(?=\.(conv1|pointwise)\.)", "separable<#>"),
        (r"^.*\.rep\.\d+(?=\.)", "line<#>"),
    ),
    epsilon=1e-5,
    padding="symmetric",
)
_CONVNEXT = Rules(
    ours=(
        (r"^stem\.conv\.", "stem.0."),
        (r"^stem\.norm\.", "stem.1."),
        (r"^stages\.stage(\d)\.block(\d+)", "stages.<1-1>.blocks.<2-1>"),
        (r"^stages\.stage(\d)\.norm\.", "stages.<1-1>.downsample.0."),
        (r"^stages\.stage(\d)\.shrink\.", "stages.<1-1>.downsample.1."),
        (r"\bdepthwise\.", "conv_dw."),
        (r"\bexpand\.", "mlp.fc1."),
        (r"\bproject\.", "mlp.fc2."),
        (r"\bscale\.weight$", "gamma"),
        (r"^norm\.", "head.norm."),
        (r"^fc\.", "head.fc."),
    )
)
_BLOCKS = (r"^blocks\.\d+\.\d+", "block<#>")
_OUR_BLOCKS = (r"^stages\.stage\d+\.block\d+", "block<#>")
_STEM_AND_TOP = (
    (r"^(stem\.conv|conv1|conv)\.", "conv_stem."),
    (r"^(stem\.norm|norm1|norm)\.", "bn1."),
    (r"^(top\.conv|conv2)\.", "conv_head."),
    (r"^(top\.norm|norm2)\.", "bn2."),
    (r"^fc\.", "classifier."),
)
# Blocks of the first stage have no expansion.
_FIRST_STAGE = (
    (r"^(stages\.stage1\..*)\.depthwise(\.conv)?\.(?!norm)", "<1>.conv_dw."),
    (r"^(stages\.stage1\..*)\.(depthwise\.norm|norm1)\.", "<1>.bn1."),
    (r"^(stages\.stage1\..*)\.project(\.conv)?\.(?!norm)", "<1>.conv_pw."),
    (r"^(stages\.stage1\..*)\.(project\.norm|norm2)\.", "<1>.bn2."),
)
_ALL_STAGES = (
    (r"\bgate\.(reduce|expand)\.", "se.conv_<1>."),
    (r"\bexpand\.conv\.", "conv_pw."),
    (r"\bexpand\.norm\.", "bn1."),
    (r"\bdepthwise(\.conv)?\.(?!norm)", "conv_dw."),
    (r"\b(depthwise\.norm|norm1)\.", "bn2."),
    (r"\bproject(\.conv)?\.(?!norm)", "conv_pwl."),
    (r"\b(project\.norm|norm2)\.", "bn3."),
    _OUR_BLOCKS,
)
_INVERTED = (*_STEM_AND_TOP, *_FIRST_STAGE, *_ALL_STAGES)
_FUSED = (
    (r"^(stages\.stage1\..*)\.expand\.conv\.", "<1>.conv."),
    (r"^(stages\.stage[23]\..*)\.expand\.conv\.", "<1>.conv_exp."),
    (r"^(stages\.stage[23]\..*)\.project\.norm\.", "<1>.bn2."),
    *_STEM_AND_TOP,
    *_ALL_STAGES,
)
_MOBILENET_V1 = (
    *_STEM_AND_TOP,
    (r"\bdepthwise\.", "conv_dw."),
    (r"\bpointwise\.", "conv_pw."),
    NORMS,
    _OUR_BLOCKS,
)
_VGG = Rules(
    ours=(
        (r"^features\.\w+", "features.<i>"),
        (r"^fc6\.", "pre_logits.fc1."),
        (r"^fc7\.", "pre_logits.fc2."),
        (r"^fc8\.", "head.fc."),
    )
)

TIMM = Dialect(
    "timm",
    "timm",
    {
        r"resnet(18|34|50|101|152|200)|resnext(50_32x4d|101_32x4d|101_32x8d|101_64x4d)|wide_resnet50_2": RESNET,
        r"resnet\d+d|resnet_rs\d+": _RESNET_D,
        r"resnet(50|101|152|200)_v2": _RESNET_V2,
        r"se_resnet\d+|se_resnext\d+_32x4d|senet154": _SENET,
        r"densenet(121|169|201|264)": DENSENET,
        r"inception_v3": INCEPTION_V3,
        r"inception_v4": _INCEPTION_V4,
        r"inception_resnet_v2": _INCEPTION_RESNET,
        r"vgg(11|13|16|19)(_bn)?": _VGG,
        r"xception": _XCEPTION,
        r"convnext_(tiny|small|base|large)": _CONVNEXT,
        r"mobilenet_v1(_\d+)?": Rules(ours=_MOBILENET_V1, theirs=(_BLOCKS,), epsilon=1e-5, padding="symmetric"),
        r"mobilenet_v2(_\d+)?": Rules(ours=_INVERTED, theirs=(_BLOCKS,), epsilon=1e-5, padding="symmetric"),
        r"efficientnet_b\d": Rules(ours=_INVERTED, theirs=(_BLOCKS,), epsilon=1e-5),
    },
)
TENSORFLOW = Dialect(
    "tensorflow",
    "TensorFlow, by timm",
    {
        r"efficientnet_lite\d": Rules(ours=_INVERTED, theirs=(_BLOCKS,)),
        r"efficientnet_b\d": Rules(ours=_INVERTED, theirs=(_BLOCKS,), padding="same", source=r"\btf_"),
        r"efficientnet_v2_(s|m|l|b\d)": Rules(ours=_FUSED, theirs=(_BLOCKS,), padding="same"),
    },
)

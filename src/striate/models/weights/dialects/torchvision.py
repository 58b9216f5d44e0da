"""torchvision: https://github.com/pytorch/vision, state dicts as its `weights=` arguments load them."""

from __future__ import annotations

from dataclasses import replace

from striate.models.weights.dialects.dialect import Dialect, Rules

STAGES = (r"^stage(\d+)\.block(\d+)", "layer<1>.<2-1>")
NORMS = (r"\bnorm(?=\d)", "bn")
RESNET = Rules(ours=(STAGES, (r"\bshortcut\.", "downsample."), NORMS))
DENSENET = Rules(
    ours=(
        (r"^stem\.(conv|norm)", "features.<1>0"),
        (r"^blocks\.block(\d+)\.layer(\d+)", "features.denseblock<1>.denselayer<2>"),
        (r"^blocks\.", "features."),
        (r"^norm\.", "features.norm5."),
        (r"^fc\.", "classifier."),
    ),
    theirs=((r"\b(norm|conv)\.(\d)\.", "<1><2>."),),  # files of 2017
)
INCEPTION_V3 = Rules(
    ours=(
        (r"^auxiliary\.b4\.reduce\.", "AuxLogits.conv0."),
        (r"^auxiliary\.b4\.conv\.", "AuxLogits.conv1."),
        (r"^auxiliary\.b4\.", "AuxLogits."),
        (r"^(early|late).*(?=\.(conv|norm)\.\w+$)", "unit<#>"),
        (r"\bnorm\.", "bn."),
    ),
    theirs=(
        (r"\bbranch5x5", "branch2x5"),  # before the 3×3 branches, as it is defined
        (r"^(Conv2d|Mixed).*(?=\.(conv|bn)\.\w+$)", "unit<#>"),
    ),
    unused="^AuxLogits",  # networks for small images have no auxiliary classifiers
    optional="^auxiliary",
)

_GOOGLENET = Rules(
    ours=(
        (r"^features\.", ""),
        (r"\bbranch1x1\.", "branch1."),
        (r"\bbranch3x3\.reduce\.", "branch2.0."),
        (r"\bbranch3x3\.conv\.", "branch2.1."),
        (r"\bbranch5x5\.reduce\.", "branch3.0."),
        (r"\bbranch5x5\.conv\.", "branch3.1."),
        (r"\bpool\.project\.", "branch4.1."),
        (r"^auxiliary\.inception4[ad]\.", "aux<#+1>."),
        (r"^aux(\d)\.reduce\.", "aux<1>.conv."),
        (r"\bnorm\.", "bn."),
    ),
    unused=r"^aux\d",
    optional="^auxiliary",
)
_CONVNEXT = Rules(
    ours=(
        (r"^stem\.conv\.", "features.0.0."),
        (r"^stem\.norm\.", "features.0.1."),
        (r"^stages\.stage\d\.block\d+\.", "block<#>."),
        (r"^stages\.stage\d\.(?=norm|shrink)", "downsample<#>."),
        (r"^(downsample\d\.)norm\.", "<1>0."),
        (r"^(downsample\d\.)shrink\.", "<1>1."),
        (r"\bdepthwise\.", "block.0."),
        (r"^(block\d+)\.norm\.", "<1>.block.2."),
        (r"\bexpand\.", "block.3."),
        (r"\bproject\.", "block.5."),
        (r"\bscale\.weight$", "layer_scale"),
        (r"^norm\.", "classifier.0."),
        (r"^fc\.", "classifier.2."),
    ),
    theirs=((r"^features\.[1357]\.\d+\.", "block<#>."), (r"^features\.[246]\.", "downsample<#>.")),
)
_EFFICIENTNET = Rules(
    ours=(
        (r"^(stages\..*\.(expand|depthwise|project))(?=\.(conv|norm)\.)", "unit<#>"),
        (r"^stages\..*\.gate\.", "gate<#>."),
        (r"\breduce\.", "fc1."),
        (r"\bexpand\.", "fc2."),
        (r"\bconv\.", "0."),
        (r"\bnorm\.", "1."),
        (r"^fc\.", "classifier.1."),
    ),
    theirs=(
        (r"^features\.\d\.\d+\.block\.\d(?=\.[01]\.)", "unit<#>"),
        (r"^features\.\d\.\d+\.block\.\d\.(?=fc)", "gate<#>."),
        (r"^features\.0\.", "stem."),
        (r"^features\.\d\.", "top."),
    ),
)
_MOBILENET_V2 = (
    (r"^stages\.stage\d+\.block\d+", "features.<#+1>"),
    (r"^features\.1\.depthwise\.", "features.1.conv.0.0."),
    (r"^features\.1\.norm1\.", "features.1.conv.0.1."),
    (r"^features\.1\.project\.", "features.1.conv.1."),
    (r"^features\.1\.norm2\.", "features.1.conv.2."),
    (r"\bexpand\.conv\.", "conv.0.0."),
    (r"\bexpand\.norm\.", "conv.0.1."),
    (r"\bdepthwise\.", "conv.1.0."),
    (r"(?<=\d\.)norm1\.", "conv.1.1."),
    (r"\bproject\.", "conv.2."),
    (r"(?<=\d\.)norm2\.", "conv.3."),
    (r"^conv1\.", "features.0.0."),
    (r"^norm1\.", "features.0.1."),
    (r"^conv2\.", "features.18.0."),
    (r"^norm2\.", "features.18.1."),
    (r"^fc\.", "classifier.1."),
)
_ONE_AFTER_THE_OTHER = (r"^features\.\w+", "features.<i>")  # torchvision numbers the modules of a Sequential


def _classifier(**numbers: int) -> tuple[tuple[str, str], ...]:
    return tuple((rf"^{layer}\.", f"classifier.{number}.") for layer, number in numbers.items())


TORCHVISION = Dialect(
    "torchvision",
    "torchvision",
    {
        r"alexnet": Rules(ours=(_ONE_AFTER_THE_OTHER, *_classifier(fc6=1, fc7=4, fc8=6))),
        r"vgg(11|13|16|19)(_bn)?": Rules(ours=(_ONE_AFTER_THE_OTHER, *_classifier(fc6=0, fc7=3, fc8=6))),
        r"squeezenet1_[01]": Rules(ours=(_ONE_AFTER_THE_OTHER, *_classifier(conv10=1))),
        r"resnet(18|34|50|101|152)|resnext(50_32x4d|101_32x8d|101_64x4d)|wide_resnet50_2": RESNET,
        r"resnet152_stochastic_depth": RESNET,
        r"densenet(121|169|201|264)": DENSENET,
        r"googlenet_bn": _GOOGLENET,
        r"inception_v3": INCEPTION_V3,
        r"mobilenet_v2(_\d+)?": Rules(ours=_MOBILENET_V2, epsilon=1e-5, padding="symmetric"),
        r"efficientnet_b[0-4]": replace(_EFFICIENTNET, epsilon=1e-5),
        r"efficientnet_b[5-7]|efficientnet_v2_[sml]": _EFFICIENTNET,
        r"convnext_(tiny|small|base|large)": _CONVNEXT,
    },
)

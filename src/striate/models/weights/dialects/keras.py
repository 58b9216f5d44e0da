"""Keras: weights of `keras.applications` and of networks modelled on them, by the names of their layers.

Layers without a name of their own are numbered in the order in which the model's code creates them. Weights that were
converted from Caffe are fed BGR from 0 to 255 minus a mean.
"""

from __future__ import annotations

from dataclasses import replace

from striate.core.spec import RGB, InputSpec
from striate.models.weights.dialects.caffe import SQUEEZENET_INPUT
from striate.models.weights.dialects.dialect import Dialect, Rules
from striate.models.weights.dialects.layouts import KERAS as LAYOUT

CAFFE_INPUT = replace(
    SQUEEZENET_INPUT, height=224, width=224, mean=(103.939 / 255, 116.779 / 255, 123.68 / 255), crop=0.875
)
_TENSORFLOW_INPUT = InputSpec(
    channels=RGB, height=224, width=224, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5), crop=0.875
)
_TORCH_INPUT = replace(_TENSORFLOW_INPUT, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
_HEAD = (r"^fc/", "predictions/")

_SQUEEZENET = ((r"^features\.", ""), (r"(fire\d)\.squeeze\b", "<1>/squeeze1x1"), (r"(fire\d)\.", "<1>/"))
_RESNET = (
    (r"^conv1/", "conv1_conv/"),
    (r"^norm1/", "conv1_bn/"),
    (r"^stage(\d)\.block(\d+)\.", "conv<1+1>_block<2>_"),
    (r"_conv(\d)/", "_<1>_conv/"),
    (r"_norm(\d)/", "_<1>_bn/"),
    (r"_shortcut\.0/", "_0_conv/"),
    (r"_shortcut\.1/", "_0_bn/"),
    _HEAD,
)
_VGG = (
    (r"^features\.conv(\d)_(\d)/", "block<1>_conv<2>/"),
    (r"^fc6/", "fc1/"),
    (r"^fc7/", "fc2/"),
    (r"^fc8/", "predictions/"),
)
_MOBILENET_V1 = (
    (r"^conv/", "conv1/"),
    (r"^norm/", "conv1_bn/"),
    (r"^fc/", "conv_preds/"),
    (r"^stages\.stage\d+\.block\d+", "block<#+1>"),
    (r"^block(\d+)\.depthwise/", "conv_dw_<1>/"),
    (r"^block(\d+)\.norm1/", "conv_dw_<1>_bn/"),
    (r"^block(\d+)\.pointwise/", "conv_pw_<1>/"),
    (r"^block(\d+)\.norm2/", "conv_pw_<1>_bn/"),
)
_MOBILENET_V2 = (
    (r"^conv1/", "Conv1/"),
    (r"^norm1/", "bn_Conv1/"),
    (r"^conv2/", "Conv_1/"),
    (r"^norm2/", "Conv_1_bn/"),
    (r"^stages\.stage\d+\.block\d+\.", "block_<#>_"),
    (r"^block_0_", "expanded_conv_"),
    (r"_expand\.conv/", "_expand/"),
    (r"_expand\.norm/", "_expand_BN/"),
    (r"_norm1/", "_depthwise_BN/"),
    (r"_norm2/", "_project_BN/"),
    _HEAD,
)
_XCEPTION = (
    (r"^(entry|exit)\.block\d?\.shortcut\.conv/", "conv2d_<#>/"),
    (r"^(entry|exit)\.block\d?\.shortcut\.norm/", "norm_<#>/"),
    (r"^entry\.conv(\d)/", "block1_conv<1>/"),
    (r"^entry\.norm(\d)/", "block1_conv<1>_bn/"),
    (r"^entry\.block(\d)\.branch\.", "block<1+1>_"),
    (r"^middle\.(\d)\.branch\.", "block<1+5>_"),
    (r"^exit\.block\.branch\.", "block13_"),
    (r"^exit\.(?=conv|norm)", "block14_"),
    (r"_conv(\d)\.depthwise/", "_sepconv<1>/"),
    (r"_conv(\d)\.pointwise/kernel", "_sepconv<1>/pointwise_kernel"),
    (r"^(block(?:[2-9]|1\d))_norm(\d)/", "<1>_sepconv<2>_bn/"),
    _HEAD,
)
_DENSENET = (
    (r"^stem\.conv/", "conv1_conv/"),
    (r"^stem\.norm/", "conv1_bn/"),
    (r"^blocks\.block(\d)\.layer(\d+)\.norm(\d)/", "conv<1+1>_block<2>_<3-1>_bn/"),
    (r"^blocks\.block(\d)\.layer(\d+)\.conv(\d)/", "conv<1+1>_block<2>_<3>_conv/"),
    (r"^blocks\.transition(\d)\.norm/", "pool<1+1>_bn/"),
    (r"^blocks\.transition(\d)\.conv/", "pool<1+1>_conv/"),
    (r"^norm/", "bn/"),
    _HEAD,
)
_INCEPTION_RESNET = (
    (r"^stage2\.(\d+)\..*linear/", "block35_<1+1>_conv/"),
    (r"^stage3\.(\d+)\..*linear/", "block17_<1+1>_conv/"),
    (r"^stage4\.(\d+)\..*linear/", "block8_<1+1>_conv/"),
    (r"^stage4\.9\.conv\.conv/", "conv_7b/"),
    (r"^stage4\.9\.conv\.norm/", "conv_7b_bn/"),
    (r"^.*\.conv/", "conv2d_<#>/"),
    (r"^.*\.norm/", "norm_<#>/"),
    _HEAD,
)
_NUMBERED = ((r"^conv2d(_\d+)?/", "conv2d_<#>/"), (r"^batch_normalization(_\d+)?/", "norm_<#>/"))
_EFFICIENTNET = (
    (r"^(stem|top)\.norm/", "<1>_bn/"),
    (r"^(stem|top)\.", "<1>_"),
    (r"^stages\.stage\d+\.block\d+\.", "block<#>_"),
    (r"_gate\.(reduce|expand)/", "_se_<1>/"),
    (r"_(expand|project)\.norm/", "_<1>_bn/"),
    (r"_(expand|project)\.", "_<1>_"),
    (r"_depthwise\.norm/", "_bn/"),
    (r"_depthwise\.conv/", "_dwconv/"),
    _HEAD,
)
# The only convolution of a fused block without an expansion has another name there.
_EFFICIENTNET_V2 = ((r"^(stages\.stage1\..*)\.expand\.", "<1>.project."), *_EFFICIENTNET)
_EFFICIENTNET_BLOCKS = ((r"^block\d[a-z]_", "block<#>_"), (r"_dwconv2/", "_dwconv/"))
_CONVNEXT = (
    (r"^stem\.(conv|norm)/", "stem/"),
    (r"^stages\.stage(\d)\.(norm|shrink)/", "downsampling_block_<1-2>/"),
    (r"^stages\.stage(\d)\.block(\d+)\.", "stage_<1-1>_block_<2-1>_"),
    (r"_depthwise/", "_depthwise_conv/"),
    (r"_norm/", "_layernorm/"),
    (r"_expand/", "_pointwise_conv_1/"),
    (r"_project/", "_pointwise_conv_2/"),
    (r"_scale/", "_layer_scale/"),
    (r"^norm/", "head_layernorm/"),
    (r"^fc/", "head_dense/"),
)
_CONVNEXT_LAYERS = (
    (r"^convnext_[a-z]+_", ""),
    (r"^(stem|downsampling_block_\d)/(?:.*/)?", "<1>/"),
    (r"^stem_(conv|layernorm)/", "stem/"),
    (r"^downsampling_(conv|layernorm)_(\d)/", "downsampling_block_<2>/"),
    (r"_layer_scale/.*$", "_layer_scale/gamma"),
)

# As keras-squeezenet loads images: load_img(path, target_size=(227, 227)), by the nearest pixels.
_SQUEEZENET_INPUT = replace(
    CAFFE_INPUT, height=227, width=227, resize="stretch", crop=1.0, filter="nearest", antialias=False
)

KERAS = Dialect(
    "keras",
    "Keras",
    {
        r"squeezenet1_\d": Rules(ours=_SQUEEZENET, input=_SQUEEZENET_INPUT),
        r"resnet(50|101|152)_2015": Rules(ours=_RESNET, epsilon=1.001e-5, input=CAFFE_INPUT),
        r"vgg(16|19)": Rules(ours=_VGG, flattened={"fc6": 512}, input=CAFFE_INPUT),
        r"mobilenet_v1(_\d+)?": Rules(ours=_MOBILENET_V1, input=_TENSORFLOW_INPUT),
        r"mobilenet_v2(_\d+)?": Rules(ours=_MOBILENET_V2, input=_TENSORFLOW_INPUT),
        r"xception": Rules(
            ours=_XCEPTION,
            theirs=_NUMBERED,
            input=replace(_TENSORFLOW_INPUT, height=299, width=299),
        ),
        r"inception_resnet_v2": Rules(
            ours=_INCEPTION_RESNET,
            theirs=_NUMBERED,
            filled={r"\bnorm\.weight$": 1.0},
            input=replace(_TENSORFLOW_INPUT, height=299, width=299),
        ),
        r"densenet(121|169|201)": Rules(ours=_DENSENET, epsilon=1.001e-5, input=_TORCH_INPUT),
        r"efficientnet_b\d": Rules(
            ours=_EFFICIENTNET,
            theirs=_EFFICIENTNET_BLOCKS,
            unused="^normalization",
            padding="same",
            input=_TORCH_INPUT,
        ),
        r"efficientnet_v2_(s|m|l|b\d)": Rules(
            ours=_EFFICIENTNET_V2, theirs=_EFFICIENTNET_BLOCKS, unused="^normalization", padding="same"
        ),
        r"convnext_(tiny|small|base|large)": Rules(
            ours=_CONVNEXT, theirs=_CONVNEXT_LAYERS, unused="normalization", input=_TORCH_INPUT
        ),
    },
    LAYOUT,
)

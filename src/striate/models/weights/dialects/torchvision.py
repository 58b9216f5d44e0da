"""torchvision: https://github.com/pytorch/vision, state dicts as its `weights=` arguments load them."""

from __future__ import annotations

from striate.models.weights.dialects.dialect import Dialect, Rules

RESNET = Rules(
    ours=(
        (r"^stage(\d+)\.block(\d+)", "layer<1>.<2-1>"),
        (r"\bshortcut\.", "downsample."),
        (r"\bnorm(?=\d)", "bn"),
    )
)

TORCHVISION = Dialect(
    "torchvision",
    "torchvision",
    {
        r"(resnet|resnext)\d+(_\d+x\d+d)?|wide_resnet50_2|resnet152_stochastic_depth": RESNET,
    },
)

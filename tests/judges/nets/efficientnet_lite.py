"""timm's networks for the authors' weights, with TensorFlow's padding. Small images are enough."""

import functools

import timm

from judges.parity import Judge

_small = functools.partial(Judge, library="timm", shape=(3, 96, 64))

JUDGES = tuple(
    _small(f"efficientnet_lite{number}", build=functools.partial(timm.create_model, f"tf_efficientnet_lite{number}"))
    for number in range(5)
)

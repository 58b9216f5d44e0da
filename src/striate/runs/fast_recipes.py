"""Recipes that reach a high accuracy with few operations; each docstring counts them.

A training step takes three times the multiply-accumulates (MACs) of a forward pass, and a MAC is two operations. The
networks pool before they normalize, and their convolutions have no bias in front of a norm.
"""

from __future__ import annotations

from striate.core.duration import Duration
from striate.data.augmentation.augmentations import Flip, Shift
from striate.data.augmentation.geometric import AlternatingFlip
from striate.data.preparation.measure import InputSettings
from striate.runs.initial import Dirac, Whitening
from striate.runs.recipe import Recipe, StopSettings
from striate.runs.resizing import Listed
from striate.training.losses import CrossEntropy
from striate.training.optimizers import SGD, Muon
from striate.training.schedules import OneCycle, Polynomial

_LAST = StopSettings(keep="last")


def cifar_fast() -> Recipe:
    """CIFAR-10 to 94 %: the method of airbench94, with Muon, on smaller images first.

    Jordan, "94% on CIFAR-10 in 3.29 seconds on a single GPU", arXiv:2404.00498, section 3, and its successor with Muon:
    frozen patch whitening, partial identities, fast biases of norms, label smoothing of 0.2, a rate that falls linearly
    to 0, alternating flips and shifts by 2 pixels. The record evaluates six views: `striate evaluate RUN --views
    shift=1,flip`.

    61.6, 89.2 and 118 million MACs an image of 24×24, 28×28 and 32×32 pixels. 14 epochs of the 45,000 images that
    'striate train cifar10' leaves for training, the first six of 24×24, the last four of 32×32, are 0.324 PFLOP; the
    record's 8 epochs (9.9 with its older optimizer) of all 50,000 are 0.284 (0.346), all of 32×32.

    Differs: weights decay, where the record scales each layer to a fixed norm; biases and scales of norms and the last
    layer have the steps of AdamW; scales are trained; logits are not divided by 9; the last pooling takes the whole
    map, whatever its size; the bias of the whitening layer is trained to the end.
    """
    return Recipe(
        model=_whitened(24, 64, 256, 256),
        epochs=Duration.parse("14ep"),
        batch_size=1000,
        initial=(Dirac(), Whitening()),
        augmentation=(AlternatingFlip(), Shift(fraction=2 / 32)),
        resizing=Listed(pixels=(24, 28), until=(3 / 7, 5 / 7)),
        loss=CrossEntropy(label_smoothing=0.2),
        optimizer=Muon(lr=0.2, momentum=0.6, weight_decay=0.1, rest_lr=1e-2, norm_bias_rate=4.0),
        schedule=Polynomial(),
        stop=_LAST,
        evaluate_every=Duration.parse("7ep"),
    )


def fashion() -> Recipe:
    """Fashion-MNIST with 623 thousand parameters: the form of `cifar_fast`, a quarter as wide, for 10 epochs.

    19.9 million MACs an image: 66 TFLOP in all, for the 55,000 images that 'striate train fashion-mnist' leaves for
    training. The images are of clothes, seen from the front: a mirrored one is another image of its class.
    """
    return Recipe(
        model=_whitened(8, 32, 96, 192),
        epochs=Duration.parse("10ep"),
        batch_size=250,
        initial=(Dirac(), Whitening()),
        augmentation=(Flip(), Shift(fraction=2 / 28)),
        loss=CrossEntropy(label_smoothing=0.1),
        optimizer=Muon(lr=0.1, momentum=0.8, weight_decay=0.1, rest_lr=3e-3, norm_bias_rate=4.0),
        schedule=Polynomial(warmup_fraction=0.05),
        stop=_LAST,
        evaluate_every=Duration.parse("2ep"),
    )


def mnist_fast() -> Recipe:
    """MNIST to 99.0 %: three normalized convolutions on the central 24×24 pixels, one cycle of 1.2 epochs.

    The border of 2 pixels is blank in nearly all of MNIST's images. The first convolution has a stride of 2, so that
    all that follows has a quarter of the numbers. 291 thousand MACs an image: 0.12 TFLOP in all; the five epochs of
    `mnist` are 0.69. Ioffe and Szegedy 2015, arXiv:1502.03167; Smith and Topin 2017, arXiv:1708.07120.
    """
    epochs = Duration.parse("1.2ep")
    return Recipe(
        model="conv4-8/2,pad1,nobias bn relu conv3-16,nobias pool2 bn relu conv3-32,valid,nobias bn relu fc64 bn relu",
        epochs=epochs,
        batch_size=128,
        input=InputSettings(height=24, width=24, crop=24 / 28),
        augmentation=(),
        optimizer=SGD(lr=0.3, momentum=0.9, nesterov=True, weight_decay=5e-4),
        schedule=OneCycle(warmup_fraction=0.2),
        stop=_LAST,
        evaluate_every=epochs,
    )


def _whitened(filters: int, *widths: int) -> str:
    """Return the network of airbench94: a 2×2 layer for whitening, then two convolutions of each width, and a pooling.

    The first convolution of a width is pooled by 2 before its norm.
    """
    pairs = (f"conv3-{width},nobias pool2 bn gelu conv3-{width},nobias bn gelu" for width in widths)
    return f"conv2-{filters},valid gelu {' '.join(pairs)} gmp"

"""Recipes of papers and courses, as far as today's parts express them; each docstring says what differs.

Common to all: weight decay leaves biases and normalizations alone (the papers do not exempt them), each channel is
standardised by the mean and standard deviation of the training images (the papers subtract a mean), and a random crop
is a shift of the central one, whose border is mirrored: in the papers it holds more of the image, or zeros.
"""

from __future__ import annotations

from dataclasses import replace

from striate.core.duration import Duration
from striate.data.augmentation.augmentations import Flip, Rotation, Scale, Shift
from striate.data.augmentation.geometric import RandomResizedCrop
from striate.data.augmentation.policies import RandAugment
from striate.data.preparation.measure import InputSettings
from striate.runs.recipe import Recipe, StopSettings
from striate.training.averages import EMA
from striate.training.losses import CrossEntropy
from striate.training.optimizers import SGD, RMSProp
from striate.training.plateau import Plateau
from striate.training.schedules import Constant, Cosine, Milestones, TimeDecay

_LAST = StopSettings(keep="last")


def alexnet_2012() -> Recipe:
    """AlexNet for ImageNet: 90 epochs, the rate divided by 10 three times, when the validation error stalls.

    Krizhevsky, Sutskever and Hinton, "ImageNet classification with deep convolutional neural networks", NIPS 2012,
    sections 4.1 and 5. Crops of 224 from 256 are shifts by up to 16 pixels.

    Differs: the input is 227×227, which the first convolution needs; the colours of the principal components (section
    4.1) do not vary; "stalls" is five evaluations without improvement, where the authors judged by hand; the rate
    multiplies the velocity (see `sgd`), not the gradient within it. For the ten crops of the paper's tests:
    `striate evaluate RUN --views crops,flip`.
    """
    return Recipe(
        model="alexnet_2012",
        epochs=Duration.parse("90ep"),
        batch_size=128,
        input=InputSettings(height=227, width=227, crop=227 / 256),
        augmentation=(Shift(fraction=16 / 227), Flip()),
        optimizer=SGD(lr=0.01, momentum=0.9, weight_decay=5e-4),
        schedule=Plateau(factor=0.1, patience=5, metric="accuracy", minimum_factor=1e-3),
        stop=_LAST,
    )


def vgg_2014() -> Recipe:
    """VGG-16 for ImageNet: 74 epochs, the rate divided by 10 three times, when the validation accuracy stalls.

    Simonyan and Zisserman, "Very deep convolutional networks for large-scale image recognition", arXiv:1409.1556,
    section 3.1, with the single training scale S = 256.

    Differs: first weights are Glorot's at once (the authors first started from a trained network A, and later found
    that needless); colours do not vary; "stalls" is five evaluations without improvement.
    """
    return replace(
        alexnet_2012(),
        model="vgg16",
        epochs=Duration.parse("74ep"),
        batch_size=256,
        input=InputSettings(height=224, width=224, crop=224 / 256),
        augmentation=(Shift(fraction=16 / 224), Flip()),
    )


def resnet_2015() -> Recipe:
    """ResNet-50 for ImageNet: 600,000 steps, the rate divided by 10 when the validation error stalls.

    He, Zhang, Ren and Sun, "Deep residual learning for image recognition", arXiv:1512.03385, section 3.4.

    Differs: the shorter side is always 256, where the paper draws it from 256 to 480; colours do not vary; "stalls" is
    five evaluations without improvement.
    """
    return replace(
        vgg_2014(),
        model="resnet50_2015",
        epochs=Duration.parse("600000st"),
        optimizer=SGD(lr=0.1, momentum=0.9, weight_decay=1e-4),
    )


def resnet_2015_cifar() -> Recipe:
    """ResNet-20 for CIFAR-10: 64,000 steps, the rate divided by 10 after 32,000 and 48,000.

    He, Zhang, Ren and Sun, "Deep residual learning for image recognition", arXiv:1512.03385, section 4.2: padding by 4
    pixels, a random crop and a flip. An epoch is the 45,000 images that the paper trains on, and that 'striate train
    cifar10' leaves for training: 352 steps.

    Differs: the 4 pixels are mirrored, where the paper has zeros; each channel is standardised, where the paper
    subtracts the mean of each pixel. For ResNet-110 the paper begins with a rate of 0.01 until the training error is
    below 80 %.
    """
    steps_per_epoch = -(-45_000 // 128)
    return Recipe(
        model="resnet20",
        epochs=Duration.parse("64000st"),
        batch_size=128,
        augmentation=(Shift(fraction=4 / 32), Flip()),
        optimizer=SGD(lr=0.1, momentum=0.9, weight_decay=1e-4),
        schedule=Milestones(at_epochs=(32_000 / steps_per_epoch, 48_000 / steps_per_epoch), factor=0.1),
        stop=_LAST,
    )


def resnet_rs() -> Recipe:
    """ResNet-RS-50 for ImageNet: 350 epochs, half a cosine, averaged weights, and less of each regularizer.

    Bello et al., "Revisiting ResNets: improved training and scaling strategies", NeurIPS 2021, arXiv:2103.07579, table
    1 and appendix B: 160×160 pixels, 350 epochs, RandAugment, label smoothing of 0.1, an average with a decay of
    0.9999, weight decay of 0.00004. Squeeze-and-excitation, the stem and shortcuts of ResNet-D, dropout of 0.25 before
    the last layer and, in the larger networks, stochastic depth are parts of the network (`resnet_rs50` and others).
    The rate is 0.1 for batches of 256, after five epochs of warm-up.

    Each step of the ladder is a setting: `schedule.name=milestones`, `epochs=90ep`, `average=none`,
    `augmentation.randaugment=false`, `loss.label_smoothing=0`, `optimizer.weight_decay=0.0001`, or another model, as
    `resnet50d` (without squeeze-and-excitation) or `se_resnet50`. `benchmarks/resnet_rs_ladder.py` climbs it on
    CIFAR-10.

    Differs: the magnitude of RandAugment is 10, in torchvision's strengths; random crops are taken from the image at
    160×160 pixels, where the authors take them from the file; whole images are evaluated, where the authors crop a
    border.
    """
    return Recipe(
        model="resnet_rs50",
        epochs=Duration.parse("350ep"),
        batch_size=256,
        input=InputSettings(height=160, width=160),
        augmentation=(RandomResizedCrop(), Flip(), RandAugment(magnitude=10.0)),
        loss=CrossEntropy(label_smoothing=0.1),
        optimizer=SGD(lr=0.1, momentum=0.9, weight_decay=4e-5),
        schedule=Cosine(warmup_fraction=5 / 350),
        average=EMA(decay=0.9999),
        stop=_LAST,
    )


def keras_cifar10() -> Recipe:
    """CIFAR-10 as the courses train it in Keras: max-norm 3, dropout 0.2 and 0.5, decay over time, 25 epochs.

    Brownlee, "Deep learning with Python", Machine Learning Mastery, 2016, chapter "Object recognition in photographs":
    no augmentation, batches of 32, and a rate of lr / (1 + decay · step) with a decay of lr / epochs for each step.

    Differs: the rate is that of the middle of a step; the network is trained on the training split alone, and an epoch
    of the decay is that of the book's 50,000 images; images are standardised, where the book divides them by 255. The
    bound of the weights is that of a whole filter (see `cifar10_maxnorm`).
    """
    lr, epochs, steps_per_epoch = 0.01, 25, -(-50_000 // 32)
    return Recipe(
        model="cifar10_maxnorm",
        epochs=Duration(float(epochs), "ep"),
        batch_size=32,
        augmentation=(),
        optimizer=SGD(lr=lr, momentum=0.9),
        schedule=TimeDecay(decay_per_epoch=lr / epochs * steps_per_epoch),
        stop=_LAST,
    )


def dogs_and_cats() -> Recipe:
    """Dogs and cats in 2,000 photos, from scratch as in the courses: strong augmentation, RMSProp, 100 epochs.

    Chollet, "Deep learning with Python", Manning, 2017, section 5.2.5: 150×150 pixels, stretched; rotation by up to
    40°, shifts by up to a fifth, zoom by up to 0.2, flips; a constant rate of 0.0001. The network is that of the
    courses, with dropout (see `dogs_and_cats`).

    Differs: there is no shear, and the zoom is the same in both directions; the border is mirrored, where Keras repeats
    the last pixel; two outputs with cross-entropy take the place of one sigmoid, which is the same loss of their
    difference; an epoch is one pass over the images, where the book has 100 batches of 32.
    """
    return Recipe(
        model="dogs_and_cats",
        epochs=Duration.parse("100ep"),
        batch_size=32,
        input=InputSettings(height=150, width=150, resize="stretch"),
        augmentation=(Rotation(degrees=40.0), Shift(fraction=0.2), Scale(fraction=0.2), Flip()),
        optimizer=RMSProp(lr=1e-4, rho=0.9, epsilon=1e-7),
        schedule=Constant(),
        stop=_LAST,
    )

"""Keras 3's `fit` of ResNet-20: KERAS_BACKEND=jax python -m sides.resnet20_keras FOLDER DATA_FORMAT STEPS

Padding, crop and flip are layers of the model, compiled with it; images are normalised beforehand. Says "ready" after
the first call of `fit`, which compiles, then answers every line that it is sent with the seconds of a `fit` of so many
steps. DATA_FORMAT is `channels_last` (Keras' default) or `channels_first`.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers

from . import cifar10
from .standing import stand

BATCH = 128


def resnet20(data_format: str) -> keras.Model:
    """Build the network; a shortcut between stages takes every second pixel and adds channels of zeros."""
    axis = -1 if data_format == "channels_last" else 1

    def conv(x: Any, width: int, stride: int = 1) -> Any:
        x = layers.Conv2D(
            width, 3, stride, padding="same", use_bias=False, kernel_initializer="he_normal", data_format=data_format
        )(x)
        return layers.BatchNormalization(axis=axis, momentum=0.9, epsilon=1e-5)(x)

    shape = (cifar10.SIDE, cifar10.SIDE, 3) if data_format == "channels_last" else (3, cifar10.SIDE, cifar10.SIDE)
    inputs = keras.Input(shape)
    x: Any = layers.ZeroPadding2D(4, data_format=data_format)(inputs)
    x = layers.RandomCrop(cifar10.SIDE, cifar10.SIDE, data_format=data_format)(x)
    x = layers.RandomFlip("horizontal", data_format=data_format)(x)
    x = layers.ReLU()(conv(x, 16))
    width = 16
    for outputs in (16, 32, 64):
        for number in range(3):
            stride = 2 if number == 0 and outputs > 16 else 1
            y = conv(layers.ReLU()(conv(x, outputs, stride)), outputs)
            if outputs > width:
                x = layers.AveragePooling2D(1, 2, data_format=data_format)(x)
                x = layers.Concatenate(axis=axis)([x, keras.ops.zeros_like(x)])
                width = outputs
            x = layers.ReLU()(layers.Add()([x, y]))
    x = layers.GlobalAveragePooling2D(data_format=data_format)(x)
    return keras.Model(inputs, layers.Dense(10)(x))


def main(folder: Path, data_format: str, count: int) -> None:
    keras.utils.set_random_seed(0)
    keras.config.set_image_data_format(data_format)
    images, labels = cifar10.read(folder)
    mean, std = (np.array(values, np.float32) for values in (cifar10.MEAN, cifar10.STD))
    x = (images / np.float32(255) - mean) / std
    if data_format == "channels_first":
        x = np.ascontiguousarray(x.transpose(0, 3, 1, 2))
    model: Any = resnet20(data_format)
    optimizer: Any = keras.optimizers.SGD(0.1, momentum=0.9, weight_decay=1e-4)
    model.compile(optimizer=optimizer, loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    losses: list[float] = []
    place = 0

    def fit() -> None:
        nonlocal place
        chosen = slice(place, place + count * BATCH)
        place = chosen.stop if chosen.stop + count * BATCH <= len(x) else 0
        losses.append(model.fit(x[chosen], labels[chosen], batch_size=BATCH, verbose=0).history["loss"][0])

    fit()
    parameters = sum(int(np.prod(each.shape)) for each in model.trainable_weights)
    stand(fit, lambda: {"images": count * BATCH, "losses": losses, "parameters": parameters})


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))

"""Who judges the courses' own networks: Keras, in which their books write them.

A map is flattened channels first, as ours is, so that the fully connected layers' weights can be carried over.
"""

import keras
from keras.layers import Conv2D, Dense, Dropout, Flatten, MaxPooling2D, Permute

from judges.parity import Judge


def _cifar10_maxnorm() -> keras.Model:
    return keras.Sequential(
        [
            keras.Input((32, 32, 3)),
            Conv2D(32, 3, padding="same", activation="relu"),
            Dropout(0.2),
            Conv2D(32, 3, padding="same", activation="relu"),
            MaxPooling2D(2),
            Permute((3, 1, 2)),
            Flatten(),
            Dense(512, activation="relu"),
            Dropout(0.5),
            Dense(10),
        ]
    )


def _dogs_and_cats() -> keras.Model:
    convolutions = [
        layer
        for filters in (32, 64, 128, 128)
        for layer in (Conv2D(filters, 3, padding="same", activation="relu"), MaxPooling2D(2))
    ]
    return keras.Sequential(
        [
            keras.Input((150, 150, 3)),
            *convolutions,
            Permute((3, 1, 2)),
            Flatten(),
            Dropout(0.5),
            Dense(512, activation="relu"),
            Dense(128, activation="relu"),
            Dense(2),
        ]
    )


def _mnist_cnn() -> keras.Model:
    return keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            Conv2D(32, 3, activation="relu"),
            MaxPooling2D(2),
            Conv2D(64, 3, activation="relu"),
            MaxPooling2D(2),
            Permute((3, 1, 2)),
            Flatten(),
            Dense(1024, activation="relu"),
            Dense(10),
        ]
    )


def _dogs_and_cats_2017() -> keras.Model:
    convolutions = [
        layer for filters in (32, 64, 128, 128) for layer in (Conv2D(filters, 3, activation="relu"), MaxPooling2D(2))
    ]
    return keras.Sequential(
        [
            keras.Input((150, 150, 3)),
            *convolutions,
            Permute((3, 1, 2)),
            Flatten(),
            Dense(512, activation="relu"),
            Dense(2),
        ]
    )


JUDGES = (
    Judge("cifar10_maxnorm", "keras", _cifar10_maxnorm),
    Judge("dogs_and_cats", "keras", _dogs_and_cats, double=True),
    Judge("dogs_and_cats_2017", "keras", _dogs_and_cats_2017, double=True),
    Judge("mnist_cnn", "keras", _mnist_cnn),
)

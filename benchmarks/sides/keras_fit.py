"""Keras 3's `fit` on arrays: KERAS_BACKEND=jax python -m sides.keras_fit JOB

Option `data_format`: `channels_last` (Keras' default) or `channels_first`. Option `steps_per_execution`: how many steps
the backend does in one call.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from . import mnist
from .job import Job, Stopwatch


class EpochEnds(keras.callbacks.Callback):
    def __init__(self, watch: Stopwatch) -> None:
        super().__init__()
        self.watch = watch

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        self.watch.epoch_ended()


def lenet5(shape: tuple[int, ...]) -> keras.Model:
    layers = keras.layers
    relu: Any = {"activation": "relu", "kernel_initializer": "he_normal"}  # as Striate begins, so that losses compare
    return keras.Sequential(
        [
            keras.Input(shape),
            layers.Conv2D(6, 5, padding="same", **relu),
            layers.MaxPooling2D(2),
            layers.Conv2D(16, 5, **relu),
            layers.MaxPooling2D(2),
            layers.Flatten(),
            layers.Dense(120, **relu),
            layers.Dense(84, **relu),
            layers.Dense(10),
        ]
    )


def main(job: Job) -> None:
    watch = Stopwatch()
    keras.utils.set_random_seed(job.seed)
    data_format = job.options.get("data_format", "channels_last")
    keras.config.set_image_data_format(data_format)
    images, labels = (array[: job.images] for array in mnist.read(job.data, "train"))
    x = np.expand_dims(images, 1 if data_format == "channels_first" else -1)
    x = ((x / np.float32(255)) - np.float32(mnist.MEAN)) / np.float32(mnist.STD)
    border = len(x) - job.held_out
    model: Any = lenet5(x.shape[1:])
    model.compile(
        optimizer=keras.optimizers.SGD(job.lr, momentum=job.momentum, nesterov=True),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
        steps_per_execution=job.options.get("steps_per_execution", 1),
    )
    history = model.fit(
        x[:border],
        labels[:border],
        batch_size=job.batch_size,
        epochs=job.epochs,
        validation_data=(x[border:], labels[border:]),
        validation_batch_size=1000,
        verbose=0,
        callbacks=[EpochEnds(watch)],
    ).history
    watch.answer(images=border, losses=history["loss"], accuracies=history["val_accuracy"])


if __name__ == "__main__":
    main(Job.from_argument())

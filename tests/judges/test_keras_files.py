"""Files as Keras writes them hold the tensors that we read."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from striate.core.errors import ModelError
from striate.models.weights import pretrained, read_file


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_keras_itself_writes_what_is_read(tmp_path: Path) -> None:
    import keras

    convolutions = [keras.layers.Conv2D(2, 3, name=name, use_bias=name != "b") for name in "ab"]
    layers = [*convolutions, keras.layers.ReLU(), keras.layers.BatchNormalization(name="c", scale=False)]
    model = keras.Sequential([keras.Input((8, 8, 3)), *layers], name="mine")
    arrays = [torch.from_numpy(np.array(weight)) for weight in model.get_weights()]
    model.save_weights(tmp_path / "a.weights.h5")
    model.save(tmp_path / "b.keras")
    for name in ("a.weights.h5", "b.keras"):
        file = read_file(tmp_path / name)
        assert len(file.tensors) == len(arrays) == 6
        assert all(any(torch.equal(found, array) for found in file.tensors.values()) for array in arrays)
    assert file.metadata["model"] == "mine"
    with_names = read_file(tmp_path / "a.weights.h5").tensors
    assert set(with_names) == set(file.tensors)
    assert all(torch.equal(with_names[name], value) for name, value in file.tensors.items())
    with h5py.File(tmp_path / "a.weights.h5", "a") as early:
        del early["layers/conv2d/vars"].attrs["name"]
    assert "layers/conv2d/vars/0" in read_file(tmp_path / "a.weights.h5").tensors
    with pytest.raises(ModelError, match=r"numbers its layers and does not name them, as early Keras 3 does\."):
        pretrained(tmp_path / "a.weights.h5", "squeezenet1_1")
    assert list(file.tensors) == ["a/kernel", "a/bias", "b/kernel", "c/beta", "c/moving_mean", "c/moving_variance"]
    for name, array in zip(file.tensors, arrays, strict=True):
        assert torch.equal(file.tensors[name], array)

"""Files as Keras writes them hold the tensors that we read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from striate.models.weights import read_file


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_keras_itself_writes_what_is_read(tmp_path: Path) -> None:
    import keras

    layers = [keras.layers.Conv2D(2, 3, name="one"), keras.layers.BatchNormalization(name="two")]
    model = keras.Sequential([keras.Input((8, 8, 3)), *layers], name="mine")
    arrays = [torch.from_numpy(np.array(weight)) for weight in model.get_weights()]
    model.save_weights(tmp_path / "a.weights.h5")
    model.save(tmp_path / "b.keras")
    for name in ("a.weights.h5", "b.keras"):
        file = read_file(tmp_path / name)
        print(list(file.tensors), file.metadata)
        assert len(file.tensors) == len(arrays) == 6
        assert all(any(torch.equal(found, array) for found in file.tensors.values()) for array in arrays)
    assert file.metadata["model"] == "mine"

"""Packed weights are read as they were written, to the bit, or refused."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load, save
from torch import Tensor

from rehearsal.classifiers import untrained
from striate.classifier import load_classifier, save_classifier
from striate.classifier.packing import entries_between, pack, unpack
from striate.core.errors import RunError
from striate.core.spec import GREY, InputSpec
from striate.models.compression import prune, share


def sparse(shape: tuple[int, ...], kept: float, values: int) -> Tensor:
    draws = np.random.default_rng(0)
    chosen = draws.normal(size=values).astype(np.float32)[draws.integers(values, size=shape)]
    return torch.from_numpy(np.where(draws.random(shape) < kept, chosen, np.float32(0)))


TENSORS = {
    "kernel": sparse((30, 20, 5, 5), 0.1, 200),
    "matrix": sparse((40, 3000), 0.02, 31),
    "dense": sparse((40, 30), 1.0, 256),
    "far": torch.zeros(3, 999).index_fill(1, torch.tensor([998]), 2.0),
    "odd values": torch.tensor([[-0.0, 0.0, float("nan"), float("inf"), 1e-45]]),
    "zeros": torch.zeros(4, 4),
    "many values": torch.randn(30, 30, generator=torch.Generator().manual_seed(0)),
    "bias": torch.ones(7),
    "steps": torch.tensor(3),
    "empty": torch.zeros(0, 3),
}


def test_tensors_are_read_back_to_the_bit() -> None:
    data, sizes = pack(TENSORS)
    assert set(sizes) == {"kernel", "matrix", "dense", "far", "odd values"}
    found = unpack(data)
    for name, tensor in TENSORS.items():
        assert found[name].shape == tensor.shape
        assert found[name].numpy().tobytes() == tensor.numpy().tobytes(), name
    assert sizes["far"].entries == 3 * -(-999 // 32) == entries_between(TENSORS["far"].reshape(-1), 2)
    held = {name: tensor for name, tensor in load(data).items() if name in ("kernel", "matrix")}
    for name, tensor in held.items():
        assert 8 * tensor.numel() < sizes[name].uncoded_bits < 32 * TENSORS[name].numel()


def test_a_file_without_packed_tensors_is_read_as_it_is() -> None:
    assert unpack(save({"a": torch.ones(2)}))["a"].tolist() == [1, 1]


def repacked(sizes: dict[str, object] | str) -> bytes:
    data, _ = pack({"far": TENSORS["far"]})
    described = json.loads(json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])["__metadata__"]["packed"])
    changed = json.dumps({"far": described["far"] | sizes}) if isinstance(sizes, dict) else sizes
    return save(load(data), metadata={"packed": changed})


@pytest.mark.parametrize(
    "sizes",
    [
        {"shape": [2, 2]},
        {"shape": [1 << 40, 1 << 40]},
        {"shape": [-1, -1]},
        {"shape": None},
        {"entries": 10**12},
        {"entries": 0},
        {"values": 2},
        {"values": True},
        {"streams": [1, 1]},
        {"streams": [10**9, 10**9]},
        '{"other": {}}',
        '{"far": 3}',
        "[" * 100_000,
        "no JSON",
    ],
)
def test_a_damaged_description_of_a_packed_tensor_is_refused(sizes: dict[str, object] | str) -> None:
    with pytest.raises(ValueError, match=r"packed tensor|JSON|Expecting"):
        unpack(repacked(sizes))


def test_a_compressed_classifier_is_data_that_loads_exactly_or_not_at_all(tmp_path: Path) -> None:
    spec = InputSpec(channels=GREY, height=28, width=28, mean=(0.5,), std=(0.25,))
    classifier = untrained("lenet5", spec, tuple("abcdefghij"))
    prune(classifier.model, 0.1)
    share(classifier.model, 5, 8)
    save_classifier(classifier, tmp_path, packed=True)
    file = tmp_path / "model.safetensors"
    found = load_classifier(tmp_path).model.state_dict()
    for name, tensor in classifier.model.state_dict().items():
        assert torch.equal(found[name], tensor)
    whole = file.read_bytes()
    assert 15 * len(whole) < 4 * sum(tensor.numel() for tensor in found.values())
    description = json.loads((tmp_path / "classifier.json").read_text())
    assert description["format"] == 2
    for damaged in (whole[:-1], whole[:-9] + b"\0" + whole[-8:], b"", b"\xff" * 99):
        file.write_bytes(damaged)
        with pytest.raises(RunError, match="digest differs"):
            load_classifier(tmp_path)
        digest = hashlib.sha256(damaged).hexdigest()
        (tmp_path / "classifier.json").write_text(json.dumps(description | {"weights_sha256": digest}))
        if len(damaged) < len(whole):
            with pytest.raises(RunError, match="cannot be read"):
                load_classifier(tmp_path)
        (tmp_path / "classifier.json").write_text(json.dumps(description))

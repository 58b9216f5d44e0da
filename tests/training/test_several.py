"""Several processes train the network that one would: losses, samples, statistics and scores are those of the batch."""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from rehearsal.several import BATCH, CASES, COUNT, learn_all, loader, lose_one, network, together
from striate.core.batch import Batch
from striate.core.errors import TrainingError
from striate.core.processes import ALONE, Processes, processes
from striate.tasks import Classification


@pytest.fixture(scope="module")
def alone() -> dict[str, Any]:
    return learn_all(ALONE)


@pytest.fixture(scope="module")
def several(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    results, codes = together(2, tmp_path_factory.mktemp("several"), learn_all)
    assert codes == [0, 0]
    return results


@pytest.mark.parametrize("case", CASES)
def test_all_processes_end_with_the_same_bits(several: list[dict[str, Any]], case: str) -> None:
    first, *others = several
    for other in others:
        assert torch.equal(first[case]["weights"], other[case]["weights"])
        assert torch.equal(first[case]["kept"], other[case]["kept"])
        assert first[case]["losses"] == other[case]["losses"]
        assert first[case]["seconds"] == other[case]["seconds"]  # or a schedule over minutes would differ


@pytest.mark.parametrize("case", ["plain", "mixed", "synchronised"])
def test_the_training_is_that_of_one_process(several: list[dict[str, Any]], alone: dict[str, Any], case: str) -> None:
    np.testing.assert_allclose(several[0][case]["losses"], alone[case]["losses"], rtol=1e-5)
    # The running variance is unbiased by the number of values, and each process counts those of an undivided batch.
    close = 1e-3 if case == "synchronised" else 1e-4
    for which in ("weights", "kept"):
        torch.testing.assert_close(several[0][case][which], alone[case][which], rtol=close, atol=1e-5)


def test_a_local_batch_norm_uses_the_statistics_of_its_part(several: list[dict[str, Any]]) -> None:
    """The loss of the first step is the weighted mean of those of the parts, each normalised by itself."""
    parts = [next(loader(Processes(rank, len(several))).epoch(0)) for rank in range(len(several))]
    losses = [Classification().loss(network(True), part).item() for part in parts]
    expected = sum(part.weight * loss for part, loss in zip(parts, losses, strict=True))
    assert several[0]["local"]["losses"][0] == pytest.approx(expected, rel=1e-6)
    assert several[0]["local"]["losses"][0] != pytest.approx(several[0]["synchronised"]["losses"][0], rel=1e-4)


def test_every_sample_is_seen_once_in_an_epoch(several: list[dict[str, Any]]) -> None:
    divided = [index for result in several for index, _ in result["plain"]["seen"][:-1]]
    seen = Counter(sample for index in divided for sample in index)
    assert set(seen.values()) == {1}
    assert len(seen) == COUNT // BATCH * BATCH
    last = [result["plain"]["seen"][-1] for result in several]  # 3 images are too few to be divided
    assert all(index == last[0][0] and weight == 1 / len(several) for index, weight in last)
    assert set(last[0][0]) | set(seen) == set(range(COUNT))


def test_outputs_are_those_of_one_process_to_the_bit(several: list[dict[str, Any]], alone: dict[str, Any]) -> None:
    for result in several:
        assert result["plain"]["evaluated"] == alone["plain"]["evaluated"]
        np.testing.assert_array_equal(result["plain"]["first"], alone["plain"]["first"])


def test_processes_agree(several: list[dict[str, Any]]) -> None:
    for result in several:
        assert result["once"] == "computed by 0"
        assert result["any"] == (True, False)
        assert result["refused"] == "DataError: No."
        assert "need the same data; process 2 of 2 has another one" in result["differing"]


def test_a_lost_process_is_one_sentence_in_the_others(tmp_path: Path) -> None:
    (left, _), (code, killed) = together(2, tmp_path, lose_one)
    assert (code, killed) == (0, -9)
    assert left.startswith("TrainingError: Another process of this training has ended")


def test_a_process_that_is_lost_before_all_have_met_is_the_same_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def lost(*_: Any, **__: Any) -> None:
        raise RuntimeError("Gloo connectFullMesh failed with Connection closed by peer [127.0.0.1]:6362")

    for name, value in (("RANK", "0"), ("WORLD_SIZE", "2")):
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("striate.core.processes._meeting", object)
    monkeypatch.setattr(torch.distributed, "init_process_group", lost)
    with pytest.raises(TrainingError, match="Another process of this training has ended"):
        processes.__wrapped__()


@pytest.mark.parametrize("count", range(1, 6))
@pytest.mark.parametrize("rows", [1, 3, 4, 7, 8, 64])
def test_parts_of_a_batch_are_disjoint_and_weigh_one(rows: int, count: int) -> None:
    parts = [Processes(rank, count).rows(rows) for rank in range(count)]
    assert math.isclose(sum(weight for _, weight in parts), 1.0)
    covered = np.zeros(rows)
    for part, weight in parts:
        covered[part] += weight / len(range(rows)[part])
        assert len(range(rows)[part]) >= min(2, rows)
    np.testing.assert_allclose(covered, 1 / rows)


def test_a_whole_batch_has_weight_one() -> None:
    batch = next(loader(ALONE).epoch(0))
    assert isinstance(batch, Batch)
    assert batch.weight == 1.0

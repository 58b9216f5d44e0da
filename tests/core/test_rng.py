"""Draws are uniform, independent of each other in every coordinate, and the same for ever."""

from __future__ import annotations

import hashlib
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from scipy import stats

from striate.core.rng import Stream, torch_random_state_kept

COUNT = 1 << 16
INDEX = np.arange(COUNT)


def test_the_numbers_are_the_same_for_ever():
    """A change of these numbers changes every run ever made: it needs a new major version, not a new expectation."""
    stream = Stream(7, "order")
    bits = stream.bits(epoch=3, index=[0, 1, 1000], draws=2)
    assert bits.tolist() == [
        [14997398818870771168, 18113683778164702103],
        [6537704570894040630, 3352325446353895573],
        [2600700064509037847, 12598300756802648287],
    ]
    assert stream.permutation(8, epoch=0).tolist() == [5, 7, 6, 1, 3, 0, 4, 2]
    assert Stream(0, "weights").torch_seed(1, 2) == 4061678768982991680


def splitmix(x: int) -> int:
    """The finalizer in Python's own whole numbers."""
    mask = (1 << 64) - 1
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & mask
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & mask
    return x ^ (x >> 31)


def test_bits_equal_an_evaluation_in_whole_numbers_of_python():
    mask, golden = (1 << 64) - 1, 0x9E3779B97F4A7C15
    key = int.from_bytes(hashlib.sha256(b"12/augment.flip").digest()[:8], "little")
    for counter in (4, 99, 2):
        key = splitmix(key ^ splitmix((counter + 1) * golden & mask))
    assert Stream(12, "augment.flip").bits(epoch=4, index=[99], draws=3)[0, 2] == key


def test_the_finalizer_is_the_published_one():
    """SplitMix64 from state 0 gives these numbers first (Vigna's splitmix64.c)."""
    golden, mask = 0x9E3779B97F4A7C15, (1 << 64) - 1
    published = [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F]
    assert [splitmix(golden * (n + 1) & mask) for n in range(3)] == published


def uniform(**changes: object) -> np.ndarray:
    given = {"seed": 1, "name": "test", "epoch": 0} | changes
    stream = Stream(int(str(given["seed"])), str(given["name"]))
    return stream.uniform(epoch=int(str(given["epoch"])), index=INDEX, draws=2)


@pytest.mark.parametrize("change", [{}, {"seed": 2}, {"name": "other"}, {"epoch": 17}])
def test_numbers_are_uniform(change):
    numbers = uniform(**change)
    assert numbers.min() >= 0
    assert numbers.max() < 1
    for draw in numbers.T:
        assert stats.kstest(draw, "uniform").pvalue > 1e-4
        assert abs(np.corrcoef(draw[:-1], draw[1:])[0, 1]) < 5 / np.sqrt(COUNT)  # neighbours in index
        assert abs(np.corrcoef(draw, INDEX)[0, 1]) < 5 / np.sqrt(COUNT)
    assert abs(np.corrcoef(numbers.T)[0, 1]) < 5 / np.sqrt(COUNT)  # draws of one sample


@pytest.mark.parametrize("change", [{"seed": 2}, {"name": "tesu"}, {"epoch": 1}])
def test_streams_that_differ_in_one_coordinate_are_independent(change):
    first, second = uniform()[:, 0], uniform(**change)[:, 0]
    assert abs(np.corrcoef(first, second)[0, 1]) < 5 / np.sqrt(COUNT)
    cells = np.histogram2d(first, second, bins=16, range=[[0, 1], [0, 1]])[0]
    assert stats.chisquare(cells.ravel()).pvalue > 1e-4


def test_every_bit_is_a_fair_coin():
    bits = Stream(5, "bits").bits(epoch=2, index=INDEX)[:, 0]
    for place in range(64):
        ones = int(((bits >> np.uint64(place)) & np.uint64(1)).sum())
        assert abs(ones - COUNT / 2) < 5 * np.sqrt(COUNT) / 2


def test_a_draw_does_not_depend_on_other_draws():
    stream = Stream(3, "augment.shift")
    together = stream.uniform(epoch=5, index=INDEX[:100], draws=4)
    for index in (0, 41, 99):
        np.testing.assert_array_equal(stream.uniform(epoch=5, index=[index], draws=2)[0], together[index, :2])


def test_low_and_high_bound_the_numbers():
    numbers = Stream(0, "x").uniform(epoch=0, index=INDEX, low=-3.0, high=5.0)
    assert -3 <= numbers.min() < -2.99
    assert 4.99 < numbers.max() < 5


def test_permutations_are_orders_and_all_are_equally_likely():
    stream = Stream(11, "order")
    assert sorted(stream.permutation(1000, epoch=4).tolist()) == list(range(1000))
    found: dict[tuple[int, ...], int] = {}
    for epoch in range(4800):
        order = tuple(stream.permutation(4, epoch=epoch).tolist())
        found[order] = found.get(order, 0) + 1
    assert len(found) == 24
    assert stats.chisquare(list(found.values())).pvalue > 1e-4


def test_torch_seeds_differ_by_their_counters_and_repeat():
    stream = Stream(0, "dropout")
    seeds = {stream.torch_seed(*counters) for counters in [(), (0,), (1,), (0, 0), (0, 1), (1, 0)]}
    assert len(seeds) == 6
    assert all(0 <= seed < 2**63 for seed in seeds)
    draws = [torch.rand(3, generator=stream.torch_generator((4, 2))) for _ in range(2)]
    assert torch.equal(*draws)


def test_torchs_random_state_is_drawn_from_by_one_thread_at_a_time_and_restored() -> None:
    torch.manual_seed(3)
    expected = torch.rand(1)
    began = threading.Event()

    def other() -> torch.Tensor:
        began.set()
        with torch_random_state_kept(2):
            return torch.rand(2)

    torch.manual_seed(3)
    with ThreadPoolExecutor(1) as threads:
        with torch_random_state_kept(1):
            first = torch.rand(1)
            found = threads.submit(other)
            assert began.wait(10)
            with pytest.raises(TimeoutError):
                found.result(0.2)
            with torch_random_state_kept():  # the same thread may
                torch.rand(5)
            second = torch.rand(1)
        of_other = found.result(10)
    assert torch.equal(torch.rand(1), expected)
    for seed, drawn in ((1, torch.cat([first, second])), (2, of_other)):
        assert torch.equal(drawn, torch.rand(2, generator=torch.Generator().manual_seed(seed)))

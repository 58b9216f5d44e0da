"""Top patches are those that a pass which keeps everything finds, cut out to the pixel."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from promises.found import state
from promises.strangers import stranger
from promises.subject import pictures
from reference.top_patches import cut, strongest
from striate.core.batch import Batch
from striate.core.errors import ConfigError
from striate.explaining import TopPatches, top_patches
from striate.explaining.inspection.patches import Pool
from striate.explaining.model_input import ImageError
from striate.hooks import PlaceError

SIZE = (14, 11)


def network() -> nn.Sequential:
    torch.manual_seed(3)
    return nn.Sequential(
        nn.Conv2d(3, 5, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(5, 4, 3, stride=2, padding=1), nn.ReLU()
    ).eval()


def batches(images: Tensor, index: list[int], sizes: list[int]) -> Iterator[tuple[list[int], Tensor]]:
    start = 0
    for size in sizes:
        yield index[start : start + size], images[start : start + size]
        start += size


# Of the map at each place: how far apart its positions lie, what position (0, 0) sees first, and how much it sees.
GEOMETRY = {"1": (1, -1, 3), "4": (4, -3, 8)}


def test_each_unit_has_the_patches_that_a_pass_which_keeps_everything_finds() -> None:
    images, index = pictures(30, SIZE, seed=5), [7 * number % 31 + 100 for number in range(30)]
    images[::3, :, 0] *= 5  # so that strong positions lie at borders and in corners too
    images[::4, :, :, 0] *= 5
    images[1::4, :, -1] *= 5
    images[1::3, :, :, -1] *= 5
    tops = top_patches(network(), batches(images, index, [3, 1, 17, 9]), ["4", "1"], count=4)
    assert [top.place for top in tops] == ["4", "1"]
    cut_off = np.concatenate([top.boxes.reshape(-1, 4) == [0, 0, *SIZE] for top in tops])
    assert cut_off.any(axis=0).all()
    for top in tops:
        stride, first, field = GEOMETRY[top.place]
        with torch.no_grad():
            maps = network()[: int(top.place) + 1](images).numpy()
        assert top.values.shape == (maps.shape[1], 4)
        assert top.size == (field, field)
        for unit in range(maps.shape[1]):
            expected = strongest(maps, index, unit, 4)
            np.testing.assert_allclose(top.values[unit], [value for value, *_ in expected], rtol=1e-5)
            assert top.index[unit].tolist() == [which for _, which, _, _ in expected]
            assert top.positions[unit].tolist() == [[y, x] for *_, y, x in expected]
            corners = [(index.index(which), first + y * stride, first + x * stride) for _, which, y, x in expected]
            windows = [cut(images[number].numpy(), y, x, field, field) for number, y, x in corners]
            assert top.patches(unit).tobytes() == np.stack(windows).tobytes()
            ones = [cut(np.ones((1, *SIZE), bool), y, x, field, field)[0] for _, y, x in corners]
            assert (top.inside(unit) == np.stack(ones)).all()


def test_among_equals_the_first_comes_first() -> None:
    images = torch.full((6, 1, 4, 4), 0.5)
    (top,) = top_patches(nn.Sequential(nn.Identity()), batches(images, list(range(6)), [2, 4]), ["0"], count=3)
    assert top.index.tolist() == [[0, 1, 2]]
    assert (top.positions == 0).all()


def test_fewer_images_than_patches_leave_the_rest_empty() -> None:
    images = pictures(2, SIZE)
    (top,) = top_patches(network(), [(range(2), images)], ["1"], count=3)
    assert np.isnan(top.values[:, 2]).all()
    assert not np.isnan(top.values[:, :2]).any()
    assert (top.index[:, 2] == -1).all()
    assert (top.boxes[:, 2] == 0).all()
    assert not top.patches(0)[2].any()
    assert not top.inside(0)[2].any()


def test_the_same_from_whatever_brings_images() -> None:
    images, index = pictures(12, SIZE), torch.arange(12)
    closed: list[bool] = []

    class Loader:
        def __len__(self) -> int:
            return 3

        def epoch(self, epoch: int, *, start: int = 0) -> Iterator[Batch]:
            assert (epoch, start) == (0, 0)
            try:
                for part in index.split(4):
                    yield Batch(images[part], torch.zeros(len(part), dtype=torch.int64), part)
            finally:
                closed.append(True)

    expected, *others = (
        top_patches(network(), given, ["4"])[0] for given in ([(index, images)], Loader(), Loader().epoch(0))
    )
    assert closed == [True, True]
    for other in others:
        assert _same(other, expected)
    with pytest.raises(PlaceError):
        top_patches(network(), Loader(), ["nowhere"])
    assert len(closed) == 3


def _same(one: TopPatches, other: TopPatches) -> bool:
    names = ("values", "index", "positions", "boxes", "images", "rows")
    return all(getattr(one, name).tobytes() == getattr(other, name).tobytes() for name in names)


def test_only_images_among_the_best_are_kept() -> None:
    pool, images = Pool(), pictures(5, SIZE)
    pool.add([10, 11, 12], images[:3], {0, 2})
    assert pool.index == {0: 10, 2: 12}
    pool.add([13, 14], images[3:], {2, 4})
    assert pool.index == {2: 12, 4: 14}
    assert pool.images.keys() == {2, 4}
    assert pool.images[4].tobytes() == images[4].numpy().tobytes()


@contextmanager
def refused(what: str) -> Iterator[None]:
    with pytest.raises(ImageError, match=what):
        yield


def test_other_values_than_batches_of_images_are_refused() -> None:
    images = pictures(2, SIZE)
    with refused("received none"):
        top_patches(network(), [])
    with refused("received Tensor"):
        top_patches(network(), iter([images]))  # type: ignore[arg-type]
    with refused("received 3 for 2"):
        top_patches(network(), [(range(3), images)])
    with refused(r"received \(3, 8, 8\) after \(3, 14, 11\)"):
        top_patches(network(), [(range(2), images), (range(2), pictures(2, (8, 8)))])


def test_the_network_is_returned_as_found_whatever_happens() -> None:
    model = stranger().train()
    before = state(model)
    top_patches(model, [(range(4), pictures(4, SIZE))])
    assert state(model) == before

    def interrupted() -> Iterator[tuple[range, Tensor]]:
        yield range(4), pictures(4, SIZE)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        top_patches(model, interrupted())
    assert state(model) == before


def test_no_patches_at_all_are_refused() -> None:
    with pytest.raises(ConfigError, match="count must be at least 1"):
        top_patches(network(), batches(pictures(1, SIZE), [0], [1]), ["4"], count=0)

"""The range test on curves with a known lowest point, and on a small training."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import striate
from striate.core.errors import ConfigError
from striate.runs.rate_range import RangeTest, RateRange, _Divergence


def curve(lowest: float, noise: float = 0.0) -> RangeTest:
    """Return a parabola in the power of ten, from 2.3 down to 0.5 at `lowest`, that ends in an explosion."""
    rates = [rate for rate in map(RateRange().rate, range(240)) if rate < 20 * lowest]
    powers = np.log10(np.array(rates) / lowest)
    losses = np.minimum(0.5 + powers**2, 2.3) + noise * np.random.default_rng(0).normal(size=len(rates))
    losses[-3:] = (10.0, 1e4, 1e9)
    return RangeTest(tuple(rates), tuple(losses.tolist()), rates[-1])


@pytest.mark.parametrize("lowest", [1e-3, 1e-2, 0.3])
@pytest.mark.parametrize("noise", [0.0, 0.2])
def test_the_suggestion_is_half_the_rate_of_the_lowest_loss(lowest: float, noise: float) -> None:
    suggestion = curve(lowest, noise).suggestion
    assert suggestion is not None
    assert lowest / 2 / 1.5 < suggestion < lowest / 2 * 1.5


def test_there_is_no_suggestion_where_the_loss_does_not_fall() -> None:
    rates = tuple(map(RateRange().rate, range(240)))
    assert RangeTest(rates, (2.3,) * 240, None).suggestion is None


RATES = tuple(map(RateRange().rate, range(240)))


@pytest.mark.parametrize(
    ("test", "sentence"),
    [
        (RangeTest(RATES[:2], (2.65, 529.0), RATES[1]), "the loss diverged at once: the lowest rate, 1e-06, is too"),
        (RangeTest(RATES, tuple(np.linspace(2.3, 1.0, 240)), None), "still falls at the highest rate, 1e\\+02"),
        (RangeTest(RATES, (2.65,) * 120 + (2.3,) * 120, None, constant=2.3), "from 2.3 to 2.3 at"),
        (
            RangeTest(RATES, (2.65,) + (9.0,) * 100 + (2.6,) * 139, None),
            "fell by less than 5% at every rate, from 2.65",
        ),
    ],
    ids=["diverges at once", "falls to the end", "collapses to a constant answer", "explodes and comes back"],
)
def test_there_is_none_where_the_range_does_not_show_one(test: RangeTest, sentence: str) -> None:
    assert test.suggestion is None
    assert re.search(sentence, str(test.fault))


def test_the_loss_of_a_constant_answer_bounds_that_of_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    found = striate.find_lr("digits", model="conv3-4 relu gap", lowest=1e-5, steps=20, device="cpu")
    assert found.test.constant == pytest.approx(math.log(10))
    assert found.test.start <= math.log(10)


def test_rates_grow_by_one_factor_from_the_lowest_to_the_highest() -> None:
    wanted = RateRange(lowest=1e-4, highest=1.0, steps=41)
    rates = [wanted.rate(step) for step in range(41)]
    assert rates[0] == 1e-4
    assert rates[-1] == pytest.approx(1.0)
    assert np.diff(np.log10(rates)) == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"lowest": 0.0}, "lowest must be above 0; received 0."),
        ({"highest": 1e-7}, r"highest must be above lowest \(1e-06\) and finite; received 1e-07."),
        ({"steps": 5}, "steps must be at least 20; received 5."),
        ({"out": "curve.jpg"}, r"The image is a .png or .svg file; received 'curve.jpg'."),
    ],
)
def test_an_impossible_range_is_one_sentence(changes: dict[str, float], sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        striate.find_lr("digits", **changes)  # pyright: ignore[reportArgumentType]


def test_find_lr_trains_beyond_divergence_and_leaves_an_image_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STRIATE_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    photos = tmp_path / "photos"
    noise = np.random.default_rng(0).integers(0, 256, (2, 10, 12, 12, 3), dtype=np.uint8)
    for name, images in zip("ab", noise, strict=True):
        (photos / name).mkdir(parents=True)
        for number, pixels in enumerate(images):
            Image.fromarray(pixels).save(photos / name / f"{number}.png")
    settings = {"input.height": 12, "input.width": 12, "batch_size": 8, "optimizer.name": "sgd", "optimizer.lr": 0.3}
    random = torch.get_rng_state()
    found = striate.find_lr(photos, model="conv3-4 relu pool2 fc8 relu", set=settings, device="cpu", lowest=1e-4)
    assert torch.equal(torch.get_rng_state(), random)
    assert found.test.diverged == found.test.rates[-1] < 100
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cache", "find-lr", "photos"]
    assert found.image is not None
    assert found.image.read_bytes() == found._repr_png_()
    assert found.suggestion is not None
    assert found.hint is not None
    assert found.hint.endswith(f"--optimizer sgd --lr {found.suggestion:g}")
    assert json.loads(json.dumps(found.to_json()))["losses"] == list(found.test.losses)


def test_the_noise_of_the_first_batches_is_no_divergence() -> None:
    watch = _Divergence()
    assert not any(watch.note(loss) for loss in [1.0, 4.0] * 20)
    assert any(watch.note(loss) for loss in [1.0] * 40 + [4.0] * 10)


def test_a_loss_that_explodes_at_the_first_steps_is_a_divergence() -> None:
    watch = _Divergence()
    assert [watch.note(loss) for loss in (2.65, 529.0)] == [False, True]

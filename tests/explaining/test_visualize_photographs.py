"""Photographs changed: DeepDream and style transfer."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from promises.found import state
from striate.core.spec import InputSpec
from striate.explaining import activation_maps, saliency
from striate.explaining.model_input import ImageError
from striate.explaining.visualize import (
    ObjectiveError,
    channel,
    class_logit,
    content,
    deep_dream,
    grams_of,
    layer,
    maps_of,
    style,
    transfer_style,
)
from striate.explaining.visualize.ascent import Ascent
from striate.explaining.visualize.color import ImageScaling
from striate.explaining.visualize.model_view import view_model
from striate.hooks import PlaceError

SPEC = InputSpec(channels=("blue", "green", "red"), height=16, width=16, mean=(0.4,) * 3, std=(0.25,) * 3)


class Small(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 5, 3, padding=1), nn.Conv2d(5, 6, 3, padding=1, stride=2)
        generator = torch.Generator().manual_seed(2)
        for weight in self.parameters():
            weight.data.normal_(0, 0.4, generator=generator)

    def forward(self, images: Tensor) -> Tensor:
        return self.second(torch.relu(self.first(images))).mean((2, 3))


def photograph(seed: int, size: tuple[int, int] = (20, 26)) -> np.ndarray:
    """Smooth stripes of random colours."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[: size[0], : size[1]][..., None]
    waves = np.sin(y * rng.uniform(-1, 1, 3) + x * rng.uniform(-1, 1, 3) + rng.uniform(0, 6, 3))
    return (0.5 + 0.4 * waves).astype(np.float32)


def test_a_dream_raises_its_objective_stays_near_and_repeats() -> None:
    model, picture, objective = Small().train(), photograph(0), layer("second") - 0.1 * channel("first", 1)
    before = state(model)
    dreamt = deep_dream(model, picture, objective, SPEC, octaves=3, steps=4, rate=0.01, frames=3, seed=1)
    again = deep_dream(model, picture, objective, SPEC, octaves=3, steps=4, rate=0.01, frames=3, seed=1)
    assert state(model) == before
    at_first = objective_of(model, picture)
    assert dreamt.score[0] > at_first
    assert np.array_equal(dreamt.images, again.images)
    assert dreamt.images.shape == (1, 20, 26, 3)
    assert 0 < np.abs(dreamt.images[0] - picture).mean() <= 12 * 0.01
    assert dreamt.course.shape == (12, 1)
    assert [frame.shape for frame in dreamt.film()] == [(20, 26, 3)] * 3


class Flattening(nn.Module):
    """A network whose head takes one size of images only."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.stage1, self.stage2 = nn.Conv2d(3, 5, 3, padding=1), nn.Conv2d(5, 6, 3, stride=2)
        self.head = nn.Linear(6 * 7 * 7, 4)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(torch.relu(self.stage2(torch.relu(self.stage1(images)))).flatten(1))


@pytest.mark.parametrize("size", [(16, 16), (20, 26), (41, 30)])
def test_a_dream_runs_only_up_to_its_place_so_an_image_of_any_size_will_do(size: tuple[int, int]) -> None:
    model, picture = Flattening(), photograph(0, size)
    runs: list[int] = []
    model.head.register_forward_hook(lambda *_: runs.append(1))
    dreamt = deep_dream(model, picture, "stage2", SPEC, octaves=2, steps=2)
    assert dreamt.images.shape == (1, *size, 3)
    assert runs == [1]  # once, on the network's own size, to see that the place runs once
    by_hand = deep_dream(model, picture, layer("stage2"), SPEC, octaves=2, steps=2)
    np.testing.assert_array_equal(dreamt.images, by_hand.images)
    operation = deep_dream(model, picture, ["relu:1", "stage2"], SPEC, octaves=1, steps=1)
    assert operation.objective == "layer('relu:1') + layer('stage2')"


def test_results_have_short_reprs_and_images_show_themselves(tmp_path: Path) -> None:
    model, images = Small(), torch.zeros(3, 3, 16, 16)
    dreamt = deep_dream(model, photograph(0), "second", SPEC, octaves=1, steps=1)
    assert len(repr(dreamt)) < 120
    with Image.open(dreamt.save(tmp_path / "new" / "dream.png")) as saved:
        np.testing.assert_array_equal(np.asarray(saved), np.round(dreamt.images[0] * 255).astype(np.uint8))
    assert dreamt._repr_png_().startswith(b"\x89PNG")
    (maps,) = activation_maps(model, images, ["first"])
    assert repr(maps) == "ActivationMaps(place='first', values=<float32 (3, 5, 16, 16)>)"
    assert repr(saliency(model, images, [0, 1, 2])) == "Attribution(saliency, values (3, 3, 16, 16), target=(0, 1, 2))"


def test_a_dream_of_bytes_is_that_of_their_shares() -> None:
    picture = (photograph(0) * 255).astype(np.uint8)
    one = deep_dream(Small(), picture, "second", SPEC, octaves=1, steps=1)
    other = deep_dream(Small(), picture.astype(np.float32) / 255, "second", SPEC, octaves=1, steps=1)
    np.testing.assert_array_equal(one.images, other.images)


def test_impossible_dreams_are_refused_in_one_sentence() -> None:
    with pytest.raises(ObjectiveError, match="cannot compute class_logit"):
        deep_dream(Flattening(), photograph(0), class_logit(0), SPEC)
    with pytest.raises(ObjectiveError, match="'stage2'"):
        deep_dream(Flattening(), photograph(0), [], SPEC)

    class Twice(Flattening):
        def forward(self, images: Tensor) -> Tensor:
            return super().forward(self.stage1(images)[:, :3])

    with pytest.raises(PlaceError, match="ran 2 times"):
        deep_dream(Twice(), photograph(0), "stage1", SPEC)


def objective_of(model: nn.Module, picture: np.ndarray) -> float:
    seen = maps_of(model, picture, ["second", "first"], SPEC)
    return float(seen["second"].square().mean() - 0.1 * seen["first"][:, 1].mean())


def test_each_step_of_a_dream_has_the_stated_length() -> None:
    """A network that adds up what it sees of blue: its gradient is 1 there, and 0 in red and green."""

    class Blue(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            return images[:, :1].sum((2, 3)) + 0 * images.sum((1, 2, 3))[:, None]

    picture = photograph(1) * 0.5
    dreamt = deep_dream(Blue(), picture, class_logit(0), SPEC, octaves=1, steps=3, rate=0.01)
    # mean |g| is that of one channel of three, so that a step in it is 3 · rate.
    np.testing.assert_allclose(dreamt.images[0] - picture, np.broadcast_to([0, 0, 0.09], picture.shape), atol=1e-5)


def test_style_transfer_takes_the_things_of_one_image_and_the_manner_of_another() -> None:
    model = Small()
    before = state(model)
    things, manner = photograph(0), photograph(1, (14, 31))
    drawn = transfer_style(
        model, things, manner, SPEC, content_at="second", style_at=["first", "second"], steps=30, frames=2
    )
    assert state(model) == before
    assert drawn.objective == "content('second') + 100 * style('first', 'second')"
    assert drawn.images.shape == (1, *things.shape)
    # Before the first step content is right, so all that is missing is style.
    given = grams_of(model, things, ["first", "second"], SPEC)
    wanted = grams_of(model, manner, ["first", "second"], SPEC)
    by_hand = np.mean([float((given[at] - wanted[at]).norm() ** 2 / wanted[at].norm() ** 2) for at in wanted])
    assert drawn.course[0, 0] == pytest.approx(-100 * by_hand, rel=1e-3)
    assert drawn.score[0] > 0.2 * drawn.course[0, 0]
    # With no style to follow, the image stays as it was.
    same = transfer_style(
        model, things, manner, SPEC, content_at="second", style_at=["first"], style_weight=0.0, steps=2
    )
    np.testing.assert_allclose(same.images[0], things, atol=1e-3)


def test_impossible_objectives_and_images_are_refused() -> None:
    model, picture = Small(), photograph(0)
    with pytest.raises(ImageError, match=r"image \(h, w, 3\)"):
        deep_dream(model, picture[..., :1], layer("first"), SPEC)
    with pytest.raises(ObjectiveError, match="received 0 octaves"):
        deep_dream(model, picture, layer("first"), SPEC, octaves=0)
    with pytest.raises(ImageError, match="from 0 to 1"):
        transfer_style(model, picture, picture * 255, SPEC, content_at="first", style_at=["first"])


def test_the_gradient_of_the_whole_loss_is_that_of_finite_differences() -> None:
    """On the network itself in float64, through the scaling, down to single pixels of the image."""
    model, things, manner = Small().double(), photograph(0, (8, 9)), photograph(1, (7, 7))
    loss = content(maps_of(model, things, ["second"], SPEC)) + 10 * style(
        grams_of(model, manner, ["first", "second"], SPEC)
    )
    with view_model(model, loss.places, ImageScaling(SPEC)) as eye:
        ascent = Ascent(eye, loss)
        given = torch.from_numpy(photograph(2, (8, 9))).double().permute(2, 0, 1)[None].requires_grad_()
        score, gradient = ascent.gradient(given, lambda: given * 1)
        assert score.shape == (1,)
        for where in [(0, 0, 0, 0), (0, 1, 4, 5), (0, 2, 7, 8)]:
            step = torch.zeros_like(given)
            step[where] = 1e-6
            with torch.no_grad():
                slope = (ascent.score(given + step) - ascent.score(given - step)).item() / 2e-6
            assert gradient[where].item() == pytest.approx(slope, rel=1e-5)

"""Images made by gradient ascent: that they excite what they are made for, and leave the network alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from promises.found import state
from striate.core.spec import InputSpec
from striate.explaining.visualize import (
    BlurredPixels,
    Fourier,
    Objective,
    ObjectiveError,
    Pixels,
    channel,
    class_logit,
    direction,
    diversity,
    layer,
    maximize,
    style,
    unit,
)
from striate.hooks import PlaceError


class Stranger(nn.Module):
    """A foreign network: one ReLU for all, some of them in place."""

    def __init__(self, channels: int = 3) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(1)
        self.first, self.second = nn.Conv2d(channels, 6, 3, padding=1), nn.Conv2d(6, 8, 3, padding=1, stride=2)
        self.norm, self.head, self.relu = nn.BatchNorm2d(6), nn.Linear(8, 4), nn.ReLU(inplace=True)
        for weight in self.parameters():
            weight.data.normal_(0, 0.4, generator=generator)

    def forward(self, images: Tensor) -> Tensor:
        found = F.relu_(self.second(self.relu(self.norm(self.first(images)))))
        return self.head(found.mean((2, 3)))


def spec(channels: tuple[str, ...] = ("red", "green", "blue"), size: tuple[int, int] = (14, 17)) -> InputSpec:
    count = len(channels)
    return InputSpec(channels=channels, height=size[0], width=size[1], mean=(0.4,) * count, std=(0.25,) * count)


OBJECTIVES = [
    unit("second", 3),
    unit("second", 3, at=(0, 5)),
    channel("second", 2),
    -channel("relu:1", 1),
    channel("head", 1),
    class_logit(2),
    direction("second", np.linspace(-1, 1, 8)),
    layer("relu:2"),
    style({"second": torch.eye(8)[None]}),
    channel("second", 2) - 0.1 * diversity("relu:1"),
    -diversity("second"),
]


@pytest.mark.parametrize("objective", OBJECTIVES, ids=str)
@pytest.mark.parametrize("held", [Fourier(), BlurredPixels(), Pixels()], ids=lambda held: type(held).__name__)
def test_three_steps_raise_every_objective(objective: Objective, held: Fourier | BlurredPixels | Pixels) -> None:
    grown = maximize(Stranger(), objective, spec(), count=2, steps=3, parameterization=held, robustness=None, frames=3)
    assert (grown.score > grown.course[0]).all()
    assert grown.images.shape == (2, 14, 17, 3)
    assert grown.images.min() >= 0
    assert grown.images.max() <= 1
    assert [frame.shape for frame in grown.film(1)] == [(14, 17, 3)] * 3
    assert np.array_equal(grown.frames[-1], np.round(grown.images * 255))


def test_the_default_draws_the_same_images_bit_for_bit_and_others_by_another_seed() -> None:
    first, again, other = (
        maximize(Stranger(), channel("second", 2), spec(), count=2, steps=4, frames=2, seed=seed) for seed in (3, 3, 4)
    )
    assert np.array_equal(first.images, again.images)
    assert np.array_equal(first.course, again.course)
    assert all(map(np.array_equal, first.frames, again.frames))
    assert not np.array_equal(first.images, other.images)
    assert not np.array_equal(first.images[0], first.images[1])


def test_course_frames_and_progress_tell_of_every_step() -> None:
    reported: list[tuple[str, int, int]] = []
    grown = maximize(
        Stranger(), class_logit(0), spec(), steps=5, frames=2, progress=lambda *report: reported.append(report)
    )
    assert reported == [("making the image", done, 5) for done in range(1, 6)]
    assert grown.course.shape == (5, 1)
    assert len(grown.frames) == 2
    assert grown.objective == "class_logit(0)"
    logits = Stranger().eval()((torch.from_numpy(grown.images).permute(0, 3, 1, 2) - 0.4) / 0.25)
    assert grown.score[0] == pytest.approx(logits[0, 0].item(), rel=1e-4)


@pytest.mark.parametrize("channels", [("grey",), ("red", "green"), ("a", "b", "c", "d", "e")], ids=len)
@pytest.mark.parametrize("held", [Fourier(), BlurredPixels(), Pixels()], ids=lambda held: type(held).__name__)
def test_networks_of_any_number_of_channels(channels: tuple[str, ...], held: Fourier | BlurredPixels | Pixels) -> None:
    grown = maximize(Stranger(len(channels)), class_logit(1), spec(channels), steps=2, parameterization=held)
    assert grown.images.shape == (1, 14, 17, len(channels))
    assert grown.channels == channels


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_networks_of_any_precision_and_frozen_ones(dtype: torch.dtype) -> None:
    model = Stranger().to(dtype).requires_grad_(False)
    grown = maximize(model, channel("second", 2), spec(), size=(20, 11), steps=3, robustness=None)
    assert grown.images.dtype == np.float32
    assert grown.images.shape == (1, 20, 11, 3)
    assert grown.score[0] > grown.course[0, 0]


def interrupt(*_: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize("error", [None, ObjectiveError, PlaceError, KeyboardInterrupt])
def test_the_network_comes_back_as_found(error: type[BaseException] | None) -> None:
    model = Stranger().train()
    model.first.weight.grad = torch.ones_like(model.first.weight)
    model.second.weight.requires_grad_(False)
    before = state(model)
    if error is None:
        maximize(model, channel("second", 2), spec(), steps=2)
    else:
        objective = {ObjectiveError: channel("second", 8), PlaceError: channel("third", 0)}.get(error, class_logit(0))
        if error is KeyboardInterrupt:
            model.norm.register_forward_hook(interrupt)
            before = state(model)
        with pytest.raises(error):
            maximize(model, objective, spec(), steps=2)
    assert state(model) == before


class Closed(nn.Module):
    """A network whose ReLUs are closed for grey images: nothing reaches the image by the plain gradient."""

    def __init__(self, threshold: float) -> None:
        super().__init__()
        self.conv, self.head = nn.Conv2d(1, 1, 1), nn.Linear(1, 2)
        for weight, value in zip(self.parameters(), (1.0, -threshold, 1.0, 0.0), strict=True):
            nn.init.constant_(weight, value)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(F.relu(self.conv(images)).amax((2, 3)))


@pytest.mark.parametrize("held", [Fourier(), BlurredPixels(), Pixels()], ids=lambda held: type(held).__name__)
def test_an_ascent_leads_out_of_closed_relus(held: Fourier | BlurredPixels | Pixels) -> None:
    # (value - 0.4) / 0.25 is above 1 from a value of 0.65 on; it starts near 0.4 or 0.5.
    grown = maximize(Closed(1.0), class_logit(0), spec(("grey",), (6, 6)), parameterization=held, steps=60)
    assert grown.course[0, 0] == 0
    assert grown.score[0] > 0.5


class Constant(nn.Module):
    def forward(self, images: Tensor) -> Tensor:
        return F.relu(images).mean((2, 3)) * 0


def test_an_objective_that_does_not_depend_on_the_image_is_refused() -> None:
    with pytest.raises(ObjectiveError, match=r"class_logit\(1\) is zero even past closed ReLUs"):
        maximize(Constant(), class_logit(1), spec(), steps=2)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [({"count": 0}, "received count 0"), ({"steps": 0}, "received 0 steps"), ({"frames": 9, "steps": 8}, "9 frames")],
    ids=str,
)
def test_settings_that_cannot_be_are_refused(settings: dict[str, int], sentence: str) -> None:
    with pytest.raises(ObjectiveError, match=sentence):
        maximize(Stranger(), class_logit(0), spec(), **settings)  # type: ignore[arg-type]


class Detached(nn.Module):
    def forward(self, images: Tensor) -> Tensor:
        return images.detach().mean((2, 3))


class Undefined(nn.Module):
    def forward(self, images: Tensor) -> Tensor:
        return images.mean((2, 3)) * torch.nan


@pytest.mark.parametrize(
    ("network", "sentence"),
    [(Detached(), r"No gradient of class_logit\(1\) reaches the image"), (Undefined(), "is infinite or undefined")],
)
def test_a_network_without_gradients_or_numbers_is_refused(network: nn.Module, sentence: str) -> None:
    with pytest.raises(ObjectiveError, match=sentence):
        maximize(network, class_logit(1), spec(), steps=2)

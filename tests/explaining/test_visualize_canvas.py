"""How growing images are held, changed and seen, against sums written out."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from reference.pictures import askew, from_frequencies
from striate.core.spec import InputSpec
from striate.explaining.model_input import ImageError
from striate.explaining.visualize import BlurredPixels, Fourier, ObjectiveError, Pixels, Robustness
from striate.explaining.visualize.color import ImageScaling
from striate.explaining.visualize.fourier import COLOUR_MATRIX
from striate.explaining.visualize.transform import sampled

LIKE = torch.empty(0, dtype=torch.float64)


def palette(*channels: str, mean: tuple[float, ...] | None = None) -> ImageScaling:
    count = len(channels)
    return ImageScaling(
        InputSpec(channels=channels, height=5, width=6, mean=mean or (0.5,) * count, std=(0.25,) * count)
    )


GREY, COLOUR = palette("grey"), palette("red", "green", "blue")


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize(("height", "width"), [(3, 4), (4, 5), (1, 6)])
def test_a_fourier_image_is_the_explicit_sum_of_its_waves(height: int, width: int) -> None:
    canvas = Fourier(power=1.5).canvas(GREY, (1, height, width), generator(), LIKE)
    with torch.no_grad():
        canvas.values.normal_(generator=generator(1))
    pairs = canvas.values.detach().numpy()[0, 0]
    half = np.zeros((height, width // 2 + 1), complex)
    for k in range(height):
        for column in range(width // 2 + 1):
            down = (k if k <= height // 2 else k - height) / height
            lowest = 1 / max(height, width)
            frequency = max(math.hypot(down, column / width), lowest)
            half[k, column] = complex(*pairs[k, column]) * (lowest / frequency) ** 1.5 / lowest
    expected = 1 / (1 + np.exp(-from_frequencies(half, height, width) / 4))
    found = canvas.images().detach().numpy()
    np.testing.assert_allclose(found[0, 0], expected, rtol=1e-6)


def test_colours_are_mixed_by_the_stated_matrix_and_only_where_there_are_colours() -> None:
    values = torch.randn((2, 3, 5, 4, 2), generator=generator(), dtype=torch.float64)
    pictures = {}
    for name, a_palette in (("colour", COLOUR), ("bands", palette("infrared", "red", "green"))):
        canvas = Fourier().canvas(a_palette, (2, 5, 6), generator(), LIKE)
        with torch.no_grad():
            canvas.values.copy_(values)
        pictures[name] = canvas.images().detach()
    waves = torch.logit(pictures["bands"])
    matrix = torch.tensor(COLOUR_MATRIX, dtype=torch.float64)
    longest = math.sqrt(0.26**2 + 0.27**2 + 0.27**2)
    for picture in range(2):
        for colour in range(3):
            mixed = torch.stack([matrix[colour, part] / longest * waves[picture, part] for part in range(3)]).sum(0)
            torch.testing.assert_close(pictures["colour"][picture, colour], torch.sigmoid(mixed), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("a_palette", [GREY, COLOUR], ids=["grey", "colour"])
def test_a_fourier_canvas_begins_with_the_images_it_is_given(a_palette: ImageScaling) -> None:
    given = torch.rand((2, len(a_palette.channels), 5, 6), generator=generator(), dtype=torch.float64) * 0.9 + 0.05
    torch.testing.assert_close(Fourier().holding(a_palette, given).images(), given, rtol=1e-6, atol=1e-6)


def test_a_plain_step_goes_one_rate_along_the_penalized_gradient_and_stays_an_image() -> None:
    canvas = Pixels(penalty=0.5, rate=0.1).canvas(palette("grey", mean=(0.3,)), (1, 2, 2), generator(), LIKE)
    start = torch.tensor([[[[0.0, 0.2], [-0.1, 0.65]]]], dtype=torch.float64)
    gradient = torch.tensor([[[[1.0, 0.0], [-3.0, 4.0]]]], dtype=torch.float64)
    with torch.no_grad():
        canvas.values.copy_(start)
    canvas.ascend(gradient)
    full = gradient - 2 * 0.5 * start  # 1, -0.2, -2.9, 3.35
    moved = start + 0.1 * full / math.sqrt((1 + 0.04 + 8.41 + 11.2225) / 4)
    moved[0, 0, 1, 1] = 0.7  # 0.65 + 0.147, with the mean above 1
    torch.testing.assert_close(canvas.values.detach(), moved)


def test_blurring_is_a_gaussian_of_the_stated_width_and_comes_as_often_as_stated() -> None:
    held = BlurredPixels(decay=0.0, blur_sigma_px=1.5, blur_every=2, clip_norm=0.0, clip_contribution=0.0, rate=0.0)
    canvas = held.canvas(GREY, (1, 31, 31), generator(), LIKE)
    with torch.no_grad():
        canvas.values.zero_()
        canvas.values[0, 0, 15, 14] = 0.4
    canvas.ascend(torch.ones_like(canvas.values))
    assert canvas.values.count_nonzero() == 1
    canvas.ascend(torch.ones_like(canvas.values))
    spot = canvas.values.detach()[0, 0]
    across = torch.arange(31, dtype=torch.float64)
    assert math.isclose(spot.sum(), 0.4, rel_tol=1e-9)
    assert math.isclose((spot.sum(0) * across).sum() / 0.4, 14, rel_tol=1e-9)
    assert math.isclose((spot.sum(0) * (across - 14) ** 2).sum() / 0.4, 1.5**2, rel_tol=0.05)


@pytest.mark.parametrize(
    ("norm", "contribution", "left"), [(0.5, 0.0, [0.0, 0.0, 0.3, -0.4]), (0.0, 0.5, [0.0, -0.2, 0.3, 0.0])]
)
def test_clipping_spares_the_largest_pixels_or_those_to_which_the_objective_owes_most(
    norm: float, contribution: float, left: list[float]
) -> None:
    held = BlurredPixels(decay=0.0, blur_sigma_px=0.0, clip_norm=norm, clip_contribution=contribution, rate=0.0)
    canvas = held.canvas(GREY, (1, 1, 4), generator(), LIKE)
    with torch.no_grad():
        canvas.values.copy_(torch.tensor([0.1, -0.2, 0.3, -0.4], dtype=torch.float64))
    # Contributions of 0.6, 0.8, 0.75, 0.2.
    canvas.ascend(torch.tensor([[[[6.0, 4.0, 2.5, -0.5]]]], dtype=torch.float64))
    assert canvas.values.detach().flatten().tolist() == pytest.approx(left)


def test_a_view_is_read_off_the_canvas_as_if_by_hand() -> None:
    canvas = torch.rand((2, 2, 24, 27), generator=generator(), dtype=torch.float64)
    scale, turn = torch.tensor([0.9, 1.3]), torch.tensor([0.2, -0.1])
    shift = torch.tensor([[1.25, -2.0], [0.0, 1.5]])
    found = sampled(canvas, (9, 14), scale.double(), turn.double(), shift.double())
    for number in range(2):
        for channel in range(2):
            moved = (float(shift[number, 0]), float(shift[number, 1]))
            expected = askew(canvas[number, channel].numpy(), (9, 14), float(scale[number]), float(turn[number]), moved)
            np.testing.assert_allclose(found[number, channel].numpy(), expected, rtol=1e-5, atol=1e-6)


def test_views_differ_from_image_to_image_and_repeat_by_the_generator() -> None:
    canvas = torch.rand((1, 1, 20, 20), generator=generator()).expand(3, -1, -1, -1)
    first = Robustness().view(canvas, (16, 16), generator(5))
    assert torch.equal(first, Robustness().view(canvas, (16, 16), generator(5)))
    assert len({picture.sum().item() for picture in first}) == 3
    still = Robustness(jitter=0.0, scale=(1.0, 1.0), degrees=0.0).view(canvas, (16, 16), generator())
    torch.testing.assert_close(still, canvas[:, :, 2:18, 2:18])
    with pytest.raises(ObjectiveError, match=r"shares from 0 to 1.*pad=-0\.1"):
        Robustness(pad=-0.1)
    with pytest.raises(ObjectiveError, match=r"blur_every at least 1; received .*blur_every=0"):
        BlurredPixels(blur_every=0)


def test_views_shift_grow_and_turn_as_far_as_stated_and_no_farther() -> None:
    """On ramps, whose value says where a view was taken and whose slopes say how."""
    size, margins = (12, 20), Robustness(pad=0.5).margins((12, 20))
    assert margins == (6, 10)
    down, across = torch.meshgrid(torch.arange(24.0), torch.arange(40.0), indexing="ij")
    canvas = torch.stack([down - 11.5, across - 19.5])[None].expand(400, -1, -1, -1)
    free = {"pad": 0.5, "jitter": 0.0, "degrees": 0.0}
    middles = Robustness(**free | {"jitter": 0.25}, scale=(1.0, 1.0)).view(canvas, size, generator()).mean((2, 3))
    for found, farthest in ((middles[:, 0], 0.25 * 12), (middles[:, 1], 0.25 * 20)):
        assert farthest * 0.95 < found.max() <= farthest + 1e-4
        assert -farthest - 1e-4 <= found.min() < -farthest * 0.95
    grown = Robustness(**free, scale=(0.9, 1.5)).view(canvas, size, generator())
    slopes = grown[:, 1, 5, 11] - grown[:, 1, 5, 10]
    assert 1 / 1.5 - 1e-4 <= slopes.min() < 1 / 1.45
    assert 1 / 0.95 < slopes.max() <= 1 / 0.9 + 1e-4
    turned = Robustness(**free | {"degrees": 30.0}, scale=(1.0, 1.0)).view(canvas, size, generator())
    angles = torch.rad2deg(torch.asin(turned[:, 0, 5, 11] - turned[:, 0, 5, 10]))
    assert -30.01 <= angles.min() < -29
    assert 29 < angles.max() <= 30.01


def test_a_network_of_blue_green_red_gets_them_so_and_people_see_red_green_blue() -> None:
    spec = InputSpec(channels=("blue", "green", "red"), height=1, width=1, mean=(0.1, 0.2, 0.3), std=(0.5, 0.25, 0.125))
    found = ImageScaling(spec)
    pictures = torch.tensor([0.4, 0.6, 1.0], dtype=torch.float64)[None, :, None, None]  # red, green, blue
    assert found.channels == ("red", "green", "blue")
    assert found.mean(pictures).flatten().tolist() == [0.3, 0.2, 0.1]
    assert found.scaled(pictures).flatten().tolist() == pytest.approx([0.9 / 0.5, 0.4 / 0.25, 0.1 / 0.125])
    assert found.tensor(np.array([[[0.4, 0.6, 1.0]]])).flatten().tolist() == pytest.approx([0.4, 0.6, 1.0])


def test_images_that_do_not_fit_the_network_are_refused_in_a_sentence() -> None:
    with pytest.raises(ImageError, match=r"image \(h, w, 3\) of red, green, blue; received .* \(4, 4, 1\)"):
        COLOUR.tensor(np.zeros((4, 4, 1), np.float32))
    with pytest.raises(ImageError, match=r"float values from 0 to 1.*float32 from 0 to 255"):
        GREY.tensor(np.full((4, 4, 1), 255, np.float32) * np.eye(4, dtype=np.float32)[..., None])
    with pytest.raises(ImageError, match="float values from 0 to 1"):
        GREY.tensor(np.full((4, 4, 1), np.nan, np.float32))

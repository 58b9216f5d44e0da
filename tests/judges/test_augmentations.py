"""Augmentations against torchvision's second version, with the same random numbers."""

from __future__ import annotations

import math

import numpy as np
import torch
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as judge

from striate.data.augmentation import affine
from striate.data.augmentation.augmentations import Geometric, Photometric
from striate.data.augmentation.colours import Exposure, Hue, Saturation
from striate.data.augmentation.geometric import Perspective, RandomResizedCrop, Shear
from striate.data.augmentation.pixels import Blur
from striate.data.augmentation.rectangles import fitting, placed

HEIGHT, WIDTH, COUNT = 20, 26, 12
IMAGES = torch.rand(COUNT, 3, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(0))
BILINEAR = InterpolationMode.BILINEAR


def drawn(used: Geometric | Photometric) -> np.ndarray:
    return np.random.default_rng(1).random((COUNT, used.draws))


def moved(used: Geometric) -> torch.Tensor:
    matrices = used.matrices(drawn(used), HEIGHT, WIDTH)
    return (affine.project if used.projective else affine.interpolate)(IMAGES, matrices)


def test_random_resized_crops_are_torchvisions_away_from_the_border() -> None:
    used = RandomResizedCrop()
    draws, received = drawn(used), moved(used)
    rows, columns, fits = fitting(draws, 0.08, 1.0, 4 / 3, HEIGHT, WIDTH)
    tops, lefts = placed(draws[:, -2], HEIGHT, rows), placed(draws[:, -1], WIDTH, columns)
    assert fits.all()
    for number, (top, left, height, width) in enumerate(zip(tops, lefts, rows, columns, strict=True)):
        place = [int(side) for side in (top, left, height, width)]
        expected = judge.resized_crop(IMAGES[number], *place, size=[HEIGHT, WIDTH], interpolation=BILINEAR)
        y, x = math.ceil(HEIGHT / height / 2), math.ceil(WIDTH / width / 2)  # half a pixel of the crop
        inside = (slice(None), slice(y, HEIGHT - y), slice(x, WIDTH - x))
        torch.testing.assert_close(received[number][inside], expected[inside], atol=1e-5, rtol=0)


def test_shear_and_perspective_are_torchvisions_where_no_border_is_seen() -> None:
    shear, perspective = Shear(degrees=15.0), Perspective(fraction=0.5)
    draws = 15 * (2 * drawn(shear) - 1)
    corners = np.array([(0, 0), (WIDTH, 0), (WIDTH, HEIGHT), (0, HEIGHT)], float)
    centre, moves = corners.mean(axis=0), 0.5 * drawn(perspective).reshape(COUNT, 4, 2)
    ends = corners + moves * (centre - corners)
    whole = torch.ones(1, HEIGHT, WIDTH)  # a fourth channel: what of a pixel comes from the image
    for number in range(COUNT):
        image = torch.cat([IMAGES[number], whole])
        sheared = judge.affine(image, 0, [0, 0], 1, list(draws[number]), interpolation=BILINEAR)
        places = corners.tolist(), ends[number].tolist()
        turned = judge.perspective(image, *places, interpolation=BILINEAR)
        for used, expected in ((shear, sheared), (perspective, turned)):
            seen = expected[3] > 0.9999
            assert seen.float().mean() > 0.3
            received = moved(used)[number][:, seen]
            torch.testing.assert_close(received, expected[:3, seen], atol=1e-3, rtol=0)


def test_exposure_saturation_hue_and_blur_are_torchvisions() -> None:
    hue = Hue(fraction=0.4)
    changes = Exposure(fraction=1.0), Saturation(fraction=0.8), hue, Blur(sigma=1.3)
    received = {used.name: used.apply(IMAGES, drawn(hue), (0.5,) * 3) for used in changes}
    inside = (slice(None), slice(4, -4), slice(4, -4))
    for number, draw in enumerate(drawn(hue)[:, 0].tolist()):
        image, sign = IMAGES[number], 2 * draw - 1
        expected = {
            "exposure": judge.adjust_gamma(image, 2**sign),
            "saturation": judge.adjust_saturation(image, 1 + 0.8 * sign),
            "hue": judge.adjust_hue(image, 0.4 * sign),
        }
        for name, picture in expected.items():
            torch.testing.assert_close(received[name][number], picture, atol=2e-4, rtol=0)
        blurred = judge.gaussian_blur(image, [9, 9], [1.3 * draw] * 2)
        torch.testing.assert_close(received["blur"][number][inside], blurred[inside], atol=1e-5, rtol=0)

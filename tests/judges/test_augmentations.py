"""Augmentations against torchvision's second version, with the same random numbers, and against Pillow's JPEG."""

from __future__ import annotations

import io
import math

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms.v2 import InterpolationMode, RandAugment, TrivialAugmentWide
from torchvision.transforms.v2 import functional as judge

from striate.data.augmentation import affine
from striate.data.augmentation.augmentations import Geometric, Photometric
from striate.data.augmentation.colours import Exposure, Hue, Saturation
from striate.data.augmentation.geometric import Perspective, RandomResizedCrop, Shear
from striate.data.augmentation.jpeg import compressed
from striate.data.augmentation.levels import autocontrasted, equalized, posterized, solarized
from striate.data.augmentation.pixels import Blur, sharpened
from striate.data.augmentation.policies import _RAND, _TRIVIAL
from striate.data.augmentation.rectangles import fitting, placed

HEIGHT, WIDTH, COUNT = 20, 26, 12
IMAGES = torch.rand(COUNT, 3, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(0))
BILINEAR = InterpolationMode.BILINEAR


def drawn(used: Geometric | Photometric) -> np.ndarray:
    return np.random.default_rng(1).random((COUNT, used.draws))


def moved(used: Geometric) -> torch.Tensor:
    matrices = used.matrices(drawn(used), HEIGHT, WIDTH)
    return affine.warp(IMAGES, matrices, used.warp)


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


def photo(height: int, width: int) -> np.ndarray:
    """Make an image with edges, gradients and a little noise: levels, (height, width, 3)."""
    y, x = np.mgrid[:height, :width]
    smooth = 128 + 90 * np.sin(x / 9 + np.array([0, 1, 2])[:, None, None]) * np.cos(y / 13)
    smooth[:, (y - 20) ** 2 + (x - 30) ** 2 < 150] = np.array([200, 40, 90])[:, None]
    noisy = smooth + np.random.default_rng(0).normal(0, 4, smooth.shape)
    return np.clip(noisy, 0, 255).astype(np.uint8).transpose(1, 2, 0)


def test_posterize_solarize_and_equalize_are_torchvisions_to_the_level() -> None:
    levels = torch.stack([torch.from_numpy(photo(40, 60).copy()).permute(2, 0, 1)] * 8)
    levels[1, :, :, 10:] = 7  # a channel mostly of one level
    levels[2] = 200
    shares = levels.float() / 255
    expected = {
        "posterize": (posterized(shares, np.arange(1, 9)), [judge.posterize(levels[k], k + 1) for k in range(8)]),
        "solarize": (
            solarized(shares, np.arange(8) * 30 / 255),
            [judge.solarize(levels[k], float(30 * k)) for k in range(8)],
        ),
        "equalize": (equalized(shares), list(judge.equalize(levels))),
    }
    for name, (received, pictures) in expected.items():
        assert torch.equal((received * 255).round().byte(), torch.stack(pictures)), name
    torch.testing.assert_close(autocontrasted(shares), judge.autocontrast(shares), atol=1e-6, rtol=0)
    for number, factor in enumerate(np.linspace(0.1, 1.9, 8)):
        one, by = shares[number : number + 1], torch.tensor([factor]).float().view(1, 1, 1, 1)
        torch.testing.assert_close(sharpened(one, by), judge.adjust_sharpness(one, factor), atol=1e-6, rtol=0)


@pytest.mark.parametrize(("space", "of_torchvision"), [(_RAND, RandAugment), (_TRIVIAL, TrivialAugmentWide)])
def test_operations_are_as_strong_as_torchvisions_at_every_magnitude(space, of_torchvision) -> None:
    theirs = {"translate_x": "TranslateX", "translate_y": "TranslateY", "saturation": "Color"}
    theirs |= {"shear_x": "ShearX", "shear_y": "ShearY", "autocontrast": "AutoContrast"}
    magnitudes = np.arange(31) / 30
    assert len(space.operations) == len(of_torchvision._AUGMENTATION_SPACE) == 14
    for operation in space.operations:
        expected, _ = of_torchvision._AUGMENTATION_SPACE[theirs.get(operation, operation.title())]
        strengths = expected(31, HEIGHT, WIDTH)
        if strengths is not None:
            received = space.amount(operation, magnitudes, HEIGHT, WIDTH)
            np.testing.assert_allclose(received, strengths.numpy(), rtol=1e-5, atol=1e-5, err_msg=operation)


@pytest.mark.parametrize("size", [(64, 64), (61, 83)])
def test_jpeg_artefacts_are_pillows(size: tuple[int, int]) -> None:
    """Most values are equal; the others differ as two decoders do, by far less than the compression changes them."""
    image = photo(*size)
    levels = torch.from_numpy(image.copy()).permute(2, 0, 1)[None].float()
    for quality in (5, 30, 50, 75, 90, 100):
        file = io.BytesIO()
        Image.fromarray(image).save(file, "JPEG", quality=quality)
        expected = np.asarray(Image.open(file)).astype(float).transpose(2, 0, 1)
        received = compressed(levels, np.array([float(quality)]))[0].numpy()
        difference, loss = np.abs(received - expected), np.abs(levels[0].numpy() - expected)
        assert (difference == 0).mean() > 0.7, quality
        assert difference.mean() < min(0.5, 0.2 * loss.mean()), quality

"""What each augmentation does to one image, by scipy and loops; draws come as numbers in [0, 1)."""

from __future__ import annotations

import colorsys
import math
from typing import Any

import numpy as np
from scipy import ndimage


def flip(picture: np.ndarray, draws: np.ndarray, strength: float, blank: np.ndarray) -> np.ndarray:
    return picture[:, :, ::-1] if draws[0] < 0.5 else picture


def shift(picture: np.ndarray, draws: np.ndarray, strength: float, blank: np.ndarray) -> np.ndarray:
    """Pad with the mirror image, then crop."""
    _, height, width = picture.shape
    reach_x, reach_y = round(strength * width), round(strength * height)
    padded = np.pad(picture, [(0, 0), (reach_y, reach_y), (reach_x, reach_x)], mode="symmetric")
    left, top = int(draws[0] * (2 * reach_x + 1)), int(draws[1] * (2 * reach_y + 1))
    return padded[:, top : top + height, left : left + width]


def _about_centre(picture: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """`matrix` takes (y, x) from the centre of the new image to the old one."""
    centre = (np.array(picture.shape[1:]) - 1) / 2
    offset: Any = centre - matrix @ centre
    return np.stack(
        [ndimage.affine_transform(plane, matrix, offset, order=1, mode="reflect") for plane in picture.astype(float)]
    )


def rotation(picture: np.ndarray, draws: np.ndarray, strength: float, blank: np.ndarray) -> np.ndarray:
    angle = math.radians(strength * (2 * draws[0] - 1))
    return _about_centre(picture, np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]]))


def scale(picture: np.ndarray, draws: np.ndarray, strength: float, blank: np.ndarray) -> np.ndarray:
    larger = (1 + strength) ** (2 * draws[0] - 1)
    return _about_centre(picture, np.eye(2) / larger)


def brightness(picture: np.ndarray, draws: np.ndarray, strength: float, blank: np.ndarray) -> np.ndarray:
    return np.clip(picture * (1 + strength * (2 * draws[0] - 1)), min(0, picture.min()), max(1, picture.max()))


def contrast(picture: np.ndarray, draws: np.ndarray, strength: float, blank: np.ndarray) -> np.ndarray:
    mean = picture.astype(float).mean()
    changed = mean + (picture - mean) * (1 + strength * (2 * draws[0] - 1))
    return np.clip(changed, min(0, picture.min()), max(1, picture.max()))


def cutout(picture: np.ndarray, draws: np.ndarray, strength: float, blank: np.ndarray) -> np.ndarray:
    _, height, width = picture.shape
    side = max(1, round(strength * min(height, width)))
    top, left = int(draws[0] * height) - side // 2, int(draws[1] * width) - side // 2
    result = picture.copy()
    for y in range(height):
        for x in range(width):
            if top <= y < top + side and left <= x < left + side:
                result[:, y, x] = blank
    return result


def _limits(picture: np.ndarray) -> tuple[float, float]:
    return min(0.0, float(picture.min())), max(1.0, float(picture.max()))


def _rectangle(
    draws: np.ndarray, least: float, most: float, aspect: float, height: int, width: int
) -> tuple[int, int] | None:
    for tried in range(10):
        area = (least + (most - least) * draws[2 * tried]) * height * width
        ratio = math.exp(math.log(aspect) * (2 * draws[2 * tried + 1] - 1))
        rows, columns = round(math.sqrt(area / ratio)), round(math.sqrt(area * ratio))
        if 0 < rows <= height and 0 < columns <= width:
            return rows, columns
    return None


def random_resized_crop(picture: np.ndarray, draws: np.ndarray, strength: float, blank: np.ndarray) -> np.ndarray:
    """Read each pixel of the new picture from the crop, a point between four pixels."""
    _, height, width = picture.shape
    found = _rectangle(draws, 1 - strength, 1.0, 4 / 3, height, width)
    if found:
        rows, columns = found
        top, left = int(draws[20] * (height - rows + 1)), int(draws[21] * (width - columns + 1))
    else:
        rows, columns = min(height, round(width * 4 / 3)), min(width, round(height * 4 / 3))
        top, left = (height - rows) // 2, (width - columns) // 2
    ys = [top + (y + 0.5) * rows / height - 0.5 for y in range(height)]
    xs = [left + (x + 0.5) * columns / width - 0.5 for x in range(width)]
    return _read(picture, [[(y, x) for x in xs] for y in ys])


def _read(picture: np.ndarray, points: list[list[tuple[float, float]]]) -> np.ndarray:
    places = np.array(points).transpose(2, 0, 1)
    return np.stack(
        [ndimage.map_coordinates(plane, places, order=1, mode="reflect") for plane in picture.astype(float)]
    )


def shear(picture: np.ndarray, draws: np.ndarray, strength: float, blank: np.ndarray) -> np.ndarray:
    along, across = (math.tan(math.radians(strength * (2 * draw - 1))) for draw in draws)
    rows, columns = np.array([[1, 0], [along, 1]]), np.array([[1, across], [0, 1]])
    return _about_centre(picture, rows @ columns)


def perspective(picture: np.ndarray, draws: np.ndarray, strength: float, blank: np.ndarray) -> np.ndarray:
    """Solve for the eight numbers of the homography from the four moved corners, then read pixel by pixel."""
    _, height, width = picture.shape
    equations, answers = [], []
    for number, (x, y) in enumerate([(-1, -1), (1, -1), (1, 1), (-1, 1)]):
        old_x, old_y = x * width / 2, y * height / 2
        new_x, new_y = old_x * (1 - strength * draws[2 * number]), old_y * (1 - strength * draws[2 * number + 1])
        equations += [
            [new_x, new_y, 1, 0, 0, 0, -old_x * new_x, -old_x * new_y],
            [0, 0, 0, new_x, new_y, 1, -old_y * new_x, -old_y * new_y],
        ]
        answers += [old_x, old_y]
    a, b, c, d, e, f, g, h = np.linalg.lstsq(np.array(equations), np.array(answers), rcond=None)[0]
    points = []
    for row in range(height):
        points.append([])
        for column in range(width):
            x, y = column - (width - 1) / 2, row - (height - 1) / 2
            divisor = max(g * x + h * y + 1, 0.05)
            old_x, old_y = (a * x + b * y + c) / divisor, (d * x + e * y + f) / divisor
            points[-1].append((old_y + (height - 1) / 2, old_x + (width - 1) / 2))
    return _read(picture, points)


def exposure(picture: np.ndarray, draws: np.ndarray, strength: float, blank: np.ndarray) -> np.ndarray:
    low, high = _limits(picture)
    power = (1 + strength) ** (2 * draws[0] - 1)
    result = np.empty(picture.shape)
    for place in np.ndindex(picture.shape):
        result[place] = low + (high - low) * ((float(picture[place]) - low) / (high - low)) ** power
    return result


def _luma(pixel: np.ndarray) -> float:
    return 0.299 * float(pixel[0]) + 0.587 * float(pixel[1]) + 0.114 * float(pixel[2])


def saturation(picture: np.ndarray, draws: np.ndarray, strength: float, blank: np.ndarray) -> np.ndarray:
    if len(picture) != 3:
        return picture
    result = np.empty(picture.shape)
    for y, x in np.ndindex(picture.shape[1:]):
        grey = _luma(picture[:, y, x])
        result[:, y, x] = grey + (picture[:, y, x] - grey) * (1 + strength * (2 * draws[0] - 1))
    return np.clip(result, *_limits(picture))


def hue(picture: np.ndarray, draws: np.ndarray, strength: float, blank: np.ndarray) -> np.ndarray:
    """By the standard library's conversion to HSV and back."""
    if len(picture) != 3:
        return picture
    result = np.empty(picture.shape)
    for y, x in np.ndindex(picture.shape[1:]):
        angle, saturated, value = colorsys.rgb_to_hsv(*map(float, picture[:, y, x]))
        result[:, y, x] = colorsys.hsv_to_rgb((angle + strength * (2 * draws[0] - 1)) % 1, saturated, value)
    return result


def colour_cast(picture: np.ndarray, draws: np.ndarray, strength: float, blank: np.ndarray) -> np.ndarray:
    if len(picture) != 3:
        return picture
    first, second = (math.sqrt(-2 * math.log(1 - draws[place])) for place in (0, 2))
    normal = [first * math.cos(2 * math.pi * draws[1]), first * math.sin(2 * math.pi * draws[1])]
    normal += [second * math.cos(2 * math.pi * draws[3])]
    result = picture.astype(float)
    for weight, spread, direction in zip(
        normal,
        (0.2175, 0.0188, 0.0045),
        ((-0.5675, -0.5808, -0.5836), (0.7192, -0.0045, -0.6948), (0.4009, -0.8140, 0.4203)),
        strict=True,
    ):
        for channel in range(3):
            result[channel] += strength * weight * spread * direction[channel]
    return np.clip(result, *_limits(picture))


def grey(picture: np.ndarray, draws: np.ndarray, strength: float, blank: np.ndarray) -> np.ndarray:
    if len(picture) != 3 or draws[0] >= strength:
        return picture
    result = np.empty(picture.shape)
    for y, x in np.ndindex(picture.shape[1:]):
        result[:, y, x] = _luma(picture[:, y, x])
    return result


def blur(picture: np.ndarray, draws: np.ndarray, strength: float, blank: np.ndarray) -> np.ndarray:
    """Sum over the whole square of the kernel at once, not along rows and columns."""
    reach = math.ceil(3 * strength)
    sigma = max(strength * draws[0], 1e-3)
    kernel = np.empty((2 * reach + 1, 2 * reach + 1))
    for y, x in np.ndindex(kernel.shape):
        kernel[y, x] = math.exp(-((y - reach) ** 2 + (x - reach) ** 2) / (2 * sigma**2))
    kernel /= kernel.sum()
    padded = np.pad(picture.astype(float), [(0, 0), (reach, reach), (reach, reach)], mode="symmetric")
    result = np.empty(picture.shape)
    for channel, y, x in np.ndindex(picture.shape):
        result[channel, y, x] = (padded[channel, y : y + 2 * reach + 1, x : x + 2 * reach + 1] * kernel).sum()
    return result


def noise(picture: np.ndarray, draws: np.ndarray, strength: float, blank: np.ndarray) -> np.ndarray:
    generator = np.random.Generator(np.random.Philox(key=int(draws[0] * 2**53)))
    result = picture.astype(float)
    for place in np.ndindex(picture.shape):
        result[place] += strength * generator.standard_normal(dtype=np.float32)
    return np.clip(result, *_limits(picture))


def erasing(picture: np.ndarray, draws: np.ndarray, strength: float, blank: np.ndarray) -> np.ndarray:
    _, height, width = picture.shape
    found = _rectangle(draws, 0.02, 0.4, 10 / 3, height, width)
    if found is None or draws[22] >= strength:
        return picture
    rows, columns = found
    top, left = int(draws[20] * (height - rows + 1)), int(draws[21] * (width - columns + 1))
    result = picture.copy()
    for y in range(top, top + rows):
        for x in range(left, left + columns):
            result[:, y, x] = blank
    return result

"""Operations on levels, policies, elastic distortion and JPEG for one image, by Pillow's formulas, scipy and loops."""

from __future__ import annotations

import math

import numpy as np
from scipy import fft, ndimage

from reference.augmentation import _about_centre, _limits, _luma, _read
from striate.core.spec import RGB


def alternating_flip(picture: np.ndarray, draws: np.ndarray, strength: float, blank: np.ndarray) -> np.ndarray:
    """The draws are those of epoch 0, and the epoch is odd."""
    return picture if draws[0] < 0.5 or draws[1] >= strength else picture[:, :, ::-1]


def _level(value: float, low: float, high: float) -> int:
    return round((float(value) - low) / (high - low) * 255)


def _posterized(picture: np.ndarray, bits: int) -> np.ndarray:
    low, high = _limits(picture)
    result = np.empty(picture.shape)
    for place in np.ndindex(picture.shape):
        kept = _level(float(picture[place]), low, high) & (256 - 2 ** (8 - bits))
        result[place] = low + (high - low) * kept / 255
    return result


def _solarized(picture: np.ndarray, threshold: float) -> np.ndarray:
    low, high = _limits(picture)
    result = picture.astype(float)
    for place in np.ndindex(picture.shape):
        if result[place] >= low + (high - low) * threshold:
            result[place] = low + high - result[place]
    return result


def _autocontrasted(picture: np.ndarray) -> np.ndarray:
    low, high = _limits(picture)
    result = picture.astype(float)
    for plane in result:
        least, most = plane.min(), plane.max()
        if most > least:
            plane[:] = low + (plane - least) / (most - least) * (high - low)
    return result


def _equalized(picture: np.ndarray) -> np.ndarray:
    """As `PIL.ImageOps.equalize`, with its table of levels."""
    low, high = _limits(picture)
    result = np.empty(picture.shape)
    for channel, plane in enumerate(picture):
        counts = [0] * 256
        for value in plane.flat:
            counts[_level(value, low, high)] += 1
        step = (sum(counts) - [count for count in counts if count][-1]) // 255
        table, total = list(range(256)), step // 2
        if step:
            for level in range(256):
                table[level] = min(255, total // step)
                total += counts[level]
        for y, x in np.ndindex(plane.shape):
            result[channel, y, x] = low + (high - low) * table[_level(plane[y, x], low, high)] / 255
    return result


def _sharpened(picture: np.ndarray, factor: float) -> np.ndarray:
    result = picture.astype(float)
    _, height, width = picture.shape
    for channel in range(len(picture)):
        for y in range(1, height - 1):
            for x in range(1, width - 1):
                around = picture[channel, y - 1 : y + 2, x - 1 : x + 2].astype(float)
                blurred = (around.sum() + 4 * around[1, 1]) / 13
                result[channel, y, x] = blurred + factor * (around[1, 1] - blurred)
    return np.clip(result, *_limits(picture))


def posterize(picture: np.ndarray, draws: np.ndarray, strength: float, blank: np.ndarray) -> np.ndarray:
    return _posterized(picture, 4) if draws[0] < strength else picture


def solarize(picture: np.ndarray, draws: np.ndarray, strength: float, blank: np.ndarray) -> np.ndarray:
    return _solarized(picture, 0.5) if draws[0] < strength else picture


def autocontrast(picture: np.ndarray, draws: np.ndarray, strength: float, blank: np.ndarray) -> np.ndarray:
    return _autocontrasted(picture) if draws[0] < strength else picture


def equalize(picture: np.ndarray, draws: np.ndarray, strength: float, blank: np.ndarray) -> np.ndarray:
    return _equalized(picture) if draws[0] < strength else picture


def sharpness(picture: np.ndarray, draws: np.ndarray, strength: float, blank: np.ndarray) -> np.ndarray:
    return _sharpened(picture, 1 + strength * (2 * draws[0] - 1))


def _moved(picture: np.ndarray, matrix: list[list[float]], right: int = 0, down: int = 0) -> np.ndarray:
    if right or down:
        _, height, width = picture.shape
        return _read(picture, [[(y + down, x + right) for x in range(width)] for y in range(height)])
    return _about_centre(picture, np.array(matrix))


def _operation(name: str, picture: np.ndarray, amount: float) -> np.ndarray:
    """Apply an operation; the matrix of a move takes (y, x) of the new image to the old one."""
    turn = math.radians(amount)
    match name:
        case "shear_x":
            return _moved(picture, [[1, 0], [amount, 1]])
        case "shear_y":
            return _moved(picture, [[1, amount], [0, 1]])
        case "translate_x":
            return _moved(picture, [[1, 0], [0, 1]], right=int(amount))
        case "translate_y":
            return _moved(picture, [[1, 0], [0, 1]], down=int(amount))
        case "rotate":
            return _moved(picture, [[math.cos(turn), math.sin(turn)], [-math.sin(turn), math.cos(turn)]])
        case "brightness":
            return np.clip(picture * (1 + amount), *_limits(picture))
        case "contrast":
            mean = picture.astype(float).mean()
            return np.clip(mean + (picture - mean) * (1 + amount), *_limits(picture))
        case "saturation":
            if len(picture) != len(RGB):
                return picture
            grey = np.apply_along_axis(_luma, 0, picture)
            return np.clip(grey + (picture - grey) * (1 + amount), *_limits(picture))
        case "sharpness":
            return _sharpened(picture, 1 + amount)
        case "posterize":
            return _posterized(picture, int(amount))
        case "solarize":
            return _solarized(picture, amount)
        case "autocontrast":
            return _autocontrasted(picture)
        case "equalize":
            return _equalized(picture)
    return picture


MOVES = ["translate_x", "translate_y", "shear_x", "shear_y", "rotate"]
LEVELS = ["posterize", "solarize", "autocontrast", "equalize"]
ALL = ["identity", *MOVES, "brightness", "contrast", "saturation", "sharpness", *LEVELS]


def _drawn(
    picture: np.ndarray, names: list[str], chosen: float, sign: float, amounts: dict[str, float], negated: list[str]
) -> np.ndarray:
    name = names[int(chosen * len(names))]
    amount = amounts.get(name, 0.0)
    return _operation(name, picture, -amount if name in negated and sign < 0.5 else amount)


def randaugment(picture: np.ndarray, draws: np.ndarray, strength: float, blank: np.ndarray) -> np.ndarray:
    """Magnitude 9 of 30."""
    _, height, width = picture.shape
    amounts = dict.fromkeys(("brightness", "contrast", "saturation", "sharpness"), 0.9 * 0.3)
    amounts |= {"shear_x": 0.3 * 0.3, "shear_y": 0.3 * 0.3, "rotate": 30 * 0.3, "posterize": 8 - 1, "solarize": 0.7}
    amounts |= {"translate_x": 150 / 331 * width * 0.3, "translate_y": 150 / 331 * height * 0.3}
    for number in range(int(strength)):
        picture = _drawn(picture, ALL, draws[2 * number], draws[2 * number + 1], amounts, ALL[:10])
    return picture


def trivialaugment(picture: np.ndarray, draws: np.ndarray, strength: float, blank: np.ndarray) -> np.ndarray:
    if draws[3] >= strength:
        return picture
    part = int(draws[1] * 31) / 30
    amounts = dict.fromkeys(("brightness", "contrast", "saturation", "sharpness", "shear_x", "shear_y"), 0.99 * part)
    amounts |= {"rotate": 135 * part, "posterize": 8 - round(6 * part), "solarize": 1 - part}
    amounts |= {"translate_x": 32 * part, "translate_y": 32 * part}
    return _drawn(picture, ALL, draws[0], draws[2], amounts, ALL[:10])


def augmix(picture: np.ndarray, draws: np.ndarray, strength: float, blank: np.ndarray) -> np.ndarray:
    _, height, width = picture.shape
    generator = np.random.Generator(np.random.Philox(key=int(draws[0] * 2**53)))
    own, weights = generator.beta(1, 1), generator.dirichlet([1, 1, 1])
    mixed = np.zeros(picture.shape)
    for chain in range(3):
        first, changed = 1 + 10 * chain, picture
        for step in range(1 + int(3 * draws[first])):
            chosen, level, sign = draws[first + 1 + 3 * step : first + 4 + 3 * step]
            part = (0.1 + (strength - 0.1) * level) / 10
            amounts = {"shear_x": 0.3 * part, "shear_y": 0.3 * part, "rotate": 30 * part, "solarize": 1 - part}
            amounts |= {
                "posterize": 4 - int(4 * part),
                "translate_x": width / 3 * part,
                "translate_y": height / 3 * part,
            }
            changed = _drawn(changed.astype(np.float32), MOVES + LEVELS, chosen, sign, amounts, MOVES)
        mixed += weights[chain] * changed
    return own * picture + (1 - own) * mixed


def elastic(picture: np.ndarray, draws: np.ndarray, strength: float, blank: np.ndarray) -> np.ndarray:
    _, height, width = picture.shape
    generator = np.random.Generator(np.random.Philox(key=int(draws[0] * 2**53)))
    moves = 2 * generator.random((2, height, width), dtype=np.float32).astype(float) - 1
    smooth = (ndimage.gaussian_filter(field, 4.0, mode="reflect", radius=12) for field in moves)
    right, down = (strength * np.asarray(field) for field in smooth)
    return _read(picture, [[(y + down[y, x], x + right[y, x]) for x in range(width)] for y in range(height)])


BRIGHT = """16 11 10 16 24 40 51 61 12 12 14 19 26 58 60 55 14 13 16 24 40 57 69 56 14 17 22 29 51 87 80 62
18 22 37 56 68 109 103 77 24 35 55 64 81 104 113 92 49 64 78 87 103 121 120 101 72 92 95 98 112 100 103 99"""
COLOUR = """17 18 24 47 99 99 99 99 18 21 26 66 99 99 99 99 24 26 56 99 99 99 99 99 47 66 99 99 99 99 99 99"""
COLOUR += " 99" * 32


def _plane(plane: np.ndarray, table: str, quality: int) -> np.ndarray:
    """Round the coefficients of each block of a plane of levels from 0 to 255."""
    height, width = plane.shape
    percent = 5000 // quality if quality < 50 else 200 - 2 * quality
    steps = np.clip((np.array(table.split(), int).reshape(8, 8) * percent + 50) // 100, 1, 255)
    padded = np.pad(plane, [(0, -height % 8), (0, -width % 8)], mode="edge")
    for top in range(0, height, 8):
        for left in range(0, width, 8):
            block = padded[top : top + 8, left : left + 8]
            coefficients = np.asarray(fft.dctn(block - 128, norm="ortho"))
            rounded = np.sign(coefficients) * np.floor((np.abs(coefficients) + 1e-2) / steps + 0.5)
            block[:] = np.clip(np.floor(np.asarray(fft.idctn(rounded * steps, norm="ortho")) + 128.51), 0, 255)
    return padded[:height, :width]


def _coloured(levels: np.ndarray, quality: int) -> np.ndarray:
    height, width = levels.shape[1:]
    red, green, blue = levels.astype(int)
    bright = _plane((19595 * red + 38470 * green + 7471 * blue + 32768 >> 16).astype(float), BRIGHT, quality)
    differences = []
    for r, g, b in ((-11059, -21709, 32768), (32768, -27439, -5329)):
        whole = r * red + g * green + b * blue + 128 * 65536 + 32767 >> 16
        even = np.pad(whole, [(0, height % 2), (0, width % 2)], mode="edge")
        half = np.empty((len(even) // 2, even.shape[1] // 2))
        for y, x in np.ndindex(half.shape):
            half[y, x] = (even[2 * y : 2 * y + 2, 2 * x : 2 * x + 2].sum() + 1 + x % 2) // 4
        half = np.pad(_plane(half, COLOUR, quality), 1, mode="edge")
        difference = np.empty((height, width))
        for y, x in np.ndindex(height, width):
            near_y, near_x = y // 2 + 1, x // 2 + 1
            far_y, far_x = near_y + (1 if y % 2 else -1), near_x + (1 if x % 2 else -1)
            total = 9 * half[near_y, near_x] + 3 * (half[far_y, near_x] + half[near_y, far_x]) + half[far_y, far_x]
            difference[y, x] = (total + (7 if x % 2 else 8)) // 16 - 128
        differences.append(difference)
    of_blue, of_red = (difference.astype(int) for difference in differences)
    parts = 91881 * of_red, -22554 * of_blue - 46802 * of_red, 116130 * of_blue
    return np.stack([np.clip(bright + (part + 32768 >> 16), 0, 255) for part in parts])


def jpeg(picture: np.ndarray, draws: np.ndarray, strength: float, blank: np.ndarray) -> np.ndarray:
    if draws[0] >= strength:
        return picture
    low, high = _limits(picture)
    quality = 30 + int(draws[1] * 61)
    levels = np.array([[[_level(v, low, high) for v in row] for row in plane] for plane in picture], float)
    coded = _coloured(levels, quality) if len(picture) == len(RGB) else [_plane(p, BRIGHT, quality) for p in levels]
    return low + (high - low) * np.asarray(coded) / 255

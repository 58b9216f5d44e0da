"""Random contents of a synthetic image, drawn before it is painted, each choice independently."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int64, UInt8

from striate.core.rng import Stream
from striate.data.synthetic.shapes_masks import DISTRACTORS, FORMS
from striate.data.synthetic.textures import TEXTURES

VERSION = 1
"""Version of the images: part of every draw, and raised by every change that changes an image."""

SIDE = 64
LEAST, MOST = 83, 613
"""Pixels of the object's mask: between 2 % and 15 % of the 4,096, to within one pixel where two pixels tie."""

COLOURS = 8
_GROUND_GRID = 5  # corners, in each direction, between which the colours of the ground are interpolated
_DISTRACTORS = 5
_LARGEST_DISTRACTOR = 400


@dataclass(frozen=True, eq=False)
class Things:
    """Objects or distractors, one for each image. Positions and sizes are in pixels; directions are (cos, sin).

    `area`: pixels. `centre`: (y, x). `texture`, `colour`: positions in their tables. `lighter`: whether the second
    colour of the texture is a lighter shade of the first, or a darker one. `period`: of the texture, and `phase`, in
    periods.
    """

    area: Int64[np.ndarray, " n"]
    centre: Float64[np.ndarray, "n 2"]
    tilt: Float64[np.ndarray, "n 2"]
    texture: Int64[np.ndarray, " n"]
    colour: Int64[np.ndarray, " n"]
    lighter: Bool[np.ndarray, " n"]
    grain: Float64[np.ndarray, "n 2"]
    period: Float64[np.ndarray, " n"]
    phase: Float64[np.ndarray, "n 2"]


@dataclass(frozen=True, eq=False)
class Scene:
    """All random choices of some images. `patch` is (corner 0 to 3, colour), or None for no patches."""

    target: Int64[np.ndarray, " n"]
    subject: Things
    distractors: tuple[tuple[int, Things], ...]
    ground: Float32[np.ndarray, "n g g 3"]
    noise: UInt8[np.ndarray, "n 64 64"]
    patch: Int64[np.ndarray, "n 2"] | None


def draw(
    seed: int, indices: Int64[np.ndarray, " n"], target: Int64[np.ndarray, " n"], tells: Bool[np.ndarray, " n"] | None
) -> Scene:
    """Draw the scenes of the images `indices`.

    `tells` marks the images in which the colour of the patch is that of the class; None means no patches. The centre of
    the object is uniform over all places where a disc of its area is inside the image, borders included. Tips may
    therefore be cut off; the mask still has exactly the drawn area, because the object is enlarged accordingly.
    """
    uniform = _draws(seed, "object", indices, 12)
    area = _choice(uniform[:, 0], MOST - LEAST + 1) + LEAST
    margin = np.sqrt(area / 3.14159265)[:, None]
    subject = _things(uniform, area, margin + uniform[:, 1:3] * (SIDE - 2 * margin), steepest=0.268)
    distractors: list[tuple[int, Things]] = []
    for number in range(_DISTRACTORS):
        uniform = _draws(seed, f"distractor {number}", indices, 12)
        area = _choice(uniform[:, 0], _LARGEST_DISTRACTOR - LEAST + 1) + LEAST
        distractors.append((number % len(DISTRACTORS), _things(uniform, area, uniform[:, 1:3] * SIDE, steepest=1.0)))
    ground = _draws(seed, "ground", indices, 3 * _GROUND_GRID**2).astype(np.float32)
    bits = Stream(seed, _name("noise")).bits(epoch=0, index=indices, draws=SIDE * SIDE // 8)
    noise = bits.astype("<u8").view(np.uint8).reshape(-1, SIDE, SIDE)
    patch = None
    if tells is not None:
        lots = _draws(seed, "patch", indices, 2)
        patch = np.stack([_choice(lots[:, 0], 4), np.where(tells, target, _choice(lots[:, 1], len(FORMS)))], axis=1)
    grid = ground.reshape(-1, _GROUND_GRID, _GROUND_GRID, 3)
    return Scene(target, subject, tuple(distractors), grid, noise, patch)


def _things(
    uniform: Float64[np.ndarray, "n d"],
    area: Int64[np.ndarray, " n"],
    centre: Float64[np.ndarray, "n 2"],
    *,
    steepest: float,
) -> Things:
    return Things(
        area=area,
        centre=centre,
        tilt=_direction((uniform[:, 3] * 2 - 1) * steepest),
        texture=_choice(uniform[:, 4], len(TEXTURES)),
        colour=_choice(uniform[:, 5], COLOURS),
        lighter=uniform[:, 6] < 0.5,
        grain=_direction(uniform[:, 7] * 2 - 1),
        period=5 + 5 * uniform[:, 8],
        phase=uniform[:, 9:11],
    )


def _direction(half_tangent: Float64[np.ndarray, " n"]) -> Float64[np.ndarray, "n 2"]:
    """Return (cos, sin) of the angle whose half has this tangent: 0.268 is 30°, 1 is 90°."""
    squared = half_tangent * half_tangent
    return np.stack([(1 - squared) / (1 + squared), 2 * half_tangent / (1 + squared)], axis=1)


def _choice(uniform: Float64[np.ndarray, " n"], count: int) -> Int64[np.ndarray, " n"]:
    return (uniform * count).astype(np.int64)


def _draws(seed: int, what: str, indices: Int64[np.ndarray, " n"], count: int) -> Float64[np.ndarray, "n d"]:
    return Stream(seed, _name(what)).uniform(epoch=0, index=indices, draws=count)


def _name(what: str) -> str:
    return f"shapes {VERSION} {what}"

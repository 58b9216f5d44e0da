"""Paint scenes: ground, distractors, the patch, and the object over all of them."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float32, Int64, UInt8

from striate.data.synthetic.scene import SIDE, Scene, Things
from striate.data.synthetic.shapes_masks import DISTRACTORS, FORMS
from striate.data.synthetic.textures import TEXTURES

_PALETTE = (
    np.array(
        [
            (228, 60, 52),  # vermilion
            (247, 148, 29),  # orange
            (250, 209, 44),  # yellow
            (86, 176, 72),  # green
            (32, 170, 170),  # teal
            (58, 110, 214),  # blue
            (136, 78, 190),  # violet
            (233, 92, 152),  # pink
        ],
        np.float32,
    )
    / 255
)
_PATCH = 9  # pixels
_PATCH_INSET = 2

Canvas = Float32[np.ndarray, "n h w 3"]
Share = Float32[np.ndarray, "n h w"]
_FORMS = tuple(FORMS.values())


def paint(
    scene: Scene,
) -> tuple[UInt8[np.ndarray, "n 64 64 3"], Bool[np.ndarray, "n 64 64"], Bool[np.ndarray, "n 64 64"]]:
    """Return the images, the masks of their objects, and those of their patches outside of the object."""
    noise = scene.noise.astype(np.float32) / 255
    canvas = _ground(scene.ground, noise)
    specks = noise[:, ::2, ::2].repeat(2, axis=1).repeat(2, axis=2)
    for form, things in scene.distractors:
        x, y = _own_coordinates(things)
        scale = np.sqrt(things.area).astype(np.float32)[:, None, None]
        _cover(canvas, (0.5 - DISTRACTORS[form](x, y) * scale).clip(0, 1), things, specks)
    patches = np.zeros((len(canvas), SIDE, SIDE), bool)
    if scene.patch is not None:
        patches = _patch_places(scene.patch[:, 0])
        canvas[patches] = _PALETTE[scene.patch[np.nonzero(patches)[0], 1]]
    share = _subject(scene)
    _cover(canvas, share, scene.subject, specks)
    masks = share > 0.5
    return (canvas * 255 + 0.5).astype(np.uint8), masks, patches & ~masks


def _subject(scene: Scene) -> Float32[np.ndarray, "n h w"]:
    """Return the fraction of each pixel that the object covers: above 1/2 in exactly `area` pixels."""
    x, y = _own_coordinates(scene.subject)
    field = np.empty_like(x)
    for number in np.unique(scene.target):
        of_class = scene.target == number
        field[of_class] = _FORMS[number](x[of_class], y[of_class])
    field *= np.sqrt(scene.subject.area).astype(np.float32)[:, None, None]
    deepest = np.sort(field.reshape(len(field), -1), axis=1)
    row, area = np.arange(len(field)), scene.subject.area
    level = (deepest[row, area - 1] + deepest[row, area]) / 2
    return (level[:, None, None] - field + 0.5).clip(0, 1)


def _own_coordinates(things: Things) -> tuple[Float32[np.ndarray, "n h w"], Float32[np.ndarray, "n h w"]]:
    """Return x and y of the centre of each pixel in the thing's own frame, in which its area is 1."""
    pixel, unit = np.arange(SIDE) + 0.5, np.sqrt(things.area)[:, None]
    down = ((pixel - things.centre[:, :1]) / unit).astype(np.float32)[:, :, None]
    across = ((pixel - things.centre[:, 1:]) / unit).astype(np.float32)[:, None, :]
    cosine, sine = things.tilt.astype(np.float32).T[:, :, None, None]
    return across * cosine + down * sine, down * cosine - across * sine


def _cover(canvas: Canvas, share: Share, things: Things, specks: Share) -> None:
    """Paint the textured things over the canvas, in place, by the fraction of each pixel that they cover."""
    places = np.nonzero(share)
    image = places[0]
    second = _texture(things, places, specks[places])[:, None]
    base = _PALETTE[things.colour]
    shade = np.where(things.lighter[:, None], base + (1 - base) * np.float32(0.62), base * np.float32(0.42))
    below = canvas[places]
    colour = base[image] + second * (shade - base)[image]
    canvas[places] = below + share[places][:, None] * (colour - below)


def _texture(
    things: Things, places: tuple[np.ndarray, ...], specks: Float32[np.ndarray, " pixels"]
) -> Float32[np.ndarray, " pixels"]:
    """Return the texture's value at each of the places (image, row, column)."""
    image, row, column = places
    origin = things.centre + things.phase * things.period[:, None]
    down = ((row + 0.5 - origin[image, 0]) / things.period[image]).astype(np.float32)
    across = ((column + 0.5 - origin[image, 1]) / things.period[image]).astype(np.float32)
    cosine, sine = things.grain.astype(np.float32)[image].T
    u, v = across * cosine + down * sine, down * cosine - across * sine
    period = things.period.astype(np.float32)[image]
    second = np.empty_like(u)
    for number, texture in enumerate(TEXTURES.values()):
        here = np.flatnonzero(things.texture[image] == number)
        second[here] = texture(u[here], v[here], period[here], specks[here])
    return second


def _ground(grid: Float32[np.ndarray, "n g g 3"], noise: Share) -> Canvas:
    """Return muted colours, interpolated between the corners of a grid, with a little noise."""
    muted = np.float32(0.2) + np.float32(0.5) * (grid[..., :1] * np.float32(0.6) + grid * np.float32(0.4))
    step = np.float32(grid.shape[1] - 1) / SIDE
    at = (np.arange(SIDE, dtype=np.float32) + np.float32(0.5)) * step
    low = at.astype(np.int64)
    share = at - low.astype(np.float32)
    rows = muted[:, low] + share[:, None, None] * (muted[:, low + 1] - muted[:, low])
    smooth = rows[:, :, low] + share[:, None] * (rows[:, :, low + 1] - rows[:, :, low])
    return smooth + (noise[..., None] - np.float32(0.5)) * np.float32(0.12)


def _patch_places(corner: Int64[np.ndarray, " n"]) -> Bool[np.ndarray, "n h w"]:
    pixel = np.arange(SIDE)
    near = (pixel >= _PATCH_INSET) & (pixel < _PATCH_INSET + _PATCH)
    ends = np.stack([near, near[::-1]])
    return ends[corner // 2][:, :, None] & ends[corner % 2][:, None, :]

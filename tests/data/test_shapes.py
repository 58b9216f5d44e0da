"""Made images: the same everywhere, factors independent of the class, and a truth that is true."""

from __future__ import annotations

import dataclasses
import hashlib

import numpy as np
import pytest
from scipy import ndimage, stats
from skimage.draw import polygon2mask

from striate.core.errors import ConfigError
from striate.data.sources.named_registry import open_named
from striate.data.synthetic.painting import paint
from striate.data.synthetic.scene import LEAST, MOST, VERSION, Scene, draw
from striate.data.synthetic.shapes import CLASSES, Made, ShapesOptions, make, shapes
from striate.data.synthetic.shapes_masks import FORMS

PIXELS = 64 * 64
MANY = 8000
UNLIKELY = 1e-3  # the draws are fixed, so a test that passes passes for ever


@pytest.fixture(scope="module")
def scene() -> Scene:
    indices = np.arange(MANY)
    return draw(0, indices, indices // 5 % len(CLASSES), np.ones(MANY, bool))


@pytest.fixture(scope="module")
def made() -> Made:
    return make(np.arange(800), ShapesOptions())


def _independent(label: np.ndarray, factor: np.ndarray) -> float:
    """The p-value of Pearson's chi-square test of independence."""
    table = np.zeros((int(label.max()) + 1, int(factor.max()) + 1))
    np.add.at(table, (label, factor), 1)
    return float(np.asarray(stats.chi2_contingency(table)[1]))


def _eighths(values: np.ndarray) -> np.ndarray:
    return np.searchsorted(np.quantile(values, np.arange(1, 8) / 8), values)


def test_version_and_pixels_stay_what_they_were() -> None:
    made = make(np.arange(64), ShapesOptions(seed=3, shortcut="patch"))
    content = made.pixels.tobytes() + np.packbits(made.masks).tobytes() + np.packbits(made.patches).tobytes()
    assert VERSION == 1
    assert hashlib.sha256(content).hexdigest() == "828b3d231421f4259e911a39e0db0b5daf19b899725b9ff6b3d90c5ce1d9b9b5"


def test_an_image_depends_on_its_index_and_the_seed_alone(made: Made) -> None:
    some = np.array([799, 3, 130])
    assert (make(some, ShapesOptions(count=10**9)).pixels == made.pixels[some]).all()
    assert (make(some, ShapesOptions(seed=1)).pixels != made.pixels[some]).any(axis=(1, 2, 3)).all()


@pytest.mark.parametrize(
    "factor", ["texture", "colour", "lighter", "area", "row", "column", "tilt", "grain", "period", "ground", "noise"]
)
def test_class_is_independent_of(factor: str, scene: Scene) -> None:
    values = {
        "area": _eighths(scene.subject.area),
        "row": _eighths(scene.subject.centre[:, 0]),
        "column": _eighths(scene.subject.centre[:, 1]),
        "tilt": _eighths(scene.subject.tilt[:, 1]),
        "grain": _eighths(scene.subject.grain[:, 1]),
        "period": _eighths(scene.subject.period),
        "ground": _eighths(scene.ground.mean(axis=(1, 2, 3))),
        "noise": _eighths(scene.noise.mean(axis=(1, 2))),
    }
    value = values[factor] if factor in values else getattr(scene.subject, factor).astype(np.int64)
    assert _independent(scene.target, value) > UNLIKELY


def test_class_is_independent_of_every_distractor(scene: Scene) -> None:
    for _, things in scene.distractors:
        for value in (things.texture, things.colour, _eighths(things.area), _eighths(things.centre[:, 0])):
            assert _independent(scene.target, value) > UNLIKELY


def test_a_bound_factor_would_be_found(scene: Scene) -> None:
    bound = np.where(np.arange(MANY) % 10 == 0, scene.target % 6, scene.subject.texture)
    assert _independent(scene.target, bound) < UNLIKELY


def test_distractors_carry_the_textures_and_colours_of_the_objects(scene: Scene) -> None:
    for name in ("texture", "colour"):
        own = np.bincount(getattr(scene.subject, name))
        others = sum(np.bincount(getattr(things, name)) for _, things in scene.distractors)
        assert np.asarray(stats.chi2_contingency(np.stack([own, others]))[1]) > UNLIKELY
        assert stats.chisquare(own).pvalue > UNLIKELY


def test_masks_have_the_drawn_area_between_2_and_15_percent(made: Made) -> None:
    indices = np.arange(len(made.masks))
    area = made.masks.sum(axis=(1, 2))
    drawn = draw(0, indices, indices // 5 % len(CLASSES), None).subject.area
    assert (area == drawn).all()
    assert area.min() >= 0.02 * PIXELS
    assert area.max() <= 0.15 * PIXELS
    assert _independent(indices // 5 % len(CLASSES), _eighths(area)) > UNLIKELY
    assert 0.02 * PIXELS <= LEAST - 1
    assert MOST + 1 <= 0.15 * PIXELS


def test_place_is_uniform_and_borders_are_reached(scene: Scene, made: Made) -> None:
    margin = np.sqrt(scene.subject.area / np.pi)[:, None]
    place = (scene.subject.centre - margin) / (64 - 2 * margin)
    for axis in (0, 1):
        assert stats.kstest(place[:, axis], "uniform").pvalue > UNLIKELY
    for border in (made.masks[:, 0], made.masks[:, -1], made.masks[:, :, 0], made.masks[:, :, -1]):
        assert border.any(axis=1).mean() > 0.02


def test_masks_are_exactly_what_changes_with_the_object() -> None:
    indices = np.arange(160)
    scene = draw(0, indices, indices // 5 % len(CLASSES), None)
    other = dataclasses.replace(scene.subject, colour=(scene.subject.colour + 4) % 8)
    before, masks, _ = paint(scene)
    after, _, _ = paint(dataclasses.replace(scene, subject=other))
    changed = (before != after).any(axis=3)
    assert changed[masks].all()
    edges, tips = (np.asarray(ndimage.binary_dilation(masks, np.ones((1, size, size))), bool) for size in (3, 9))
    assert not (changed > tips).any()
    assert (changed > edges).sum() < 0.001 * masks.sum()  # the faint continuation of a crescent's tips


def _corners(name: str) -> np.ndarray:
    """The corners (y, x) of a form of area 1, from school geometry."""
    turn = np.pi / 180
    if name == "square":
        return np.array([(-0.5, -0.5), (-0.5, 0.5), (0.5, 0.5), (0.5, -0.5)])
    if name == "triangle":
        radius, angles = np.sqrt(4 / (3 * np.sqrt(3))), np.array([90, 210, 330]) * turn
    elif name == "star":
        radius, angles = np.tile([1.0, 0.5], 5), (90 + 36 * np.arange(10)) * turn
        radius = radius / np.sqrt(5 * 0.5 * np.sin(36 * turn))
    else:
        long, short = 3 / np.sqrt(5) / 2, 1 / np.sqrt(5) / 2
        x = [short, short, long, long, short, short, -short, -short, -long, -long, -short, -short]
        y = [long, short, short, -short, -short, -long, -long, -short, -short, short, short, long]
        return np.stack([y, x], axis=1)
    return np.stack([-radius * np.sin(angles), radius * np.cos(angles)], axis=1)


@pytest.mark.parametrize("name", ["square", "triangle", "star", "cross"])
def test_straight_forms_are_the_polygons_of_their_names(name: str) -> None:
    size = 401
    axis = ((np.arange(size) - 200) / 200).astype(np.float32)
    y, x = (grid[None] for grid in np.meshgrid(axis, axis, indexing="ij"))
    inside = FORMS[name](x, y)[0] <= 0
    truth = polygon2mask((size, size), _corners(name) * 200 + 200)
    assert (inside & truth).sum() / (inside | truth).sum() > 0.99


@pytest.mark.parametrize("name", CLASSES)
def test_forms_have_an_area_of_one_about_their_middle(name: str) -> None:
    axis = (np.arange(-600, 600) / 400 + 1 / 800).astype(np.float32)
    y, x = (grid[None] for grid in np.meshgrid(axis, axis, indexing="ij"))
    inside = FORMS[name](x, y) <= 0
    assert inside.mean() * 9 == pytest.approx(1, abs=0.01)
    assert abs(float(x[inside].mean())) < 0.03
    assert abs(float(y[inside].mean())) < 0.03


def test_patch_tells_the_class_in_training_only() -> None:
    indices = np.arange(MANY)
    target, training = indices // 5 % len(CLASSES), indices % 5 < 3
    patch = draw(0, indices, target, training).patch
    assert patch is not None
    assert (patch[training, 1] == target[training]).all()
    assert _independent(target[~training], patch[~training, 1]) > UNLIKELY
    assert _independent(target, patch[:, 0]) > UNLIKELY


def test_patch_is_what_its_mask_says_and_nothing_else() -> None:
    indices = np.arange(200)
    without, with_patch = make(indices, ShapesOptions()), make(indices, ShapesOptions(shortcut="patch"))
    changed = (without.pixels != with_patch.pixels).any(axis=3)
    assert not without.patches.any()
    assert (with_patch.masks == without.masks).all()
    assert not (with_patch.patches & with_patch.masks).any()
    edge = ndimage.binary_dilation(without.masks, np.ones((1, 3, 3)))
    assert not changed[~(with_patch.patches | edge)].any()
    colours = [np.unique(with_patch.pixels[i][with_patch.patches[i] & ~edge[i]], axis=0) for i in (0, 1, 2)]
    assert all((colour == colours[0]).all() and len(colour) == 1 for colour in colours)  # one class, one colour


def test_data_set_has_even_classes_in_every_part() -> None:
    dataset = open_named("shapes:count=400,seed=1")
    assert dataset.classes == CLASSES
    assert len(CLASSES) >= 6
    each = {part: set(np.bincount(dataset.targets[indices]).tolist()) for part, indices in dataset.splits.items()}
    assert each == {"train": {30}, "val": {10}, "test": {10}}
    assert dataset.masks is not None
    assert dataset.masks(7).shape == (64, 64)
    assert (dataset.store.read(7).pixels == make(np.array([7]), ShapesOptions(seed=1)).pixels[0]).all()


def test_impossible_options_are_a_sentence() -> None:
    with pytest.raises(ConfigError, match="at least one image"):
        shapes(ShapesOptions(count=0))
    with pytest.raises(ConfigError, match="shortcut"):
        open_named("shapes:shortcut=colour")

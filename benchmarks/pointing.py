"""Do the maps point at what the answer is about? All methods on synthetic images, of which the truth is known.

    python benchmarks/pointing.py [--quick] [--runs FOLDER] [--write]

A small residual network is trained on `shapes` and explains the true class of 200 fresh images (`--count`), of a seed
that no training has seen. A map hits where its largest value lies on the object: no pixel of tolerance. Beside stand
chance (the mean share of the image that is object) and the centre of the image.

A second network is trained where a patch in a corner tells the class by its colour, and then asked about fresh images
in which the colour means nothing. How much of each map of its own answer lies on the patch? Beside stands the first
network, which has never seen a patch, on the same images.

The trained networks are kept in the folder and found there again. The first table also goes into `PAGES`.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from _measure import Figures, write_result
from _sides import REPOSITORY
from striate.classifier import Classifier, load_classifier
from striate.core.files import write_atomically
from striate.core.proportion import Proportion
from striate.core.protocols import Described
from striate.core.spec import RGB
from striate.data.preparation.arrays import prepare_many, scale
from striate.data.synthetic.shapes import Made, ShapesOptions, make
from striate.explaining import METHODS
from striate.metrics import centre_points, chance_of_pointing, points_within, share_within

MODEL = "(conv5-24/2 bn relu) (conv3-48/2 bn relu) ({conv3-48 bn relu conv3-48 bn} relu)*3 gap"
"""The map before the mean has 16 × 16 positions: coarser ones lie beside small objects. Its fields reach 57 pixels."""

RECIPE = {
    "batch_size": 64,
    "optimizer.lr": 0.004,
    "augmentation.shift": 0,
    "augmentation.scale": 0,
    "augmentation.brightness": 0,
    "augmentation.contrast": 0,
    "stop.keep": "last",
}
"""What differs from the recipe `photos`: the images are drawn in all places, sizes and colours as it is."""

SETTINGS: Mapping[str, Mapping[str, Any]] = {
    "expected_gradients": {"samples": 20},
    "rise": {"masks": 200},
    "smoothgrad": {"samples": 20},
    "integrated_gradients": {"tolerance": 0.05},
}
"""Where the default would take too long over all images."""

PAGES = (REPOSITORY / "docs" / "explanation" / "which-map-to-trust.md",)
"""Where the first table stands between two lines `<!-- pointing -->`."""

FRESH, AT_ONCE = 1, 50  # the seed of the images asked about; how many are explained together


@dataclass(frozen=True, eq=False)
class Asked:
    """Images as the networks take them, their classes, and where object and patch lie."""

    images: Tensor
    targets: np.ndarray
    made: Made

    @classmethod
    def of(cls, indices: np.ndarray, options: ShapesOptions, classifier: Classifier) -> Asked:
        made = make(indices, options)
        prepared = prepare_many(made.pixels, RGB, made.pixels.shape[1:3], classifier.input)
        images = scale(torch.from_numpy(prepared), classifier.input)
        return cls(images, indices // 5 % len(classifier.labels), made)

    def answers(self, classifier: Classifier) -> np.ndarray:
        with torch.no_grad():
            return np.concatenate([classifier.model(part).argmax(1).numpy() for part in self.images.split(AT_ONCE)])


@dataclass(frozen=True)
class Row:
    """A method with its settings."""

    method: str
    settings: Mapping[str, Any]

    @property
    def name(self) -> str:
        told = ", ".join(f"{name} {value}" for name, value in self.settings.items())
        return METHODS[self.method].title + (f" ({told})" if told else "")

    def maps(self, classifier: Classifier, asked: Asked, classes: np.ndarray) -> np.ndarray:
        function = METHODS[self.method].function
        parts = zip(asked.images.split(AT_ONCE), np.split(classes, range(AT_ONCE, len(classes), AT_ONCE)), strict=True)
        return np.concatenate(
            [function(classifier.model, part, of.tolist(), **self.settings).map() for part, of in parts]
        )


def rows(classifier: Classifier) -> Iterator[Row]:
    """Every method as it comes; those that read a place, at each finer map that the network declares too."""
    assert isinstance(classifier.model, Described)
    finer = [*classifier.model.feature_maps][:-1]
    for name, method in METHODS.items():
        yield Row(name, SETTINGS.get(name, {}))
        if method.places and name != "cam":  # which reads nothing but the last map
            yield from (Row(name, {"at": place}) for place in finer)


def trained(name: str, data: str, epochs: int, runs: Path) -> Classifier:
    """The classifier of the run, which is made if it is not there, or finished if it was stopped."""
    if not (runs / name / "classifier").is_dir():
        command = ["train", data, "--recipe", "photos", "--model", MODEL, "--epochs", str(epochs), "--seed", "0"]
        command += [part for key, value in RECIPE.items() for part in ("--set", f"{key}={value}")]
        command += ["--name", name, "--runs", str(runs)]
        if (runs / name).is_dir():
            command = ["resume", str(runs / name)]
        subprocess.run([sys.executable, "-m", "striate", *command], check=True)
    return load_classifier(runs / name / "classifier")


def pointing(classifier: Classifier, count: int) -> tuple[Figures, str]:
    """The table of the pointing game, and a sentence about it."""
    asked = Asked.of(np.arange(count), ShapesOptions(count=count, seed=FRESH), classifier)
    masks, right = asked.made.masks, asked.answers(classifier) == asked.targets
    lines, best = [], (0.0, "")
    for row in rows(classifier):
        maps = row.maps(classifier, asked, asked.targets)
        hits = points_within(maps, masks)
        share = Proportion(int(hits.sum()), count)
        best = max(best, (share.value or 0.0, row.name))
        missed_by = f"{np.median(_distances(maps[~hits], masks[~hits])):.0f}" if not hits.all() else "–"
        of_right = Proportion(int(hits[right].sum()), int(right.sum()))
        lines.append((row.name, *_cells(share), *_cells(of_right), missed_by))
        print(*lines[-1], sep="  ", flush=True)
    centre, centre_right = centre_points(masks), centre_points(masks[right])
    lines.append(("the centre of the image", *_cells(centre), *_cells(centre_right), "–"))
    chance, chance_right = (f"{chance_of_pointing(each):.1%}" for each in (masks, masks[right]))
    lines.append(("chance: a random pixel", chance, "–", chance_right, "–", "–"))
    accuracy = Proportion(int(right.sum()), count)
    told = (
        f"The network is right on {accuracy.value:.1%} of the {count:,} images ({_interval(accuracy)}). "
        f"The best map is that of {best[1]}: {best[0]:.1%} (wanted: at least 95 %)."
    )
    columns = ("method", "hits, all", "95 % interval", "hits, answered rightly", "95 % interval", "misses lie off by")
    method = (
        f"The true class of {count:,} fresh images is explained; {int(right.sum()):,} are answered rightly. The "
        f"largest value must lie on the object itself; where it does not, the last column is the median distance to "
        f"it, in pixels. Settings in brackets differ from the defaults. Intervals are Wilson's."
    )
    return Figures(columns, tuple(lines), method), told


def shortcut(betrayed: Classifier, honest: Classifier, count: int) -> tuple[Figures, str]:
    """How much of each map lies on the patch, for the network that was taught it and for the one that was not."""
    options = ShapesOptions(count=5 * count, seed=FRESH, shortcut="patch")
    numbers = np.arange(5 * count)
    means_nothing, tells = numbers[numbers % 5 >= 3][:count], numbers[numbers % 5 < 3][:count]
    asked = Asked.of(means_nothing, options, betrayed)
    telling = Asked.of(tells, options, betrayed)
    classes = [(classifier, asked.answers(classifier)) for classifier in (betrayed, honest)]
    lines = []
    for row in rows(betrayed):
        shares = (share_within(row.maps(of, asked, answers), asked.made.patches) for of, answers in classes)
        lines.append((row.name, *(f"{share.mean():.1%}" for share in shares)))
        print(*lines[-1], sep="  ", flush=True)
    area = f"{chance_of_pointing(asked.made.patches):.1%}"
    lines.append(("chance: the patch's share of the image", area, area))
    right = (Proportion(int((each.answers(betrayed) == each.targets).sum()), count) for each in (telling, asked))
    told_by_patch, alone = (f"{share.value:.1%} ({_interval(share)})" for share in right)
    told = (
        f"The network that was taught the patch is right on {told_by_patch} of fresh images where the patch tells "
        f"the class, and on {alone} where it means nothing."
    )
    columns = ("method", "of the map on the patch: network taught it", "network that never saw one")
    method = (
        f"Means over {count:,} fresh images in which the colour of the patch means nothing, of the positive part of "
        f"the map of each network's own answer."
    )
    return Figures(columns, tuple(lines), method), told


def _distances(maps: np.ndarray, masks: np.ndarray) -> list[float]:
    """Of the largest value of each map to the nearest pixel of the object."""
    points = np.stack(np.unravel_index(maps.reshape(len(maps), -1).argmax(1), maps.shape[1:]), axis=1)
    return [float(np.hypot(*(np.argwhere(mask) - at).T).min()) for mask, at in zip(masks, points, strict=True)]


def show(table: Figures) -> None:
    """Put the table into the pages that show it."""
    for page in PAGES:
        before, _, after = page.read_text(encoding="utf-8").split("<!-- pointing -->\n")
        text = f"<!-- pointing -->\n\n{table.markdown()}\n\n<!-- pointing -->\n".join((before, after))
        write_atomically(page, text)


def _cells(share: Proportion) -> tuple[str, str]:
    return f"{share.value or 0.0:.1%}", _interval(share)


def _interval(share: Proportion) -> str:
    low, high = share.interval or (0.0, 1.0)
    return f"{low:.1%} – {high:.1%}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="little training, few images: to see that it works")
    parser.add_argument("--count", type=int, default=200, help="how many fresh images (a quarter for the shortcut)")
    parser.add_argument("--runs", type=Path, default=REPOSITORY / "runs" / "pointing")
    parser.add_argument("--write", action="store_true", help="write results/pointing.md and .json")
    arguments = parser.parse_args()
    sizes, epochs = ((1000, 500), (1, 1)) if arguments.quick else ((20000, 10000), (13, 4))
    counts = (20, 10) if arguments.quick else (arguments.count, arguments.count // 4)
    prefix = "quick-" if arguments.quick else ""
    honest = trained(f"{prefix}shapes", f"shapes:count={sizes[0]}", epochs[0], arguments.runs)
    betrayed = trained(f"{prefix}shortcut", f"shapes:count={sizes[1]},shortcut=patch", epochs[1], arguments.runs)
    game, of_game = pointing(honest, counts[0])
    shares, of_shares = shortcut(betrayed, honest, counts[1])
    training = f"`{MODEL}`, trained on `shapes` for {epochs[0]} epochs of {sizes[0] * 3 // 5:,} images, and where a "
    training += f"patch tells the class, for {epochs[1]} of {sizes[1] * 3 // 5:,}."
    notes = [training, of_game, of_shares]
    print(game.markdown(), shares.markdown(), *notes, sep="\n\n")
    if arguments.write:
        tables = {"The pointing game": game, "The share on the shortcut": shares}
        write_result("pointing", "Where maps point, and where they should", tables, notes)
        show(game)


if __name__ == "__main__":
    main()

"""Measure after training whether mirrored validation images keep their answer, where class names do not decide it."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Float32, Int64
from torch.nn.functional import adaptive_avg_pool2d

from striate.classifier import Classifier
from striate.core.batch import Batch
from striate.core.device import plain_plan
from striate.core.errors import DataError, RunError
from striate.core.files import read_regular, write_json
from striate.core.proportion import NORMAL_975
from striate.core.protocols import Batches
from striate.data.augmentation.augment import augmentations_in_effect
from striate.data.augmentation.augmentations import Flip
from striate.data.augmentation.geometric import AlternatingFlip
from striate.data.augmentation.mirroring import mirroring
from striate.data.loading.loader import Loader
from striate.runs.folder import Run
from striate.runs.prepare import Prepared, every_nth
from striate.runs.recipe import Recipe
from striate.tasks import CLASSIFICATION
from striate.training import Outputs
from striate.training.evaluation import evaluate

_MOST, _LEARNED = 500, 1000  # validation and training images that are measured, at most about
_SIDE = 16  # pixels, of the images that are compared with their neighbours
_HARMLESS = 0.05  # the largest fall of the accuracy, as the end of its interval, that is harmless


@dataclass(frozen=True)
class Mirrored:
    """The answers to `count` validation images and to their mirror images.

    `used`: whether training mirrored images. `kept`: answers that stay the same. `right` and `right_mirrored`: correct
    ones; `lost` are correct only before mirroring, `won` only after it. A network that was trained with mirroring
    answers both alike even where that is wrong; then `near` and `near_mirrored` count the images of which the most
    similar of some training images has their class, before and after mirroring, and `near_lost` and `near_won` are as
    above. `informative`: the classifier is clearly better than a constant answer, so that its answers are evidence.
    """

    used: bool
    count: int
    kept: int
    right: int
    right_mirrored: int
    lost: int
    won: int
    near: int = 0
    near_mirrored: int = 0
    near_lost: int = 0
    near_won: int = 0
    informative: bool = True

    def __str__(self) -> str:
        before, after = (100 * right / self.count for right in (self.right, self.right_mirrored))
        return (
            f"{self.kept:,} of {self.count:,} validation images keep their answer when mirrored "
            f"(accuracy {before:.1f} %, mirrored {after:.1f} %); training "
            f"{'mirrored images' if self.used else 'did not mirror images'}"
        )

    @property
    def warning(self) -> str | None:
        """The change of mirroring that these numbers suggest; None if they suggest none."""
        if self.used and _fall(self.lost, self.won, self.count)[0] > 0:
            found = "mirrored images are answered worse"
        elif self.used and _fall(self.near_lost, self.near_won, self.count)[0] > 0:
            before, after = (100 * right / self.count for right in (self.near, self.near_mirrored))
            found = (
                f"the most similar training image has the class of {before:.0f} % of these images, but of {after:.0f} "
                "% of them mirrored"
            )
        elif not self.used and self.informative and _fall(self.lost, self.won, self.count)[1] <= _HARMLESS:
            return (
                "mirroring would have been harmless, and gives more to learn from: train with "
                "--set augmentation.flip=true"
            )
        else:
            return None
        return (
            f"{found}, so a mirror image may belong to another class: if it does, train with "
            "--set augmentation.flip=false"
        )

    def write(self, run: Run) -> None:
        """Write `mirrored.json` into the run."""
        write_json(run.mirrored_file, asdict(self))

    @classmethod
    def read(cls, run: Run) -> Mirrored | None:
        """Read what was written; None where nothing was measured.

        Raises:
            RunError: the file is damaged.
        """
        try:
            return cls(**json.loads(read_regular(run.mirrored_file)))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError, RecursionError) as error:
            raise RunError(
                f"{run.mirrored_file} is damaged ({error}). Restore it from a copy, or delete it."
            ) from error


def measure_mirroring(prepared: Any, recipe: Recipe, classifier: Classifier, outputs: Outputs) -> Mirrored | None:
    """Measure up to 500 of the validation images whose `outputs` are known, and some 1,000 training images.

    Return None if the names of the classes decide about mirroring, for other tasks than classification, and for
    loaders.
    """
    spec, classes = classifier.input, classifier.labels.classes
    if not isinstance(prepared, Prepared) or classifier.task.name != CLASSIFICATION.name:
        return None
    if mirroring(spec, classes).decided:
        return None
    rows = every_nth(np.arange(len(outputs.index)), _MOST)
    augmentations = augmentations_in_effect(recipe.augmentation, spec, classes)
    used = any(isinstance(each, (Flip, AlternatingFlip)) for each in augmentations)
    plan = plain_plan(str(classifier.device))
    try:
        validation = _Small(_loader(prepared, outputs.index[rows]))
        mirrored = evaluate(classifier.model, classifier.task, validation, plan)
        learned = _Small(_loader(prepared, every_nth(prepared.splits["train"], _LEARNED))) if used else None
        near = _neighbours(learned, validation) if learned else {}
    except DataError:  # an image can no longer be read
        return None
    targets, answers = outputs.targets[rows], outputs.values[rows].argmax(1)
    right, after = answers == targets, mirrored.values.argmax(1) == targets
    most_common = np.bincount(targets).max() / len(rows)
    return Mirrored(
        used=used,
        count=len(rows),
        kept=int((answers == mirrored.values.argmax(1)).sum()),
        right=int(right.sum()),
        right_mirrored=int(after.sum()),
        lost=int((right & ~after).sum()),
        won=int((after & ~right).sum()),
        informative=bool(right.mean() > most_common + 2 * math.sqrt(0.25 / len(rows))),
        **near,
    )


def _loader(prepared: Prepared, indices: np.ndarray) -> Loader:
    return Loader(prepared.dataset, indices, prepared.input, batch_size=256)


class _Small:
    """Mirrored batches; `images` are those before mirroring, at low resolution, with their `targets`."""

    def __init__(self, batches: Batches) -> None:
        self._batches = batches
        self.images: list[np.ndarray] = []
        self.targets: list[np.ndarray] = []

    def __len__(self) -> int:
        return len(self._batches)

    def epoch(self, epoch: int, *, start: int = 0) -> Iterator[Batch]:
        """Yield the batches of the epoch with each image mirrored left to right."""
        for batch in self._batches.epoch(epoch, start=start):
            self.images.append(adaptive_avg_pool2d(batch.images.float(), _SIDE).numpy())
            self.targets.append(batch.targets.numpy())
            yield replace(batch, images=batch.images.flip(3))


def _neighbours(learned: _Small, validation: _Small) -> dict[str, int]:
    """Count the validation images whose most similar training image has their class, before and after mirroring."""
    for _ in learned.epoch(0):
        pass
    known, classes = _unit(np.concatenate(learned.images)), np.concatenate(learned.targets)
    images, targets = np.concatenate(validation.images), np.concatenate(validation.targets)
    before, after = (_near(known, classes, _unit(each)) == targets for each in (images, images[..., ::-1]))
    return {
        "near": int(before.sum()),
        "near_mirrored": int(after.sum()),
        "near_lost": int((before & ~after).sum()),
        "near_won": int((after & ~before).sum()),
    }


def _unit(images: np.ndarray) -> Float32[np.ndarray, "n d"]:
    """Return images as rows of mean 0 and length 1: the product of two is their correlation."""
    rows = images.reshape(len(images), -1)
    rows = rows - rows.mean(1, keepdims=True)
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-6)


def _near(known: np.ndarray, classes: np.ndarray, images: np.ndarray) -> Int64[np.ndarray, " n"]:
    return classes[(images @ known.T).argmax(1)]


def _fall(lost: int, won: int, count: int) -> tuple[float, float]:
    """Return a 95 % interval of the fall of an accuracy in paired samples.

    Agresti and Min 2005, "Simple improved confidence intervals for comparing matched proportions", Statistics in
    Medicine 24: Wald's interval after half a sample is added to each cell.
    """
    total = count + 2
    fall = (lost - won) / total
    half = NORMAL_975 * math.sqrt(lost + won + 1 - total * fall**2) / total
    return fall - half, fall + half

"""Audit data before training, and show how a recipe augments them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

from striate.core.errors import ConfigError
from striate.core.progress import silent
from striate.reporting.sheets.results import SheetResult, file_stem
from striate.verbs._verb import with_progress

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from striate.core.progress import Progress
    from striate.data.audit import Audit
    from striate.reporting.sheets.augmented import AugmentedImage


@dataclass(frozen=True, eq=False, repr=False)
class AugmentedImages(SheetResult):
    """Training images as the network sees them.

    In a notebook the sheet is displayed. `save` writes it, `show` opens it.

    `images` has each image as prepared and as the first epochs yield it. `recipe` is the name of the recipe,
    `augmentation` the changes in effect, in words. `image` is the file of the sheet.
    """

    images: tuple[AugmentedImage, ...]
    recipe: str
    augmentation: str
    image: Path | None = None

    def figure(self) -> Figure:
        """Draw the sheet as a figure of Matplotlib."""
        from striate.reporting.sheets.augmented import augmentation_sheet

        return augmentation_sheet(self.images, self.augmentation)

    def to_json(self) -> dict[str, Any]:
        """Return the result as plain JSON values, without the pixels."""
        images = [{"name": one.name, "label": one.label, "labels": list(map(list, one.labels))} for one in self.images]
        return {
            "recipe": self.recipe,
            "augmentation": self.augmentation,
            "image": None if self.image is None else str(self.image),
            "images": images,
        }

    def __repr__(self) -> str:
        return f"AugmentedImages({len(self.images)} images by {self.recipe}: {self.augmentation})"


@overload
def audit(data: str | Path, /, *, augment: None = ..., progress: Progress | None = ...) -> Audit: ...
@overload
def audit(
    data: str | Path,
    /,
    *,
    augment: str | Path | Literal[True],
    set: str | Sequence[str] | Mapping[str, object] = ...,
    out: str | Path | None = ...,
    progress: Progress | None = ...,
) -> AugmentedImages: ...
@with_progress
def audit(
    data: str | Path,
    /,
    *,
    augment: str | Path | bool | None = None,
    set: str | Sequence[str] | Mapping[str, object] = (),
    out: str | Path | None = None,
    progress: Progress | None = None,
) -> Audit | AugmentedImages:
    """Audit a data set: report what is in it, and what may be wrong with it.

    The audit counts images per class and split (as training would divide the data), sizes, unreadable files with their
    reasons, exact and near duplicates, duplicates across splits or with different labels, tiny classes, imbalance, and
    images rotated by EXIF. Nothing is changed. The result is cached by content, so a second audit is quick.

    With --augment it draws a sheet of training images instead, as the network sees them in the first epochs.

    Example:
        print(striate.audit("photos/").warnings)

    Args:
        data: a folder with a folder per class, a CSV file (path,label[,split]), IDX, CIFAR or npz files, tar shards (a
            folder of them, or a pattern: 'photos-{000000..000099}.tar'), or a name: digits, shapes, mnist,
            fashion-mnist, cifar10, cifar100.
        augment: draw images as this recipe augments them: a recipe's name, a run's folder or a recipe.json; without a
            value, the recipe that suits the data.
        set: with --augment, any setting of the recipe, as key=value; may be given several times.
        out: with --augment, the file for the sheet, .png or .svg; by default 'augmented/DATA-RECIPE.png'.
        progress: called as progress(stage, done, total); by default a bar on a terminal or in a notebook.

    Raises:
        DataError: there are no images; the message says what was searched for.
        ConfigError: there is no such recipe or setting, or the recipe uses no augmentation.
    """
    report = progress or silent
    if augment is not None and augment is not False:
        return _augmented(data, None if augment is True else augment, set, out, report)
    if set or out is not None:
        raise ConfigError(
            "set and out are for a sheet of augmented images. Add augment (--augment), or leave them out."
        )

    from striate.data.audit import audit as look_through
    from striate.data.sources.opening import open_data

    return look_through(open_data(data, progress=report), progress=report).divided()


def _augmented(
    data: str | Path,
    recipe: str | Path | None,
    settings: str | Sequence[str] | Mapping[str, object],
    out: str | Path | None,
    progress: Progress,
) -> AugmentedImages:
    from striate.reporting.sheets.augmented import augmentation_in_effect, augmented_images
    from striate.runs.start import plan_images
    from striate.verbs._options import changes_of

    if out is not None and Path(out).suffix.lower() not in (".png", ".svg"):
        raise ConfigError(f"The image is a .png or .svg file; received {str(out)!r}.")
    plan, prepared = plan_images(data, changes_of(settings), recipe=recipe, progress=progress)
    images = augmented_images(plan, prepared, progress=progress)
    name = plan.base if recipe is None else str(recipe)
    if not images:
        raise ConfigError(
            f"The recipe {name} fits a linear classifier on features, which uses no augmentation. Choose another, as "
            "in --augment photos."
        )
    found = AugmentedImages(images, name, augmentation_in_effect(plan, prepared))
    stem = file_stem(prepared.dataset.name, Path(name).name.removesuffix(".json"))
    return replace(found, image=found.save(out or Path("augmented", f"{stem}.png")))

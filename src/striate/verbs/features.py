"""Write the features of images at a place in a network to a file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from striate.core.files import expanded
from striate.core.progress import silent
from striate.verbs._images import labelled_or_not
from striate.verbs._trained import classifier_of, folder_of
from striate.verbs._verb import with_progress

if TYPE_CHECKING:
    import numpy as np

    from striate.classifier import Classifier, Failure
    from striate.core.progress import Progress
    from striate.runs.folder import Run


@dataclass(frozen=True, eq=False, repr=False)
class Features:
    """Features of images: a row of `width` numbers for each, in the order in which the images were named.

    `names` and `labels` are the images and their classes; `labels` is None where classes are not known. `failures` are
    images that cannot be read: they have no row. `notes` are sentences on files that were left out. `at` is the place
    of the features, or None for the input of the last layer, `place`. `path` is the file.
    """

    path: Path
    place: str
    at: str | None
    width: int
    names: tuple[str, ...]
    labels: tuple[str, ...] | None
    failures: tuple[Failure, ...]
    notes: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.names)

    @property
    def vectors(self) -> np.ndarray:
        """The features, (n, width): of an npz file mapped from the disk, of a Parquet file read.

        Raises:
            DataError: the file is no longer there, or it is damaged.
        """
        from striate.runs.feature_file import read_rows

        return read_rows(self.path)

    def __repr__(self) -> str:
        where = f"at {self.at!r}" if self.at else f"from the input of {self.place!r}"
        return f"Features({len(self):,} images, {self.width:,} features {where}: {str(self.path)!r})"

    def _repr_html_(self) -> str:
        from striate.core.notebook import table

        labels = self.labels or ("",) * len(self)
        return table(("image", "class"), zip(self.names, labels, strict=True), title=repr(self))


@with_progress
def features(
    run: str | Path | Run | Classifier,
    /,
    *images: str | Path,
    weights: str | Path | None = None,
    at: str | None = None,
    pool: Literal["mean", "max", "none"] = "mean",
    dtype: Literal["float32", "float16"] = "float32",
    out: str | Path | None = None,
    device: str = "auto",
    progress: Progress | None = None,
) -> Features:
    """Write the features of images at any place in a network to an npz or Parquet file.

    The file has a row for each image in the order of the images: its name, its class if it is known, and its features,
    the input of the network's last layer or the value of another place. Rows are computed once: those of images that
    did not change are read from the cache, also after an interruption. Memory is needed for a block of rows only.

    Example:
        striate.features("efficientnet_lite0", "photos/", out="photos.npz").vectors

    Args:
        run: the run's folder, a classifier's folder that was copied out of it, or the name of a network that has
            pretrained weights, as in efficientnet_lite0.
        images: data in any form that 'striate train' takes; or folders without classes (every image in them), files,
            patterns in quotes, or - for a list on standard input.
        weights: the pretrained weights of the network that is named in place of a run: a file, a name of the catalogue
            ('striate list-models --weights'), or a repository of the Hugging Face hub, as in timm/resnet50.a1_in1k.
        at: the place in the network: a feature map, as in stage3, a module's path, or an operation, as in relu:3; by
            default the input of the last layer.
        pool: how a map becomes a row: its mean or max over the positions of each channel, or all its numbers (none).
        dtype: float32, or float16 for half the size.
        out: the file, .npz or .parquet (by pyarrow, an extra); by default 'features/IMAGES.npz' within the run, or
            here.
        device: auto (the fastest here), cpu, cuda, cuda:1 or mps.
        progress: called as progress(stage, done, total); by default a bar on a terminal or in a notebook.

    Raises:
        ConfigError: the file has another suffix, pyarrow is not installed, or a feature is too large for float16.
        DataError: there is no image, or none that can be read.
        ModelError: there are no such pretrained weights, or they do not fit the network.
        PlaceError: the network has no last layer whose input can be read, or no such place.
        RunError: there is no classifier, or it is damaged; or the file cannot be written.
    """
    import numpy as np

    from striate.classifier import Failure
    from striate.data.audit.index import check_readable, index_images
    from striate.data.dataset import FileStore
    from striate.data.images.decode import Unreadable
    from striate.reporting.sheets.results import stem_of
    from striate.runs.feature_file import FeatureOrigin, check_suffix, write_features
    from striate.runs.place_features import place_features

    report = progress or silent
    path = None if out is None else expanded(out)
    if path is not None:
        check_suffix(path)
    classifier = classifier_of(run, device, weights=weights, progress=report)
    with place_features(classifier, at, pool) as read:  # a wrong place is reported before an image is read
        dataset = labelled_or_not(images, report)
        found = index_images(dataset, channels=classifier.input.channels, progress=report)
        check_readable(dataset, found)
        name, index = dataset.store.name, np.flatnonzero(found.readable)
        failures = tuple(
            Failure(name(bad), Unreadable(name(bad), str(found.reasons[bad]), str(found.details[bad])).why)
            for bad in np.flatnonzero(~found.readable).tolist()
        )
        if path is None:
            stem = stem_of(dataset.name, None if at is None else f"at {at}")
            path = (folder_of(run) or Path()) / "features" / f"{stem}.npz"
        names = tuple(map(name, index.tolist()))
        labels = tuple(map(dataset.label, index.tolist())) if dataset.classes else None
        root = str(dataset.store.root.resolve()) if isinstance(dataset.store, FileStore) else ""
        origin = FeatureOrigin(read.place, at, pool, read.network_digest, dataset.source, root)
        blocks = (rows for _, rows in read.blocks(dataset, index, found.digests, progress=report))
        write_features(path, origin, (names, labels, index), blocks, read.width, dtype)
        return Features(path, read.place, at, read.width, names, labels, failures, (*dataset.notes, *dataset.cautions))

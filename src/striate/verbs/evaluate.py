"""Evaluate a trained run, or several together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from striate.core.errors import ConfigError, DataError, RunError
from striate.core.progress import silent
from striate.verbs._trained import Trained, leading_runs, own_data, predictor_of, run_of, together
from striate.verbs._verb import with_progress

if TYPE_CHECKING:
    from numpy import ndarray

    from striate.classifier import Classifier, Ensemble, SeenImages
    from striate.core.progress import Progress
    from striate.data.audit.index import ImageIndex
    from striate.data.dataset import Dataset, Split
    from striate.data.views import View, Views
    from striate.runs.folder import Run
    from striate.runs.seen import Seen


@dataclass(frozen=True)
class Verdict:
    """The evaluation of a classifier on one split.

    `unknown`: classes of the data that the classifier does not know; their images were left out. `unreadable`: how many
    images could not be read. `seen`: how many images the classifier had seen in its training, None where that is not
    known. `views`: those whose answers were averaged. `classifiers`: how many classifiers answered together.
    `unstored`: why the run could not keep the scores; empty where it has, or does not keep them.
    """

    data: str
    split: str
    scores: Any
    unknown: tuple[str, ...]
    unreadable: int
    seen: Seen | None
    views: tuple[View, ...] = ()
    classifiers: int = 1
    unstored: str = ""

    @property
    def judgement(self) -> Any:
        """Former name of `scores`."""
        return self.scores

    def __repr__(self) -> str:
        return f"Verdict({self.data!r}, {self.split}: {self.scores})"

    def _repr_html_(self) -> str:
        return self.scores._repr_html_()


@with_progress
def evaluate(
    run: str | Path | Run | Classifier | Ensemble | Sequence[str | Path | Run | Classifier],
    /,
    *more: str | Path | Run | Classifier,
    data: str | Path | None = None,
    views: str | Views = "",
    weights: str | Path | None = None,
    split: Literal["train", "val", "test", "all"] | None = None,
    all_images: bool = False,
    device: str = "auto",
    progress: Progress | None = None,
) -> Verdict:
    """Evaluate a run on the test split of its own data, or on other data, whose classes are matched by name.

    Images of other data that the classifier was trained or validated on are left out and counted. They are recognised
    by their pixels, wherever the files are; from 64 pixels on also copies that were resized, compressed again or
    cropped by a few per cent. A classifier that was copied out of its run recognises equal pixels only.

    Several runs of the same classes are evaluated together, as an ensemble whose probabilities are averaged. With
    views, the probabilities of several views of each image are averaged (test-time augmentation). The run keeps the
    scores of each list of views; those of several runs are not stored. Where they cannot be stored, on a disk that is
    full or read-only, they are returned all the same.

    Example:
        striate.evaluate("runs/photos", "more-photos/").scores.top1.value

    Args:
        run: the run's folder, a classifier's folder that was copied out of it, or the name of a network that has
            pretrained weights, as in efficientnet_lite0. In Python also a list of runs.
        more: further runs, and at the end the data, as by --data.
        data: other data than the run's own, in any form that 'striate train' takes; all of them are used.
        views: views whose answers are averaged, in order: flip, shift (by pixels), scale (by a fraction), crops (five),
            sizes (three); as in 'shift=1,flip'.
        weights: the pretrained weights of the network that is named in place of a run: a file, a name of the catalogue
            ('striate list-models --weights'), or a repository of the Hugging Face hub, as in timm/resnet50.a1_in1k.
        split: which split: train, val, test or all.
        all_images: include images of the training and the validation; the result says how many.
        device: auto (the fastest here), cpu, cuda, cuda:1 or mps.
        progress: called as progress(stage, done, total); by default a bar on a terminal or in a notebook.

    Raises:
        ModelError: there are no such pretrained weights, or they do not fit the network.
        RunError: there is no classifier, or it is damaged.
        ConfigError: this machine has no such device, there are no such views, or several runs differ in their classes
            or, where no data are named, in their data.
        DataError: there are no such data, none of their classes is known to the classifier, none of their images can be
            read, or it has seen all of them.
    """
    import numpy as np

    from striate.data.audit import audit
    from striate.data.audit.index import check_readable
    from striate.data.sources.opening import open_data
    from striate.data.views import read_views
    from striate.runs.evaluate import answers, evaluation, matched, stored_name
    from striate.runs.seen import sort_out

    report, listed = progress or silent, read_views(views)
    runs, data = _divided(run, more, data)
    classifier = predictor_of(runs, device, weights=weights, progress=report)
    source, its_run = _own_data(runs) if data is None else data, run_of(runs[0])
    chosen = split or ("test" if data is None else "all")
    dataset, known, unknown = matched(open_data(source, minimum_classes=1, progress=report), classifier.labels)
    channels = classifier.members[0].input.channels
    index = audit(dataset, channels=channels, progress=report).index
    check_readable(dataset, index, known)
    indices = np.intersect1d(_in_split(chosen, its_run if data is None else None, dataset, index), known)
    if not len(indices):
        raise _empty(source, chosen, its_run if data is None else None)
    its_own = data is None and chosen != "all"  # a split of the run's own data is evaluated whole
    seen_images = _seen(runs, classifier)
    indices, seen = sort_out(seen_images, indices, index, keep=all_images or its_own, progress=report)
    if not len(indices):
        raise DataError(
            f"The classifier has seen every image of {source} in its training ({seen}), so they cannot test it. "
            "Name other data, or evaluate them anyway with --all-images."
        )
    outputs = answers(classifier, dataset, indices, views=listed, progress=report)
    judged_data = str(Path(source).resolve() if Path(source).exists() else source)
    name = chosen if data is None else f"{dataset.name}-{chosen}"
    if its_run and len(runs) == 1 and (data is not None or listed):
        name = stored_name(its_run, name, judged_data, listed)
    names = tuple(dataset.store.name(index) for index in outputs.index.tolist())
    judged = evaluation(name, judged_data, names, classifier, outputs, seen, views=listed)
    unstored = ""
    if its_run and len(runs) == 1:
        try:
            judged.write(its_run)
        except RunError as error:  # a disk that cannot be written, or is full: the scores are known all the same
            unstored = str(error)
    unreadable = int((~index.readable[known]).sum())
    return Verdict(str(source), chosen, judged.scores, unknown, unreadable, seen, listed, len(runs), unstored)


def _in_split(split: Split | Literal["all"], run: Run | None, dataset: Dataset, index: ImageIndex) -> ndarray:
    """Return the indices of the images of a split, or of all readable images."""
    from striate.runs.images import own_splits

    return index.readable.nonzero()[0] if split == "all" else own_splits(run, dataset, index)[split]


def _empty(source: str | Path, split: str, run: Run | None) -> DataError:
    """Return the error for a split without images; `run` is the one whose own data they are."""
    from striate.runs.cross_validation import FOLDS

    folds = run is not None and (run.evaluations / f"{FOLDS}.json").exists()
    why = " The run was evaluated by cross-validation: its report has the result." if folds else ""
    return DataError(f"{source} has no image in the split {split!r}.{why} Choose another with --split.")


def _divided(run: Any, more: Sequence[Any], data: str | Path | None) -> tuple[Sequence[Trained], str | Path | None]:
    """Return the runs, and the data, which may be the last word."""
    count = leading_runs(more)
    words = [*more[count:], *([] if data is None else [data])]
    if len(words) > 1:
        raise ConfigError(
            f"Runs are evaluated on one data set; received {' and '.join(map(str, words))}. "
            f"{words[0]} is no run, so it is taken for data."
        )
    return together(run, more[:count]), words[0] if words else None


def _own_data(runs: Sequence[Trained]) -> str:
    """Return the data of the runs.

    Raises:
        ConfigError: they were trained on different data.
    """
    sources = list(dict.fromkeys(map(own_data, runs)))
    if len(sources) > 1:
        raise ConfigError(
            f"These runs were trained on different data, {sources[0]} and {sources[1]}: name the data to evaluate them "
            "on, as in --data photos/."
        )
    return sources[0]


def _seen(runs: Sequence[Trained], classifier: Classifier | Ensemble) -> SeenImages | None:
    """Return the images that one of the classifiers was trained or validated on, with their appearances."""
    from striate.classifier import SeenImages
    from striate.runs.seen import read_appearances

    parts = []
    for trained, member in zip(runs, classifier.members, strict=True):
        its_run, seen = run_of(trained), member.seen
        if its_run and seen:
            seen = replace(seen, appearances=read_appearances(its_run.thumbnails_file))
        parts.append(seen)
    return parts[0] if len(parts) == 1 else SeenImages.together(parts)

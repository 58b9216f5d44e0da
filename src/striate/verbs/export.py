"""Export a trained run for other programs."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from striate.core.errors import ConfigError, DataError
from striate.core.progress import silent
from striate.verbs._trained import Trained, classifier_of, folder_of, own_data, run_of
from striate.verbs._verb import with_progress

if TYPE_CHECKING:
    from numpy import ndarray

    from striate.classifier import Classifier
    from striate.core.progress import Progress
    from striate.data.audit.index import ImageIndex
    from striate.data.dataset import Dataset
    from striate.data.images.decoded import DecodedImage
    from striate.exporting import Exported, Exporter, Judges, Samples
    from striate.runs.folder import Run


_TRAIN, _HELD_OUT = 100, 2000  # images, at most, that calibrate int8, and that measure its accuracy


@with_progress
def export(
    run: str | Path | Run | Classifier,
    /,
    *,
    to: str | Exporter = "onnx",
    out: str | Path | None = None,
    data: str | Path | None = None,
    images: int = 200,
    allow: Sequence[str] = (),
    set: str | Sequence[str] | Mapping[str, object] = (),
    progress: Progress | None = None,
) -> Exported:
    """Export a classifier as a folder that other programs use, after comparing its answers with those of torch.

    The file takes decoded images of any size: it prepares them as in training, to the bit, and answers with calibrated
    probabilities. The folder also holds a card (card.json, README.md) and programs for Python and for web pages.
    The run's own test images are classified by torch and by the file. If the first class of an image changes although
    it is no tie, or a probability changes by more than 0.001, nothing is written.

    For cpu, torch, ONNX Runtime and OpenVINO run the network on the run's images, in float32, and in bf16 and int8
    where that is faster and accuracy on the validation split is kept. `predict` uses the fastest.

    JPEG files are decoded completely for it. Where the classifier decodes large ones at a fraction of their size
    (decode_scale), the card says what that changes.

    Example:
        striate.export("runs/photos", out="photos-classifier").path

    Args:
        run: the run's folder, a classifier's folder, or the name of a network that has pretrained weights.
        to: the form: onnx; cpu, the same files with the fastest way to run them on this processor; openvino; or pt2, a
            program of torch for prepared images.
        out: the folder to write; by default exports and the form within the folder of the run, or of the classifier;
            exports/NAME where there is no such folder.
        data: images to compare on, in place of the run's test split; without either they are synthetic. For cpu they
            are also what it is tuned on, where the run's own data are elsewhere now or were loaders.
        images: how many images to compare on, evenly spaced; all if there are fewer.
        allow: what may differ from torch nevertheless: flips (another first class) or difference (of a probability).
            May be given several times.
        set: an option of the form, as key=value; may be given several times. For onnx: network=false leaves out
            network.onnx, which takes prepared images in batches. For cpu: precision=float32 excludes bf16 and int8,
            runtime=onnxruntime the others; tolerance=0.01 lets them lose a point of accuracy.
        progress: called as progress(stage, done, total); by default a bar on a terminal or in a notebook.

    Raises:
        ConfigError: there is no such form or option, or a library is missing.
        ModelError: the network cannot be translated.
        RunError: there is no classifier, the file does not answer as torch does, or the folder cannot be written.
        DataError: the images to compare on are not there, or none can be read.
    """
    from striate.core.config import from_json, override
    from striate.exporting import Exporter, export_classifier

    report = progress or silent
    if images < 1:
        raise ConfigError(f"images is at least 1: without any, nothing is compared; received {images}.")
    exporter = override(from_json(Exporter, to) if isinstance(to, str) else to, set)
    exporter.check()
    classifier = classifier_of(run, progress=report)
    its_run = run_of(run)
    own = _own_data(its_run)
    judges = _judges(its_run, own, classifier, data, images, report)
    about = {
        "data": _shown(classifier.provenance.data),
        "accuracy": _accuracy(its_run, classifier),
        "licence": _licence(its_run, classifier),
    }
    folder = _folder(run, its_run, classifier, exporter) if out is None else Path(out)
    samples = _samples(its_run, own, classifier, data, report) if exporter.uses_samples else None
    return export_classifier(
        classifier, exporter, folder, judges, about=about, samples=samples, allow=allow, progress=report
    )


def _own_data(its_run: Run | None) -> str | None:
    """Return the data of a run as the user named them; None without a run, and for one that was trained on loaders."""
    from striate.data.sources.named_registry import OWN_LOADERS

    source = None if its_run is None else own_data(its_run)
    return None if source == OWN_LOADERS else source


def _judges(
    its_run: Run | None,
    own: str | None,
    classifier: Classifier,
    data: str | Path | None,
    most: int,
    report: Progress,
) -> Judges:
    """Return at most `most` images of `data`, of the test split of the run's `own`, or synthetic ones."""
    import numpy as np

    from striate.exporting import Judges, synthetic_judges
    from striate.runs.images import own_splits

    source = own if data is None else data
    if source is None:
        return synthetic_judges(classifier.input, most)
    try:
        dataset, usable, index = _opened([source], classifier, report)
    except DataError as error:
        if data is not None:
            raise
        raise DataError(f"{error} If the run's data are elsewhere now, name them: --data") from error
    chosen, words = usable, f"images of {_shown(source)}"
    if data is None:
        test = np.intersect1d(own_splits(its_run, dataset, index)["test"], usable)
        chosen, words = (test, f"images of the test split of {_shown(source)}") if len(test) else (chosen, words)
    picked = _spread(chosen, most)
    targets = dataset.targets[picked] if dataset.targets.ndim == 1 else None
    pairs = _pairs(dataset, picked, classifier)
    return Judges(images=pairs, count=len(picked), source=f"{len(picked):,} {words}", targets=targets)


def _pairs(dataset: Dataset, indices: ndarray, classifier: Classifier) -> Iterator[tuple[DecodedImage, DecodedImage]]:
    """Yield each image decoded completely, and as the classifier decodes it."""
    for index in indices.tolist():
        yield dataset.store.read(index), dataset.store.read(index, classifier.input)


def _samples(
    its_run: Run | None, own: str | None, classifier: Classifier, data: str | Path | None, report: Progress
) -> Samples | None:
    """Return images of the training and validation splits of the run's `own` data, or of `data` if they are elsewhere.

    Only images of the run's own data are known to be held out. Where there are none, all of `data` calibrate.
    """
    import numpy as np

    from striate.exporting import HeldOut, PreparedImages, Samples
    from striate.runs.images import own_splits

    sources = [source for source in (own, data) if source is not None]
    if not sources:
        return None
    dataset, usable, index = _opened(sources, classifier, report)
    train = held_out = usable[:0]
    if own is not None:
        splits = own_splits(its_run, dataset, index)
        train, held_out = (np.intersect1d(splits[split], usable) for split in ("train", "val"))
    train, held_out = _spread(train if len(train) else usable, _TRAIN), _spread(held_out, _HELD_OUT)
    images, others = (PreparedImages(dataset.store, part, classifier.input) for part in (train, held_out))
    judged = HeldOut(images=others, targets=dataset.targets[held_out]) if len(held_out) else None
    return Samples(calibration=images, held_out=judged)


def _opened(
    sources: Sequence[str | Path], classifier: Classifier, report: Progress
) -> tuple[Dataset, ndarray, ImageIndex]:
    """Return the first data that are there, the indices of readable images of known classes, and what is known of each.

    Raises:
        DataError: none are there, or they have no such image.
    """
    import numpy as np

    from striate.data.audit import audit
    from striate.data.audit.index import check_readable
    from striate.data.sources.opening import open_data
    from striate.runs.evaluate import matched

    source, *others = sources
    try:
        dataset, known, _ = matched(open_data(source, minimum_classes=1, progress=report), classifier.labels)
        index = audit(dataset, channels=classifier.input.channels, progress=report).index
        check_readable(dataset, index, known)
    except DataError:
        if not others:
            raise
        return _opened(others, classifier, report)
    return dataset, np.intersect1d(index.readable.nonzero()[0], known), index


def _spread(indices: ndarray, most: int) -> ndarray:
    """Return at most `most` of `indices`, evenly spaced."""
    import numpy as np

    places = np.linspace(0, len(indices) - 1, min(most, len(indices)))
    return indices[np.unique(places.round().astype(np.int64))]


def _shown(source: str | Path) -> str:
    """Return an address, or the name of a folder or file without its path, because the card may be published."""
    return str(source) if "://" in str(source) else Path(source).name or str(source)


def _accuracy(its_run: Run | None, classifier: Classifier) -> dict[str, Any] | None:
    """Return the scores on the test split, or of a cross-validation, or the published accuracy; None without any.

    The accuracy has its interval; where an image may have several classes there are several scores.
    """
    from striate.core.proportion import Proportion
    from striate.metrics.evaluation import COUNT

    of_run = its_run.scores if its_run else {}
    known = classifier.provenance.scores | {split: scores.summary() for split, scores in of_run.items()}
    for split in ("test", "folds", "published"):
        found = known.get(split, {})
        count = round(found.get(COUNT, 0))
        counted = {"split": split, "images": count}
        if count and "accuracy" in found:
            top1 = Proportion(round(found["accuracy"] * count), count)
            return {**counted, "value": top1.value, "interval": top1.interval}
        if count and "exact" in found:
            return counted | {name: value for name, value in found.items() if name not in (COUNT, "loss")}
        if "accuracy" in found and COUNT not in found:
            return {"split": split, "value": found["accuracy"]}
    return None


def _licence(its_run: Run | None, classifier: Classifier) -> str:
    """Return the licence of the weights, or of those that a training started from; empty if it is not known."""
    from striate.runs.plan import Plan
    from striate.runs.publish import licence_of

    known = classifier.provenance.circumstances if its_run is None else licence_of(Plan.read(its_run))
    return known.get("licence", "")


def _folder(trained: Trained, its_run: Run | None, classifier: Classifier, exporter: Exporter) -> Path:
    """Return the folder to write within that of the run or of the classifier, where `predict` looks for it."""
    folder = folder_of(trained) if its_run is None else its_run.path
    if folder is None:
        name = os.path.basename(classifier.provenance.run) or classifier.model_name
        return Path("exports") / f"{name}-{exporter.name}"
    return (folder.parent if folder.name == "classifier" else folder) / "exports" / exporter.name

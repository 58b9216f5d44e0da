"""Compress the classifier of a run by Deep Compression, with fine-tuning by the trainer after each lossy step.

S. Han, H. Mao and W. J. Dally, ICLR 2016, arXiv:1510.00149. The folder of a compression holds

    pruned/, shared/          the classifiers before fine-tuning
    pruned-tuned/, shared-tuned/   the runs that fine-tune them, which are resumed where they stopped
    classifier/               the compressed classifier          compression.json   the table
"""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from striate.classifier import Classifier, load_classifier, save_classifier, standing, weights_digest
from striate.classifier.packing import distance_bits, entries_between, pack
from striate.core.config import to_json
from striate.core.device import on_this_machine
from striate.core.duration import Duration
from striate.core.errors import ConfigError, DataError, RunError
from striate.core.files import make_folder, open_regular, write_json
from striate.core.progress import Progress, silent
from striate.core.proportion import Proportion
from striate.core.scalars import check_range
from striate.data.dataset import Split
from striate.data.sources.named_registry import OWN_LOADERS
from striate.models.compression import compressible, prune, share
from striate.runs.evaluate import evaluation
from striate.runs.folder import Run, new_run
from striate.runs.initial import Compressed
from striate.runs.origin import Origin
from striate.runs.plan import Plan, changed_recipe
from striate.runs.prepare import Prepared, prepare_again
from striate.runs.probe import fold_count, pooled
from striate.runs.publish import licence_of
from striate.runs.resume import resume_run
from striate.runs.to_end import train_to_end
from striate.runs.train import Start
from striate.runs.transfer import Scratch, rate_of
from striate.training import StepDone, newest_checkpoint

_RECORD = "compression.json"
_CLASSIFIER = "classifier"


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How to compress.

    `keep`: the fraction of weights that stay, of all or of layers by their path. `bits` and `kernel_bits`: of the
    number of a shared value, of linear layers and of convolutions. `epochs`: the length of each fine-tuning; None does
    without. `rate`: its learning rate, as a fraction of the run's.
    """

    keep: float | Mapping[str, float]
    bits: int
    kernel_bits: int
    epochs: Duration | None
    rate: float

    def __post_init__(self) -> None:
        check_range(self, "rate", above=0)
        check_range(self, "bits", "kernel_bits", at_least=1, at_most=8)


@dataclass(frozen=True, kw_only=True)
class Stage:
    """A network on the way: its size in bytes, and the fraction of the weights of its layers that are not zero.

    `accuracy`: the fraction of images of the split of the compression that are answered correctly, where they have
    several labels with all of them; and its interval.
    """

    name: str
    bytes: int
    kept: float
    accuracy: float
    interval: tuple[float, float] | None


@dataclass(frozen=True, kw_only=True)
class Compression:
    """A compressed classifier and the stages that led to it, evaluated on the `images` of `split`.

    `seen`: the run was trained on these images too, as one that is cross-validated is on all.
    """

    path: Path
    split: str
    images: int
    seen: bool
    stages: tuple[Stage, ...]

    @property
    def classifier(self) -> Classifier:
        """Load the compressed classifier."""
        return load_classifier(self.path)

    @property
    def ratio(self) -> float:
        """How many times smaller the weights are than in float32."""
        return self.stages[0].bytes / self.stages[-1].bytes


def compress_run(run: Run, folder: Path, settings: Settings, *, progress: Progress = silent) -> Compression:
    """Prune, fine-tune, share weights, fine-tune and code; continue where an earlier call with the same settings ended.

    Raises:
        RunError: the run has no classifier yet, or `folder` holds something else, or cannot be written.
        ConfigError: a setting is not possible, or the run was trained on loaders.
        DataError: the data are gone or changed.
    """
    plan = Plan.read(run)
    if plan.data == OWN_LOADERS:
        raise ConfigError(f"{run.path} was trained on loaders, which are not stored, so it cannot be fine-tuned.")
    dense = run.classifier.to("cpu")
    prune(copy.deepcopy(dense.model), settings.keep)  # refuses a wrong fraction before anything is written
    _claim(folder, {"settings": to_json(settings), "weights": weights_digest(run.classifier_folder)})
    prepared = _data(run, plan, progress)
    split: Split = "test" if len(prepared.splits["test"]) else "val"
    if settings.epochs is not None and not len(prepared.splits["val"]):
        raise DataError(
            f"{run.path} has no validation split, by which fine-tuning is judged. Compress it without: --epochs 0."
        )
    table = _Table(prepared, split)
    scores = table.add("float32", dense, _raw_bytes(dense.model))
    found = dense
    for name, change in (
        ("pruned", lambda model: prune(model, settings.keep)),
        ("shared", lambda model: share(model, settings.bits, settings.kernel_bits)),
    ):
        found = _changed(found, folder / name, change)
        size = _sparse_bytes(found.model) if name == "pruned" else _uncoded_bytes(found.model)
        scores = table.add(name, found, size)
        if settings.epochs is not None:
            tuned = _tuned(folder, name, run, plan, prepared, settings, progress)
            found = tuned.classifier.to("cpu")
            scores = table.add(f"{name}, fine-tuned", found, size)
    origin = found.provenance
    origin = replace(
        origin,
        run=f"{run.name}-compressed",
        circumstances=origin.circumstances | licence_of(plan),
        scores=origin.scores | {split: scores},
    )
    found = replace(found, provenance=origin)
    save_classifier(found, folder / _CLASSIFIER, packed=True)
    _check(found, load_classifier(folder / _CLASSIFIER))
    table.add("Huffman-coded", found, (folder / _CLASSIFIER / "model.safetensors").stat().st_size)
    learned = pooled(plan.recipe, prepared) if fold_count(plan.recipe, prepared) > 1 else prepared
    judged = prepared.splits[split]
    seen = bool(np.isin(judged, learned.splits["train"]).any())
    result = Compression(path=folder, split=split, images=len(judged), seen=seen, stages=tuple(table.stages))
    stored = {name: value for name, value in asdict(result).items() if name != "path"}
    write_json(folder / _RECORD, {**_read_record(folder), **stored})
    return result


def _claim(folder: Path, described: dict[str, Any]) -> None:
    """Make the folder, or check that it holds the beginning of the same compression."""
    if os.path.lexists(folder) and not folder.is_dir():
        raise RunError(f"{folder} is no folder. Choose another one with --out.")
    if folder.exists() and any(folder.iterdir()):
        stored = _read_record(folder)
        if {name: stored.get(name) for name in described} != json.loads(json.dumps(described)):
            raise RunError(
                f"{folder} holds a compression with other settings or of other weights. Choose another folder with "
                "--out, or delete it."
            )
        return
    make_folder(folder)
    write_json(folder / _RECORD, described)


def _read_record(folder: Path) -> dict[str, Any]:
    try:
        with open_regular(folder / _RECORD) as file:
            stored = json.loads(file.read())
    except (OSError, ValueError, RecursionError) as error:
        raise RunError(f"{folder} already exists and is no compression. Choose another with --out.") from error
    if not isinstance(stored, dict):
        raise RunError(f"{folder / _RECORD} is damaged. Delete the folder, and compress again.")
    return stored


def _data(run: Run, plan: Plan, progress: Progress) -> Prepared:
    checkpoint, _ = newest_checkpoint(run.checkpoints)
    origin = Origin.read(run, checkpoint)
    if origin is None:
        raise RunError(f"{run.path} has not made a training step yet. Continue it: striate resume {run.argument}")
    prepared, _ = prepare_again(plan, run, origin, inexact=False, progress=progress)
    return replace(prepared, recorded=False)


def _changed(classifier: Classifier, folder: Path, change: Any) -> Classifier:
    """Return the classifier with a changed copy of its model, which is also written to `folder`.

    Its reference and scores are left out: the features and answers of the changed model are others.
    """
    model = copy.deepcopy(classifier.model)
    change(model)
    changed = replace(classifier, model=model, reference=None, provenance=replace(classifier.provenance, scores={}))
    save_classifier(changed, folder)
    return changed


def _tuned(
    folder: Path, name: str, run: Run, plan: Plan, prepared: Prepared, settings: Settings, progress: Progress
) -> Run:
    """Return the run that fine-tunes the classifier in `folder/name`: begun, resumed, or complete already."""
    start, tuned, epochs = folder / name, Run(folder / f"{name}-tuned"), settings.epochs
    assert epochs is not None
    if tuned.recipe_file.exists():
        if not (tuned.classifier_folder / "classifier.json").exists() or standing(tuned.path) or not tuned.scores:
            _follow(resume_run(tuned, inexact=False, progress=progress), name, epochs, progress)
        return tuned
    initial = Compressed(classifier=str(start.resolve()), digest=weights_digest(start))
    recipe = replace(
        plan.recipe,
        weights=None,
        transfer=Scratch(),
        initial=(initial,),
        epochs=epochs,
        optimizer=plan.recipe.optimizer.scaled(settings.rate * rate_of(plan.recipe.transfer)),
        average=None,
        resizing=None,
        freezing=None,
    )
    checkpoint, _ = newest_checkpoint(run.checkpoints)
    execution = on_this_machine(checkpoint.plan) if checkpoint else None
    own = replace(changed_recipe(plan, recipe), execution=execution, end_before=None)
    with new_run(folder, tuned.name, tuned.name) as begun:
        own.write(begun)
        _follow(train_to_end(begun, own, prepared, Start(), progress=progress), name, epochs, progress)
    return tuned


def _follow(events: Any, name: str, epochs: Duration, progress: Progress) -> None:
    for event in events:
        if isinstance(event, StepDone):
            progress(f"fine-tuning the {name} network", round(100 * min(1.0, epochs.progress(event.clock))), 100)


class _Table:
    """Evaluates stages on a split."""

    def __init__(self, prepared: Prepared, split: Split) -> None:
        self._prepared = prepared
        self._split: Split = split
        self.stages: list[Stage] = []

    def add(self, name: str, classifier: Classifier, size: int) -> dict[str, float]:
        """Evaluate a stage, and return the scores that its classifier records."""
        outputs = self._prepared.answers(classifier, self._split)
        if outputs is None:
            raise DataError(f"None of the images of the {self._split} split can be read any more. Restore them.")
        scores: Any = evaluation(self._split, "", (), classifier, outputs, None).scores
        right: Proportion = scores.top1 if hasattr(scores, "top1") else scores.exact
        weights = [layer.weight for layer in compressible(classifier.model).values()]
        kept = sum(int(torch.count_nonzero(each)) for each in weights) / sum(each.numel() for each in weights)
        stage = Stage(
            name=name,
            bytes=size,
            kept=kept,
            accuracy=right.value or 0.0,
            interval=right.interval,
        )
        self.stages.append(stage)
        return scores.summary()


def _check(written: Classifier, read: Classifier) -> None:
    """Check that the compressed classifier has the weights that were written, to the bit."""
    for (name, before), after in zip(written.model.state_dict().items(), read.model.state_dict().values(), strict=True):
        if before.numpy().tobytes() != after.numpy().tobytes():
            raise RunError(f"The compressed classifier does not load as it was written: {name!r} differs.")


def _raw_bytes(model: nn.Module) -> int:
    """Return the bytes of all tensors as they are."""
    return sum(each.numel() * each.element_size() for each in model.state_dict().values())


def _others(model: nn.Module) -> int:
    """Return the bytes of the tensors that are not compressed."""
    layers = compressible(model).values()
    return _raw_bytes(model) - sum(each.weight.numel() * each.weight.element_size() for each in layers)


def _sparse_bytes(model: nn.Module) -> int:
    """Return the bytes with a float32 value and a distance for each weight that is not zero, where that is less."""
    total = 0.0
    for layer in compressible(model).values():
        weight = layer.weight.detach()
        bits = entries_between(weight.reshape(-1), weight.ndim) * (32 + distance_bits(weight.ndim))
        total += min(bits / 8, 4 * weight.numel())
    return _others(model) + int(np.ceil(total))


def _uncoded_bytes(model: nn.Module) -> int:
    """Return the bytes with the number of a shared value and a distance for each weight, not coded yet."""
    weights = {path: layer.weight.detach() for path, layer in compressible(model).items()}
    sizes = pack(weights)[1].values()
    return _others(model) + -(-sum(each.uncoded_bits for each in sizes) // 8)

"""Accuracy and time of each kind of transfer, of training from scratch, and of scikit-learn on timm's features.

    python benchmarks/transfer.py [FOLDER] [--modes features …] [--per-class 5 10 …] [--write]

The photos are divided into five folds, near duplicates together. Every kind of transfer trains once for each fold, on
the other four, with what `striate train` chooses; its accuracy is that on the images of all folds, its time the mean
wall time of a training with audit, evaluation and report. The peer extracts features with timm's network, which holds
the same weights, and fits scikit-learn's logistic regression with a grid search. `--per-class` repeats all of it with
so many photos of each class to train on.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

import striate
from _measure import Figures, write_result
from _sides import real_data
from striate.core.proportion import Proportion
from striate.data.audit import audit
from striate.data.audit.index import ImageIndex
from striate.data.dataset import Dataset, FileStore
from striate.data.sources.opening import open_data
from striate.data.split import folds_of
from striate.models.weights import pretrained

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import judges.parity  # noqa: F401  (after it timm can be imported)

MODES = ("scratch", "features", "head", "staged", "full", "auto", "peer")
FOLDS = 5
COLUMNS = ("photos of a class", "kind", "accuracy", "95 % interval", "seconds for a fold")
Division = tuple[np.ndarray, np.ndarray]


def divisions(dataset: Dataset, index: ImageIndex, per_class: int | None) -> Iterator[Division]:
    """Yield the images to train on and those to test on, for each fold."""
    fold_of = folds_of(dataset, index, FOLDS)
    for fold in range(FOLDS):
        others = np.flatnonzero((fold_of >= 0) & (fold_of != fold))
        kept = [others[dataset.targets[others] == target][:per_class] for target in range(len(dataset.classes))]
        yield np.sort(np.concatenate(kept)), np.flatnonzero(fold_of == fold)


def ours(mode: str, dataset: Dataset, division: Division, folder: Path) -> int:
    """Train by one kind of transfer, and return how many of the test images are right."""
    store = dataset.store
    assert isinstance(store, FileStore)
    lines = ["path,label,split"]
    for split, members in zip(("", "test"), division, strict=True):
        lines += [f"{store.path(n).absolute()},{dataset.classes[dataset.targets[n]]},{split}" for n in members.tolist()]
    (folder / "photos.csv").write_text("\n".join(lines) + "\n")
    run = striate.train(folder / "photos.csv", transfer=mode, runs=folder)
    return run.scores["test"].top1.correct


def peer(dataset: Dataset, division: Division) -> int:
    """Fit scikit-learn's logistic regression on timm's features; return how many of the test images are right."""
    from PIL import Image
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    timm, timm_data = (importlib.import_module(name) for name in ("timm", "timm.data"))
    found = pretrained("efficientnet_lite0")
    network: Any = timm.create_model("tf_efficientnet_lite0")
    theirs, own = network.state_dict(), list(found.state.values())
    assert [value.shape for value in own] == [value.shape for value in theirs.values()]
    network.load_state_dict(dict(zip(theirs, own, strict=True)))
    network.reset_classifier(0)
    network.eval()
    centre = dict(input_size=(3, 224, 224), crop_pct=0.875, interpolation="bicubic")
    assert found.input is not None
    transform = timm_data.create_transform(**centre, mean=found.input.mean, std=found.input.std)
    store = dataset.store
    assert isinstance(store, FileStore)

    def features(members: np.ndarray) -> np.ndarray:
        rows = []
        for start in range(0, len(members), 32):
            files = (store.path(n) for n in members[start : start + 32].tolist())
            images = torch.stack([transform(Image.open(file).convert("RGB")) for file in files])
            with torch.inference_mode():
                rows.append(network(images).numpy())
        return np.concatenate(rows)

    train, test = division
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    search = GridSearchCV(model, {"logisticregression__C": np.logspace(-4, 1, 6)}, scoring="neg_log_loss")
    search.fit(features(train), dataset.targets[train])
    return int((search.predict(features(test)) == dataset.targets[test]).sum())


def measured(count: str, mode: str, cases: list[Division], judge: Callable[[Division], int]) -> tuple[str, ...]:
    """Return the row of one kind: its accuracy over all folds, and the mean time of one."""
    right, seconds = 0, []
    for division in cases:
        with tempfile.TemporaryDirectory() as cache:  # the features of the fold before are not used again
            os.environ["STRIATE_CACHE"] = cache
            started = time.perf_counter()
            right += judge(division)
            seconds.append(time.perf_counter() - started)
    accuracy = Proportion(right, sum(len(test) for _, test in cases))
    low, high = accuracy.interval or (0.0, 1.0)
    return count, mode, f"{accuracy.value or 0:.2%}", f"{low:.1%} to {high:.1%}", f"{np.mean(seconds):.1f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, help="by default photos-dog-cat of the real data")
    parser.add_argument("--modes", nargs="+", choices=MODES, default=list(MODES))
    parser.add_argument("--per-class", type=int, nargs="+", default=[], help="also with so many photos of a class")
    parser.add_argument("--folds", type=int, default=FOLDS, help="train for the first so many folds only")
    parser.add_argument("--write", action="store_true", help="write results/transfer.md and .json")
    arguments = parser.parse_args()
    dataset = open_data(arguments.folder or real_data("photos-dog-cat"))
    index = audit(dataset).index
    rows: list[tuple[str, ...]] = []
    for per_class in (None, *arguments.per_class):
        cases = list(divisions(dataset, index, per_class))[: arguments.folds]
        for mode in arguments.modes:
            with tempfile.TemporaryDirectory() as folder:

                def judge(division: Division, mode: str = mode, folder: str = folder) -> int:
                    return peer(dataset, division) if mode == "peer" else ours(mode, dataset, division, Path(folder))

                rows.append(measured("all" if per_class is None else str(per_class), mode, cases, judge))
            print(*rows[-1], sep="  ", flush=True)
    if arguments.write:
        method = f"{arguments.folds} of {FOLDS} folds of {len(dataset)} photos; one process after the other."
        instructions = f"torch computes with {torch.backends.cpu.get_cpu_capability()} instructions."
        load = f"Nothing is cached before a fold. Load of the machine at the end: {os.getloadavg()[0]:.1f}."
        table = Figures(COLUMNS, tuple(rows), f"{method} {instructions} {load}")
        write_result("transfer", "Transfer from pretrained weights", {dataset.name: table})


if __name__ == "__main__":
    main()

"""Accuracy and time of each kind of transfer, of training from scratch, and of scikit-learn on timm's features.

    python benchmarks/transfer.py [--sets photos …] [--modes features …] [--per-class 5 all …] [--folds 5] [--epochs 3]
        [--processes 3] [--cifar10 FOLDER] [--seconds 600] [--write]

The images are divided into five folds, near duplicates together. Every kind of transfer trains once for each fold, on
the other four, with what `striate train` chooses; its accuracy is that on the images of all folds, its time the mean of
a training with audit, evaluation and report. The peer extracts features with timm's network, which holds the same
weights, and fits scikit-learn's logistic regression with a grid search. `--per-class` limits the images of each class
to train on, `--epochs` the length of trainings by epochs.

`--processes` compares processes on the 400 photos, each from its start to its end, with all imports, nothing cached,
in turn, so many rounds: `striate train` with everything it does by default, the work of the peer alone by functions of
Striate, and the peer (`sides/peer_folds.py`). Each answers five folds, calibrates, and fits a classifier to all images:

    python benchmarks/transfer.py --processes 3 --folds 0 --write

Each training is a cell of `results/transfer.jsonl`, with the machine that computed it. A known cell is not computed
again: the study continues where it was stopped, and ends after the cell in which `--seconds` have passed. The tables
show all cells of the notebook.
"""

from __future__ import annotations

import argparse
import importlib
import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

import striate
from _measure import RESULTS, Figures, hardware, in_turn, write_result
from _notebook import Notebook
from _sides import REPOSITORY, real_data, run_side
from striate.core.proportion import Proportion
from striate.data.audit import audit
from striate.data.audit.index import ImageIndex
from striate.data.dataset import Dataset, FileStore
from striate.data.sources.opening import open_data
from striate.data.split import folds_of
from striate.models.weights import pretrained

sys.path.insert(0, str(REPOSITORY / "tests"))

import judges.parity  # noqa: F401  (after it timm can be imported)

MODES = ("features", "auto", "peer", "scratch", "head", "staged", "full")
BY_EPOCHS = ("scratch", "head", "staged", "full")
PROCESSES = {
    "train": "striate train: audit, probes, folds, none of these, report",
    "folds": "the work of the peer by functions of Striate",
    "peer folds": "timm and scikit-learn",
}
SETS = {
    "photos": "400 photos of dogs and cats",
    "cifar10": "CIFAR-10, 100 images of each class",
    "imagenet": "ImageNet samples as dogs, other animals and things",
}
FOLDS, OF_A_CLASS = 5, 100
COLUMNS = ("images of a class", "kind", "epochs", "folds", "accuracy", "95 % interval", "seconds", "processor seconds")
NOTEBOOK = RESULTS / "transfer.jsonl"
Division = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True, order=True)
class Case:
    """One kind of training on the images outside of a fold; `per_class` 0 is all, `epochs` 0 is the recipe's number."""

    data: str
    per_class: int
    mode: str
    epochs: int
    fold: int


@dataclass(frozen=True)
class Found:
    """How many of `count` test images are correct, wall and processor time (with child processes), and where.

    It is of so many `folds`, from that of its case on; times are the mean. (New cells are of one. Those of several are
    from before the notebook was kept.)
    """

    correct: int
    count: int
    seconds: float
    processor_seconds: float
    machine: str
    folds: int = 1


def folder_of(name: str, cifar10: Path | None, folder: Path) -> Path:
    """Return the data set of this name, which may be made in `folder`."""
    if name == "photos":
        return real_data("photos-dog-cat")
    if name == "imagenet":
        for file in sorted(real_data("imagenet-samples").glob("*.[Jj][Pp]*")):
            number = int(file.name.split("_")[0])
            label = "dog" if 151 <= number <= 268 else "animal" if number < 398 else "thing"
            (folder / label).mkdir(exist_ok=True)
            (folder / label / file.name).symlink_to(file)
        return folder
    if cifar10 is None:
        raise SystemExit("Name the folder of CIFAR-10's binary batches: --cifar10 FOLDER")
    dataset = open_data(cifar10)
    train = dataset.splits["train"]
    for target, label in enumerate(dataset.classes):
        (folder / label).mkdir()
        for number in train[dataset.targets[train] == target][:OF_A_CLASS].tolist():
            Image.fromarray(dataset.store.read(number).pixels).save(folder / label / f"{number}.png")
    return folder


def division(dataset: Dataset, index: ImageIndex, case: Case) -> Division:
    """Return the images to train on and those to test on."""
    fold_of = folds_of(dataset, index, FOLDS)
    others = np.flatnonzero((fold_of >= 0) & (fold_of != case.fold))
    most = case.per_class or None
    kept = [others[dataset.targets[others] == target][:most] for target in range(len(dataset.classes))]
    return np.sort(np.concatenate(kept)), np.flatnonzero(fold_of == case.fold)


def ours(case: Case, dataset: Dataset, parts: Division, folder: Path) -> int:
    """Train by one kind of transfer, and return how many of the test images are correct."""
    store = dataset.store
    assert isinstance(store, FileStore)
    lines = ["path,label,split"]
    for split, members in zip(("", "test"), parts, strict=True):
        lines += [f"{store.path(n).absolute()},{dataset.classes[dataset.targets[n]]},{split}" for n in members.tolist()]
    (folder / "images.csv").write_text("\n".join(lines) + "\n")
    run = striate.train(folder / "images.csv", transfer=case.mode, epochs=case.epochs or None, runs=folder)
    return run.scores["test"].top1.correct


class Peer:
    """Scikit-learn's logistic regression on timm's features."""

    def __init__(self) -> None:
        self._timm, self._data = (importlib.import_module(name) for name in ("timm", "timm.data"))
        importlib.import_module("sklearn.linear_model")

    def __call__(self, dataset: Dataset, parts: Division) -> int:
        """Return how many of the test images are correct."""
        from sklearn.linear_model import LogisticRegression
        from sklearn.model_selection import GridSearchCV
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        network, transform = self._network()
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

        train, test = parts
        folds = int(min(FOLDS, np.bincount(dataset.targets[train]).min()))
        model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
        grid = {"logisticregression__C": np.logspace(-4, 1, 6)}
        search = GridSearchCV(model, grid, scoring="neg_log_loss", cv=folds)
        search.fit(features(train), dataset.targets[train])
        return int((search.predict(features(test)) == dataset.targets[test]).sum())

    def _network(self) -> tuple[Any, Any]:
        found = pretrained("efficientnet_lite0")
        network = self._timm.create_model("tf_efficientnet_lite0")
        theirs, own = network.state_dict(), list(found.state.values())
        assert [value.shape for value in own] == [value.shape for value in theirs.values()]
        network.load_state_dict(dict(zip(theirs, own, strict=True)))
        network.reset_classifier(0)
        centre = dict(input_size=(3, 224, 224), crop_pct=0.875, interpolation="bicubic")
        assert found.input is not None
        return network.eval(), self._data.create_transform(**centre, mean=found.input.mean, std=found.input.std)


def measured(case: Case, dataset: Dataset, parts: Division, peer: Peer) -> Found:
    """Train and test; nothing is cached before."""
    with tempfile.TemporaryDirectory() as cache, tempfile.TemporaryDirectory() as folder:
        os.environ["STRIATE_CACHE"] = cache
        started, before = time.perf_counter(), sum(os.times()[:4])
        correct = peer(dataset, parts) if case.mode == "peer" else ours(case, dataset, parts, Path(folder))
        taken = time.perf_counter() - started, sum(os.times()[:4]) - before
        return Found(correct, len(parts[1]), *taken, here())


def process(kind: str, folder: Path) -> Found:
    """Run one of `PROCESSES` from its start to its end; nothing is cached before, except for compiled Python."""
    with tempfile.TemporaryDirectory() as made:
        kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        kept |= {"STRIATE_CACHE": f"{made}/cache"}
        started, before = time.perf_counter(), sum(os.times()[2:4])
        if kind == "train":
            command = [sys.executable, "-m", "striate", "train", str(folder), "--runs", made, "--name", "run"]
            subprocess.run(command, env=kept, check=True, capture_output=True)
            told = json.loads((Path(made) / "run" / "evaluations" / "folds.json").read_text())["scores"]["top1"]
        else:
            told = run_side("striate_folds" if kind == "folds" else "peer_folds", str(folder), environment=kept)
        taken = time.perf_counter() - started, sum(os.times()[2:4]) - before
        return Found(told["correct"], told["count"], *taken, here())


def here() -> str:
    """Return the machine, its instruction set and the number of threads, as one line."""
    return f"{hardware()}, threads: {torch.get_num_threads()}"


def between_processes(cells: dict[Case, Found]) -> Figures:
    """Compare the processes of the rounds that are known; ratios are to the peer of the same round."""
    rows = []
    for kind, meaning in PROCESSES.items():
        own = {case.fold: found for case, found in cells.items() if case.mode == kind}
        if not own:
            continue
        theirs = {number: cells.get(Case("photos", 0, "peer folds", 0, number)) for number in own}
        pairs = [(one, other) for number, one in own.items() if (other := theirs[number])]
        wall = [other.seconds / one.seconds for one, other in pairs]
        work = [other.processor_seconds / one.processor_seconds for one, other in pairs]
        any_one = next(iter(own.values()))
        times = (np.median([getattr(one, name) for one in own.values()]) for name in ("seconds", "processor_seconds"))
        ratios = (f"{np.median(each):.2f} ({min(each):.2f} – {max(each):.2f})" if each else "" for each in (wall, work))
        share = f"{any_one.correct / any_one.count:.2%}"
        rows.append((meaning, str(len(own)), share, *(f"{value:.1f}" for value in times), *ratios))
    columns = ("process", "rounds", "accuracy", "seconds", "processor seconds", "times faster", "in processor seconds")
    return Figures(columns, tuple(rows), "Processes from start to end, in turn; medians, and ratios within a round.")


def cases(sets: Sequence[str], counts: Sequence[int], modes: Sequence[str], folds: int, epochs: int) -> Iterator[Case]:
    """Yield what is asked for, all kinds on one fold before the next fold."""
    for fold, data, count, mode in itertools.product(range(folds), sets, counts, modes):
        yield Case(data, count, mode, epochs if mode in BY_EPOCHS else 0, fold)


def rows_of(data: str, cells: dict[Case, Found]) -> list[tuple[str, ...]]:
    """Return the rows of a set: kinds in the order of `MODES`, few images first."""
    groups: dict[tuple[float, int, int], list[Found]] = {}
    for case, found in sorted(cells.items()):
        if case.data == data and case.mode in MODES:
            key = (case.per_class or float("inf"), MODES.index(case.mode), case.epochs)
            groups.setdefault(key, []).append(found)
    rows = []
    for (count, mode, epochs), members in sorted(groups.items()):
        accuracy = Proportion(sum(one.correct for one in members), sum(one.count for one in members))
        low, high = accuracy.interval or (0.0, 1.0)
        length = "–" if MODES[mode] not in BY_EPOCHS else str(epochs) if epochs else "recipe's"
        folds = [one.folds for one in members]
        times = (
            np.average([getattr(one, name) for one in members], weights=folds)
            for name in ("seconds", "processor_seconds")
        )
        share = f"{accuracy.value or 0:.2%}"
        cell = (share, f"{low:.1%} – {high:.1%}", *(f"{value:.1f}" for value in times))
        rows.append(("all" if count == float("inf") else f"{count:.0f}", MODES[mode], length, str(sum(folds)), *cell))
    return rows


def against_peer(cells: dict[Case, Found]) -> str:
    """Compare features with the peer on the folds that both have."""
    pairs = [
        (found, cells[other])
        for case, found in cells.items()
        if case.mode == "features" and (other := Case(case.data, case.per_class, "peer", 0, case.fold)) in cells
    ]
    if not pairs:
        return ""
    own, theirs = (sum(pair[side].correct for pair in pairs) for side in (0, 1))
    ratios = np.array([[p.seconds / f.seconds, p.processor_seconds / f.processor_seconds] for f, p in pairs])
    wall, processor = np.median(ratios, axis=0)
    return (
        f"Features and the peer on the same {sum(found.folds for found, _ in pairs)} folds: {own} and {theirs} of "
        f"{sum(found.count for found, _ in pairs)} images are correct; the peer takes {wall:.2f} times the wall time "
        f"and {processor:.2f} times the processor time (medians)."
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", nargs="+", choices=SETS, default=["photos"])
    parser.add_argument("--modes", nargs="+", choices=MODES, default=list(MODES))
    parser.add_argument("--per-class", nargs="+", default=["all"], help="numbers of training images, or all")
    parser.add_argument("--folds", type=int, default=FOLDS, help="train for the first so many folds only")
    parser.add_argument("--epochs", type=int, default=0, help="of trainings by epochs; by default the recipe's")
    parser.add_argument("--processes", type=int, default=0, help="rounds of processes from start to end")
    parser.add_argument("--cifar10", type=Path, help="the folder of CIFAR-10's binary batches")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="begin no cell after so long")
    parser.add_argument("--write", action="store_true", help="write results/transfer.md and .json")
    arguments = parser.parse_args()
    striate.tune_process()
    ends, notebook, peer = time.monotonic() + arguments.seconds, Notebook(NOTEBOOK), Peer()
    cells = {Case(**cell): Found(**found) for cell, found in notebook}
    counts = [0 if count == "all" else int(count) for count in arguments.per_class]
    wanted = cases(arguments.sets, counts, arguments.modes, arguments.folds, arguments.epochs)
    known = {replace(case, fold=case.fold + n) for case, found in cells.items() for n in range(found.folds)}
    with tempfile.TemporaryDirectory() as made:
        opened: dict[str, tuple[Dataset, ImageIndex]] = {}
        for case in wanted:
            if case in known or time.monotonic() > ends:
                continue
            if case.data not in opened:
                (Path(made) / case.data).mkdir()
                dataset = open_data(folder_of(case.data, arguments.cifar10, Path(made) / case.data))
                opened[case.data] = dataset, audit(dataset).index
            dataset, index = opened[case.data]
            cells[case] = measured(case, dataset, division(dataset, index, case), peer)
            notebook.add(asdict(case), asdict(cells[case]))
            print(case, cells[case], flush=True)
    for kind in in_turn(list(PROCESSES), arguments.processes):
        number = sum(case.mode == kind for case in cells)
        case = Case("photos", 0, kind, 0, number)
        if number < arguments.processes and time.monotonic() < ends:
            cells[case] = process(kind, real_data("photos-dog-cat"))
            notebook.add(asdict(case), asdict(cells[case]))
            print(case, cells[case], flush=True)
    told = against_peer(cells)
    method = (
        f"Of {FOLDS} folds; nothing is cached before a training. Seconds are those of a fold, the mean; other programs "
        "ran in some of them, which processor seconds show less."
    )
    tables = {SETS[data]: Figures(COLUMNS, tuple(rows), method) for data in SETS if (rows := rows_of(data, cells))}
    if (processes := between_processes(cells)).rows:
        tables["Processes on the 400 photos"] = processes
    print(*(f"\n{heading}\n{table.markdown()}" for heading, table in tables.items()), told, sep="\n")
    if arguments.write:
        notes = [
            *([told] if told else []),
            *(
                f"{count} of {len(cells)} trainings ran on: {machine}."
                for machine, count in Counter(found.machine for found in cells.values()).items()
            ),
        ]
        write_result("transfer", "Transfer from pretrained weights", tables, notes)


if __name__ == "__main__":
    main()

"""CIFAR-10 to 94 % on a GPU: the recipe `cifar_fast` and the published 94 % method, in paired runs on the same card.

    python benchmarks/cifar_fast_gpu.py [--cifar10 FOLDER] [--pairs 10] [--quick] [--write]

Both train in this process, in turn, with the same seeds, after a whole training of each that is not counted. The clock
follows the rules of the records: it starts where the bytes of the images are first used and stops where the answers to
the 10,000 test images in six views are known; normalization, whitening, augmentation and evaluation are within it,
reading files and what is chosen or compiled once for a network are not. Striate's images are in the memory of the
processor when it starts, the peer's (`benchmarks/sides/airbench_gpu.py`) on the GPU. Striate trains on 49,000 of the
50,000 images, and nothing is chosen by the others.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from statistics import mean, stdev

import numpy as np
import torch
from torch import Tensor

from _measure import Figures, write_result
from _sides import real_data
from _subset import subset
from cifar_fast import ACCURACY, KEPT, RECIPE, VIEWS, divided
from sides.airbench import normalized
from sides.airbench_gpu import TrainingOnGPU, half
from sides.cifar10 import TRAINING, read
from striate.data.loading.cache import load_cached
from striate.data.loading.loader import Loader
from striate.data.views import looks_of, read_views
from striate.runs.prepare import Prepared
from striate.runs.start import plan_run
from striate.runs.train import Session, first_state, on_device
from striate.training import train
from striate.training.evaluation import evaluation_mode

FEW = 1200
OURS, PEER = "Striate, cifar_fast", "PyTorch, the published method"


class Ours:
    """Trainings by the recipe on the images of an npz file."""

    def __init__(self, data: Path, changes: dict[str, object]) -> None:
        self.data, self.changes = data, changes

    def __call__(self, seed: int) -> tuple[float, float]:
        """Seconds and accuracy."""
        session = Session(*plan_run(str(self.data), {"seed": seed, **self.changes}, recipe=RECIPE)[:2])
        prepared, recipe = session.prepared, session.plan.recipe
        assert isinstance(prepared, Prepared)
        dataset, index = prepared.dataset, prepared.splits["test"]
        started = clock()
        batches, _ = prepared.load(recipe)
        state = first_state(session, batches)
        for _ in train(state, on_device(batches, state.plan), until=recipe.epochs):
            pass
        loader = Loader(
            dataset, index, prepared.input, batch_size=1000, cached=load_cached(dataset, index, prepared.input)
        )
        correct, looks = 0, looks_of(read_views(VIEWS), prepared.input)
        with evaluation_mode(state.network), torch.inference_mode(), state.plan.in_effect(), state.plan.autocast():
            for batch in loader.on(state.plan.device).epoch(0):
                shares = [look.weight * state.network(look(batch.images)).float().softmax(1) for look in looks]
                correct += (torch.stack(shares).sum(0).argmax(1) == batch.targets).sum()
        accuracy = int(correct) / len(index)
        return clock() - started, accuracy


class Peer:
    """Trainings by the published method on images that the device holds."""

    def __init__(self, cifar10: Path, device: str, few: int | None) -> None:
        self.train, self.test = (on(device, few, *read(cifar10, names)) for names in (TRAINING, ["test_batch"]))
        self.steps = None if few is None else 2

    def __call__(self, seed: int) -> tuple[float, float]:
        """Seconds and accuracy."""
        torch.backends.cudnn.benchmark = True
        try:
            started = clock()
            training = TrainingOnGPU(*self.train, seed)
            while training.step < (self.steps or training.length):
                training.advance()
            images, labels = self.test
            accuracy = training.accuracy(half(normalized(images)), labels)
            return clock() - started, accuracy
        finally:
            torch.backends.cudnn.benchmark = False


def on(device: str, few: int | None, images: np.ndarray, labels: np.ndarray) -> tuple[Tensor, Tensor]:
    return torch.from_numpy(images[:few]).to(device), torch.from_numpy(labels[:few]).to(device)


def clock() -> float:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cifar10", type=Path, help="the folder of the binary batches; by default the real data's")
    parser.add_argument("--pairs", type=int, default=10)
    parser.add_argument(
        "--quick", action="store_true", help="two steps on few images, on any device: to see that it works"
    )
    parser.add_argument("--write", action="store_true", help="write results/cifar_fast_gpu.md and .json")
    arguments = parser.parse_args()
    if not torch.cuda.is_available() and not arguments.quick:
        raise SystemExit("This benchmark needs a GPU, and torch finds none here.")
    device = "cuda" if torch.cuda.is_available() else "cpu"
    cifar10 = arguments.cifar10 or real_data("cifar10") / "cifar-10-batches-bin"
    if arguments.quick:
        few = subset(cifar10, KEPT / f"{FEW}.npz", train=FEW, test=FEW)
        sides = {PEER: Peer(cifar10, device, FEW), OURS: Ours(few, {"epochs": "2st", "batch_size": 100})}
    else:
        sides = {PEER: Peer(cifar10, device, None), OURS: Ours(divided(cifar10), {})}
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in sides}
    pairs = 1 if arguments.quick else arguments.pairs
    for seed in (pairs, *range(pairs)):  # the first one is not counted
        for name in sorted(sides, reverse=bool(seed % 2)):
            seconds, accuracy = sides[name](seed)
            print(f"{name}, seed {seed}: {accuracy:.2%} in {seconds:.2f} s", flush=True)
            if seed < pairs:
                found[name].append((seconds, accuracy))
    rows = []
    for name, runs in found.items():
        seconds, accuracies = zip(*runs, strict=True)
        spread = (f"{stdev(accuracies):.2%}", f"{stdev(seconds):.2f}") if len(runs) > 1 else ("–", "–")
        extremes = f"{min(accuracies):.2%} – {max(accuracies):.2%}"
        rows.append((name, f"{mean(accuracies):.2%}", spread[0], extremes, f"{mean(seconds):.2f}", spread[1]))
    ratio = mean(ours / peer for (ours, _), (peer, _) in zip(found[OURS], found[PEER], strict=True))
    columns = ("", "test accuracy", "standard deviation", "lowest – highest", "seconds", "standard deviation")
    table = Figures(columns, tuple(rows), f"{len(found[PEER])} paired runs; nothing was repeated or left out.")
    card = torch.cuda.get_device_name() if device == "cuda" else "no GPU"
    note = f"On one {card}: Striate takes {ratio:.2f} of the peer's time (target of the accuracy: {ACCURACY:.1%})."
    print(f"{table.markdown()}\n{note}")
    if arguments.write:
        write_result("cifar_fast_gpu", "CIFAR-10 to 94 % on a GPU", {"Paired runs": table}, [note])


if __name__ == "__main__":
    main()

"""The ladder of ResNet-RS, climbed at a size that two cores can climb: what each step adds, with its interval.

    python benchmarks/resnet_rs_ladder.py [--cifar10 FOLDER] [--seeds 3] [--images 8000] [--epochs 10]
                                          [--quick] [--write]

Bello et al., "Revisiting ResNets", arXiv:2103.07579, table 1, climb from ResNet-200 to ResNet-RS-200 on ImageNet. Here
the network is a residual one of 8 layers for 32×32 pixels (`Ladder`). It is trained on three quarters of the first
8,000 images of CIFAR-10 (the others are for validation) and judged by the 10,000 test images. Each step keeps those
before it. Long training is three times the epochs, where the paper has 350 for 90; the average has a decay of 0.992,
for the shorter training.

Each training is kept under `runs/resnet_rs_ladder` and continued where it was stopped. (With the defaults there are 33,
of 0.4 petaflop in all: about an hour on two AVX512 cores with native bf16, three on AVX2.) The interval of a step is
that of the mean difference of the paired seeds, 95 % by Student's distribution. A step "does not help" here where it
holds zero or less.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean, stdev

from torch import Tensor, nn

import striate
from _measure import Figures, write_result
from _runs import trained
from _sides import REPOSITORY, real_data
from _subset import subset
from striate.layers import Add, GlobalAveragePool, SqueezeExcitation, StochasticDepth, he_

KEPT = REPOSITORY / "runs" / "resnet_rs_ladder"
STUDENT = {2: 12.706, 3: 4.303, 4: 3.182, 5: 2.776}  # 97.5 % point, by the number of seeds


@dataclass(frozen=True)
class Rung:
    """A step: its name in the paper, what it adds in points there, and the settings and parts that it adds here."""

    name: str
    published: str
    changes: dict[str, object] = field(default_factory=dict)
    parts: tuple[str, ...] = ()
    longer: bool = False


RUNGS = (
    Rung("the net of 2015: three steps of the rate, weight decay of 0.0001", "79.0 %"),
    Rung("cosine", "+0.3", {"schedule.name": "cosine"}),
    Rung("long training", "-0.5", longer=True),
    Rung("average of the weights", "+0.3", {"average": "ema", "average.decay": 0.992}),
    Rung("label smoothing", "+1.3", {"loss.label_smoothing": 0.1}),
    Rung("stochastic depth", "+0.2", parts=("depth",)),
    Rung("RandAugment", "+0.4", {"augmentation.randaugment.magnitude": 10.0}),
    Rung("dropout before the last layer", "-0.3", parts=("dropout",)),
    Rung("less weight decay", "+1.5", {"optimizer.weight_decay": 4e-5}),
    Rung("squeeze-and-excitation", "+0.7", parts=("gate",)),
    Rung("ResNet-D", "+0.5", parts=("deep",)),
)


class Block(nn.Module):
    """Two 3×3 convolutions and a shortcut."""

    def __init__(self, inputs: int, outputs: int, stride: int, drop: float, parts: Sequence[str]) -> None:
        super().__init__()
        layers = [nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()]
        layers += [nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False), nn.BatchNorm2d(outputs)]
        if "gate" in parts:
            layers.append(SqueezeExcitation(outputs, outputs // 4))
        self.branch = nn.Sequential(*layers, StochasticDepth(drop))
        self.shortcut: nn.Module = nn.Identity()
        if stride > 1 or inputs != outputs:
            means, step = (nn.AvgPool2d(stride), 1) if "deep" in parts and stride > 1 else (nn.Identity(), stride)
            conv = nn.Conv2d(inputs, outputs, 1, step, bias=False)
            self.shortcut = nn.Sequential(means, conv, nn.BatchNorm2d(outputs))
        self.add, self.relu = Add(), nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        return self.relu(self.add(self.branch(x), self.shortcut(x)))


class Ladder(nn.Module):
    """A residual network of three stages; `parts` are those of ResNet-RS that it has."""

    def __init__(self, channels: int, classes: int, parts: Sequence[str] = ()) -> None:
        super().__init__()
        stem: list[nn.Module] = []
        for inputs in (channels, 16, 16) if "deep" in parts else (channels,):
            stem += [nn.Conv2d(inputs, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU()]
        self.stem = nn.Sequential(*stem)
        drops = [0.1 * (stage + 1) / 3 if "depth" in parts else 0.0 for stage in range(3)]
        shapes = ((16, 16, 1), (16, 32, 2), (32, 64, 2))
        self.stages = nn.Sequential(*(Block(*shape, drop, parts) for shape, drop in zip(shapes, drops, strict=True)))
        self.pool = GlobalAveragePool()
        self.dropout = nn.Dropout(0.25 if "dropout" in parts else 0.0)
        self.fc = nn.Linear(64, classes)
        he_(self)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.dropout(self.pool(self.stages(self.stem(x)))))


def register(parts: tuple[str, ...]) -> str:
    """Register the network with `parts`, and return its name."""

    def build(channels: int, classes: int) -> nn.Module:
        return Ladder(channels, classes, parts)

    name = "_".join(("ladder", *parts))
    striate.register_model(build, name=name)
    return name


def settings(climbed: Sequence[Rung], epochs: int) -> tuple[str, dict[str, object]]:
    """The model and the settings of the last of the rungs, with those of the ones before it."""
    length = epochs * (3 if any(rung.longer for rung in climbed) else 1)
    chosen: dict[str, object] = {
        "epochs": f"{length}ep",
        "batch_size": 125,
        "input.height": 32,
        "input.width": 32,
        "augmentation": "flip,shift",
        "augmentation.shift.fraction": 0.125,
        "optimizer.name": "sgd",
        "optimizer.lr": 0.1,
        "optimizer.weight_decay": 1e-4,
        "schedule.name": "milestones",
        "schedule.at_epochs": tuple(length * share for share in (1 / 3, 2 / 3, 8 / 9)),
        "stop.keep": "last",
        "evaluate_every": f"{length}ep",
    }
    for rung in climbed:
        chosen |= rung.changes
    if chosen["schedule.name"] == "cosine":
        del chosen["schedule.at_epochs"]
    return register(tuple(part for rung in climbed for part in rung.parts)), chosen


def accuracy(data: Path, place: int, seed: int, epochs: int, folder: Path) -> float:
    """The accuracy on the test images of one training on the rung at `place`."""
    model, chosen = settings(RUNGS[: place + 1], epochs)
    name = f"{place}-{RUNGS[place].name.partition(':')[0].replace(' ', '-')}-{seed}"
    run = trained(folder, name, data, recipe="cifar", model=model, seed=seed, set=chosen)
    return striate.evaluate(run).scores.top1.value or 0.0


def table_of(found: Sequence[Sequence[float]]) -> tuple[Figures, list[str]]:
    """The table of the ladder, and the names of the steps that do not help."""
    rows, useless = [], []
    for place, (rung, scores) in enumerate(zip(RUNGS, found, strict=False)):
        step, interval = "–", "–"
        if place:
            gains = [mine - before for mine, before in zip(scores, found[place - 1], strict=True)]
            step = f"{100 * fmean(gains):+.2f}"
            if len(gains) in STUDENT:
                half = STUDENT[len(gains)] * stdev(gains) / math.sqrt(len(gains))
                interval = f"{100 * (fmean(gains) - half):+.2f} to {100 * (fmean(gains) + half):+.2f}"
                if fmean(gains) <= half:
                    useless.append(rung.name)
        rows.append((rung.name, f"{fmean(scores):.2%}", step, interval, rung.published))
    columns = ("", "test accuracy", "points more than the step before", "95 % interval", "in the paper (ImageNet)")
    return Figures(columns, tuple(rows), f"Means of {len(found[0])} seeds. Each step keeps those before it."), useless


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cifar10", type=Path, help="the folder of the binary batches; by default the real data's")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--images", type=int, default=8000, help="images, a quarter of them for validation")
    parser.add_argument("--epochs", type=int, default=10, help="epochs; long training has three times as many")
    parser.add_argument("--quick", action="store_true", help="500 images, 1 epoch, 1 seed: to see that it works")
    parser.add_argument("--write", action="store_true", help="write results/resnet_rs_ladder.md and .json")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.seeds, arguments.images, arguments.epochs = 1, 500, 1
    folder = KEPT / f"{arguments.images}-{arguments.epochs}"
    cifar10 = arguments.cifar10 or real_data("cifar10") / "cifar-10-batches-bin"
    data = subset(cifar10, folder / "cifar10.npz", train=arguments.images)
    found = []
    for place, rung in enumerate(RUNGS):
        seeds = range(arguments.seeds)
        found.append([accuracy(data, place, seed, arguments.epochs, folder) for seed in seeds])
        print(f"{rung.name}: {', '.join(f'{score:.2%}' for score in found[-1])}", flush=True)
    table, useless = table_of(found)
    told = f"Steps that do not help beyond chance here: {', '.join(useless)}." if useless else "Every step helps."
    notes = [
        f"{arguments.images:,} images, {arguments.epochs} epochs, three times as many from 'long training' on.",
        told,
    ]
    print(table.markdown(), *notes, sep="\n")
    if arguments.write:
        write_result("resnet_rs_ladder", "The ladder of ResNet-RS, at a small size", {"Steps": table}, notes)


if __name__ == "__main__":
    main()

"""One small member of each family on CIFAR-10, all with the same budget: that they train, not how good they can be.

    python benchmarks/zoo_train.py CIFAR10 [--steps 100] [--longer 300] [--runs FOLDER] [--only FAMILY …] [--write]

CIFAR10 is a folder with the official binary batches. Of each batch the first fifth is taken, so that judging all these
networks does not take longer than training them: 7,500 images to learn from, 2,000 to be judged on. The member with
the fewest parameters of each family sees the same images in the same order: so many steps of 32 images, AdamW at
one learning rate with one cycle, no augmentation, seed 0, images of 32 × 32 or as large as the model needs. Nothing
is tuned for any of them: networks of 2012 that want weeks at a small learning rate, and those of 2022 that want months
of augmentation, get what fits none of them best. Each accuracy is that of one training.

A hundred steps are few: norms whose running statistics take in a hundredth of each step have not seen enough to be
judged by them. So whoever is still at chance is trained once more, for longer, in a table of its own. (The smallest
ResNet-110 of "Identity Mappings" is the one with dropout on its shortcuts, of which the paper says that it fails.)

Runs are kept in the folder and found there again, so the study goes on where it was stopped.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from math import log
from pathlib import Path
from statistics import fmean

from _measure import Figures, write_result
from _sides import REPOSITORY

sys.path.insert(0, str(REPOSITORY / "tests"))

from promises.subject import smallest_of_each_family, subject
from striate.models import MODELS
from striate.runs.evaluate import Evaluation
from striate.runs.folder import open_run
from striate.training import read_events

BATCH, SIDE = 32, 32
CHANCE = 0.1
RECORD, TAKEN = 3073, 2_000  # bytes of an image with its label; how many of each batch


def part_of(data: Path, folder: Path) -> Path:
    """The first images of each official batch, as a data set of the same form."""
    folder.mkdir(parents=True, exist_ok=True)
    for file in (*data.glob("*_batch*.bin"), data / "batches.meta.txt"):
        (folder / file.name).write_bytes(file.read_bytes()[: RECORD * TAKEN])
    return folder


def settings(side: int) -> list[str]:
    """What differs from the recipe `cifar`, the same for all but the size."""
    chosen = {
        "batch_size": BATCH,
        "input.height": side,
        "input.width": side,
        "optimizer.lr": 0.001,
        "schedule.name": "one_cycle",
        "augmentation.flip": "false",
        "stop.keep": "last",
    }
    return [part for key, value in chosen.items() for part in ("--set", f"{key}={value}")]


@dataclass(frozen=True)
class Trained:
    """One member's training: mean loss over the first and the last tenth of its steps, and what it then got right.

    `problem` says why there is no such thing.
    """

    family: str
    name: str
    side: int
    losses: tuple[float, float] = (0.0, 0.0)
    top1: float = 0.0
    interval: tuple[float, float] = (0.0, 1.0)
    problem: str = ""

    @property
    def learned(self) -> bool:
        """Whether the accuracy differs from chance."""
        return not self.problem and self.interval[0] > CHANCE

    def row(self) -> tuple[str, ...]:
        what = (self.family, f"`{self.name}`", f"{MODELS[self.name].card.parameters:,}", f"{self.side}×{self.side}")
        if self.problem:
            return (*what, "–", "–", "–", self.problem)
        low, high = self.interval
        losses = (f"{loss:.2f}" for loss in self.losses)
        return (*what, *losses, f"{self.top1:.1%}", f"{low:.1%} – {high:.1%}")


def train(data: Path, name: str, steps: int, runs: Path) -> Trained:
    """Train the model, go on where its training was stopped, or find it trained."""
    run = runs / f"{name}-{steps}"
    side = max(SIDE, subject(name).smallest)
    trained = Trained(MODELS[name].card.family, name, side)
    if not (run / "evaluations" / "test.json").is_file():
        words = ["train", str(data), "--recipe", "cifar", "--model", name, "--epochs", f"{steps}st", "--seed", "0"]
        words += ["--name", run.name, "--runs", str(runs), *settings(side)]
        if (run / "recipe.json").is_file():
            words = ["resume", str(run)]
        command = [sys.executable, "-m", "striate", *words, "--quiet"]
        finished = subprocess.run(command, capture_output=True, text=True, check=False)
        if finished.returncode:
            return replace(trained, problem=re.sub(r"\s+", " ", finished.stderr).strip())
    opened = open_run(run)
    losses = [event["loss"] for event in read_events(opened.events_file) if event["event"] == "step"]
    tenth = -(-len(losses) // 10)
    judged = Evaluation.read(opened, "test")
    assert judged
    top1 = judged.scores.top1
    assert top1.interval
    return replace(
        trained, losses=(fmean(losses[:tenth]), fmean(losses[-tenth:])), top1=top1.value, interval=top1.interval
    )


def told(trained: Sequence[Trained], steps: int) -> tuple[Figures, str]:
    """The table, and what it comes to."""
    columns = ("family", "model", "parameters, as on its card", "input", "loss, first tenth", "loss, last tenth")
    columns += ("test accuracy", "95 % interval")
    table = Figures(
        columns,
        tuple(member.row() for member in trained),
        f"{steps} steps of {BATCH} images each, one training each, seed 0; chance is 10 %, a loss of {log(10):.2f}. "
        "The loss is that of training, with the auxiliary classifiers' where there are any.",
    )
    falling = sum(member.losses[1] < member.losses[0] for member in trained)
    learned = sum(member.learned for member in trained)
    return table, (
        f"After {steps} steps ({steps * BATCH:,} images) {learned} of {len(trained)} families are above chance, and "
        f"the loss of {falling} has fallen."
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="the folder with data_batch_1.bin and its like")
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--longer", type=int, default=300, help="steps for those that are then still at chance")
    parser.add_argument("--runs", type=Path, default=Path(tempfile.gettempdir()) / "striate-zoo-train")
    parser.add_argument("--only", nargs="*", metavar="FAMILY")
    parser.add_argument("--write", action="store_true", help="write results/zoo_train.md and .json")
    arguments = parser.parse_args()
    data = part_of(arguments.data, arguments.runs / "cifar-10-batches-bin")

    def study(names: Iterable[str], steps: int) -> list[Trained]:
        found = []
        for name in names:
            found.append(train(data, name, steps, arguments.runs))
            print(*found[-1].row(), sep="  ", flush=True)
        return found

    chosen = arguments.only or [MODELS[name].card.family for name in smallest_of_each_family()]
    first = study((name for name in smallest_of_each_family() if MODELS[name].card.family in chosen), arguments.steps)
    table, verdict = told(first, arguments.steps)
    tables, verdicts = {"One budget for all": table}, [verdict]
    at_chance = [member.name for member in first if not member.learned]
    if at_chance:
        table, verdict = told(study(at_chance, arguments.longer), arguments.longer)
        tables["Those at chance, given longer"] = table
        verdicts.append(verdict)
    print(*verdicts, sep="\n")
    if arguments.write:
        write_result("zoo_train", "One budget on CIFAR-10 for every family", tables, verdicts)


if __name__ == "__main__":
    main()

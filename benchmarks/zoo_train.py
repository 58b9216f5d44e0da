"""One small member of each family on CIFAR-10, all with the same budget: that they train, not how good they can be.

    python benchmarks/zoo_train.py CIFAR10 [--steps 100] [--runs FOLDER] [--only FAMILY …] [--write]

CIFAR10 is a folder with the official binary batches. Of each batch the first fifth is taken, so that judging all these
networks does not take longer than training them: 10,000 pictures to learn from, 2,000 to be judged on. The member with
the fewest parameters of each family sees the same pictures in the same order: so many steps of 32 pictures, AdamW at
one learning rate with one cycle, no augmentation, seed 0, pictures of 32 × 32 or as large as the model needs. Nothing
is tuned for any of them: networks of 2012 that want weeks at a small learning rate, and those of 2022 that want months
of augmentation, get what fits none of them best. Each accuracy is that of one training.

Runs are kept in the folder and found there again, so the study goes on where it was stopped.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from _measure import Figures, write_result
from _sides import REPOSITORY

sys.path.insert(0, str(REPOSITORY / "tests"))

from promises.subject import smallest_of_each_family, subject
from striate.models import MODELS
from striate.recipes.folder import open_run
from striate.recipes.judging import Evaluation

BATCH, SIDE = 32, 32
CHANCE = 0.1
RECORD, TAKEN = 3073, 2_000  # bytes of a picture with its label; how many of each batch


def part_of(data: Path, folder: Path) -> Path:
    """The first pictures of each official batch, as a data set of the same form."""
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


def train(data: Path, name: str, steps: int, runs: Path) -> tuple[Evaluation | None, str]:
    """The judgement on the test part of the model's run, and what went wrong if there is none."""
    run = runs / f"{name}-{steps}"
    problem = ""
    if not (run / "evaluations" / "test.json").is_file():
        command = [sys.executable, "-m", "striate", "train", str(data), "--recipe", "cifar", "--model", name]
        command += ["--epochs", f"{steps}st", "--seed", "0", "--name", run.name, "--runs", str(runs), "--quiet"]
        finished = subprocess.run(
            [*command, *settings(max(SIDE, subject(name).smallest))], capture_output=True, text=True, check=False
        )
        problem = re.sub(r"\s+", " ", finished.stderr).strip()
    return (Evaluation.read(open_run(run), "test") if run.is_dir() else None), problem


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="the folder with data_batch_1.bin and its like")
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--runs", type=Path, default=Path(tempfile.gettempdir()) / "striate-zoo-train")
    parser.add_argument("--only", nargs="*", metavar="FAMILY")
    parser.add_argument("--write", action="store_true", help="write results/zoo_train.md and .json")
    arguments = parser.parse_args()
    data = part_of(arguments.data, arguments.runs / "cifar-10-batches-bin")
    rows, learned = [], 0
    for name in smallest_of_each_family():
        card = MODELS[name].card
        if arguments.only and card.family not in arguments.only:
            continue
        judged, problem = train(data, name, arguments.steps, arguments.runs)
        side = max(SIDE, subject(name).smallest)
        accuracy, interval = "–", problem
        if judged is not None:
            top1 = judged.judgement.top1
            low, high = top1.interval or (0.0, 1.0)
            learned += low > CHANCE
            accuracy, interval = f"{top1.value:.2%}", f"{low:.2%} – {high:.2%}"
        rows.append((card.family, f"`{name}`", f"{card.parameters:,}", f"{side}×{side}", accuracy, interval))
        print(*rows[-1], sep="  ", flush=True)
    table = Figures(
        ("family", "model", "parameters, as on its card", "input", "test accuracy", "95 % interval"),
        tuple(rows),
        f"{arguments.steps} steps of {BATCH} pictures each, one training each, seed 0; chance is 10 %.",
    )
    verdict = f"{learned} of {len(rows)} families are above chance after {arguments.steps * BATCH:,} pictures."
    print(verdict)
    if arguments.write:
        write_result("zoo_train", "One budget on CIFAR-10 for every family", {"Accuracy": table}, [verdict])


if __name__ == "__main__":
    main()

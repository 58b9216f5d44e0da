"""The suggestion of `find-lr` against the best constant learning rate, for five pairs of data set and network.

    python benchmarks/find_lr.py [--cifar10 FOLDER] [--notebook FILE] [--quick] [--write]

Each network is trained for a few epochs at each constant rate of a grid of factors of 2, and the rate with the lowest
mean validation loss over the seeds is the best. The range test has the settings of `striate find-lr`, seed 0. Every
cell is a line of the notebook, so the study continues where it was stopped. A suggestion that is further than a factor
of 3 from the best rate ends the program with an error.
"""

from __future__ import annotations

import argparse
import math
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any

from _measure import Figures, write_result
from _notebook import Notebook
from _sides import REPOSITORY, real_data
from _subset import subset
from striate.core.errors import TrainingError
from striate.runs.rate_range import RULE, RateRange, range_test
from striate.runs.start import plan_run
from striate.runs.train import Session, first_state
from striate.training import evaluate, train

FACTOR = 3.0
SMALL = "conv3-16 bn relu pool2 conv3-32 bn relu pool2 conv3-64 bn relu pool2"


@dataclass(frozen=True)
class Pair:
    """Data and a network, how long it is trained at each constant rate, and the rates."""

    name: str
    data: str
    epochs: int
    rates: tuple[float, ...]
    seeds: int = 1
    recipe: str | None = None
    changes: dict[str, object] = field(default_factory=dict)

    def session(self, folder: Path, cifar10: Path | None, **changes: object) -> Session:
        """Return the session of a training with further changes."""
        data = self.data
        if data in ("fashion-mnist", "cifar10"):
            source = cifar10 if data == "cifar10" and cifar10 else real_data(data)
            data = str(subset(source, folder / f"{data}.npz", train=3000, test=1000))
        chosen = {"precision": "float32", "device": "cpu", **self.changes, **changes}
        return Session(*plan_run(data, chosen, recipe=self.recipe)[:2])


SGD_RATES = (0.0025, 0.005, 0.01, 0.02, 0.04, 0.08, 0.16)
ADAM_RATES = (0.0005, 0.001, 0.002, 0.004, 0.008, 0.016)
PAIRS = (
    Pair("digits, lenet5", "digits", 10, SGD_RATES, seeds=2),
    Pair("digits, fc128 relu", "digits", 10, SGD_RATES, seeds=2, changes={"model": "fc128 relu"}),
    Pair("Fashion-MNIST, lenet5", "fashion-mnist", 6, SGD_RATES[1:], seeds=2, recipe="mnist"),
    Pair(
        "Fashion-MNIST, three convolutions with batch norm",
        "fashion-mnist",
        2,
        (*ADAM_RATES, 0.032),
        recipe="mnist",
        changes={"model": SMALL, "optimizer.name": "adamw"},
    ),
    Pair("CIFAR-10, tiny_vgg", "cifar10", 4, ADAM_RATES, recipe="cifar"),
)


def constant(session: Session) -> dict[str, float]:
    """Train to the end of the recipe; return the validation loss and accuracy, those of chance after a divergence."""
    recipe = session.plan.recipe
    batches, validation = session.prepared.load(recipe)
    assert validation is not None
    state = first_state(session, batches)
    try:
        for _ in train(state, batches, until=recipe.epochs):
            pass
    except TrainingError:
        classes = len(session.prepared.labels)
        return {"loss": math.log(classes), "accuracy": 1 / classes}
    scores = evaluate(state.model, state.task, validation, state.plan).scores()
    return {"loss": scores["loss"], "accuracy": scores["accuracy"]}


def study(pair: Pair, notebook: Notebook, folder: Path, cifar10: Path | None) -> tuple[tuple[str, ...], bool]:
    """Return the row of a pair, and whether its suggestion is within the factor."""

    def suggested() -> dict[str, Any]:
        found = range_test(pair.session(folder, cifar10), RateRange())
        return {"suggestion": found.suggestion, "lowest": found.rates[found.lowest], "diverged": found.diverged}

    def trained(rate: float, seed: int) -> dict[str, float]:
        fixed = {"schedule.name": "constant", "epochs": f"{pair.epochs}ep"}
        return constant(pair.session(folder, cifar10, **fixed, **{"optimizer.lr": rate, "seed": seed}))

    test = notebook.get(f"{pair.name}; range test", suggested)
    means = {}
    for rate in pair.rates:
        cells = [
            notebook.get(f"{pair.name}; {rate:g}, seed {seed}", lambda rate=rate, seed=seed: trained(rate, seed))
            for seed in range(pair.seeds)
        ]
        means[rate] = fmean(cell["loss"] for cell in cells)
    best = min(means, key=lambda rate: means[rate])
    suggestion = test["suggestion"]
    ratio = math.inf if suggestion is None else suggestion / best
    grid = ", ".join(f"{rate:g}: {loss:.3f}" for rate, loss in means.items())
    optimizer = pair.session(folder, cifar10).plan.recipe.optimizer.name
    row = (pair.name, optimizer, str(suggestion), f"{best:g}", f"{ratio:.2g}", f"{test['lowest']:.2g}", grid)
    return row, 1 / FACTOR <= ratio <= FACTOR


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cifar10", type=Path, help="the folder of the binary batches; by default the real data's")
    parser.add_argument("--notebook", type=Path, default=REPOSITORY / "runs" / "find_lr.jsonl")
    parser.add_argument("--quick", action="store_true", help="the pair that takes least time")
    parser.add_argument("--write", action="store_true", help="write results/find_lr.md and .json")
    arguments = parser.parse_args()
    notebook = Notebook(arguments.notebook)
    with tempfile.TemporaryDirectory() as folder:
        pairs = PAIRS[1:2] if arguments.quick else PAIRS
        rows, fine = zip(*(study(pair, notebook, Path(folder), arguments.cifar10) for pair in pairs), strict=True)
    table = Figures(
        ("data, network", "optimizer", "suggestion", "best constant rate", "ratio", "lowest loss at", "rate: loss"),
        rows,
        "The loss is that of the validation split after the last epoch, the mean over the seeds. "
        + "; ".join(f"{pair.name}: {pair.epochs} epochs, seeds {pair.seeds}" for pair in pairs)
        + ". Of Fashion-MNIST and CIFAR-10, the first 3,000 training images; a quarter of them validate.",
    )
    print(table.markdown())
    within = sum(fine)
    note = (
        f"The suggestion is {RULE}. It is within a factor of {FACTOR:g} of the best constant rate for {within} of "
        f"{len(pairs)} pairs. The rule was chosen on curves of these pairs, so this is a check and not a forecast. "
        "The data set shapes is not among them: within six epochs no rate learned anything."
    )
    print(note)
    if arguments.write:
        write_result("find_lr", "The learning rate that find-lr suggests", {"Suggestion and best rate": table}, [note])
    if within < len(pairs):
        sys.exit("Outside the factor: " + ", ".join(p.name for p, ok in zip(pairs, fine, strict=True) if not ok))


if __name__ == "__main__":
    main()

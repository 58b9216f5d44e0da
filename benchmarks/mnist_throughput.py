"""How many images a second a whole training learns from: Striate, a plain PyTorch loop, Keras 3.

    python benchmarks/mnist_throughput.py [--quick] [--rounds 3] [--epochs 3] [--write]

One job (`benchmarks/sides/job.py`): LeNet-5 on MNIST, batches of 128, SGD with Nesterov's momentum, 5,000 images held
out and judged after each epoch. The peers are a PyTorch loop over `DataLoader`, the same over tensors that were made
ready beforehand, and Keras' `fit` with JAX and with torch; each with the best of its plain settings, found by a short
trial. Each runs in a process of its own, in turn, round after round.

The time is from after the imports to the end of the last epoch: reading the idx files, making ready, compiling,
training and judging; for Striate with cold caches, so also the audit, the split, measuring the data, the trial of
execution plans and the checkpoints. `later epochs` is the same without all that comes before the end of the first one.

Targets: Striate at least 1.4 times PyTorch's loop and 3 times Keras.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from statistics import median
from typing import Any

from _measure import Figures, Table, in_turn, tabulate, write_result
from _sides import real_data, run_side
from sides.job import Job

Answer = Mapping[str, Any]


@dataclass(frozen=True)
class Side:
    """A module of `sides`, and its plain settings to choose from."""

    module: str
    settings: tuple[Mapping[str, Any], ...] = ({},)
    environment: Mapping[str, str] = field(default_factory=dict)
    target: float | None = None  # how many times as fast Striate is to be

    def run(self, job: Job, options: Mapping[str, Any]) -> Answer:
        return run_side(self.module, replace(job, options=dict(options)).to_argument(), environment=self.environment)

    def best_settings(self, job: Job) -> Mapping[str, Any]:
        """Those whose second epoch over a quarter of the images is the shortest; the first one warms up."""
        if len(self.settings) == 1:
            return self.settings[0]
        trial = replace(job, epochs=2, images=15_000, held_out=1_000)
        return min(self.settings, key=lambda options: later_seconds(self.run(trial, options)))


OURS = "Striate"
SIDES = {
    "PyTorch, DataLoader": Side("torch_loop", ({"workers": 0}, {"workers": 2}), target=1.4),
    OURS: Side("striate_train"),
    "PyTorch, DataLoader over ready tensors": Side(
        "torch_loop", ({"ready_tensors": True, "workers": 0}, {"ready_tensors": True, "workers": 2})
    ),
    "Keras 3 on JAX": Side("keras_fit", ({}, {"steps_per_execution": 16}), {"KERAS_BACKEND": "jax"}, target=3.0),
    "Keras 3 on torch": Side(
        "keras_fit", ({}, {"data_format": "channels_first"}), {"KERAS_BACKEND": "torch"}, target=3.0
    ),
}

# Sides differ in their first weights and in the order of the images. Twice the loss would be another job.
_ALIKE = 1.5


def later_seconds(answer: Answer) -> float:
    """From the end of the first epoch to the end of the last one."""
    return answer["epoch_ends"][-1] - answer["epoch_ends"][0]


def whole_rate(answer: Answer) -> float:
    """Images per second from after the imports to the end of the last epoch."""
    return answer["images"] * len(answer["epoch_ends"]) / answer["epoch_ends"][-1]


def later_rate(answer: Answer) -> float:
    """Images per second of all epochs but the first."""
    return answer["images"] * (len(answer["epoch_ends"]) - 1) / later_seconds(answer)


def check_equal_work(answers: Mapping[str, list[Answer]]) -> None:
    """Raise SystemExit unless all sides end at about the same training loss."""
    losses = {name: median(answer["losses"][-1] for answer in found) for name, found in answers.items()}
    if max(losses.values()) > _ALIKE * min(losses.values()):
        raise SystemExit(f"The sides did not do the same work; their losses in the last epoch are {losses}.")


def measure(job: Job, rounds: int) -> tuple[dict[str, Mapping[str, Any]], dict[str, list[Answer]]]:
    """The settings chosen for each side, and its answers, round by round."""
    chosen = {name: side.best_settings(job) for name, side in SIDES.items()}
    answers: dict[str, list[Answer]] = {name: [] for name in SIDES}
    for name in in_turn(list(SIDES), rounds):
        answers[name].append(SIDES[name].run(job, chosen[name]))
        print(f"{name}: {whole_rate(answers[name][-1]):,.0f} pictures/s", flush=True)
    return chosen, answers


def table_of(answers: Mapping[str, list[Answer]], rate: Callable[[Answer], float]) -> Table:
    return tabulate({name: [rate(answer) for answer in found] for name, found in answers.items()})


def work_done(answers: Mapping[str, list[Answer]], chosen: Mapping[str, Mapping[str, Any]]) -> Figures:
    """What each side reached, so that it can be seen that all did the same."""
    rows = []
    for name, found in answers.items():
        settings = ", ".join(f"{key}={value}" for key, value in chosen[name].items()) or "its defaults"
        losses = median(answer["losses"][-1] for answer in found)
        accuracies = median(answer["accuracies"][-1] for answer in found)
        told = found[0].get("execution", settings)
        rows.append((name, f"{losses:.4f}", f"{accuracies:.2%}", f"{found[0]['images']:,}", told))
    return Figures(
        ("", "training loss", "held-out accuracy", "images an epoch", "settings"),
        tuple(rows),
        "Loss (mean of the steps of the last epoch) and accuracy are medians over the rounds.",
    )


def verdicts(table: Table) -> list[str]:
    """Striate's ratio to each peer, in the median of the rounds, beside its target."""
    sentences = []
    for name, side in SIDES.items():
        if name != OURS:
            ratio = median(ours / theirs for ours, theirs in zip(table[OURS].rates, table[name].rates, strict=True))
            target = f" (target: {side.target})" if side.target else ""
            sentences.append(f"Whole job: Striate is {ratio:.2f} times as fast as {name}{target}.")
    return sentences


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="one round of two epochs: to see that it works")
    parser.add_argument("--write", action="store_true", help="write results/mnist_throughput.md and .json")
    arguments = parser.parse_args()
    rounds, epochs = (1, 2) if arguments.quick else (arguments.rounds, arguments.epochs)
    job = Job(data=str(real_data("mnist")), epochs=epochs)
    chosen, answers = measure(job, rounds)
    tables = {
        f"Whole job of {epochs} epochs": table_of(answers, whole_rate),
        "Later epochs": table_of(answers, later_rate),
        "Equal work": work_done(answers, chosen),
    }
    notes = verdicts(tables[f"Whole job of {epochs} epochs"])
    print("\n\n".join(f"{heading}\n{table.markdown()}" for heading, table in tables.items()), *notes, sep="\n")
    check_equal_work(answers)
    if arguments.write:
        write_result("mnist_throughput", "LeNet-5 on MNIST, the whole job", tables, notes)


if __name__ == "__main__":
    main()

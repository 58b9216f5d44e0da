"""CIFAR-10 to 94 %: the recipe `cifar_fast` against the published 94 % method in stock float32 PyTorch.

    python benchmarks/cifar_fast.py [--cifar10 FOLDER] [--rounds 6] [--seeds 3] [--peer] [--slices-only] [--quick]
                                    [--write]

Speed: both train in processes of their own, in turn, a slice of two steps each: loading, augmentation, gradient and
update; Striate with images of each of its sizes. The time of a whole training is that of slices for all its images.
The peer (`benchmarks/sides/airbench.py`) has the faster of both memory layouts, chosen by a first slice of each.

Quality: whole trainings of Striate, seeds 0, 1 …, on 49,000 of the 50,000 training images, and with --peer one of the
peer on all of them, each judged by six views of the 10,000 test images. Nothing is chosen by the other 1,000. Each is
kept under `runs/cifar_fast`, and goes on where it was stopped: the benchmark can be ended at any time and called again.
(On two AVX2 cores a training of either takes about an hour.)

Operations are counted by tracing: six for each multiply-accumulate of a forward pass, three passes of two operations.
The peak is that of a matrix product in float32 on the same cores.

Targets: a mean accuracy of 94.0 %, in at most 0.7 of the peer's time.
"""

from __future__ import annotations

import argparse
import json
import math
from collections import Counter
from pathlib import Path
from statistics import mean, median

import numpy as np

import striate
from _measure import Figures, Table, in_turn, peak, tabulate, write_result
from _runs import trained
from _sides import REPOSITORY, StandingSide, real_data, run_side
from sides.cifar10 import TRAINING, read
from striate.models import meta_model
from striate.runs.recipes import RECIPES
from striate.tracing import describe

OURS, PEER = "Striate, cifar_fast", "PyTorch, the published method"
RECIPE, LAYOUTS = "cifar_fast", ("contiguous_format", "channels_last")
SIDE, TRAINED_ON, PEER_IMAGES = 32, 49_000, math.ceil(9.9 * (50_000 // 1024)) * 1024
ACCURACY, SHARE = 0.94, 0.7
VIEWS = "shift=1,flip"
KEPT = REPOSITORY / "runs" / "cifar_fast"


def images_of_ours() -> dict[int, int]:
    """How many images of each side a whole training of the recipe learns from, each as often as it is shown."""
    recipe = RECIPES[RECIPE]()
    epochs = int(recipe.epochs.amount)
    sides = [SIDE if recipe.resizing is None else recipe.resizing.side(epoch / epochs, SIDE) for epoch in range(epochs)]
    return {side: count * TRAINED_ON for side, count in Counter(sides).items()}


def operations(side: int = SIDE) -> float:
    """Of one image in a training step of either network."""
    network = meta_model(RECIPES[RECIPE]().model, classes=10, channels=3, size=(side, side))
    return 6.0 * describe(network, (3, side, side)).totals.macs


def at(side: int) -> str:
    return f"{OURS}, {side}×{side} pixels"


def slices(cifar10: Path, rounds: int) -> tuple[Table, dict[str, str]]:
    """Images per second of both, round by round, and the settings of each."""
    trial = {layout: StandingSide("airbench", str(cifar10), layout) for layout in LAYOUTS}
    layout = min(LAYOUTS, key=lambda name: trial[name].work())
    for name in LAYOUTS:
        if name != layout:
            trial[name].finish()
    sides = {PEER: trial[layout]}
    for side in images_of_ours():
        size = ("resizing=none", f"input.height={side}", f"input.width={side}")
        sides[at(side)] = StandingSide("striate_steps", str(cifar10), RECIPE, "2", *size)
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for name in in_turn(list(sides), rounds):
        seconds[name].append(sides[name].work())
        print(f"{name}: {seconds[name][-1]:.1f} s", flush=True)
    answers = {name: side.finish() for name, side in sides.items()}
    rates = {name: [answers[name]["images"] / each for each in found] for name, found in seconds.items()}
    settings = {name: answer.get("execution", layout) for name, answer in answers.items()}
    return tabulate(rates, unit="images/s"), settings


def divided(cifar10: Path) -> Path:
    """The data set with its last 1,000 training images for validation, where a tenth is usual."""
    file = KEPT / "cifar10.npz"
    if not file.exists():
        KEPT.mkdir(parents=True, exist_ok=True)
        images, labels = read(cifar10, TRAINING)
        test = read(cifar10, ["test_batch"])
        arrays = {"x_train": images[:TRAINED_ON], "y_train": labels[:TRAINED_ON], "x_test": test[0], "y_test": test[1]}
        np.savez(file, allow_pickle=False, x_val=images[TRAINED_ON:], y_val=labels[TRAINED_ON:], **arrays)
    return file


def ours(cifar10: Path, seed: int) -> tuple[float, float]:
    """The accuracy of a whole training in six views and in one."""
    run = trained(KEPT, f"seed-{seed}", divided(cifar10), recipe=RECIPE, seed=seed)
    top1 = [striate.evaluate(run, views=views).scores.top1.value or 0.0 for views in (VIEWS, "")]
    return top1[0], top1[1]


def peer(cifar10: Path, layout: str) -> tuple[float, float]:
    """Accuracy and seconds of a whole training of the peer."""
    KEPT.mkdir(parents=True, exist_ok=True)
    path = KEPT / "peer.json"
    if not path.exists():
        answer = run_side("airbench", str(cifar10), layout, str(KEPT / "peer.pt"), "0")
        path.write_text(json.dumps(answer), "utf-8")
    answer = json.loads(path.read_text("utf-8"))
    return answer["accuracy"], answer["seconds"]


def times(table: Table) -> tuple[float, float, float]:
    """The median share of the peer's time that a whole training takes, and the seconds of the peer and of ours."""
    peers = [PEER_IMAGES / rate for rate in table[PEER].rates]
    parts = [[count / rate for rate in table[at(side)].rates] for side, count in images_of_ours().items()]
    mine = [sum(each) for each in zip(*parts, strict=True)]
    return median(own / other for own, other in zip(mine, peers, strict=True)), median(peers), median(mine)


def work(table: Table) -> Figures:
    """Operations, time and share of the peak."""
    most = peak()
    amounts = [(PEER, PEER_IMAGES, operations())]
    amounts += [(at(side), count, operations(side)) for side, count in images_of_ours().items()]
    rows = []
    for name, images, each in amounts:
        rate = median(table[name].rates)
        counted = (f"{images:,}", f"{each * images / 1e15:.3f}", f"{images / rate / 60:.1f}")
        rows.append((name, *counted, f"{each * rate / 1e9:.0f}", f"{each * rate / most:.0%}"))
    total = sum(each * images for name, images, each in amounts if name != PEER)
    return Figures(
        ("", "images", "PFLOP", "minutes of training", "GFLOP/s", "of the peak"),
        tuple(rows),
        f"Striate: {total / 1e15:.3f} PFLOP in all. Minutes follow from the slices. The peak of these cores is "
        f"{most / 1e9:.0f} GFLOP/s (matrix product, float32).",
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cifar10", type=Path, help="the folder of the binary batches; by default the real data's")
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--peer", action="store_true", help="train the peer to the end, too")
    parser.add_argument("--slices-only", action="store_true", help="no whole trainings")
    parser.add_argument("--quick", action="store_true", help="one round, no whole trainings: to see that it works")
    parser.add_argument("--write", action="store_true", help="write results/cifar_fast.md and .json")
    arguments = parser.parse_args()
    cifar10 = arguments.cifar10 or real_data("cifar10") / "cifar-10-batches-bin"
    table, settings = slices(cifar10, 1 if arguments.quick else arguments.rounds)
    share, theirs, mine = times(table)
    tables: dict[str, Table | Figures] = {"Slices": table, "Whole trainings, counted": work(table)}
    notes = [
        f"A whole training takes {mine / 60:.0f} minutes, the peer's {theirs / 60:.0f}: {share:.2f} of its time "
        f"(target: at most {SHARE}). Settings: {'; '.join(f'{name}: {value}' for name, value in settings.items())}."
    ]
    if not (arguments.quick or arguments.slices_only):
        found = [ours(cifar10, seed) for seed in range(arguments.seeds)]
        rows = [(f"{OURS}, seed {seed}", f"{six:.2%}", f"{one:.2%}") for seed, (six, one) in enumerate(found)]
        if arguments.peer:
            accuracy, seconds = peer(cifar10, settings[PEER])
            rows.append((f"{PEER}, seed 0 ({seconds / 60:.0f} minutes)", f"{accuracy:.2%}", "–"))
        method = "Of the 10,000 test images. Nothing was repeated or left out."
        tables["Accuracy"] = Figures(("", "six views", "one view"), tuple(rows), method)
        average = mean(six for six, _ in found)
        notes.append(f"Accuracy: {average:.2%} in the mean of {len(found)} seeds (target: {ACCURACY:.1%}).")
    else:
        notes.append(f"Nothing was trained to the end here: the accuracy (target: {ACCURACY:.1%}) is not measured.")
    print("\n\n".join(f"{heading}\n{each.markdown()}\n{each.method}" for heading, each in tables.items()))
    print(*notes, sep="\n")
    if arguments.write:
        write_result("cifar_fast", "CIFAR-10 to 94 % with few operations", tables, notes)


if __name__ == "__main__":
    main()

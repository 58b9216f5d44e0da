"""Each regularizer, average and augmentation alone, on a network that over-fits without any of them.

    python benchmarks/regularizers.py [--seeds 3] [--notebook FILE] [--quick] [--write]

A small network learns the first 1,000 training images of Fashion-MNIST and is validated on the next 2,000. Every
setting changes one thing of the same plain training. After every third epoch the network is evaluated on the training
images as they are, without augmentation and dropout, and on the validation images. Every run is a line of the notebook,
so the study continues where it was stopped. `--write` writes the tables and the figure of the curves into `results/`.
"""

from __future__ import annotations

import argparse
import math
import statistics
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from _measure import RESULTS, Figures, write_result
from _notebook import Notebook
from _sides import REPOSITORY, real_data
from striate.core.duration import Duration
from striate.core.files import write_atomically
from striate.data.loading.loader import Loader
from striate.data.sources.opening import open_data
from striate.plot import LIGHT, figure_png
from striate.plot.figure import empty_figure, style_axes
from striate.runs.prepare import Prepared
from striate.runs.start import plan_run
from striate.runs.train import Session, first_state
from striate.training import Evaluated, evaluate, train

TRAINED, VALIDATED, EPOCHS, EVERY = 1000, 2000, 24, 3
NETWORK = "conv3-8 relu pool2 conv3-16 relu pool2 fc64 relu"
PLAIN: dict[str, object] = {
    "model": NETWORK, "epochs": f"{EPOCHS}ep", "batch_size": 50, "augmentation": "none", "schedule.name": "constant",
    "optimizer.name": "sgd", "optimizer.lr": 0.02, "optimizer.weight_decay": 0.0, "precision": "float32",
    "device": "cpu",
}  # fmt: skip


@dataclass(frozen=True)
class Setting:
    """One change of the plain training."""

    name: str
    changes: Mapping[str, object] = field(default_factory=dict)


def _augmented(**strengths: object) -> dict[str, object]:
    return {f"augmentation.{name}": value for name, value in strengths.items()}


DROPOUT = {"model": f"{NETWORK} dropout.5"}
SETTINGS = (
    Setting("nothing"),
    Setting("L2, 0.003", {"optimizer.weight_decay": 0.003}),
    Setting("L1, 0.0003", {"optimizer.l1": 0.0003}),
    Setting("max-norm 1", {"optimizer.max_norm": 1.0}),
    Setting("dropout 0.5", DROPOUT),
    Setting("label smoothing 0.1", {"loss.label_smoothing": 0.1}),
    Setting("gradient noise 0.01", {"optimizer.gradient_noise": 0.01}),
    Setting("gradient clipped to norm 1", {"optimizer.clip_norm": 1.0}),
    Setting("sharpness 0.05 (SAM)", {"optimizer.sharpness": 0.05}),
    Setting("EMA, 0.99", {"average": "ema", "average.decay": 0.99}),
    Setting("SWA", {"average": "swa"}),
    Setting("Lookahead", {"average": "lookahead"}),
    Setting("flip", _augmented(flip=True)),
    Setting("shift 0.1", _augmented(shift=0.1)),
    Setting("rotation 8°", _augmented(rotation=8)),
    Setting("scale 0.1", _augmented(scale=0.1)),
    Setting("shear", _augmented(shear=True)),
    Setting("perspective", _augmented(perspective=True)),
    Setting("random resized crop", _augmented(random_resized_crop=True)),
    Setting("brightness 0.2 and contrast 0.2", _augmented(brightness=0.2, contrast=0.2)),
    Setting("blur", _augmented(blur=True)),
    Setting("noise", _augmented(noise=True)),
    Setting("cutout 0.4", _augmented(cutout=0.4)),
    Setting("erasing", _augmented(erasing=True)),
    Setting("mixup", _augmented(mixup=True)),
    Setting("cutmix", _augmented(cutmix=True)),
    Setting(
        "flip, shift, dropout, L2 and EMA",
        {
            **DROPOUT, **_augmented(flip=True, shift=0.1), "optimizer.weight_decay": 0.001,
            "average": "ema", "average.decay": 0.99,
        },
    ),
)  # fmt: skip

Curve = list[dict[str, float]]
"""The scores after every third epoch: loss and accuracy of the training and of the validation images."""


def subset(file: Path) -> Path:
    """Write the images of the study as a data set of their own, from the official training split."""
    dataset = open_data(str(real_data("fashion-mnist")))
    chosen = dataset.splits["train"][: TRAINED + VALIDATED]
    pixels = np.stack([dataset.store.read(int(number)).pixels for number in chosen])
    parts = {"train": slice(TRAINED), "val": slice(TRAINED, None)}
    arrays = {f"x_{name}": pixels[part] for name, part in parts.items()}
    labels = {f"y_{name}": dataset.targets[chosen][part] for name, part in parts.items()}
    np.savez(file, allow_pickle=False, **arrays, **labels)
    return file


def trained(data: Path, setting: Setting, seed: int) -> Curve:
    """Train with one setting, and return the curves."""
    session = Session(*plan_run(str(data), {**PLAIN, **setting.changes, "seed": seed}, recipe="mnist")[:2])
    recipe, prepared = session.plan.recipe, session.prepared
    assert isinstance(prepared, Prepared)
    batches, validation = prepared.load(recipe)
    assert validation is not None
    plain = Loader(prepared.dataset, prepared.splits["train"], prepared.input, batch_size=250)
    state = first_state(session, batches)

    def scores() -> dict[str, float]:
        both = {"training": plain, "validation": validation}
        found = {name: evaluate(state.network, state.task, split, state.plan).scores() for name, split in both.items()}
        return {f"{split} {name}": value for split, each in found.items() for name, value in each.items()}

    every = Duration(float(EVERY), "ep")
    events = train(state, batches, until=recipe.epochs, evaluate=scores, every=every)
    return [{"epoch": event.clock.epochs, **event.scores} for event in events if isinstance(event, Evaluated)]


def figures(curves: Mapping[str, Sequence[Curve]]) -> Figures:
    """Return the table: mean over the seeds and standard deviation, at the end of the training."""
    rows, loss, right = [], "validation loss", "validation accuracy"
    base = next(iter(curves.values()))
    for name, own in curves.items():
        ends = [curve[-1] for curve in own]
        gains = [end[right] - plain[-1][right] for end, plain in zip(ends, base, strict=True)]
        losses = [_spread([end[key] for end in ends]) for key in ("training loss", loss)]
        accuracies = [_spread([100 * end[key] for end in ends], 1) for key in ("training accuracy", right)]
        rise = _spread([100 * _rise(curve) for curve in own], 0)
        rows.append((name, *losses, rise, *accuracies, "" if own is base else _gain(gains)))
    heads = (
        "alone", "training loss", "validation loss", "rise of it, %", "training accuracy, %", "validation accuracy, %",
        "gain, points",
    )  # fmt: skip
    method = (
        f"After {EPOCHS} epochs, mean ± standard deviation over {len(base)} seeds, which change initial weights, order "
        "and augmentation; the images are the same. The rise is that of the validation loss above its lowest value in "
        "the same run: over-fitting. The gain is in validation accuracy, seed by seed, with its 95 % interval by "
        "Student's t."
    )
    return Figures(heads, tuple(rows), method)


def outcome(curves: Mapping[str, Sequence[Curve]]) -> str:
    """Say which settings leave less than half of the over-fitting, and which as much of it."""
    rises = {name: statistics.fmean(map(_rise, own)) for name, own in curves.items()}
    plain = next(iter(rises.values()))
    less = [name for name, rise in rises.items() if rise < plain / 2]
    as_much = [name for name, rise in list(rises.items())[1:] if rise > 0.9 * plain]
    return (
        f"Without anything, the validation loss ends {plain:.0%} above its lowest value. It rises by less than half of "
        f"that with {', '.join(less)}; by about as much or more with {', '.join(as_much) or 'none'}."
    )


def _rise(curve: Curve) -> float:
    """Return the rise of the validation loss above its lowest value, relative to it."""
    losses = [each["validation loss"] for each in curve]
    return losses[-1] / min(losses) - 1


def _spread(values: Sequence[float], digits: int = 3) -> str:
    spread = statistics.stdev(values) if len(values) > 1 else math.nan
    return f"{statistics.fmean(values):.{digits}f} ± {spread:.{digits}f}"


def _stopped(curve: Curve) -> Curve:
    """Return the curve up to its lowest validation loss."""
    return curve[: 1 + min(range(len(curve)), key=lambda place: curve[place]["validation loss"])]


_STUDENT = {3: 4.303, 4: 3.182, 5: 2.776, 6: 2.571, 7: 2.447, 8: 2.365, 9: 2.306, 10: 2.262}
"""Quantile 0.975 of Student's distribution by the number of values; of two, an interval says nothing."""


def _gain(values: Sequence[float]) -> str:
    mean = 100 * statistics.fmean(values)
    if len(values) not in _STUDENT:
        return f"{mean:+.1f}"
    half = 100 * _STUDENT[len(values)] * statistics.stdev(values) / math.sqrt(len(values))
    return f"{mean:+.1f} ({mean - half:+.1f} to {mean + half:+.1f})"


def figure_of(curves: Mapping[str, Sequence[Curve]]) -> bytes:
    """Draw the losses of every setting over the epochs: the mean over the seeds and their range."""
    columns = 6
    rows = -(-len(curves) // columns)
    figure = empty_figure(2.0 * columns, 1.75 * rows)
    figure.set_layout_engine("constrained")
    axes = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    base, names = next(iter(curves.values())), list(curves)
    for place, panel in enumerate(axes.flat):
        if place >= len(names):
            panel.set_axis_off()
            continue
        style_axes(panel, LIGHT)
        _draw(panel, base, "validation loss", LIGHT.third, 1.0)
        for name, colour in (("training loss", LIGHT.second), ("validation loss", LIGHT.wrong)):
            _draw(panel, curves[names[place]], name, colour, 1.5)
        panel.set_ylim(0, 1.6)
        panel.set_title("\n".join(_wrapped(names[place])), fontsize=7.5, loc="left", color=LIGHT.ink)
        panel.tick_params(labelsize=7)
    figure.supxlabel("epochs", fontsize=8, color=LIGHT.soft)
    figure.supylabel(
        "loss: training blue, validation red, validation without anything grey", fontsize=8, color=LIGHT.soft
    )
    return figure_png(figure, dots_per_inch=110)


def _wrapped(name: str) -> list[str]:
    first, comma, rest = name.partition(" dropout") if len(name) > 28 else (name, "", "")
    return [first, f"{comma.strip()}{rest}"] if rest else [name]


def _draw(panel: Any, curves: Sequence[Curve], name: str, colour: str, width: float) -> None:
    epochs = [each["epoch"] for each in curves[0]]
    values = np.array([[each[name] for each in curve] for curve in curves])
    panel.plot(epochs, values.mean(axis=0), color=colour, linewidth=width)
    panel.fill_between(epochs, values.min(axis=0), values.max(axis=0), color=colour, alpha=0.2, linewidth=0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--notebook", type=Path, default=REPOSITORY / "runs" / "regularizers.jsonl")
    parser.add_argument("--quick", action="store_true", help="two settings, one seed")
    parser.add_argument("--write", action="store_true", help="write results/regularizers.md, .json and .png")
    arguments = parser.parse_args()
    notebook = Notebook(arguments.notebook)
    settings, seeds = (SETTINGS[:2], 1) if arguments.quick else (SETTINGS, arguments.seeds)
    curves: dict[str, list[Curve]] = {setting.name: [] for setting in settings}
    with tempfile.TemporaryDirectory() as folder:
        data = subset(Path(folder) / "fashion-mnist.npz")
        for seed in range(seeds):
            for setting in settings:
                cell = {**PLAIN, **setting.changes, "seed": seed}
                curve = notebook.get(cell, lambda setting=setting, seed=seed: trained(data, setting, seed))
                curves[setting.name].append(curve)
    stopped = {"early stopping at the lowest validation loss": list(map(_stopped, curves["nothing"]))}
    table = figures(curves | stopped)
    print(table.markdown())
    if arguments.write:
        write_atomically(RESULTS / "regularizers.png", figure_of(curves))
        notes = [
            f"`{NETWORK}` on {TRAINED:,} images of Fashion-MNIST, validated on {VALIDATED:,} others: gradient descent "
            f"with momentum, a constant learning rate of {PLAIN['optimizer.lr']}, batches of "
            f"{PLAIN['batch_size']}. Training scores are those of the images as they are, without augmentation and "
            "dropout. Strengths are usual ones and were not tuned, so this shows the kind of effect and no ranking.",
            outcome(curves),
            "![Losses of each setting over the epochs](regularizers.png)",
        ]
        write_result("regularizers", "What regularizers and augmentations do, one by one", {"Each alone": table}, notes)


if __name__ == "__main__":
    main()

"""Find a learning rate by a range test."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from striate.core.errors import ConfigError, command
from striate.core.progress import silent
from striate.reporting.sheets.results import SheetResult, file_stem
from striate.verbs._options import SETTINGS, changes_of
from striate.verbs._verb import with_progress

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from striate.core.progress import Progress
    from striate.data.loading.own_loaders import Loaders
    from striate.models import ModelSource
    from striate.runs.rate_range import RangeTest

_FLAGS = {setting: f"--{name.replace('_', '-')}" for name, setting in SETTINGS.items()}
"""Options of `striate train` by their settings; the others are given with `--set`."""


@dataclass(frozen=True, eq=False, repr=False)
class LearningRate(SheetResult):
    """The result of a learning-rate range test: the curve, and the rate that it suggests.

    In a notebook the curve is displayed. `save` writes it, `show` opens it.

    `test` has the rates and losses. `model` and `optimizer` are those of the training. `hint` is the
    command that trains with the suggested rate; None without a suggestion, and for a model or loaders in Python.
    `image` is the file of the curve.
    """

    test: RangeTest
    model: str
    optimizer: str
    hint: str | None
    image: Path | None = None

    @property
    def suggestion(self) -> float | None:
        """The suggested learning rate; None where the test shows none (`reason`)."""
        return self.test.suggestion

    @property
    def reason(self) -> str:
        """The rule of the suggestion with its numbers, or the reason why there is none."""
        from striate.runs.rate_range import RULE

        return self.test.fault or f"{RULE}: {self.test.rates[self.test.lowest]:.2g} / 2"

    @property
    def ending(self) -> str:
        """The reason why the test ended."""
        last = self.test.rates[-1]
        return f"the loss diverged at {last:.2g}" if self.test.diverged else f"{last:.2g} is the highest rate"

    def figure(self) -> Figure:
        """Draw the curve as a figure of Matplotlib."""
        from striate.plot import loss_by_rate

        test = self.test
        return loss_by_rate(
            test.rates,
            test.losses,
            test.smoothed,
            suggestion=self.suggestion,
            diverged=test.diverged,
            title=f"{self.model}, {self.optimizer}",
        )

    def to_json(self) -> dict[str, Any]:
        """Return the result as plain JSON values."""
        return {
            "suggestion": self.suggestion,
            "reason": self.reason,
            "ending": self.ending,
            "diverged": self.test.diverged,
            "model": self.model,
            "optimizer": self.optimizer,
            "train": self.hint,
            "image": None if self.image is None else str(self.image),
            "rates": list(self.test.rates),
            "losses": list(self.test.losses),
            "smoothed": list(self.test.smoothed),
        }

    def __repr__(self) -> str:
        return f"LearningRate({self.suggestion}: {self.reason}; {self.ending})"


@with_progress
def find_lr(
    data: str | Path | Loaders,
    /,
    *,
    model: str | ModelSource | None = None,
    recipe: str | Path | None = None,
    batch_size: int | None = None,
    optimizer: str | None = None,
    weight_decay: float | None = None,
    size: str | int | None = None,
    seed: int | None = None,
    device: str | None = None,
    precision: str | None = None,
    workers: int | None = None,
    weights: str | Path | None = None,
    transfer: str | None = None,
    set: str | Sequence[str] | Mapping[str, object] = (),
    lowest: float = 1e-6,
    highest: float = 100.0,
    steps: int = 240,
    out: str | Path | None = None,
    progress: Progress | None = None,
) -> LearningRate:
    """Find a learning rate: train for a few steps with a rate that grows until the loss diverges.

    Data, augmentation, network and optimizer are those with which 'striate train' trains for the same options. The rate
    is multiplied by the same factor at each step (Smith 2015, arXiv:1506.01186, with exponential growth). The
    suggestion is half the rate at which the smoothed loss is lowest. The weights are not kept.

    Example:
        rate = striate.find_lr("photos/", model="tiny_vgg").suggestion

    Args:
        data: a folder with a folder per class, a CSV file (path,label[,split]), IDX, CIFAR or npz files, tar shards (a
            folder of them, or a pattern: 'photos-{000000..000099}.tar'), or a name: digits, shapes, mnist,
            fashion-mnist, cifar10, cifar100. From Python also `striate.Loaders`.
        model: a name that 'striate list-models' lists, or an architecture, as in "(conv3-32 relu)*2 pool2 fc512 relu";
            by default the recipe's. From Python also a model of your own, or a function or class that builds it.
        recipe: a name that 'striate recipes' lists, or the folder or recipe.json of a run, whose settings are
            repeated; by default the recipe that suits the data.
        batch_size: images per step.
        optimizer: adadelta, adagrad, adam, adamw, lamb, muon, rmsprop, sam or sgd.
        weight_decay: the strength of weight decay.
        size: height and width of the network's input, as in 224 or 48x64; by default chosen from model and images.
        seed: the seed of all randomness.
        device: auto (the fastest here), cpu, cuda, cuda:1 or mps.
        precision: float32 turns reduced precision off; auto chooses by a measured trial.
        workers: how many threads decode images; by default one per core.
        weights: pretrained weights to start from: a file, a name of the catalogue ('striate list-models --weights'), or
            a repository of the Hugging Face hub.
        transfer: how pretrained weights are used: head, staged or full. features has no learning rate.
        set: any other setting of the recipe, as key=value; may be given several times.
        lowest: the learning rate of the first step.
        highest: the learning rate that ends the test if the loss has not diverged before.
        steps: how many steps there are from the lowest to the highest rate.
        out: the file for the image of the curve, .png or .svg; by default 'find-lr/DATA-MODEL.png'.
        progress: called as progress(stage, done, total); by default a bar on a terminal or in a notebook.

    Raises:
        StriateError: an argument is not valid; the message says which, and what is possible.
    """
    from striate.runs.rate_range import RateRange, range_test
    from striate.runs.start import plan_run
    from striate.runs.train import Session

    if out is not None and Path(out).suffix.lower() not in (".png", ".svg"):
        raise ConfigError(f"The image is a .png or .svg file; received {str(out)!r}.")
    wanted = RateRange(lowest=lowest, highest=highest, steps=steps)
    changes = changes_of(
        set,
        model=model,
        weights=weights,
        transfer=transfer,
        batch_size=batch_size,
        optimizer=optimizer,
        weight_decay=weight_decay,
        size=size,
        seed=seed,
        device=device,
        precision=precision,
        workers=workers,
    )
    report = progress or silent
    plan, prepared, stem = plan_run(data, changes, recipe=None if recipe is None else str(recipe), progress=report)
    test = range_test(Session(plan, prepared), wanted, progress=report)
    hint = None
    if test.suggestion is not None and isinstance(model or "", str) and isinstance(data, (str, Path)):
        chosen = {key: value for key, value in changes.items() if key != "optimizer.lr"}
        hint = _train_command(data, recipe, chosen, test.suggestion)
    result = LearningRate(test, plan.recipe.model, plan.recipe.optimizer.name, hint)
    return replace(result, image=result.save(out or Path("find-lr", f"{file_stem(stem)}.png")))


def _train_command(data: str | Path, recipe: str | Path | None, changes: Mapping[str, object], rate: float) -> str:
    """Return the command that trains with the same changes of the recipe and this rate."""
    words = [] if recipe is None else ["--recipe", str(recipe)]
    for key, value in changes.items():
        words += [_FLAGS[key], value] if key in _FLAGS else ["--set", f"{key}={value}"]
    return command("train", data, *words, "--lr", f"{rate:g}")

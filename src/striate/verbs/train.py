"""Train a classifier on images."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from striate.core.progress import silent
from striate.verbs._options import changes_of
from striate.verbs._verb import training

if TYPE_CHECKING:
    from striate.core.progress import Progress
    from striate.data.loading.own_loaders import Loaders
    from striate.models import ModelSource
    from striate.runs.events import RunEvent
    from striate.runs.folder import Run


@training
def train(
    data: str | Path | Loaders,
    /,
    *,
    model: str | ModelSource | None = None,
    recipe: str | Path | None = None,
    epochs: str | int | None = None,
    batch_size: int | None = None,
    lr: float | None = None,
    optimizer: str | None = None,
    weight_decay: float | None = None,
    size: str | int | None = None,
    seed: int | None = None,
    device: str | None = None,
    precision: str | None = None,
    workers: int | None = None,
    weights: str | Path | None = None,
    transfer: str | None = None,
    folds: int | None = None,
    set: str | Sequence[str] | Mapping[str, object] = (),
    name: str | None = None,
    runs: str | Path = "runs",
    execution: str | Path | None = None,
    progress: Progress | None = None,
) -> Generator[RunEvent, None, Run]:
    """Train a classifier on images, evaluate it on images it has not seen, and write the report.

    The data are audited first. Settings that you do not choose come from a recipe that suits the data, and the run
    prints how it differs from that recipe. Ctrl-C stops at a safe point; 'striate resume' continues exactly.

    Example:
        run = striate.train("photos/", model="tiny_vgg", epochs=20, set={"optimizer.lr": 0.02})

    Args:
        data: a folder with a folder per class, a CSV file (path,label[,split]), IDX, CIFAR or npz files, tar shards (a
            folder of them, or a pattern: 'photos-{000000..000099}.tar'), or a name: digits, shapes, mnist,
            fashion-mnist, cifar10, cifar100. From Python also `striate.Loaders`.
        model: a name that 'striate list-models' lists, or an architecture, as in "(conv3-32 relu)*2 pool2 fc512 relu";
            by default the recipe's. From Python also a model of your own, or a function or class that builds it (see
            `striate.register_model`).
        recipe: a name that 'striate recipes' lists, or the folder or recipe.json of a run, whose settings are
            repeated; by default the recipe that suits the data.
        epochs: how long to train: 30 or 30ep (epochs), 5000st (steps), 10min.
        batch_size: images per step.
        lr: the peak learning rate of the schedule.
        optimizer: adadelta, adagrad, adam, adamw, lamb, muon, rmsprop, sam or sgd.
        weight_decay: the strength of weight decay.
        size: height and width of the network's input, as in 224 or 48x64; by default chosen from model and images, and
            printed with its reason.
        seed: the seed of all randomness.
        device: auto (the fastest here), cpu, cuda, cuda:1 or mps.
        precision: float32 turns reduced precision off; auto chooses by a measured trial.
        workers: how many threads decode images; by default one per core.
        weights: pretrained weights to start from: a file, a name of the catalogue ('striate list-models --weights'), or
            a repository of the Hugging Face hub. Images of your own start from the best weights on this machine, unless
            you name a model; none starts from random weights.
        transfer: how pretrained weights are used: auto measures and chooses; features fits a linear classifier on the
            frozen network's features; head trains a new last layer; staged thaws the layers one group after another;
            full trains all layers; scratch starts from random weights.
        folds: parts of the cross-validation that evaluates a classifier from pretrained weights, which then learns from
            all images; 1 is none. By default 5 for features where there are fewer than 500 images of a class. head,
            staged and full have none by default: the training is repeated for each fold.
        set: any other setting of the recipe, as key=value; may be given several times. The run's recipe.json lists them
            all.
        name: the run's name; by default from data and model.
        runs: the folder that holds the runs.
        execution: a run whose execution plan (memory layout, precision, threads) to repeat instead of a new trial.
        progress: called as progress(stage, done, total); by default a bar on a terminal or in a notebook.

    Raises:
        StriateError: an argument is not valid; the message says which, and what is possible.
    """
    from striate.core.processes import processes
    from striate.reporting.build import write_run_report
    from striate.runs.start import start_run

    changes = changes_of(
        set,
        model=model,
        weights=weights,
        transfer=transfer,
        folds=folds,
        epochs=epochs,
        batch_size=batch_size,
        optimizer=optimizer,
        lr=lr,
        weight_decay=weight_decay,
        size=size,
        seed=seed,
        device=device,
        precision=precision,
        workers=workers,
    )
    run = yield from start_run(
        data,
        changes,
        recipe=None if recipe is None else str(recipe),
        name=name,
        folder=Path(runs),
        execution=execution,
        progress=progress or silent,
    )
    processes().once(lambda: write_run_report(run))
    return run

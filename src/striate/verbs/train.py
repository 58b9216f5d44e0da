"""Train a classifier on pictures."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from striate.core.errors import ConfigError
from striate.core.progress import silent
from striate.verbs._size import size_of
from striate.verbs._verb import training

if TYPE_CHECKING:
    from striate.core.progress import Progress
    from striate.data.loading.own_loaders import Loaders
    from striate.models import ModelSource
    from striate.runs.folder import Run
    from striate.runs.start import RunEvent


@training
def train(
    data: str | Path | Loaders,
    /,
    *,
    model: str | ModelSource | None = None,
    recipe: str | None = None,
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
    pretrained: bool = False,
    set: str | Sequence[str] | Mapping[str, object] = (),
    name: str | None = None,
    runs: str | Path = "runs",
    execution: str | Path | None = None,
    progress: Progress | None = None,
) -> Generator[RunEvent, None, Run]:
    """Train a classifier on pictures, judge it on pictures it has not seen, and write the report.

    The data are audited first. What you do not choose comes from a recipe that suits the data, and the run prints how
    it differs from that recipe. Ctrl-C stops at a safe point; 'striate resume' goes on from there, exactly.

    Example:
        run = striate.train("photos/", model="tiny_vgg", epochs=20, set={"optimizer.lr": 0.02})

    Args:
        data: a folder with a folder per class, a CSV file (path,label[,split]), IDX, CIFAR or npz files, or a name:
            digits, shapes, mnist, fashion-mnist, cifar10, cifar100. From Python also `striate.Loaders`.
        model: the network, as 'striate list-models' lists them, or written down, as in
            "(conv3-32 relu)*2 pool2 fc512 relu"; the recipe's when not given. From Python also a model of your own,
            or a function or class that builds it (see `striate.register_model`).
        recipe: photos, digits, mnist or cifar; the one that suits the data when not given.
        epochs: how long to train: 30 or 30ep (epochs), 5000st (steps), 10min.
        batch_size: how many images an update learns from.
        lr: the highest learning rate of the schedule.
        optimizer: sgd, adam or adamw.
        weight_decay: how strongly weights are drawn towards zero.
        size: height and width of the network's input, as in 224 or 48x64; what it is otherwise is printed with its
            reason.
        seed: the one number that all randomness follows from.
        device: auto (the fastest here), cpu, cuda, cuda:1 or mps.
        precision: float32 turns reduced precision off; auto lets a measured trial choose.
        workers: how many threads decode images; one per core when not given.
        pretrained: refused: there are no pretrained weights yet, and every training starts from random ones.
        set: any other setting of the recipe, as key=value; may be given several times. The run's recipe.json names them
            all.
        name: the run's name; made from data and model when not given.
        runs: the folder that holds the runs.
        execution: a run whose execution (memory layout, precision, threads) is repeated instead of a new trial.
        progress: called as progress(stage, done, total); by default a bar on a terminal or in a notebook.

    Raises:
        StriateError: something in the above is not possible; the sentence says what, and what is.
    """
    if pretrained:
        raise ConfigError(
            "Striate has no pretrained weights yet: every training starts from random ones. Leave --pretrained out."
        )

    from striate.models import registered
    from striate.reporting.build import write_run_report
    from striate.runs.start import Choice, begin

    known = model if model is None or isinstance(model, str) else registered(model)
    height, width = (None, None) if size is None else size_of(size)
    chosen = {
        "model": known,
        "epochs": epochs,
        "batch_size": batch_size,
        "optimizer.name": optimizer,
        "optimizer.lr": lr,
        "optimizer.weight_decay": weight_decay,
        "input.height": height,
        "input.width": width,
        "seed": seed,
        "device": device,
        "precision": precision,
        "loader_threads": workers,
    }
    changes = {key: value for key, value in chosen.items() if value is not None}
    choice = Choice(
        recipe=recipe,
        changes=changes,
        settings=set,
        name=name,
        folder=Path(runs),
        execution_of=None if execution is None else Path(execution),
    )
    run = yield from begin(data, choice, progress=progress or silent)
    write_run_report(run)
    return run

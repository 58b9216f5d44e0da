"""Compress the classifier of a run by Deep Compression."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from striate.core.progress import silent
from striate.verbs._trained import run_of
from striate.verbs._verb import with_progress

if TYPE_CHECKING:
    from striate.core.duration import Duration
    from striate.core.progress import Progress
    from striate.runs.compress import Compression
    from striate.runs.folder import Run


@with_progress
def compress(
    run: str | Path | Run,
    /,
    *,
    keep: str | float | Mapping[str, float] = 0.1,
    bits: int = 5,
    kernel_bits: int = 8,
    epochs: str | int | None = None,
    rate: float = 0.3,
    out: str | Path | None = None,
    progress: Progress | None = None,
) -> Compression:
    """Compress the classifier of a run by pruning, shared weights and Huffman codes (Deep Compression).

    The smallest weights are set to zero and the rest is fine-tuned; then the weights of each layer share few values,
    which are fine-tuned; then both are Huffman-coded. Zeros and shared values hold through every update. The result is
    a classifier like any other: it loads with exactly these weights, and predicts, explains and exports. Accuracy is
    measured at each stage on the run's test split (a run that is cross-validated was trained on all images, and `seen`
    says so). Compressing again with the same settings continues where it ended.

    It is smaller to store and to send. In memory it is as large as before, and as fast.

    Example:
        striate.compress("runs/photos", keep=0.1).ratio

    Args:
        run: the run's folder.
        keep: the fraction of weights that stay, divided among the layers by their sizes; or fractions of layers by
            their paths, as in conv1=0.66,fc1=0.08, where other layers stay whole.
        bits: bits of the number of a shared value in linear layers, from 1 to 8: 5 are 32 values, zero among them.
        kernel_bits: the same for convolutions.
        epochs: the length of each of the two fine-tunings; by default a quarter of the run's. 0 does without.
        rate: the learning rate of the fine-tunings, as a fraction of the run's (of transfer `full`, where the run is a
            linear classifier on features).
        out: the folder to write; by default compressed within the run.
        progress: called as progress(stage, done, total); by default a bar on a terminal or in a notebook.

    Raises:
        RunError: there is no run or no classifier in it, or the folder holds another compression.
        ConfigError: a setting is not possible.
        DataError: the run's data are gone or changed.
    """
    from striate.core.duration import Duration
    from striate.runs.compress import Settings, compress_run
    from striate.runs.folder import open_run
    from striate.runs.plan import Plan

    found = run_of(run)
    if found is None:
        found = open_run(run if isinstance(run, (str, Path)) else Path(run))
    length: Duration | None = None
    if epochs is None:
        whole = Plan.read(found).recipe.epochs
        amount = whole.amount / 4
        length = Duration(max(1.0, float(round(amount))) if whole.unit in ("ep", "st") else amount, whole.unit)
    elif str(epochs).strip() not in ("0", "0ep"):
        length = Duration.parse(epochs)
    settings = Settings(keep=_fractions(keep), bits=bits, kernel_bits=kernel_bits, epochs=length, rate=rate)
    folder = found.path / "compressed" if out is None else Path(out)
    return compress_run(found, folder, settings, progress=progress or silent)


def _fractions(keep: str | float | Mapping[str, float]) -> float | dict[str, float]:
    """Read fractions as the command line has them."""
    from striate.core.errors import ConfigError

    if isinstance(keep, Mapping):
        return {str(path): float(value) for path, value in keep.items()}
    pairs = [part.partition("=") for part in str(keep).split(",")]
    try:
        if len(pairs) == 1 and not pairs[0][1]:
            return float(pairs[0][0])
        return {path.strip(): float(value) for path, _, value in pairs}
    except ValueError as error:
        raise ConfigError(
            "keep is a fraction, as in 0.1, or one for each of some layers, as in conv1=0.66,fc1=0.08; received "
            f"{keep!r}."
        ) from error

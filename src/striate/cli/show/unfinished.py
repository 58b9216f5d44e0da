"""A word on standard error where a command uses the classifier of a training that is not over."""

from __future__ import annotations

from striate.cli.show.console import complain


def say_if_unfinished(run: str) -> None:
    """Say how far the training of `run`, a run or a classifier's folder, is, if it is not over."""
    from striate.classifier import standing

    unfinished = standing(run)
    if unfinished is not None:
        complain(f"The training of {run} is unfinished: {unfinished}. Used are its best weights so far.")

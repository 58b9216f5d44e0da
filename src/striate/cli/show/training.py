"""Show a training: follow it to its end, or to the safe point after Ctrl-C."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Generator
from typing import Annotated, Any

from cyclopts import Parameter

from striate.cli.interrupt import interruptible
from striate.core.names import visible


def show_training(
    work: Callable[..., Generator[Any, None, Any]],
    *,
    quiet: Annotated[bool, Parameter(help="print nothing but errors.")] = False,
) -> None:
    """Follow a training to its end, or to the safe point after Ctrl-C (exit status 130).

    Before the first step Ctrl-C ends the process at once: there is nothing to save.
    """
    from striate.cli.show.display import display
    from striate.core.allocator import tune_process
    from striate.core.processes import processes
    from striate.core.torchrun import own_rank
    from striate.runs.events import RunStarted
    from striate.training.events import SafePoint

    quiet = quiet or bool(own_rank())  # of several processes the first one prints
    tuning = tune_process()  # before the first large buffer; this process is ours
    if not tuning.applied and not quiet:
        print(f"allocator   {tuning.reason}")
    started, last = None, None
    with (
        interruptible() as interrupt,
        display(quiet) as shown,
        contextlib.closing(work(progress=shown.stage)) as events,
    ):
        for event in events:
            shown.show(event)
            if isinstance(event, RunStarted):
                started, interrupt.deferred = event, True
            last = event if isinstance(event, SafePoint) else last
            if event is last and processes().any(interrupt.requested):  # at a safe point, no event is missing
                break
        else:
            return
    if started is None or last is None:
        raise KeyboardInterrupt
    if not quiet:
        run = visible(started.run.argument)
        print(f"stopped     at {started.until.position(last.clock)}, and saved")
        print(f"resume      striate resume {run}")
        print(f"finish      striate finish {run}")
        print(f"predict     striate predict {run} IMAGES")
    sys.exit(interrupt.status)

"""What came of attacks, picture by picture: the answers before and after, how large the change is, and the files."""

from __future__ import annotations

import sys
from collections.abc import Generator
from typing import TYPE_CHECKING, Any

from striate.cli.show.console import complain, console, percent
from striate.cli.show.stages import followed
from striate.core.names import visible

if TYPE_CHECKING:
    from striate.classifier import Failure, Prediction
    from striate.verbs.fool import Fooling


def show_foolings(events: Generator[Any, None, list[Fooling | Failure]]) -> None:
    """Print each as it comes; pictures that could not be read are named on standard error (status 1)."""
    from striate.classifier import Failure

    screen = console()
    fooled: list[bool] = []

    def show(event: Fooling | Failure) -> None:
        if not isinstance(event, Failure):
            fooled.append(event.fooled.fooled)
            screen.print("\n".join(_lines(event)))

    failures = [result for result in followed(events, show) if isinstance(result, Failure)]
    if len(fooled) > 1:
        screen.print(f"{sum(fooled)} of {len(fooled)} fooled")
    for failure in failures:
        complain(f"{failure.name} cannot be read: {failure.reason}.")
    if failures:
        sys.exit(1)


def _lines(fooling: Fooling) -> list[str]:
    fooled = fooling.fooled
    before, adversarial = fooled.subject.prediction, fooled.adversarial
    if fooled.already:
        return [f"{before.name}: {_said(before)}; it is this class already, so nothing is changed or written"]
    verdict = "fooled" if fooled.fooled else "not fooled"
    within = "" if fooled.epsilon is None else f" within {fooled.epsilon:g}"
    change = f"at most {adversarial.linf[0]:.3g} of 255 grey levels, {adversarial.l2[0]:.4g} in L2"
    return [
        f"{visible(before.name)}: {_said(before)} → {_said(fooled.after)}; {verdict}{within}",
        f"    change  {change}",
        f"    sheet   {fooling.sheet}",
        f"    picture {fooling.picture}",
    ]


def _said(prediction: Prediction) -> str:
    return f"{prediction.label}, {percent(prediction.probability, 1)}"

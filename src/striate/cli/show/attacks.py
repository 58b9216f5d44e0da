"""Attacks, image by image: the answers before and after, the size of the change, and the files."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from striate.cli.show.console import console
from striate.cli.show.results import end, followed, said
from striate.core.names import visible

if TYPE_CHECKING:
    from striate.classifier import Failure
    from striate.verbs.fool import Attack


def show_attacks(work: Callable[..., list[Attack | Failure]]) -> None:
    """Print each attack as soon as it is there; images that cannot be read are named at the end (status 1)."""
    screen = console()
    attacks, failures = followed(work, lambda attack: screen.print("\n".join(_lines(attack))))
    if len(attacks) > 1:
        screen.print(f"{sum(attack.fooled.fooled for attack in attacks)} of {len(attacks)} fooled")
    end(failures)


def _lines(attack: Attack) -> list[str]:
    fooled = attack.fooled
    before, adversarial = fooled.subject.prediction, fooled.adversarial
    if fooled.already:
        already = f"it is {fooled.aim.label} already, so nothing is changed or written"
        return [f"{visible(before.name)}: {said(before)}; {visible(already)}"]
    verdict = "fooled" if fooled.fooled else "not fooled"
    within = "" if fooled.epsilon is None else f" within {fooled.epsilon:g}"
    change = f"at most {adversarial.linf[0]:.3g} of 255 grey levels, {adversarial.l2[0]:.4g} in L2"
    return [
        f"{visible(before.name)}: {said(before)} → {said(fooled.after)}; {verdict}{within}",
        f"    change  {change}",
        f"    sheet   {attack.sheet}",
        f"    image   {attack.image}",
    ]

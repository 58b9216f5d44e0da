"""Figures as their sources print them, and whether a count is theirs to the digits printed."""

from __future__ import annotations

import re
from fractions import Fraction

from promises.subject import Subject

_UNITS = {"": 1, "k": 10**3, "m": 10**6, "b": 10**9, "g": 10**9, "t": 10**12}
_WORDS = {"thousand": "k", "million": "m", "billion": "b"}
_POWERS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹", "0123456789")


def read_figure(printed: str) -> tuple[Fraction, Fraction]:
    """The number, and how much one unit of its last digit is: "25.6 M" is 25,600,000 to 100,000.

    Units are K, M, B or G, T, the words for them, or a power of ten, as in "3.8 × 10⁹".
    """
    text = printed.strip().lower()
    for word, unit in _WORDS.items():
        text = text.replace(word, unit)
    found = re.fullmatch(r"(\d[\d,]*)(\.\d+)?\s*(?:([kmbgt]?)|[×x]\s*10\^?([\d⁰¹²³⁴⁵⁶⁷⁸⁹]+))", text)
    if found is None:
        raise ValueError(f"{printed!r} is no figure with its unit, as in '25.6 M' or '61,706'")
    whole, decimals, unit, power = found.groups()
    scale = 10 ** int(power.translate(_POWERS)) if power else _UNITS[unit or ""]
    number = Fraction(whole.replace(",", "") + (decimals or ""))
    return number * scale, Fraction(scale, 10 ** max(0, len(decimals or "") - 1))


def agrees(counted: int, printed: str) -> bool:
    """Whether `counted`, rounded to the digits of `printed`, is what is printed."""
    value, last = read_figure(printed)
    return abs(counted - value) <= last / 2


def its_published_figures_are_its_own(subject: Subject) -> None:
    """To the digits printed, or the card says why they are not; accuracies are per cents, with their protocol."""
    for figures in subject.card.published:
        assert figures.source, figures
        counts = [(figures.parameters, subject.card.parameters), (figures.macs, subject.card.macs)]
        stated = [(printed, counted) for printed, counted in counts if printed]
        same = all(agrees(counted, printed) for printed, counted in stated)
        assert same or figures.differs, f"{figures.source} prints {stated}, and the card does not say why"
        assert not (same and figures.differs), f"{figures.source} agrees; nothing differs: {stated}"
        for accuracy in (figures.top1, figures.top5):
            assert accuracy is None or 0 < accuracy < 100
        if figures.top1 is not None and figures.top5 is not None:
            assert figures.top1 < figures.top5
        if figures.top1 or figures.top5:
            assert figures.protocol, f"{figures.source}: an accuracy without its protocol"

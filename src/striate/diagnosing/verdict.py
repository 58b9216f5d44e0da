"""Verdicts: what a rule found."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Verdict:
    """The outcome of a rule about `subject`, with the numbers it rests on.

    `remedy` is the next thing to try, one sentence; None where there is no fault.
    """

    subject: str
    outcome: str
    rule: str
    evidence: str
    remedy: str | None = None

    @property
    def fault(self) -> bool:
        """Whether the rule found a fault."""
        return self.remedy is not None

    @property
    def sentence(self) -> str:
        """Subject, outcome and evidence."""
        return f"{self.subject}: {self.outcome}; {self.evidence}"

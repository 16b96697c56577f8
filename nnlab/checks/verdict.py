"""The result of a rung: findings, each with a number, a threshold and advice, and the verdict from all."""

from __future__ import annotations

from dataclasses import dataclass, field

from nnlab.arguments import typed
from nnlab.errors import UserError

STATUSES = ("pass", "warn", "fail")  # best first


@typed
@dataclass(frozen=True)
class Finding:
    """One result of a rung: a number compared with its threshold, in a sentence.

    `cause` is the name of the fault, the same in every rung; empty if nothing is wrong. A finding passes if
    and only if the number is within its limit: the sentence, which prints both, cannot contradict the status.
    Most limits are upper ones, "(limit 3)"; with `at_least` it is a lower one, "(at least 3)".
    """

    status: str
    number: float
    threshold: float  # the number may equal it
    found: str  # a sentence with both numbers in it
    advice: str = ""
    cause: str = ""
    at_least: bool = False

    def __post_init__(self):
        if self.status not in STATUSES:
            raise UserError(f"status = '{self.status}': expected one of {', '.join(STATUSES)}")
        if (self.status == "pass") != self.within:
            raise UserError(
                f"{self.status}: {self.number:g} with a limit of {self.threshold:g}: {self.found}"
            )

    def __str__(self):
        return f"{self.found} -> {self.advice}" if self.advice else self.found

    @property
    def within(self) -> bool:
        """Whether the number is on the right side of its limit; NaN never is."""
        return self.number >= self.threshold if self.at_least else self.number <= self.threshold


@typed
@dataclass(frozen=True, repr=False)
class Verdict:
    """The result of a rung for a job: its findings, the worst first, and the numbers behind them."""

    rung: str
    findings: tuple[Finding, ...]
    details: dict = field(default_factory=dict)
    seconds: float = 0.0

    def __post_init__(self):
        if not self.findings:
            raise UserError("findings = (): expected at least one")

    @staticmethod
    def from_findings(rung: str, findings: list[Finding], details: dict | None = None) -> Verdict:
        """The verdict with the findings that are wrong, the worst first; with all of them if none is
        wrong."""
        wrong = [finding for finding in findings if finding.status != "pass"]
        worst_first = sorted(wrong or findings, key=lambda finding: -STATUSES.index(finding.status))
        return Verdict(rung, tuple(worst_first), details or {})

    def __repr__(self):
        findings = "; ".join(map(str, self.findings))
        return f"<Verdict: {self.rung} {self.status}: {findings}>"

    @property
    def worst(self) -> Finding:
        return self.findings[0]

    @property
    def status(self) -> str:
        return self.worst.status

    @property
    def causes(self) -> list[str]:
        """The names of the faults, the worst first."""
        return [finding.cause for finding in self.findings if finding.cause]


def grade(number: float, warn: float, fail: float) -> str:
    """The status of a number that should be small; NaN fails.

    >>> grade(1, 1, 2), grade(1.5, 1, 2), grade(float("nan"), 1, 2)
    ('pass', 'warn', 'fail')
    """
    if number <= warn:
        return "pass"
    return "warn" if number <= fail else "fail"

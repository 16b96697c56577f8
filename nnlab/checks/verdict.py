"""What a rung says: findings, each with its number, its threshold and its advice; and the verdict of all."""

from __future__ import annotations

from dataclasses import dataclass, field

from nnlab.arguments import typed
from nnlab.errors import UserError

STATUSES = ("pass", "warn", "fail")  # from good to bad


@typed
@dataclass(frozen=True)
class Finding:
    """One thing that a rung found.

    `cause` is the fault's name in one word, the same wherever it is found, and empty where nothing is wrong.
    It passes if and only if the number is within its limit: a sentence that prints both cannot contradict
    its status. Most limits are upper ones, "(limit 3)"; with `at_least` it is a lower one, "(at least 3)".
    """

    status: str
    number: float
    threshold: float  # the number may reach it, and not pass it
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

    @property
    def within(self) -> bool:
        """Is the number on the right side of its limit? What is no number never is."""
        return self.number >= self.threshold if self.at_least else self.number <= self.threshold


@typed
@dataclass(frozen=True, repr=False)
class Verdict:
    """What a rung says of a job: its findings, the worst first, and the numbers behind them."""

    rung: str
    findings: tuple[Finding, ...]
    details: dict = field(default_factory=dict)
    seconds: float = 0.0

    def __post_init__(self):
        if not self.findings:
            raise UserError("findings = (): expected at least one")

    @staticmethod
    def of(rung: str, findings: list[Finding], details: dict | None = None) -> Verdict:
        """What is wrong, the worst first (of equals, the first found); where nothing is, everything."""
        wrong = [finding for finding in findings if finding.status != "pass"]
        worst_first = sorted(wrong or findings, key=lambda finding: -STATUSES.index(finding.status))
        return Verdict(rung, tuple(worst_first), details or {})

    def __repr__(self):
        said = "; ".join(f"{f.found}{f' -> {f.advice}' if f.advice else ''}" for f in self.findings)
        return f"<Verdict: {self.rung} {self.status}: {said}>"

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


def graded(number: float, warn: float, fail: float) -> str:
    """The status of a number that should be small; what is no number fails.

    >>> graded(1, 1, 2), graded(1.5, 1, 2), graded(float("nan"), 1, 2)
    ('pass', 'warn', 'fail')
    """
    return "pass" if number <= warn else "warn" if number <= fail else "fail"

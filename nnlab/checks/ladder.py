"""The rungs in their order, each a question: is it the start, the gradient, the step, the data?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from time import perf_counter

from nnlab.alone import Alone
from nnlab.arguments import typed
from nnlab.checks import data, determinism, gradients, rates, saturation, start, subset
from nnlab.checks.subject import Budget, Subject
from nnlab.checks.verdict import Finding, Verdict
from nnlab.errors import UserError
from nnlab.experiment import Experiment
from nnlab.fields import Part, static

RUNGS = {
    "start": start.check,
    "gradients": gradients.check,
    "subset": subset.check,
    "saturation": saturation.check,
    "rates": rates.check,
    "data": data.check,
    "determinism": determinism.check,
}


@dataclass(frozen=True)
class Rungs(Part):
    """`only`: a rung, a list of them, or null for all."""

    only: str | tuple[str, ...] | None = static(None, choices=tuple(RUNGS))


LEARNING = ("subset", "rates")  # rungs that ask how well the job learns
NOTHING = Finding("pass", 0, 0, "nothing to learn: the target is constant (data)")


def chosen(only) -> list[str]:
    """The rungs that `only` names: one, several in a list, or null for all. Raises `UserError`."""
    asked = Rungs(only).only
    names = tuple(RUNGS) if asked is None else (asked,) if isinstance(asked, str) else asked
    if not names:
        raise UserError(f"only = []: expected null for all rungs, or some of {', '.join(RUNGS)}")
    return [rung for rung in RUNGS if rung in names]


def climb(subject: Subject, rungs: list[str]) -> Iterator[Verdict]:
    """Each rung's verdict as soon as it is there."""
    for rung in rungs:
        began = perf_counter()
        idle = subject.idle and rung in LEARNING
        verdict = Verdict.of(rung, [NOTHING]) if idle else RUNGS[rung](subject)
        yield replace(verdict, seconds=perf_counter() - began)


@typed
def check(experiment: Experiment, only=None, budget: Budget | None = None) -> Iterator[Verdict]:
    """What `nnlab check` does: a `Verdict` a rung, as soon as it is there.

    >>> for verdict in check(Experiment(), only=["start", "data"]):
    ...     print(verdict.rung, verdict.status)
    start pass
    data pass

    `only` is the name of a rung, or several: start, gradients, subset, saturation, rates, data, determinism.
    Raises `UserError` for what does not go together.
    """
    return Alone("check", climb(Subject(experiment, budget), chosen(only)))

"""The ladder of checks: the rungs of `nnlab check` in their order, and the loop that runs them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from time import perf_counter

from nnlab.arguments import typed
from nnlab.checks import data, determinism, gradients, rates, saturation, start, subset
from nnlab.checks.objective import Objective
from nnlab.checks.planted import refuse_unknown
from nnlab.checks.subject import Budget, Subject
from nnlab.checks.verdict import Finding, Verdict
from nnlab.choices import short_repr
from nnlab.errors import UserError, list_names
from nnlab.exclusive import Exclusive
from nnlab.experiment import Experiment
from nnlab.hyperparameters import Component, static
from nnlab.training.experiments_on_arrays import experiments_on_arrays, given_arrays

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
class CheckSettings(Component):
    """The settings `only`: a rung, a list of rungs, or null for all; and `plant`: a box, or null."""

    only: str | tuple[str, ...] | None = static(None, choices=tuple(RUNGS))
    plant: str | None = static(None)


LEARNING_RUNGS = ("subset", "rates")  # rungs that test how well the job learns
NOTHING_TO_LEARN = Finding("pass", 0, 0, "nothing to learn: the target is constant (data)")


def select_rungs(only) -> list[str]:
    """The rungs that `only` names: one, several in a list, or null for all. Raises `UserError`."""
    names = CheckSettings(only).only
    if names is None:
        return list(RUNGS)
    if isinstance(names, str):
        names = (names,)
    if not names:
        raise UserError(f"only = []: expected null for all rungs, or some of {', '.join(RUNGS)}")
    return [rung for rung in RUNGS if rung in names]


def make_subject(experiment: Experiment, rungs: list[str], budget=None, plant=None) -> Subject:
    """The experiment that these rungs check. Raises `UserError` if `plant` is none of its boxes."""
    plant = CheckSettings(plant=plant).plant
    if plant is None:
        return Subject(experiment, budget)
    if "gradients" not in rungs:
        raise UserError(
            f"plant = '{plant}': the rung that finds it is gradients, and only = {list_names(rungs)}"
        )
    refuse_unknown(plant, Objective(Subject(experiment, budget)).network)
    return Subject(experiment, budget, plant)


def run_rungs(subject: Subject, rungs: list[str]) -> Iterator[Verdict]:
    """Run the rungs; yields the verdict of each as soon as it is known."""
    for rung in rungs:
        began = perf_counter()
        if subject.has_constant_target and rung in LEARNING_RUNGS:
            verdict = Verdict.from_findings(rung, [NOTHING_TO_LEARN])
        else:
            verdict = RUNGS[rung](subject)
        yield replace(verdict, seconds=perf_counter() - began)


@typed
def check(
    experiment: Experiment | None = None, *arrays, only=None, budget: Budget | None = None, plant=None,
    x=None, y=None, x_test=None, y_test=None,
) -> Iterator[Verdict]:  # fmt: skip
    """What `nnlab check` does: yields the `Verdict` of each rung as soon as it is known.

    >>> for verdict in check(Experiment(), only=["start", "data"]):
    ...     print(verdict.rung, verdict.status)
    start pass
    data pass

    Arrays x and y that follow the experiment, and a test set, take the place of its data, as in `nnlab.fit`.
    `only`, which may also follow the experiment, is the name of a rung, or several: start, gradients, subset,
    saturation, rates, data, determinism. `plant` is the name of a box whose gradient is given the wrong sign,
    to see the rung gradients find it.
    Raises `UserError` for what does not go together.
    """
    # `check(experiment, only, budget)` and `check(experiment, x, y)` are both natural to write.
    if len(arrays) == 2 and isinstance(arrays[1], Budget):
        arrays, budget = arrays[:1], arrays[1]
    if len(arrays) == 1 and only is None and not hasattr(arrays[0], "shape"):
        arrays, only = (), arrays[0]
    first = () if experiment is None else (experiment,)
    arguments = (*first, *arrays, *given_arrays(x, y))
    if len(arguments) == 1 and not isinstance(experiment, Experiment):
        raise UserError(f"experiment = {short_repr(experiment)}: expected a nnlab.Experiment")
    experiments = experiments_on_arrays(arguments, x_test, y_test)
    if len(experiments) > 1:
        raise UserError(f"nnlab.check takes one experiment, not {len(experiments)}")
    rungs = select_rungs(only)
    return Exclusive("check", run_rungs(make_subject(experiments[0], rungs, budget, plant), rungs))

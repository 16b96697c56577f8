"""Settings of a search: sampler, pruner, objective, number of trials. The dataclass of configs/sweep.yaml."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from nnlab.allowed import LARGEST_COUNT
from nnlab.arguments import typed
from nnlab.errors import UserError
from nnlab.hyperparameters import Component, compose, part, static
from nnlab.jobs.launchers import LAUNCHERS, Launcher, Local
from nnlab.metrics import METRICS, larger_is_better
from nnlab.search.pruners import PRUNERS, Pruner
from nnlab.search.samplers import SAMPLERS, TPE, Sampler

OBJECTIVES = (
    "val_loss", "val_error", "train_loss", "train_error", "penalty", "grad_norm", "small_weights",
    "parameters", *METRICS,
)  # fmt: skip
GROUPS = {"sampler": SAMPLERS, "pruner": PRUNERS, "launcher": LAUNCHERS}
DEFAULT_TRIALS = 64


@dataclass(frozen=True)
class Search(Component):
    """Everything about a sweep but its space and its experiment.

    objective  what trials are compared by: its value at each row's best epoch, mean over the rows; or a list
               of several: then the best are a Pareto front. `parameters` is how many numbers are trained.
               auto: the experiment's metric if it is one of the table; else val_loss, or val_error where the
               losses of trials are in different units
    direction  minimize or maximize; or a list, one for each objective. auto: maximize for metrics of which
               more is better, as of accuracy
    batch      so many trials are chosen, trained and reported together; auto: 16 if the sampler learns from
               earlier trials, else up to 128
    rows       the most rows of a stack; auto: as many as the cache has room for
    distinct   no trial twice
    launcher   where trials train; no result depends on it
    """

    sampler: Sampler = part(SAMPLERS, TPE)
    pruner: Pruner = part(PRUNERS, Pruner)
    trials: int | Literal["auto"] = static("auto", low=1, high=1_000_000)
    objective: str | tuple[str, ...] = static("auto", choices=("auto", *OBJECTIVES))
    direction: str | tuple[str, ...] = static("auto", choices=("auto", "minimize", "maximize"))
    batch: int | Literal["auto"] = static("auto", low=1, high=10_000)
    rows: int | Literal["auto"] = static("auto", low=1, high=LARGEST_COUNT)
    distinct: bool = static(True)
    launcher: Launcher = part(LAUNCHERS, Local)

    if TYPE_CHECKING:  # what an editor knows: a part may be given by its name, though the field is the part

        def __init__(
            self,
            sampler: Sampler | str = ...,
            pruner: Pruner | str = ...,
            trials: int | Literal["auto"] = ...,
            objective: str | Sequence[str] = ...,
            direction: str | Sequence[str] = ...,
            batch: int | Literal["auto"] = ...,
            rows: int | Literal["auto"] = ...,
            distinct: bool = ...,
            launcher: Launcher | str = ...,
        ) -> None: ...

    def __post_init__(self):
        super().__post_init__()
        count = len(self.objectives)
        if not count:
            raise UserError("objective = []: expected at least one of " + ", ".join(OBJECTIVES))
        if len(self.signs) != count:
            raise UserError(
                f"direction = {list(self.direction)}: expected one for each of {count} objectives"
            )
        if len(set(self.objectives)) < count:
            raise UserError(f"objective = {list(self.objectives)}: one of them is there twice")
        if count > self.sampler.objectives:
            limit = _objective_count(self.sampler.objectives)
            raise UserError(f"sampler={self.sampler.name} takes {limit}, not {count}; take sampler=tpe")
        if self.pruner.prunes and count > self.pruner.objectives:
            limit = _objective_count(self.pruner.objectives)
            raise UserError(f"pruner={self.pruner.name} judges by {limit}, not {count}; take pruner=none")
        if self.pruner.prunes and self.objectives == ("parameters",):
            raise UserError("objective=parameters does not change while training: take pruner=none")

    @property
    def requested_objectives(self) -> tuple[str, ...]:
        """The objectives as the user gave them, perhaps `auto`."""
        return (self.objective,) if isinstance(self.objective, str) else self.objective

    @property
    def objectives(self) -> tuple[str, ...]:
        """The same; `auto` is val_loss, until `comparable.choose_objective` says otherwise."""
        return tuple("val_loss" if name == "auto" else name for name in self.requested_objectives)

    def for_metric(self, metric: str) -> Search:
        """The search of trials whose best epoch is that of this `metric`: `auto` stands for it if it is one
        of the table, and else remains."""
        if metric not in METRICS:
            return self
        names = tuple(metric if name == "auto" else name for name in self.requested_objectives)
        return replace(self, objective=names if len(names) > 1 else names[0])

    @property
    def signs(self) -> tuple[int, ...]:
        """1 for an objective to minimise, -1 for one to maximise."""
        directions = self.direction
        if isinstance(directions, str):
            directions = (directions,) * len(self.objectives)
        signs = {"minimize": 1, "maximize": -1}
        pairs = zip(self.objectives, directions, strict=False)  # `__post_init__` counts them
        given = [signs.get(direction) or natural_sign(name) for name, direction in pairs]
        return (*given, *[1] * (len(directions) - len(given)))

    @staticmethod
    @typed
    def from_config(config: dict) -> Search:
        """The search that a plain nested dict describes; raises `UserError` where it is wrong."""
        return compose(Search, GROUPS, config)


def natural_sign(objective: str) -> int:
    """1 if less of it is better, -1 if more is."""
    return -1 if larger_is_better(objective) else 1


def _objective_count(objectives: int) -> str:
    return "one objective" if objectives == 1 else f"{objectives} objectives"

"""Candidates of a sweep: the experiments of its trials, and whether its space has any that can be trained."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from itertools import combinations, islice, product

from nnlab.choices import shown
from nnlab.errors import UserError
from nnlab.experiment import Experiment
from nnlab.search.batch_training import Candidate, candidate
from nnlab.search.from_python import variant
from nnlab.search.space import Space
from nnlab.search.trial import key_of
from nnlab.training.data_cache import DataCache

COMBINATIONS_TRIED = 500  # for one that goes with a value


class CandidateMaker:
    """Makes candidates of parameters. One that cannot be trained, or ranked by the `objectives`, says why."""

    def __init__(
        self, space: Space, experiment_of: Callable[[dict], Experiment] | Experiment, cache: DataCache,
        objectives: tuple[str, ...],
    ):  # fmt: skip
        self.space, self.experiment_of = space, experiment_of
        self.cache, self.objectives = cache, objectives
        self.device: str | None = None  # of trials that ask for none
        self._made: dict[tuple, Candidate] = {}  # of the next batch

    def experiment(self, params: dict) -> Experiment:
        """The experiment of a trial's parameters. Raises `UserError`."""
        e = self._as_asked_for(params)
        return replace(e, device=self.device) if self.device and e.device == "auto" else e

    def _as_asked_for(self, params: dict) -> Experiment:
        values = self.space.values(params)
        if isinstance(self.experiment_of, Experiment):
            return variant(self.experiment_of, values)
        made = self.experiment_of(values)
        if not isinstance(made, Experiment):
            raise UserError(f"the function gave {shown(made)} for {values}: expected a nnlab.Experiment")
        return made

    def make(self, params: dict, number: int = 0) -> Candidate:
        # Found out here, before anything trains: in training it would end the whole sweep.
        new = candidate(number, params, self.experiment, self.cache)
        if new.experiment is None:
            return new
        unmeasured = [name for name in self.objectives if name.startswith("val_")]
        if unmeasured and not new.experiment.split.validates:
            wrong = (
                f"objective={unmeasured[0]} is measured on validation examples, of which "
                f"split={new.experiment.split.name} holds back none: set objective=train_loss"
            )
            return Candidate(number, params, wrong=wrong, unranked=True)
        if "small_weights" in self.objectives and new.experiment.regularizer.small is None:
            wrong = "objective = small_weights: set regularizer.small, what counts as small"
            return Candidate(number, params, wrong=wrong, unranked=True)
        return new

    # ---- of the next batch, made once for choosing and for training

    def of_next_batch(self, params: dict) -> Candidate:
        key = key_of(params)
        if key not in self._made:
            self._made[key] = self.make(params)
        return self._made[key]

    def is_possible(self, params: dict) -> bool:
        return not self.of_next_batch(params).wrong

    def begin_batch(self) -> None:
        """Forget the candidates of the batch: experiments keep their data in memory."""
        self._made.clear()

    # ---- before the sweep begins

    def one_of_each(self) -> list[Candidate]:
        """A trial for every end or value of every parameter.

        Raises `UserError` for a value that fits nowhere, and where no trial can be ranked.

        What cannot go together is for the trials to find out: in which order values stand says nothing.
        """
        possible: dict[tuple, Candidate] = {}
        unranked: list[str] = []
        for key, domain in self.space.domains.items():
            for label in domain.ends():
                tried = self._tried(key, label)
                if tried and tried[-1].experiment:
                    possible[key_of(tried[-1].params)] = tried[-1]
                    continue
                of_value = [c.wrong for c in tried if c.unranked]
                unranked += of_value
                if tried and not of_value:
                    raise UserError(_shortest(c.wrong for c in tried))
        if not possible:
            raise UserError(_shortest(unranked))
        return list(possible.values())

    def _tried(self, key: str, label) -> list[Candidate]:
        """Candidates with this value, up to the first that can be trained."""
        tried = []
        for params in islice(self._with_value(key, label), COMBINATIONS_TRIED):
            tried.append(self.make(params))
            if tried[-1].experiment:
                break
        return tried

    def _with_value(self, key: str, label) -> Iterator[dict]:
        """Trials with this value: all other parameters at their first end, then one of them at another end,
        then two, ..."""
        ends = {k: domain.ends() for k, domain in self.space.domains.items()}
        first = {k: each[0] for k, each in ends.items()} | {key: label}
        others = [k for k in ends if k != key]
        for count in range(len(others) + 1):
            for moved in combinations(others, count):
                for labels in product(*(ends[k][1:] for k in moved)):
                    everything = first | dict(zip(moved, labels, strict=True))
                    chosen = {k: v for k, v in everything.items() if k in self.space.groups}
                    keys = self.space.keys(chosen)
                    # Else it is the same trial as one with fewer parameters moved.
                    if key in keys and all(k in keys for k in moved):
                        yield {k: everything[k] for k in keys}


def _shortest(reasons: Iterable[str]) -> str:
    """One of several reasons, the same whichever comes first."""
    return min(reasons, key=lambda reason: (len(reason), reason))

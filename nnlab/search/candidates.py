"""Makes the experiments of a sweep's trials, and probes whether any in the search space can be trained."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from itertools import combinations, islice, product

from nnlab.choices import short_repr
from nnlab.errors import UserError
from nnlab.experiment import Experiment
from nnlab.metrics import recorded_name
from nnlab.search.batch_training import Candidate, make_candidate
from nnlab.search.python_space import with_settings
from nnlab.search.space import Space
from nnlab.search.trial import trial_key
from nnlab.training.data_cache import DataCache

MAX_COMBINATIONS = 500  # of other values, tried before a value counts as impossible


class CandidateMaker:
    """Makes candidates from parameters. One that cannot be trained or ranked has a reason."""

    def __init__(
        self, space: Space, experiment_of: Callable[[dict], Experiment] | Experiment, cache: DataCache,
        objectives: tuple[str, ...],
    ):  # fmt: skip
        self.space, self.experiment_of = space, experiment_of
        self.cache, self.objectives = cache, objectives
        self.device: str | None = None  # for trials with device=auto
        self._cached: dict[tuple, Candidate] = {}  # the next batch's, by trial key

    def experiment(self, params: dict) -> Experiment:
        """The experiment of a trial's parameters. Raises `UserError`."""
        e = self._configured_experiment(params)
        return replace(e, device=self.device) if self.device and e.device == "auto" else e

    def _configured_experiment(self, params: dict) -> Experiment:
        values = self.space.values(params)
        if isinstance(self.experiment_of, Experiment):
            return with_settings(self.experiment_of, values)
        experiment = self.experiment_of(values)
        if not isinstance(experiment, Experiment):
            raise UserError(
                f"the function gave {short_repr(experiment)} for {values}: expected a nnlab.Experiment"
            )
        return experiment

    def make(self, params: dict, number: int = 0) -> Candidate:
        # Checked here, before anything trains: an error in training would end the whole sweep.
        candidate = make_candidate(number, params, self.experiment, self.cache, self.objectives)
        if candidate.experiment is None:
            return candidate
        unmeasured = [name for name in self.objectives if recorded_name(name).startswith("val_")]
        if unmeasured and not candidate.experiment.split.validates:
            reason = (
                f"objective={unmeasured[0]} is measured on validation examples, of which "
                f"split={candidate.experiment.split.name} holds back none: set objective=train_loss"
            )
            return Candidate(number, params, reason=reason, unrankable=True)
        if "small_weights" in self.objectives and candidate.experiment.regularizer.small is None:
            reason = "objective = small_weights: set regularizer.small, what counts as small"
            return Candidate(number, params, reason=reason, unrankable=True)
        return candidate

    # ---- candidates of the next batch, made once for both choosing and training

    def cached(self, params: dict) -> Candidate:
        """The candidate of these parameters, made only once in a batch."""
        key = trial_key(params)
        if key not in self._cached:
            self._cached[key] = self.make(params)
        return self._cached[key]

    def is_trainable(self, params: dict) -> bool:
        return not self.cached(params).reason

    def begin_batch(self) -> None:
        """Forget the candidates of the batch: experiments keep their data in memory."""
        self._cached.clear()

    # ---- before the sweep begins

    def probe_every_value(self) -> list[Candidate]:
        """A trainable candidate for every choice, and for both ends of every range, of every parameter.

        Raises `UserError` for a value with which no trial can be trained, and if no trial can be ranked or
        has a network that fits the data. Combinations that do not work together are left to the trials: they
        fail with a reason. So are values whose networks do not fit, as a kernel larger than the images: how
        far a range may go is hard to know beforehand.
        """
        trainable: dict[tuple, Candidate] = {}
        left_to_trials: list[str] = []
        for key, domain in self.space.domains.items():
            for label in domain.probe_labels():
                attempts = self._try_value(key, label)
                if attempts and attempts[-1].experiment:
                    trainable[trial_key(attempts[-1].params)] = attempts[-1]
                    continue
                reasons = [attempt.reason for attempt in attempts if attempt.unrankable or attempt.misfit]
                left_to_trials += reasons
                if attempts and not reasons:
                    raise UserError(_shortest(attempt.reason for attempt in attempts))
        if not trainable:
            raise UserError(_shortest(left_to_trials))
        return list(trainable.values())

    def _try_value(self, key: str, label) -> list[Candidate]:
        """Candidates with this value, up to the first that can be trained."""
        attempts = []
        for params in islice(self._params_with_value(key, label), MAX_COMBINATIONS):
            attempts.append(self.make(params))
            if attempts[-1].experiment:
                break
        return attempts

    def _params_with_value(self, key: str, label) -> Iterator[dict]:
        """Trials with this value: first with all other parameters at their first probe label, then with one
        of them at another label, then two, ..."""
        probe_labels = {k: domain.probe_labels() for k, domain in self.space.domains.items()}
        first = {k: labels[0] for k, labels in probe_labels.items()} | {key: label}
        other_keys = [k for k in probe_labels if k != key]
        for count in range(len(other_keys) + 1):
            for varied in combinations(other_keys, count):
                for labels in product(*(probe_labels[k][1:] for k in varied)):
                    params = first | dict(zip(varied, labels, strict=True))
                    choices = {k: v for k, v in params.items() if k in self.space.groups}
                    keys = self.space.keys(choices)
                    # Else it is the same trial as one with fewer parameters varied.
                    if key in keys and all(k in keys for k in varied):
                        yield {k: params[k] for k in keys}


def _shortest(reasons: Iterable[str]) -> str:
    """The shortest reason: independent of the order in which they were found."""
    return min(reasons, key=lambda reason: (len(reason), reason))

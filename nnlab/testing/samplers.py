"""The contract of a sampler: valid and distinct trials, which depend on the seed and earlier trials alone."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import fields

from nnlab.search.domains import Choice, Interval, Steps
from nnlab.search.samplers import Sampler
from nnlab.search.space import Space
from nnlab.search.study import Chooser
from nnlab.search.trial import COMPLETE, FAILED, PRUNED, Trial, trial_key
from nnlab.testing.components import SettingsContract

RATE, SHARE = Interval(1e-4, 1.0, log=True), Interval(0.0, 1.0)
OPTIMIZER_WITH_KEY = {"optimizer.gamma": "momentum", "optimizer.beta": "adam"}
SPACES = {  # with at least two numbers in every trial, which cmaes needs
    "numbers": Space(
        {"lr": RATE, "l2": SHARE, "n": Interval(1, 3, whole=True), "d": Steps(0.0, 0.1, 6),
         "e": Steps(5, -2, 3), "w": Interval(1, 9, log=True, whole=True)}
    ),
    "choices": Space(
        {"a": Choice((None, True, 2, 0.5, "x", [1, 2])), "lr": RATE, "b": Choice(("u", "v")), "l2": SHARE}
    ),
    "conditional": Space(
        {"optimizer.gamma": SHARE, "optimizer": Choice(("sgd", "momentum", "adam")), "lr": RATE,
         "optimizer.beta": Steps(0.5, 0.1, 4), "l2": SHARE},
        frozenset({"optimizer"}),
        lambda key, chosen: key not in OPTIMIZER_WITH_KEY or chosen["optimizer"] == OPTIMIZER_WITH_KEY[key],
    ),
}  # fmt: skip
TWELVE = Space({"a": Interval(1, 4, whole=True), "b": Steps(0.0, 0.5, 3)})


class SamplerContract(SettingsContract):
    """`sampler` is the class.

    trials    number of trials in each space; fewer for a slow sampler
    settings  of the tested samplers, such as fewer random trials at the start: startup=5
    """

    sampler: type[Sampler]
    trials = 24
    settings: dict = {}

    @property
    def part(self):
        return self.sampler

    def parts(self):
        return [self.made()]

    def made(self, **overrides) -> Sampler:
        """A sampler with these settings, as far as the class has them."""
        names = {f.name for f in fields(self.sampler)}
        return self.sampler(**{k: v for k, v in (self.settings | overrides).items() if k in names})

    def spaces(self) -> dict[str, Space]:
        """The test spaces that the sampler supports."""
        return {n: s for n, s in SPACES.items() if self.sampler.conditional or not s.conditional}

    # ---- its choices

    def test_trials_are_of_the_space_each_once(self):
        for name, space in self.spaces().items():
            found = search(space, self.made(), count=self.trials)
            assert [t.number for t in found] == list(range(self.trials)), f"{name}: not {self.trials} trials"
            assert len({t.key for t in found}) == self.trials, f"{name}: a trial came twice"
            for trial in found:
                chosen = {k: v for k, v in trial.params.items() if k in space.groups}
                assert list(trial.params) == space.keys(chosen), f"{name}: other keys than its trials have"
                wrong = [k for k, label in trial.params.items() if not is_in_domain(label, space.domains[k])]
                assert not wrong, f"{name}: {wrong[0]} = {trial.params[wrong[0]]!r} is not in its range"

    def test_the_seed_decides(self):
        """The same seed chooses the same again, another seed something else."""
        for name, space in self.spaces().items():
            first, again, other = (search(space, self.made(seed=s), count=8) for s in (0, 0, 1))
            assert first == again, f"{name}: the same seed chose something else"
            if not self.sampler.enumerates:
                assert first != other, f"{name}: another seed chose the same"

    def test_a_search_that_goes_on_is_one_that_was_not_interrupted(self):
        for name, space in self.spaces().items():
            found = search(space, self.made(), count=self.trials)
            for n in (4, 10):
                again = search(space, self.made(), count=self.trials, known=found[:n])
                assert again == found, f"{name}: after {n} trials it goes on otherwise (remembers?)"

    def test_all_of_twelve_cells_once_and_then_no_more(self):
        found = search(TWELVE, self.made(points=4), _sum, count=14)
        cells = sorted(trial_key(cell) for cell in TWELVE.cells())
        assert sorted(t.key for t in found) == cells, "a space of 12 cells has 12 trials, all of them"

    def test_a_trial_may_come_again_if_asked_for(self):
        found = search(TWELVE, self.made(points=4), _sum, count=16, distinct=False)
        assert len(found) == (12 if self.sampler.enumerates else 16), f"{len(found)} trials of 16"

    def test_both_ends_are_chosen(self):
        space = Space({"n": Interval(1, 3, True, True), "s": Steps(0.1, 0.1, 3)})
        found = search(space, self.made(), lambda p: p["n"], count=9)
        for key, ends in (("n", {1, 2, 3}), ("s", {0.1, 0.2, 0.3})):
            assert {t.params[key] for t in found} == ends, f"{key}: not all of {sorted(ends)}"

    # ---- its reaction to results

    def test_maximising_is_minimising_the_negative(self):
        space = SPACES["numbers"]
        down = search(space, self.made(), bowl, count=8)
        up = search(space, self.made(), lambda p: -bowl(p), count=8, signs=(-1,))
        assert [t.params for t in up] == [t.params for t in down], "it reads the sign of the objective wrong"

    def test_it_takes_as_many_objectives_as_it_says(self):
        if self.sampler.objectives > 1:
            f = lambda p: (bowl(p), p["l2"])  # noqa: E731
            found = search(SPACES["numbers"], self.made(), f, count=12, signs=(1, -1))
            assert len({t.key for t in found}) == 12, "with two objectives a trial came twice"

    def test_failed_and_pruned_trials_are_heard_of_too(self):
        found = self._with_failures()
        assert len({t.key for t in found}) == 15, "a trial came twice"
        assert self._with_failures(found[:9]) == found, "after 9 trials, some failed, it goes on otherwise"

    def test_what_cannot_be_trained_is_drawn_again(self):
        if self.sampler.enumerates:
            return
        chooser = Chooser(SPACES["numbers"], self.made(), (1,), is_trainable=lambda p: p["l2"] <= 0.5)
        for n in range(self.trials // 2):
            params = chooser.ask(n)
            assert params["l2"] <= 0.5, "a trial that cannot be trained, while others can"
            chooser.tell(complete_trial(n, params))

    def test_what_cannot_be_trained_comes_when_nothing_else_is_left(self):
        space = Space({"a": Interval(1, 4, whole=True), "b": Interval(1, 3, whole=True)})
        chooser, found = Chooser(space, self.made(points=4), (1,), is_trainable=lambda p: p["a"] > 1), []
        for n in range(12):
            found.append(chooser.ask(n)["a"])
            chooser.tell(Trial(n, {"a": found[-1]}, COMPLETE, (1.0,), (None,)))
        assert sorted(found) == sorted([1, 2, 3, 4] * 3), "not every cell came"
        assert self.sampler.enumerates or found[-3:] == [1, 1, 1], "what cannot be trained came too early"

    def _with_failures(self, known=()) -> list[Trial]:
        """15 trials, one after another, of which a third fails and a third is pruned."""

        def finished(n: int, params: dict) -> Trial:
            if n % 3 == 0:
                return Trial(n, params, FAILED, reason="diverged")
            losses = {1: 2.0 + n % 7, 2: 1.0 + n % 7}  # epoch -> objective
            state = PRUNED if n % 3 == 1 else COMPLETE
            return Trial(n, params, state, (losses[2],), (None,), 1, 2, intermediate_values=losses)

        return run_search(SPACES["numbers"], self.made(), finished, count=15, batch=1, known=known)


def is_in_domain(label, domain) -> bool:
    """Whether a label is in the domain, and of the right type."""
    if isinstance(domain, Interval):
        return domain.low <= label <= domain.high and isinstance(label, int if domain.whole else float)
    return any(label == x and type(label) is type(x) for x in domain.labels)


def bowl(params) -> float:
    """A quadratic bowl with minimum 0 at lr = 0.01, l2 = 0.3 and, if present, n = 2 and w = 3."""
    distance = (math.log10(params["lr"]) + 2) ** 2 + (params["l2"] - 0.3) ** 2
    return distance + (params.get("n", 2) - 2) ** 2 + math.log10(params.get("w", 3) / 3) ** 2


def search(space, sampler, f=bowl, **options) -> list[Trial]:
    """The trials of `run_search` if all are complete, with objectives f(params)."""
    return run_search(space, sampler, lambda n, params: complete_trial(n, params, f), **options)


def run_search(
    space: Space, sampler: Sampler, finished: Callable[[int, dict], Trial], count=24, batch=4, signs=(1,),
    distinct=True, known=(),
) -> list[Trial]:  # fmt: skip
    """Trials by ask and tell, batch by batch; `finished(number, params)` gives the result of each.

    `known` are trials of an earlier process, as in a sweep that is resumed.
    """
    chooser, trials = Chooser(space, sampler, signs, distinct), []
    for start in range(0, count, batch):
        numbers = range(start, min(start + batch, count))
        known_batch = [t for t in known if t.number in numbers]
        # Like a sweep: a complete batch is only added, one that is partly known is chosen again.
        if len(known_batch) == len(numbers) and not sampler.remembers:
            for trial in known_batch:
                chooser.add_finished(trial)
            trials += known_batch
            continue
        choices = {n: chooser.ask(n) for n in numbers}
        new = [finished(n, params) for n, params in choices.items() if params is not None]
        chooser.tell(*new)
        trials += new
    return trials


def complete_trial(number, params, f=bowl) -> Trial:
    """A complete trial with the objective f(params), or several in a tuple."""
    values = f(params)
    values = values if isinstance(values, tuple) else (values,)
    spread = (None,) * len(values)
    return Trial(number, params, COMPLETE, values, spread, 1, 1, intermediate_values={1: values[0]})


def _sum(params) -> float:
    return params["a"] + params["b"]

"""Samplers: they learn from results and failures, meet requirements, and TPE equals plain Optuna's.

What all samplers have in common is tested in test_contracts.py.
"""

import optuna
import pytest
from searches import SPACES, TWELVE, bowl, complete_trial, run_search, search, small_sampler

from nnlab.errors import UserError
from nnlab.search.domains import Choice, Interval, Steps
from nnlab.search.samplers import CMAES, SAMPLERS, TPE, Grid, Random
from nnlab.search.space import Space
from nnlab.search.study import Chooser
from nnlab.search.trial import COMPLETE, FAILED, PRUNED, Trial, trial_key

learning_samplers = pytest.mark.parametrize("name", [n for n, s in SAMPLERS.items() if s.learns])


@learning_samplers
def test_it_finds_the_best_as_well_as_chance_does(name):
    space, seeds = SPACES["numbers"], range(2 if name == "gp" else 5)
    counts = {"count": 16 if name == "gp" else 60}

    def mean_best(name):
        return sum(
            min(t.values[0] for t in search(space, small_sampler(name, seed=s), **counts)) for s in seeds
        )

    assert mean_best(name) <= mean_best("random")


HALF_FAILS = Space({"lr": Interval(1e-4, 1e4, log=True), "l2": Interval(0.0, 1.0)})
OBJECTIVES = {  # signs, and the objectives of a trial that does not fail
    "one objective": ((1,), lambda p: (bowl(p),)),
    "to maximise": ((-1,), lambda p: (-bowl(p),)),
    "two objectives": ((1, -1), lambda p: (bowl(p), -p["l2"])),
    "pruned": ((1,), lambda p: (bowl(p),)),
}


def search_with_failures(sampler, objective, batches, size, fails, known=()) -> list[Trial]:
    """All trials; those for which `fails(params)` fail. `known` are of an earlier process."""
    signs, f = OBJECTIVES[objective]

    def finished(n, params):
        if fails(params):
            return Trial(n, params, FAILED, reason="diverged")
        state = PRUNED if objective == "pruned" and n % 3 else COMPLETE
        values = f(params)
        return Trial(
            n, params, state, values, (None,) * len(values), 1, 1, intermediate_values={1: values[0]}
        )

    return run_search(HALF_FAILS, sampler, finished, batches * size, size, signs, known=known)


def _learns(sampler, objective: str) -> bool:
    """Whether it can have the objective; to gp, which takes its time, some are the same as one objective."""
    few = sampler.name == "gp" and objective in ("to maximise", "pruned")
    return sampler.learns and len(OBJECTIVES[objective][0]) <= sampler.objectives and not few


@pytest.mark.parametrize(
    "name, objective", [(n, o) for n, s in SAMPLERS.items() for o in OBJECTIVES if _learns(s, o)]
)
def test_it_learns_to_avoid_what_fails(name, objective):
    """Half of the space fails, and half of the first batches does; of later ones hardly any trial."""
    size, batches = (8, 2) if name == "gp" else (16, 5)  # gp takes its time
    case = small_sampler(name, startup=size, population=16), objective, batches, size, lambda p: p["lr"] > 1
    trials = search_with_failures(*case)
    failed = [t.state == FAILED for t in trials]
    counts = [sum(failed[i : i + size]) for i in range(0, len(trials), size)]  # in each batch
    assert counts[-1] <= 2 < counts[0] and (name == "gp" or sum(counts[3:]) < sum(counts[:2]) / 2), counts
    if name != "gp":
        assert search_with_failures(*case, trials[: size * (batches - 1)]) == trials


class InferringTPE(TPE):
    """TPE whose search space is Optuna's to infer from the trials."""

    def optuna(self, space, seed, worked=0, failed=0):
        return optuna.samplers.TPESampler(seed=seed, n_startup_trials=max(0, self.startup - failed))


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("share", [0.9, 1])  # of the trials fail
def test_tpe_searches_the_space_that_optuna_would_infer(objective, share):
    case = objective, 3, 6, lambda p: p["l2"] < share
    own, inferred = (search_with_failures(kind(startup=4), *case) for kind in (TPE, InferringTPE))
    assert own == inferred


@pytest.mark.parametrize("space", [name for name, space in SPACES.items() if not space.conditional])
def test_so_in_any_space(space):
    own, inferred = (search(SPACES[space], kind(startup=4), count=20) for kind in (TPE, InferringTPE))
    assert own == inferred


@learning_samplers
def test_as_long_as_all_fail_it_looks_elsewhere(name):
    """Failures are no reason to stay in one region."""
    trials = search_with_failures(
        small_sampler(name, startup=4), "one objective", 2, 12, fails=lambda p: True
    )
    later = [t.params["lr"] for t in trials[12:]]
    assert len({t.key for t in trials}) == 24 and min(later) < 1e-2 and max(later) > 1e2


@pytest.mark.parametrize("name", ["tpe", "cmaes"])
def test_a_sweep_of_before_goes_on_by_its_rules(name):
    """By rule 1 failures are reported to Optuna as failed trials, as in old sweeps."""
    sampler = small_sampler(name)
    chooser, drawn = Chooser(SPACES["numbers"], sampler, (1,), rules=1, is_trainable=lambda params: False), []
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    for n in range(12):
        params = chooser.ask(n)
        state = FAILED if params["lr"] > 1e-2 else COMPLETE
        values = () if state == FAILED else (bowl(params),)
        drawn.append(Trial(n, params, state, values, (None,) * len(values), 1, 1))
        chooser.tell(drawn[-1])
    states = [t.state.name for t in chooser.study.get_trials(deepcopy=False)]
    assert [s == "FAIL" for s in states] == [t.state == FAILED for t in drawn] and "FAIL" in states


@pytest.mark.parametrize("name", [name for name, s in SAMPLERS.items() if not s.enumerates])
@pytest.mark.parametrize("space, wrong", [
    ("choices", lambda p: p["b"] == "v" and p["l2"] > 0.1),
    ("conditional", lambda p: p["optimizer"] == "adam"),
])  # fmt: skip
def test_what_cannot_be_trained_is_drawn_again(name, space, wrong):
    chooser = Chooser(SPACES[space], small_sampler(name), (1,), is_trainable=lambda p: not wrong(p))
    for n in range(6 if name == "gp" else 12):
        params = chooser.ask(n)
        assert not wrong(params)
        chooser.tell(complete_trial(n, params))


@pytest.mark.parametrize("sampler", [TPE(startup=5), TPE(startup=5, seed=7), Random()], ids=str)
def test_one_by_one_it_is_plain_optuna(sampler):
    """Reseeded the same way, on a closed-form objective, written as Optuna's own manual has it."""
    space = Space({"x": Interval(-5.0, 5.0), "n": Interval(1, 8, whole=True), "c": Choice(("a", "b")),
                   "lr": Interval(1e-5, 1.0, log=True)})  # fmt: skip

    def f(x, n, c, lr):
        return x**2 + n * (c == "a") + abs(lr - 0.01)

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(direction="minimize")
    expected = []
    for number in range(40):
        seed = sampler.trial_seed(number)
        plain = optuna.samplers.TPESampler(seed=seed, n_startup_trials=5)
        study.sampler = plain if sampler.name == "tpe" else optuna.samplers.RandomSampler(seed=seed)
        t = study.ask()
        x, n = t.suggest_float("x", -5, 5), t.suggest_int("n", 1, 8)
        c, lr = t.suggest_categorical("c", ["a", "b"]), t.suggest_float("lr", 1e-5, 1, log=True)
        study.tell(t, f(x, n, c, lr))
        expected.append({"x": x, "n": n, "c": c, "lr": lr})
    actual = search(space, sampler, lambda p: f(**p), count=40, batch=1)
    assert [t.params for t in actual] == expected


def test_seeds_are_of_the_number_and_the_attempt_alone():
    seeds = [[Random(seed=s).trial_seed(n, a) for s in (0, 1)] for n in range(9) for a in range(3)]
    assert len({seed for pair in seeds for seed in pair}) == 54
    assert Random().trial_seed(3) == TPE().trial_seed(3) and all(
        0 <= s < 2**32 for pair in seeds for s in pair
    )


def test_a_grid_turns_over_the_last_key_first_and_a_sweep_may_ask_beyond_its_end():
    chooser = Chooser(TWELVE, Grid(), (1,))
    assert [chooser.ask(n) for n in range(12)] == list(TWELVE.cells())
    assert chooser.ask(12) is None and chooser.ask(13) is None
    with pytest.raises(UserError, match="a grid needs a number of points"):
        Chooser(SPACES["numbers"], Grid(), (1,))


@pytest.mark.parametrize("domain", [Choice(("a", "b")), Steps(1, 1, 1)])
def test_cmaes_wants_numbers(domain):
    with pytest.raises(UserError, match="at least 2 parameters that are numbers.*sampler=tpe"):
        Chooser(Space({"a": domain, "b": Interval(0.0, 1.0)}), CMAES(), (1,)).ask(0)


def test_a_continuous_space_with_a_lot_of_twins_still_has_others():
    """All that random draws was there before: the last resort is a cell that was not."""
    space = Space({"a": Interval(1, 3, whole=True), "b": Interval(1, 3, whole=True)})
    chooser, seen = Chooser(space, Random(), (1,)), set()
    for n in range(9):
        params = chooser.ask(n)
        chooser.tell(Trial(n, params, FAILED))
        seen.add(trial_key(params))
    assert len(seen) == 9 and chooser.ask(9) is None

"""Pruners: rungs and decisions against the rules of the papers, and the epochs that pruning saves."""

import math
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import Points
from searches import RATE

import nnlab
from nnlab.experiment import Experiment
from nnlab.search.domains import Choice
from nnlab.search.pruners import PRUNERS, Halving, Hyperband, Median, Pruner
from nnlab.search.samplers import Random
from nnlab.search.settings import Search
from nnlab.search.space import Space
from nnlab.search.sweep import BatchStarted, Sweep
from nnlab.search.trial import COMPLETE, FAILED, PRUNED
from nnlab.training.fit import Fit
from nnlab.training.results import Record

every = pytest.mark.parametrize("pruner", [p() for p in PRUNERS.values()], ids=PRUNERS)
those_that_prune = pytest.mark.parametrize(
    "pruner", [p() for n, p in PRUNERS.items() if n != "none"], ids=str
)
worths = st.lists(st.floats(-9, 9), min_size=1, max_size=40, unique=True)


def keeps(pruner, rung, epochs, numbers, worth, came=None) -> np.ndarray:
    came = np.ones(len(worth), bool) if came is None else came
    return pruner.keep(rung, epochs, np.array(numbers), np.array(worth), np.array(came))


@every
@given(worth=worths, at=st.integers(0, 5), random=st.randoms(use_true_random=False))
@settings(deadline=None, max_examples=60)
def test_whom_it_keeps(pruner, worth, at, random):
    rungs = pruner.rungs(50) or [2]
    rung, numbers = rungs[at % len(rungs)], list(range(len(worth)))
    survivors = keeps(pruner, rung, 50, numbers, worth)
    assert survivors.dtype == bool and survivors.any()
    judged = [n for n in numbers if not isinstance(pruner, Hyperband)] or numbers
    if isinstance(pruner, Hyperband):  # bracket by bracket; some are not judged yet
        brackets = [pruner.bracket(n, 50) for n in numbers]
        groups = [[n for n in numbers if brackets[n] == b] for b in set(brackets)]
    else:
        groups = [judged]
    for group in groups:  # worse than one who goes on, and is not kept; never the other way round
        best_gone = min((worth[n] for n in group if not survivors[n]), default=math.inf)
        assert all(worth[n] < best_gone for n in group if survivors[n])
    order = random.sample(numbers, len(numbers))
    again = keeps(pruner, rung, 50, [numbers[i] for i in order], [worth[i] for i in order])
    assert [bool(survivors[i]) for i in order] == again.tolist()


# ---- the rules


def halved(curves, rungs, factor):
    """Jamieson and Talwalkar 2016, on recorded curves (n, epochs): trial -> the rung at which it went."""
    alive, gone = list(range(len(curves))), {}
    for rung in rungs:
        ranked = sorted(alive, key=lambda i: (curves[i][rung - 1], i))
        alive = ranked[: max(1, len(alive) // factor)]
        gone |= dict.fromkeys(set(ranked) - set(alive), rung)
    return gone


def played(pruner, curves, numbers=None):
    """The pruner on recorded curves, all trials at once: trial -> the rung at which it went."""
    epochs, numbers = curves.shape[1], range(len(curves)) if numbers is None else numbers
    gone = {}
    for rung in pruner.rungs(epochs):
        epochs_trained = [gone.get(i, rung) for i in range(len(curves))]
        worth = [curves[i, at - 1] for i, at in enumerate(epochs_trained)]
        survivors = keeps(pruner, rung, epochs, numbers, worth, [i not in gone for i in range(len(curves))])
        gone |= {i: rung for i in range(len(curves)) if i not in gone and not survivors[i]}
    return gone


def some_curves(n, epochs, seed):
    """Best so far of noisy curves."""
    random = np.random.default_rng(seed)
    ends = random.uniform(size=(n, 1))
    curve = ends + (2 - ends) * np.exp(-np.arange(epochs) / random.uniform(1, 9, (n, 1)))
    return np.minimum.accumulate(curve + 0.1 * random.normal(size=curve.shape), 1)


@pytest.mark.parametrize(
    "n, factor, first", [(27, 3, 1), (64, 3, 2), (16, 2, 2), (5, 4, 1), (1, 3, 2), (81, 3, 3)]
)
def test_halving_is_jamieson_and_talwalkars(n, factor, first):
    for seed in range(5):
        curves, pruner = some_curves(n, 30, seed), Halving(first, factor)
        assert pruner.rungs(30) == [r for k in range(9) if (r := first * factor**k) < 30]
        assert played(pruner, curves) == halved(curves, pruner.rungs(30), factor)


def test_halving_by_hand():
    curves = np.repeat([[9.0], [1.0], [2.0], [3.0], [8.0], [7.0], [4.0], [5.0], [6.0]], 8, 1)
    assert played(Halving(2, 3), curves) == {0: 2, 4: 2, 5: 2, 6: 2, 7: 2, 8: 2, 2: 6, 3: 6}


def test_halving_of_equals_keeps_the_earlier():
    assert played(Halving(1, 2), np.ones((4, 4))) == {2: 1, 3: 1, 1: 2}


def test_median_by_its_definition():
    for seed in range(5):
        curves, gone, pruner = some_curves(21, 30, seed), {}, Median(startup=5, warmup=4, interval=6)
        assert pruner.rungs(30) == [4, 10, 16, 22, 28]
        for rung in pruner.rungs(30):
            at = sorted(curves[i, gone.get(i, rung) - 1] for i in range(21))
            middle = at[10]
            gone |= {i: rung for i in range(21) if i not in gone and curves[i, rung - 1] > middle}
        assert played(pruner, curves) == gone and gone
    assert not played(Median(startup=5), some_curves(4, 30, 0))


@pytest.mark.parametrize("epochs, factor, first", [(81, 3, 1), (50, 3, 2), (20, 2, 2), (2, 3, 2)])
def test_hyperbands_brackets_have_the_papers_shares(epochs, factor, first):
    """Li et al. 2018, algorithm 1: n = ceil((s_max + 1) / (s + 1) eta^s) for s = s_max ... 0."""
    pruner = Hyperband(first, factor)
    s_max = len(pruner.rungs(epochs))
    sizes = {s_max - s: math.ceil((s_max + 1) / (s + 1) * factor**s) for s in range(s_max, -1, -1)}
    total = sum(sizes.values())
    counts = Counter(pruner.bracket(n, epochs) for n in range(total))
    assert counts == sizes
    assert [pruner.bracket(n + total, epochs) for n in range(9)] == [
        pruner.bracket(n, epochs) for n in range(9)
    ]
    if (epochs, factor, first) == (81, 3, 1):  # table 1 of the paper has 81, 34, 15, 8, 5 at R = 81
        assert sizes == {0: 81, 1: 34, 2: 15, 3: 8, 4: 5}


def test_a_bracket_of_hyperband_is_halving_that_begins_later():
    pruner, curves = Hyperband(1, 3), some_curves(60, 30, 3)
    gone, brackets = played(pruner, curves), np.array([pruner.bracket(n, 30) for n in range(60)])
    for b in range(len(pruner.rungs(30)) + 1):
        in_bracket = np.flatnonzero(brackets == b)
        expected = halved(curves[in_bracket], pruner.rungs(30)[b:], 3)
        assert {i: gone[n] for i, n in enumerate(in_bracket.tolist()) if n in gone} == expected


# ---- pruning in a sweep


DATA = Points(n=120)
SPACE = Space({"lr": RATE, "hidden": Choice((3, 5))})


def experiment_of(params):
    mlp, adam = nnlab.MLP(hidden=(params["hidden"],)), nnlab.Adam(lr=params["lr"])
    return Experiment(
        data=DATA, model=mlp, optimizer=adam, epochs=9, batch_size=32, threads=params.get("t", 1)
    )


def swept(pruner, rows="auto", threads=1, batch="auto", count=18, e=experiment_of, space=SPACE, seeds=1):
    """(sweep, row-epochs that were trained, number -> curves)."""
    search = Search(Random(), pruner, count, batch=batch, rows=rows)
    sweep = Sweep(space, search, lambda params: replace(e(params), threads=threads, seeds=seeds))
    trained, curves, batch = 0, {}, None
    for event in sweep:
        if isinstance(event, BatchStarted):
            batch = event.batch
        elif isinstance(event, Record):
            trained += len(event.rows)
        elif event.written:
            curves |= {t.number: event.batch.mean_curves(t.number) for t in event.trials}
    return sweep, trained, curves


@pytest.fixture(scope="module")
def whole():
    return swept(Pruner())


@those_that_prune
def test_pruned_rows_leave_and_the_others_keep_their_bits(pruner, whole):
    pruner = replace(pruner, **({"warmup": 2, "interval": 2} if isinstance(pruner, Median) else {}))
    sweep, trained, curves = swept(pruner)
    _, all_epochs, unpruned = whole
    assert all_epochs == 18 * 9
    assert trained == sum(t.epochs for t in sweep.trials) < 0.8 * all_epochs
    assert {t.state for t in sweep.trials} == {COMPLETE, PRUNED}
    for trial in sweep.trials:
        assert trial.epochs == (9 if trial.state == COMPLETE else trial.epochs) and trial.epochs in (
            *pruner.rungs(9), 9,
        )  # fmt: skip
        for name, curve in curves[trial.number].items():
            assert curve == unpruned[trial.number][name][: trial.epochs]


def test_halving_in_a_sweep_is_halving_on_the_curves_of_one_that_is_not_pruned(whole):
    sweep, _, _ = swept(Halving())
    so_far = np.minimum.accumulate([whole[2][n]["val_loss"] for n in range(18)], 1)
    gone = halved(so_far, [2, 6], 3)
    assert {t.number: t.epochs for t in sweep.trials if t.state == PRUNED} == gone
    complete = [t for t in sweep.trials if t.state == COMPLETE]
    assert [t.values[0] for t in complete] == [so_far[t.number, -1] for t in complete]


@those_that_prune
@pytest.mark.parametrize("rows, threads", [(1, 1), (2, 1), (2, 2), (64, 2)])
def test_how_rows_are_stacked_changes_nothing(pruner, rows, threads):
    expected, _, curves = swept(pruner)
    actual, _, again = swept(pruner, rows=rows, threads=threads)
    assert actual.trials == expected.trials and again == curves


def test_later_batches_are_judged_beside_earlier_ones():
    sweep, _, _ = swept(Halving(1, 2), batch=6)
    first, _, _ = swept(Halving(1, 2), batch=6, count=6)
    assert first.trials == sweep.trials[:6]
    alive = {t.number for t in sweep.trials}
    for rung in (1, 2, 4, 8):  # a trial goes on if it is among the better half of all that had come so far
        for t in sweep.trials:
            came = [o for o in sweep.trials[: t.number // 6 * 6 + 6] if rung in o.intermediate_values]
            better = sorted(came, key=lambda o: (o.intermediate_values[rung], o.number))[
                : max(1, len(came) // 2)
            ]
            if t.number in alive and t not in better:
                assert t.state == PRUNED and t.epochs == rung
                alive.remove(t.number)
    assert alive == {t.number for t in sweep.trials if t.state == COMPLETE}


def test_a_trial_of_several_rows_is_judged_by_its_mean_and_leaves_whole():
    sweep, trained, _ = swept(Halving(), seeds=2)
    assert trained == sum(t.rows * t.epochs for t in sweep.trials) and {t.rows for t in sweep.trials} == {2}
    worth = {t.number: t.intermediate_values for t in sweep.trials}
    first = sorted(worth, key=lambda n: worth[n][2])
    assert {t.number for t in sweep.trials if t.epochs > 2} == set(first[:6])
    for trial in sweep.trials:
        alone = Fit([replace(experiment_of(trial.params), seeds=2, epochs=trial.epochs)])
        list(alone)
        losses = [r.best["val_loss"] for r in alone.results]
        assert trial.values[0] == np.mean(losses) and trial.spread[0] == np.std(losses, ddof=1)


def test_a_trial_that_diverges_fails_and_its_other_rows_leave_at_the_next_rung():
    def wild(params):
        return replace(experiment_of(params), optimizer=nnlab.SGD(lr=params["lr"]), loss="squared_error")

    space = Space({"lr": Choice((1e30, 0.1, 0.01)), "hidden": Choice((3, 5))})
    sweep, _, _ = swept(Halving(1, 3), count=6, e=wild, space=space, seeds=2)
    failed = [t for t in sweep.trials if t.state == FAILED]
    assert {t.params["lr"] for t in failed} == {1e30} and len(failed) == 2
    assert all(
        "diverged in epoch" in t.reason and t.values == () and t.intermediate_values == {} for t in failed
    )
    assert any(t.state == COMPLETE for t in sweep.trials)

"""Schedules and stopping rules against torch, and on metrics made by hand."""

import math
import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.optim.lr_scheduler import (
    CosineAnnealingLR,
    ExponentialLR,
    LambdaLR,
    LinearLR,
    MultiStepLR,
    OneCycleLR,
    PolynomialLR,
    StepLR,
)

import nnlab
from nnlab.hyperparameters import stack
from nnlab.schedules import (
    SCHEDULES,
    Constant,
    Cosine,
    CosineLog,
    ExponentialDecay,
    HalveAndGoBack,
    HalveOnRise,
    InverseTimeDecay,
    MultiStepDecay,
    OneCycle,
    PolynomialDecay,
    Progress,
    ReduceOnPlateau,
    StepDecay,
    simulate,
)
from nnlab.stopping import RULES, Patience, Stopping

# ---- schedules

STEPS = 3  # in an epoch


def of_torch(kind, times, *arguments, **keywords) -> list[float]:
    """The rates of so many times of a schedule of torch from rate 1."""
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    scheduler, rates = kind(optimizer, *arguments, **keywords), []
    for _ in range(times):
        rates += scheduler.get_last_lr()
        optimizer.step()
        scheduler.step()
    return rates


def cosine_of_torch(epochs, floor=0.0):
    return np.repeat(of_torch(CosineAnnealingLR, epochs, epochs, eta_min=floor), STEPS)


def epochs_of_torch(kind, epochs, *arguments):
    return np.repeat(of_torch(kind, epochs, *arguments), STEPS)


def one_cycle_of_torch(epochs, *arguments):
    """Its pct_start, div_factor, final_div_factor."""
    names = ("pct_start", "div_factor", "final_div_factor")
    arguments_of_torch = dict(zip(names, arguments, strict=True)) | {"cycle_momentum": False}
    updates = epochs * STEPS
    return np.array(of_torch(OneCycleLR, updates, max_lr=1.0, total_steps=updates, **arguments_of_torch))


def wan_of_a_tenth():
    """600-400-20 epochs, divided by ten."""
    milestones, factors = [60, 100, 140, 142, 144, 146], [0.5, 0.1, 0.05, 0.01, 0.005, 0.001]
    return MultiStepDecay(milestones=milestones, factors=factors)


def factor_of_wan(epoch):
    stages = [(60, 1)] + [(40, 0.5), (40, 0.1)] + [(2, f) for f in (0.05, 0.01, 0.005, 0.001)]
    return [factor for length, factor in stages for _ in range(length)][min(epoch, 147)]


def warmup_of_torch(updates, warm):
    return np.array(of_torch(LinearLR, updates, start_factor=1 / warm, total_iters=warm - 1))


def cosine_log(epochs, cycles):
    """Cycle c lasts from update (2^c - 1) / (2^cycles - 1) T to (2^(c + 1) - 1) / (2^cycles - 1) T."""
    updates = epochs * STEPS
    ends = [(2**c - 1) / (2**cycles - 1) * updates for c in range(cycles + 1)]
    factors = []
    for t in range(updates):
        c = max(c for c in range(cycles) if ends[c] <= t + 1e-9)
        unit = ends[1]  # the length of the first cycle
        within = math.log2(2 - (ends[c + 1] - t) / (unit * 2**c))  # from 0 to 1, quicker at first
        factors.append(math.sin(math.pi * within) ** 2)
    return np.array(factors)


FIXED = {  # schedules that follow no metric: for each row, its epochs and every update's factor
    "constant": [(Constant(), 3, np.ones(9)), (Constant(), 5, np.ones(15))],
    "constant-warmup": [
        (Constant(warmup=2.0), 4, warmup_of_torch(12, 6)), (Constant(warmup=0.5), 2, [2 / 3, 1, 1, 1, 1, 1]),
        (Constant(), 3, np.ones(9)), (Constant(warmup=100.0), 3, np.arange(1, 10) / 300),
    ],
    "cosine": [(Cosine(), 2, [1, 1, 1, 0.5, 0.5, 0.5]), (Cosine(floor=0.5), 2, [1, 1, 1, 0.75, 0.75, 0.75])],
    "cosine-of-torch": [
        (Cosine(floor=floor), epochs, cosine_of_torch(epochs, floor))
        for floor, epochs in [(0.0, 10), (0.1, 50), (1.0, 7)]
    ],
    "cosine-log": [(CosineLog(), epochs, cosine_log(epochs, 4)) for epochs in (1, 5, 16)] + [
        (CosineLog(cycles=1), 2, cosine_log(2, 1)), (CosineLog(cycles=2), 3, cosine_log(3, 2)),
    ],
    "step": [
        (StepDecay(), 25, epochs_of_torch(StepLR, 25, 10, 0.1)),
        (StepDecay(every=3, factor=0.7), 11, epochs_of_torch(StepLR, 11, 3, 0.7)),
        (StepDecay(every=1, factor=2.0), 4, np.repeat([1, 2, 4, 8], STEPS)),
    ],
    "step-of-updates": [
        (StepDecay(every=5, factor=0.5, unit="updates"), 9, of_torch(StepLR, 27, 5, 0.5)),
        (StepDecay(every=1, factor=0.9, unit="updates"), 2, of_torch(StepLR, 6, 1, 0.9)),
    ],
    "steps": [  # lists of other lengths, and an empty one
        (MultiStepDecay(), 25, epochs_of_torch(MultiStepLR, 25, [10, 20], 0.1)),
        (MultiStepDecay(milestones=[1, 2, 7], factors=[0.5, 0.25, 0.125]), 9,
         epochs_of_torch(MultiStepLR, 9, [1, 2, 7], 0.5)),
        (MultiStepDecay(milestones=[], factors=[]), 3, np.ones(9)),
        (wan_of_a_tenth(), 148, epochs_of_torch(LambdaLR, 148, factor_of_wan)),
        (MultiStepDecay(milestones=[2], factors=[3.0], warmup=1.0), 3, [1 / 3, 2 / 3, 1, 1, 1, 1, 3, 3, 3]),
    ],
    "steps-of-updates": [
        (MultiStepDecay(milestones=[4, 8], factors=[0.1, 0.01], unit="updates"), 5,
         of_torch(MultiStepLR, 15, [4, 8], 0.1)),
    ],
    "exponential": [
        (ExponentialDecay(gamma=gamma), epochs, epochs_of_torch(ExponentialLR, epochs, gamma))
        for gamma, epochs in [(0.95, 30), (0.5, 4), (1.0, 3)]
    ],
    "inverse-time": [
        (InverseTimeDecay(decay=decay), epochs, 1 / (1 + decay * np.arange(epochs * STEPS)))
        for decay, epochs in [(1e-6, 30), (0.5, 4), (0, 3)]
    ],
    "polynomial": [
        (PolynomialDecay(power=power), epochs, epochs_of_torch(PolynomialLR, epochs, epochs, power))
        for power, epochs in [(1.0, 30), (0.5, 4), (2.3, 7)]
    ] + [(PolynomialDecay(end=0.2), 4, np.repeat([1, 0.8, 0.6, 0.4], STEPS))],
    "one-cycle": [
        (OneCycle(*values), epochs, one_cycle_of_torch(epochs, *values))
        for epochs, *values in [
            (30, 0.3, 25.0, 1e4), (4, 0.5, 2.0, 3.0), (7, 0.9, 1.0, 10.0), (2, 0.0, 25.0, 1e4),
            (1, 0.3, 25.0, 1e4),  # up to update -0.1
        ]
    ] + [(OneCycle(1.0, 4.0, 5.0), 1, [0.25, 0.625, 1])],
    "one-cycle-warmup": [
        (OneCycle(warmup=2.0), 9, one_cycle_of_torch(9, 0.3, 25.0, 1e4) * warmup_of_torch(27, 6)),
    ],
    "cosine-warmup": [(Cosine(warmup=2.0), 9, cosine_of_torch(9) * warmup_of_torch(27, 6))],
}  # fmt: skip
NAN, INF = float("nan"), float("inf")
LECTURE = {"tolerance": 0.0}
HALVES = [  # the metrics of some rows, and their factor in every epoch
    (HalveOnRise(**LECTURE), [5, 4, 6, 4.5, 4, 3], [1, 1, 1, 0.5, 0.5, 0.5]),
    (HalveOnRise(factor=0.1, **LECTURE), [1, 2, 3, 3, 0.5, 0.7], [1, 1, 0.1, 0.01, 0.01, 0.01]),
    (HalveOnRise(tolerance=0.25), [4, 5, 6.5, 4, 5.1, 6], [1, 1, 1, 0.5, 0.5, 0.25]),
    (HalveOnRise(tolerance=0.5), [-4, -3, -1, -0.4, 0, 1], [1, 1, 1, 0.5, 0.25, 0.125]),
    (HalveOnRise(), [NAN, 2, INF, 1, 1, 1], [1, 0.5, 0.5, 0.25, 0.25, 0.25]),
]
# Listeners: factor of every epoch and who goes back, for the metrics of some rows (a row of the table each).
GOES_BACK = [
    (HalveAndGoBack(**LECTURE), [5, 4, 6, 4.5, 4, 3], [1, 1, 1, 0.5, 0.25, 0.25], [0, 0, 1, 1, 0, 0]),
    (
        HalveAndGoBack(factor=0.1, **LECTURE),
        [1, 2, 2, 1, 0.5, 0.7],
        [1, 1, 0.1, 0.01, 0.01, 0.01],
        [0, 1, 1, 0, 0, 1],
    ),
    (HalveAndGoBack(tolerance=0.25), [4, 5, 6.5, 6, 7, 9], [1, 1, 1, 0.5, 0.5, 0.5], [0, 0, 1, 0, 0, 1]),
    (HalveAndGoBack(), [NAN, INF, 2, NAN, 2, 1], [1, 0.5, 0.25, 0.25, 0.125, 0.125], [1, 1, 0, 1, 0, 0]),
    (
        HalveAndGoBack(tolerance=0.5),
        [-4, -3, -1, 0, -1.6, 2],
        [1, 1, 1, 0.5, 0.25, 0.25],
        [0, 0, 1, 1, 0, 1],
    ),
]


def test_every_schedule_is_in_the_table():
    fixed = {type(schedule) for rows in FIXED.values() for schedule, _, _ in rows}
    assert fixed | {HalveAndGoBack, HalveOnRise, ReduceOnPlateau} == set(SCHEDULES.values())


def rates(schedule, state, epoch, epochs, chunk=STEPS) -> np.ndarray:
    """(K, STEPS): the factors of an epoch, asked for `chunk` steps at a time."""
    at = [np.arange(first, min(first + chunk, STEPS)) for first in range(0, STEPS, chunk)]
    parts = [(s, schedule.rate(Progress(epoch, s, STEPS, epochs[:, None]), state)) for s in at]
    return np.concatenate([np.broadcast_to(rate, (len(epochs), len(s))) for s, rate in parts], 1)


@pytest.mark.parametrize("chunk", [STEPS, 2])
@pytest.mark.parametrize("rows", FIXED.values(), ids=FIXED)
def test_factors_of_a_fixed_schedule(rows, chunk):
    schedules, epochs, expected = zip(*rows, strict=True)
    schedule, epochs = stack(list(schedules)), np.array(epochs, float)
    state = schedule.start(len(rows))
    numbers = range(1, int(epochs.max()) + 1)
    factors = np.concatenate([rates(schedule, state, epoch, epochs, chunk) for epoch in numbers], 1)
    assert schedule.observe(state, {"val_error": np.ones(len(rows))}) is None and not schedule.goes_back
    for actual, row in zip(factors, expected, strict=True):
        np.testing.assert_allclose(actual[: len(row)], row, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("metric", ["val_error", "val_loss"])
def test_halve_and_go_back_on_hand_made_metrics(metric):
    rows = [replace(row, metric=metric) for row, *_ in GOES_BACK]
    schedule, state = stack(rows), stack(rows).start(len(rows))
    _, values, factors, back = (np.array(column).T for column in zip(*GOES_BACK, strict=True))
    for epoch, (value, factor, expected) in enumerate(zip(values, factors, back, strict=True), start=1):
        now = rates(schedule, state, epoch, np.full(len(rows), 6.0))
        np.testing.assert_allclose(now, np.repeat(factor[:, None], STEPS, 1))
        others = {name: np.full(len(rows), -epoch) for name in ("val_loss", "val_error")}
        assert schedule.observe(state, others | {metric: value}).tolist() == expected.astype(bool).tolist()


@pytest.mark.parametrize("kind", [HalveOnRise, HalveAndGoBack])
def test_halving_ends_below_the_smallest_rate(kind):
    """Three rows in one stack: 0.1 is below 0.125, nothing is below 0, and 0.25 is not below itself."""
    rows = [kind(factor=0.1, stop_below=0.125), kind(factor=0.1, stop_below=0.0), kind(stop_below=0.25)]
    schedule = stack(rows)
    state, over = schedule.start(3), []
    for value in (1.0, 3.0, 9.0, 27.0):
        schedule.observe(state, {"val_loss": np.full(3, value)})
        over.append(schedule.over(state).tolist())
    assert over == [[False] * 3, [True, False, False], [True, False, False], [True, False, True]]
    assert all(SCHEDULES[name]().over({}) is None for name in ("constant", "cosine"))


def listened(schedules, values, metric) -> np.ndarray:
    """(K, epochs): the factor of every epoch, for the metrics (epochs, K)."""
    schedule, state = stack(schedules), stack(schedules).start(len(schedules))
    assert not schedule.goes_back
    total, seen = np.full(len(schedules), 99.0), []
    for epoch, value in enumerate(values, start=1):
        seen.append(rates(schedule, state, epoch, total)[:, 0])
        others = {name: np.full(len(schedules), -epoch) for name in ("val_loss", "val_error")}
        assert schedule.observe(state, others | {metric: value}) is None
    return np.array(seen).T


@pytest.mark.parametrize("metric", ["val_error", "val_loss"])
def test_halve_on_rise_on_hand_made_metrics(metric):
    rows, values, factors = zip(*HALVES, strict=True)
    actual = listened([replace(row, metric=metric) for row in rows], np.array(values).T, metric)
    np.testing.assert_allclose(actual, factors)


PLATEAUS = [
    ReduceOnPlateau(patience=0), ReduceOnPlateau(patience=2), ReduceOnPlateau(patience=1, factor=0.5),
    ReduceOnPlateau(patience=1, cooldown=3), ReduceOnPlateau(patience=0, threshold=0.1, cooldown=1),
    ReduceOnPlateau(patience=0, min_factor=0.05), ReduceOnPlateau(),
]  # fmt: skip


@pytest.mark.parametrize("metric", ["val_error", "val_loss"])
def test_reduce_on_plateau_equals_torch(metric):
    values = np.random.default_rng(0).gamma(3, size=(60, len(PLATEAUS))) * np.linspace(3, 1, 60)[:, None]
    values[7] = np.nan
    factors = listened([replace(row, metric=metric) for row in PLATEAUS], values, metric)
    for row, metrics, actual in zip(PLATEAUS, values.T, factors, strict=True):
        optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
        scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(
            optimizer, factor=row.factor, patience=row.patience, threshold=row.threshold,
            cooldown=row.cooldown, min_lr=row.min_factor, eps=0.0,
        )  # fmt: skip
        expected = []
        for value in metrics:
            expected.append(optimizer.param_groups[0]["lr"])
            scheduler.step(value)
        np.testing.assert_allclose(actual, expected, rtol=1e-12)
    assert len(np.unique(factors)) > 10


@pytest.mark.parametrize("name", FIXED)
def test_simulation_of_a_fixed_schedule(name):
    for schedule, epochs, expected in FIXED[name]:
        np.testing.assert_allclose(simulate(schedule, epochs, STEPS), expected, rtol=1e-12, atol=1e-12)


def test_simulation_of_listeners():
    for row, values, factors, *_ in HALVES + GOES_BACK:
        np.testing.assert_allclose(simulate(row, 6, 2, values), np.repeat(factors, 2))
        np.testing.assert_array_equal(simulate(row, 3, 2), np.ones(6))


# ---- stopping rules

PATIENT = [  # (rule, metrics, the epoch after which it stops)
    (Patience(patience=2), [5, 4, 4, 4, 1], 4),
    (Patience(patience=1), [5, 4, 3, 3.5], 4),
    (Patience(patience=3, min_delta=0.5), [5, 4.6, 4.5, 4.5, 1], 4),
    (Patience(patience=2, min_delta=0.5), [5, 4.6, 4.4, 4.2, 3.8, 3.8, 3.8], 7),
    (Patience(patience=2), [3, NAN, 2, NAN, 4], 5),
    (Patience(patience=2), [INF, NAN, 3], 2),
    (Patience(patience=2), [5, 6, 4.9, 6, 6], 5),
]


def test_every_stopping_rule_is_tested_here():
    assert set(RULES.values()) == {Stopping, Patience}
    assert Stopping().observe({}, {"val_loss": np.ones(1)}) is None


@pytest.mark.parametrize("metric", ["val_loss", "val_error"])
def test_patience_on_hand_made_metrics(metric):
    """All rows in one stack; each alone stops at the same epoch."""
    rows = [replace(rule, metric=metric) for rule, _, _ in PATIENT]
    values = np.array([(v + [v[-1]] * 7)[:7] for _, v, _ in PATIENT]).T
    for subset in (range(len(rows)), *([k] for k in range(len(rows)))):
        rule = stack([rows[k] for k in subset])
        state = rule.start(len(subset))
        stops = []
        for epoch, value in enumerate(values[:, subset], start=1):
            others = {name: np.full(len(subset), -epoch) for name in ("val_loss", "val_error")}
            stops.append(rule.observe(state, others | {metric: value}))
        assert (np.array(stops).argmax(0) + 1).tolist() == [PATIENT[k][2] for k in subset]


def test_a_warmup_that_does_not_end_is_advised_against():
    def advised(warmup, epochs, interactive=True):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            experiment = nnlab.Experiment(data="iris", schedule=Cosine(warmup=warmup), epochs=epochs)
            nnlab.Fit([experiment], interactive=interactive)
        return [str(one.message) for one in caught]

    (caught,) = advised(1000, 2)
    assert caught.startswith("schedule.warmup = 1000 epochs and epochs = 2:") and "0.002 times" in caught
    assert not advised(2, 2) and not advised(0, 1) and not advised(1000, 2, interactive=False)


@pytest.mark.parametrize(
    "keys, words",
    [
        ({"milestones": [5, 10, 15]}, "expected a factor for each milestone, and there are 2 for 3"),
        (
            {"milestones": [10, 5]},
            "schedule.milestones = [10, 5]: expected each to be later than the one before",
        ),
        ({"milestones": [10, 10]}, "and 10 follows 10"),
        (
            {"milestones": [-1, 10]},
            "schedule.milestones = [-1, 10]: expected a list, each item a whole number at",
        ),
        (
            {"milestones": [0.5, 10]},
            "schedule.milestones = [0.5, 10]: expected a list, each item a whole number",
        ),
        ({"milestones": 10}, "schedule.milestones = 10: expected a list"),
        ({"milestones": np.array([10, 5])}, "and 5 follows 10"),
        (
            {"factors": [0.1, -0.1]},
            "schedule.factors = [0.1, -0.1]: expected a list, each item a number above 0",
        ),
        ({"factors": [0.1, 0.0]}, "each item a number above 0"),
        ({"unit": "steps"}, "expected one of epochs, updates"),
    ],
)
def test_lists_that_are_no_schedule(keys, words):
    with pytest.raises(nnlab.UserError) as error:
        MultiStepDecay(**keys)
    assert words in str(error.value) and "\n" not in str(error.value)


def test_a_milestone_that_is_never_reached_is_advised_against():
    with pytest.warns(nnlab.Advice, match="2 epochs are not over before the end, so the rate never is 0.2"):
        MultiStepDecay(milestones=[1, 2, 3], factors=[0.5, 0.2, 0.1]).advise(2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        MultiStepDecay(milestones=[1], factors=[0.5]).advise(2)
        MultiStepDecay(unit="updates").advise(2)

"""Schedules and stopping rules against torch and on hand-made metrics, each a row of a table."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.optim.lr_scheduler import CosineAnnealingLR, LinearLR

from nnlab.fields import stack
from nnlab.schedules import SCHEDULES, Constant, Cosine, HalveAndGoBack, Progress
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


def warmup_of_torch(updates, warm):
    return np.array(of_torch(LinearLR, updates, start_factor=1 / warm, total_iters=warm - 1))


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
    "cosine-warmup": [(Cosine(warmup=2.0), 9, cosine_of_torch(9) * warmup_of_torch(27, 6))],
}  # fmt: skip
# Listeners: factor of every epoch and who goes back, for the metrics of two rows (a row of the table each).
GOES_BACK = [
    (HalveAndGoBack(factor=0.5), [5, 4, 6, 4.5, 4, 3], [1, 1, 1, 0.5, 0.25, 0.25], [0, 0, 1, 1, 0, 0]),
    (HalveAndGoBack(factor=0.1), [1, 2, 2, 1, 0.5, 0.7], [1, 1, 0.1, 0.01, 0.01, 0.01], [0, 1, 1, 0, 0, 1]),
]


def test_every_schedule_is_in_the_table():
    fixed = {type(schedule) for rows in FIXED.values() for schedule, _, _ in rows}
    assert fixed | {HalveAndGoBack} == set(SCHEDULES.values())


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
    for mine, row in zip(factors, expected, strict=True):
        np.testing.assert_allclose(mine[: len(row)], row, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("metric", ["val_error", "val_loss"])
def test_halve_and_go_back_on_hand_made_metrics(metric):
    rows = [replace(row, metric=metric) for row, *_ in GOES_BACK]
    schedule, state = stack(rows), stack(rows).start(2)
    _, values, factors, back = (np.array(column).T for column in zip(*GOES_BACK, strict=True))
    for epoch, (value, factor, expected) in enumerate(zip(values, factors, back, strict=True), start=1):
        now = rates(schedule, state, epoch, np.array([6.0, 6.0]))
        np.testing.assert_allclose(now, np.repeat(factor[:, None], STEPS, 1))
        others = {name: np.full(2, -epoch) for name in ("val_loss", "val_error")}
        assert schedule.observe(state, others | {metric: value}).tolist() == expected.astype(bool).tolist()


# ---- stopping rules

NAN, INF = float("nan"), float("inf")
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
    for which in (range(len(rows)), *([k] for k in range(len(rows)))):
        rule = stack([rows[k] for k in which])
        state = rule.start(len(which))
        stops = []
        for epoch, value in enumerate(values[:, which], start=1):
            others = {name: np.full(len(which), -epoch) for name in ("val_loss", "val_error")}
            stops.append(rule.observe(state, others | {metric: value}))
        assert (np.array(stops).argmax(0) + 1).tolist() == [PATIENT[k][2] for k in which]

"""Epochs with non-finite metrics: a schedule that goes back undoes them, otherwise the row has diverged."""

from dataclasses import replace

import numpy as np
import pytest
from networks import Points

import nnlab
from nnlab import MLP, SGD, Experiment, Patience, Regularizer
from nnlab.schedules import SCHEDULES, HalveAndGoBack
from nnlab.training.training import Training

NAN, INF = float("nan"), float("inf")
BASE = Experiment(
    data=Points(), model=MLP(hidden=(6,)), optimizer=SGD(lr=0.05), regularizer=Regularizer(), batch_size=10,
    epochs=6, seeds=3, threads=1,
)  # fmt: skip
EPOCH = Training.train_epoch
LOST_SEED = 1  # the row of which an epoch is lost; its neighbours must not notice


@pytest.fixture
def lose(monkeypatch):
    """lose(epoch, what, value): in that epoch a metric of the row of `LOST_SEED`, or with "weights" all that
    training changes in it, comes out as `value`."""

    def lose(at: int, metric: str, value: float):
        def epoch(self, number, *should_pause):
            metrics = EPOCH(self, number, *should_pause)
            lost_rows = [
                k for k, row in enumerate(self.population.rows) if row.seed == LOST_SEED and number == at
            ]
            for k in lost_rows:
                if metric == "weights":
                    self.population.state.theta[k] = value
                    for slot in vars(self.population.state.slots).values():
                        slot[k] = value
                else:
                    metrics[metric][k] = value
            return metrics

        monkeypatch.setattr(Training, "train_epoch", epoch)

    return lose


def trained(experiment):
    run, lr = nnlab.fit(experiment), {}
    for record in run:
        for k, row in enumerate(record.rows.tolist()):
            lr.setdefault(row, []).append(float(record.lr[k]))
    return run.results, lr


@pytest.mark.parametrize("value", [NAN, INF, -INF])
@pytest.mark.parametrize("metric", ["weights", "train_loss", "grad_norm"])
@pytest.mark.parametrize("at", [1, 3, 6])
def test_going_back_undoes_a_lost_epoch(lose, at, metric, value):
    """The rate is halved, every other number is as if training had gone on from the epoch before."""
    experiment = replace(BASE, schedule=HalveAndGoBack(), optimizer=nnlab.Momentum(lr=0.02))
    plain, _ = trained(experiment)
    lose(at, metric, value)
    results, lr = trained(experiment)
    assert [r.status for r in results] == ["finished"] * 3 and [r.epochs for r in results] == [6, 6, 6]
    assert lr[1] == pytest.approx([0.02] * at + [0.01] * (6 - at))
    assert results[1].best_epoch != at and np.isfinite(results[1].best["val_loss"])
    assert all(np.isfinite(w).all() for w in results[1].weights.values())
    for k in (0, 2):
        assert all(np.array_equal(plain[k].weights[n], w) for n, w in results[k].weights.items())


@pytest.mark.filterwarnings("ignore:schedule.milestones")  # later than these few epochs
@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("at", [1, 4])
def test_a_schedule_that_cannot_go_back_leaves_the_row_diverged(lose, name, at):
    lose(at, "weights", NAN)
    results, _ = trained(replace(BASE, schedule=SCHEDULES[name]()))
    how = [r.status for r in results]
    assert how == (["finished"] * 3 if SCHEDULES[name].goes_back else ["finished", "diverged", "finished"])
    assert results[1].epochs == (6 if SCHEDULES[name].goes_back else at)


@pytest.mark.parametrize("stopping", [nnlab.Stopping(), Patience(patience=2)])
def test_a_row_that_never_was_sound_has_diverged(monkeypatch, stopping):
    """It goes back to its initial weights until no rate is left, or its rule stops it."""

    def epoch(self, number, *should_pause):
        return EPOCH(self, number, *should_pause) | {"train_loss": np.full(len(self.population), NAN)}

    monkeypatch.setattr(Training, "train_epoch", epoch)
    schedule = HalveAndGoBack(stop_below=0.1)  # 1, 1/2, 1/4, 1/8, and 1/16 is below
    results, lr = trained(replace(BASE, schedule=schedule, stopping=stopping, epochs=20, refit=True))
    assert [(r.status, r.best_epoch, r.test) for r in results] == [("diverged", 0, {})] * 3
    assert len(lr[0]) == (4 if stopping.name == "none" else 2)


def test_a_rate_that_is_too_small_ends_training_with_the_reason(monkeypatch):
    def epoch(self, number, *should_pause):
        metrics = EPOCH(self, number, *should_pause)
        late = [row.seed == LOST_SEED and number > 2 for row in self.population.rows]
        return metrics | {"train_loss": np.where(late, INF, metrics["train_loss"])}

    monkeypatch.setattr(Training, "train_epoch", epoch)
    results, _ = trained(replace(BASE, schedule=HalveAndGoBack(stop_below=0.2), epochs=9))
    assert [(r.status, r.epochs, r.reason) for r in results] == [
        ("finished", 9, ""),
        ("stopped", 5, "schedule=halve_and_go_back, whose rate became too small"),
        ("finished", 9, ""),
    ]
    assert results[1].test["accuracy"] > 0

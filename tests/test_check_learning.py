"""The subset and rates rungs of `nnlab check`, on curves with known causes."""

from dataclasses import replace

import numpy as np
import pytest
from check_cases import Changed
from check_jobs import job, overlapping
from networks import one_thread  # noqa: F401

import nnlab
from nnlab.checks import overfitting, range_test, rates, subset
from nnlab.checks.ladder import run_rungs
from nnlab.checks.overfitting import OverfittingCurves
from nnlab.checks.range_test import RangeTest
from nnlab.checks.subject import Budget, Subject
from nnlab.checks.verdict import Finding

SMALL = Budget(rates=24, rate_seeds=2, seeds=5, steps=1000)


# ---- the small subset


def test_a_network_is_asked_for_what_it_can_learn():
    def count(experiment):
        return len(subset.subset(Subject(experiment)).dataset.x)

    assert count(job("digits")) == 50
    assert count(job("diabetes", model=nnlab.Linear())) == 5  # half of 10 inputs and the bias
    assert count(job("diabetes", model=nnlab.MLP(hidden=(64,), activation="identity"))) == 5
    twice = Changed(of=nnlab.Diabetes(), repeated=5)  # ten of its fifteen inputs are independent
    assert count(job("diabetes", data=twice, model=nnlab.Linear())) == 5
    assert count(job("iris", model=nnlab.MLP(hidden=(2,)))) == 3  # 19 parameters for 3 outputs, half of it
    chosen_few = subset.subset(Subject(job("iris")))
    assert len(np.unique(chosen_few.dataset.x, axis=0)) == len(chosen_few.dataset.x) == 50


@pytest.mark.parametrize("d", [1, 2, 4])
@pytest.mark.parametrize("bayes", [0.2, 0.3, 0.4])
def test_classes_that_overlap_are_no_fault_of_the_job(d, bayes):
    subject = Subject(overlapping("linear", 1000, d, bayes, seed=1))
    assert subset.check(subject).status == "pass"
    few = subset.subset(subject).dataset
    assert len(few.x) == 50 and set(few.y) == {0, 1}


def learning(job_rate, lower=None, higher=None, error=0.5):
    """Curves of four epochs: the job's own, the rate times 0.1 and times 10; the two smallest hardly fall."""
    flat = [1.0, 0.9995, 0.999, 0.998]
    loss = np.array([job_rate, flat, flat, lower or flat, higher or flat])
    return OverfittingCurves(
        loss, np.full(loss.shape, error), 0.1 * np.array(overfitting.RATE_FACTORS), 1.0, 50, True
    )


def test_the_causes_are_told_apart():
    nan, learnt = np.nan, [1.0, 0.2, 0.03, 0.01]
    up = [1.0, 1.1, 1.2, 1.3]
    saturated = Finding("fail", 0.9, 0.3, "90% of tanh1's units are saturated", "advice", "saturated")

    def cause(curve, before=None):
        finding = overfitting.judge(curve, before)
        return finding.status, finding.cause

    assert cause(learning(learnt, error=0.0)) == ("pass", "")
    assert cause(learning(learnt, error=0.1))[0] == "warn"  # the loss is there, the accuracy is not
    assert cause(learning(up), saturated) == ("fail", "saturated")
    assert cause(learning([1.0, nan, nan, nan], lower=learnt)) == ("fail", "lr_high")
    assert cause(learning([0.7, 0.9, 0.6, 0.9], lower=[1, 0.5, 0.2, 0.1])) == ("fail", "lr_high")
    assert (
        "bounces" in overfitting.judge(learning([0.7, 0.9, 0.6, 0.9], lower=[1, 0.5, 0.2, 0.1]), None).found
    )
    assert cause(OverfittingCurves(np.tile(up, (5, 1)), np.ones((5, 4)), np.ones(5), 1.0, 50, True)) == (
        "fail",
        "gradient",
    )
    assert cause(learning([1.0, 0.99, 0.98, 0.97], higher=[1, 0.8, 0.7, 0.6])) == ("fail", "lr_low")
    slow, there = [1.0, 0.9, 0.8, 0.7], [1.0, 0.2, 0.03, 0.01]
    assert cause(learning(slow, higher=there, error=0.0)) == (
        "warn",
        "lr_low",
    )  # it can be learnt, but sooner
    assert cause(learning([1.0, 0.5, 0.4, 0.3], higher=there, error=0.0)) == ("pass", "")  # it will get there
    assert cause(learning([1.0, 0.5, 0.4, 0.3], higher=[1, 0.2, 0.15, 0.1]))[0] == "warn"
    assert cause(learning([0.7, 0.5, 0.4, 0.3], lower=[1, 0.9, 0.8, 0.7], higher=[0.6] * 4)) == (
        "warn",
        "capacity",
    )


def test_the_gradient_is_blamed_only_for_what_stays_finite():
    def cause(curve):
        loss = np.tile(curve, (5, 1))
        return overfitting.judge(
            OverfittingCurves(loss, np.ones((5, 4)), np.array(overfitting.RATE_FACTORS), 1.0, 50, True), None
        ).cause

    assert cause([1.0, 1.1, 1.2, 1.3]) == "gradient"
    assert cause([1.0, np.nan, np.nan, np.nan]) == "lr_high"


def test_an_error_that_bounces():
    bouncing = nnlab.Experiment(data=nnlab.Diabetes(), optimizer=nnlab.Adam(lr=0.3))  # docs/lecture.md has it
    worst = subset.check(Subject(bouncing)).worst
    assert worst.cause == "lr_high" and "it bounces" in worst.found


def test_what_is_too_large_from_the_start_comes_first():
    """Before the rates, of which a smaller and a larger one may both seem to help."""
    raw = nnlab.Diabetes(target_normalization="none")
    assert subset.check(Subject(nnlab.Experiment(data=raw))).causes == ["scales"]


def test_nothing_is_asked_of_a_job_with_a_single_target():
    subject = Subject(job("diabetes", data=Changed(of=nnlab.Diabetes(), single=True)))
    verdicts = {v.rung: v for v in run_rungs(subject, ["start", "subset", "rates", "data"])}
    assert [verdicts[rung].status for rung in verdicts] == ["pass", "pass", "pass", "fail"]
    assert (
        verdicts["data"].causes == ["constant_target"] and "nothing to learn" in verdicts["rates"].worst.found
    )


def test_it_stops_when_it_is_learnt():
    verdict = subset.check(Subject(job("digits"), SMALL))
    assert verdict.status == "pass" and verdict.details["loss"].shape[1] < 20


# ---- learning rates


LR = np.geomspace(1e-4, 1e1, 11)


def table(end, start=(2.0, 2.1, 1.9)):
    return RangeTest(LR, np.array(end, float)[:, None] + np.array([-0.01, 0, 0.01]), np.array(start), 2.3)


CURVE = [2.0, 1.9, 1.7, 1.2, 0.6, 0.3, 0.2, 0.25, 5.0, np.nan, np.nan]


def test_what_works_the_edge_and_the_suggestion():
    t = table(CURVE)
    assert t.edge == LR[8] and t.best_index in (6, 7)
    assert t.working_range == (LR[4], LR[7])  # half of the fall from 2 to 0.25 or less
    assert t.suggestion == pytest.approx(min(LR[t.best_index], LR[8] / 3))
    assert t.diverged_fraction.tolist() == [0] * 9 + [1] * 2


def test_a_single_noisy_curve_does_not_fool_it():
    end = np.array(CURVE)[:, None] + np.zeros(3)
    end[1, 0], end[5, 1] = 0.0, 1.9  # one seed is lucky at a small rate, one unlucky at a good one
    t = RangeTest(LR, end, np.full(3, 2.0), 2.3)
    assert t.working_range == (LR[4], LR[7]) and t.edge == LR[8]


def test_a_lucky_rate_beyond_the_edge_is_no_good():
    t = table([*CURVE[:9], 0.0, 0.0])
    assert t.edge == LR[8] and t.working_range[1] == LR[7] and t.suggestion < LR[8]


@pytest.mark.parametrize("job_rate, longer, status, cause", [
    (LR[5], 1, "pass", ""), (LR[9], 1, "fail", "lr_high"), (LR[8], 1, "fail", "lr_high"),
    (LR[0], 1, "fail", "lr_low"), (LR[2], 1, "warn", "lr_low"),
    (LR[2], 10, "pass", ""),  # it trains ten times as long as this test
    (LR[4], 0.01, "pass", ""),  # in the range, however short the job is
])  # fmt: skip
def test_where_the_jobs_rate_lies(job_rate, longer, status, cause):
    finding = range_test.judge(table(CURVE), job_rate, longer)
    assert (finding.status, finding.cause) == (status, cause), finding.found
    assert ("optimizer.lr=" in finding.advice) == (status != "pass")


def test_when_no_rate_learns():
    finding = range_test.judge(table([2.0] * 11), LR[5], 1)
    assert (finding.status, finding.cause) == ("fail", "nothing_learnt")
    rising = range_test.judge(table([2.5, 2.6, 2.7, 3, 4, 5, 6, 7, 8, 9, 9]), LR[5], 1)
    assert rising.cause == "nothing_learnt"
    assert "another rung" not in finding.advice and "only=[" in finding.advice


def test_a_finding_names_the_loss_that_it_compares_with():
    for start_loss, name in ((2.0, "the 2 of the start"), (3.0, "the 2.3 of chance")):
        finding = range_test.judge(table([2.3] * 11, [start_loss] * 3), LR[5], 1)
        assert name in finding.found


def test_where_every_rate_diverges_all_numbers_are_finite():
    all_diverged = table([np.nan] * 11)
    finding = range_test.judge(all_diverged, LR[5], 1)
    assert finding.status == "fail" and finding.number == 0 == all_diverged.loss_drop
    assert np.isfinite(all_diverged.progress).all()


def test_a_suggestion_is_never_too_small_to_work():
    """The edge is so near the only rates that learn that a third of it is below them."""
    final_loss = np.array([2.0] * 5 + [0.2, 0.2, 5.0, 5.0])[:, None] + np.zeros(3)
    narrow = RangeTest(np.geomspace(0.1, 1.6, 9), final_loss, np.full(3, 2.0), 2.3)
    assert narrow.edge / range_test.EDGE_MARGIN < narrow.working_range[0] <= narrow.suggestion
    assert range_test.judge(narrow, narrow.suggestion, 1).status == "pass"
    assert "is too small" in range_test.judge(narrow, 0.1, 1).advice


def test_a_usual_regulariser_is_not_suspected():
    for usual in (dict(l2=1e-3), dict(dropout=0.5), dict(l1=1e-3), dict(max_norm=1.0)):
        e = job("wine", regularizer=nnlab.Regularizer(**usual))
        assert rates.check(Subject(e, SMALL)).status == "pass", usual


def test_the_rates_are_sorted_and_have_the_jobs_own():
    for job_rate in (3e-3, 1e-9, 1e4):
        grid = rates.candidate_rates(job_rate, 64)
        assert len(grid) == 64 and job_rate in grid and (np.diff(grid) > 0).all()
        assert grid[0] < job_rate < grid[-1]


def test_a_large_network_gets_fewer_rows_and_steps():
    small, large = (Subject(job("digits", model=nnlab.MLP(hidden=h))) for h in ((64,), (400, 400)))
    assert rates.budgeted_counts(small) == (64, 3, 200)
    count, seeds, steps = rates.budgeted_counts(large)
    size = large.graph.parameter_count * 64
    assert count >= 16 and seeds == 1 and steps >= 50 and size * count * seeds * steps < 64 * 3 * 200 * size


def test_a_large_batch_is_counted_and_cut_last():
    def work(e):
        subject = Subject(e)
        updates = int(np.prod(rates.budgeted_counts(subject)))
        return rates.affordable_batch_size(subject, updates), updates * rates.affordable_batch_size(
            subject, updates
        )

    assert work(job("digits"))[0] == 64
    large, small = (job("digits", batch_size=b, model=nnlab.MLP(hidden=(400, 400))) for b in (1024, 64))
    assert work(large)[0] < 1024 and work(large)[1] <= 2 * work(small)[1]
    assert rates.affordable_batch_size(Subject(job("digits", batch_size="full")), 1) == 64


def test_large_networks_get_fewer_seeds():
    assert Subject(job("digits")).affordable_seeds(6400) == 10
    assert Subject(job("digits", model=nnlab.MLP(hidden=(1000, 1000)))).affordable_seeds(6400) == 2


def test_small_batches_get_more_steps_before_no_rate_is_said_to_learn():
    """Of batches of 8, ring-shaped classes show nothing in 200 steps; the job takes 75 times as many."""
    ring = overlapping("ring", 1000, 2, 0.1, seed=1)
    e = replace(
        ring, optimizer=nnlab.SGD(lr=0.1), batch_size=8, epochs=200, model=nnlab.MLP((32, 32), "tanh")
    )
    assert rates.check(Subject(e)).causes == []

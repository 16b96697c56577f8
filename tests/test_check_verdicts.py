"""Property tests: a finding passes if and only if the number that it prints is within the printed limit."""

import re

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nnlab.autodiff.box import Parameter
from nnlab.autodiff.gradient_comparison import GradientComparison
from nnlab.autodiff.graph import LeafSlice
from nnlab.checks import labels, overfitting, range_test, saturation
from nnlab.checks.gradients import _finding
from nnlab.checks.overfitting import RATE_FACTORS, OverfittingCurves
from nnlab.checks.range_test import RangeTest
from nnlab.checks.verdict import Finding, grade

LIMIT = re.compile(r"(limit|at least) ([-+.\de]+)(%?)")


def says_its_limit(finding: Finding) -> bool:
    """Is a limit that the sentence prints the finding's own, and of the right kind?"""
    printed = LIMIT.findall(finding.found)
    kind = "at least" if finding.at_least else "limit"
    values = [
        float(number.rstrip(".,")) / (100 if percent else 1)
        for word, number, percent in printed
        if word == kind
    ]
    return not printed or any(v == pytest.approx(finding.threshold, rel=0.06, abs=1e-12) for v in values)


@pytest.mark.parametrize("status, number, limit, at_least", [
    ("pass", 0.114, 0.1, False), ("warn", 0.1, 0.1, False), ("pass", np.nan, 1, False),
    ("fail", 0, 0, False), ("pass", 0.05, 0.1, True), ("fail", 0.1, 0.1, True),
])  # fmt: skip
def test_a_finding_cannot_contradict_itself(status, number, limit, at_least):
    with pytest.raises(ValueError, match=status):
        Finding(status, number, limit, "", at_least=at_least)


def test_a_limit_may_be_reached_and_not_passed():
    assert [grade(x, 1, 2) for x in (1, 1.1, 2, 2.1, np.nan)] == ["pass", "warn", "warn", "fail", "fail"]


# Each judge makes its findings out of whatever came; one that contradicted itself would raise.

losses = st.floats(0, 1e3) | st.sampled_from([0.0, np.nan])
errors = st.sampled_from([0.0, 0.02, 0.5])


@settings(max_examples=300, deadline=None)
@given(st.data(), st.integers(1, 6), st.booleans(), st.floats(0, 10), st.booleans())
def test_of_the_small_subset(data, epochs, classes, chance, disturbed):
    def table(values):
        row = st.lists(values, min_size=epochs, max_size=epochs)
        return np.array(data.draw(st.lists(row, min_size=5, max_size=5)), float)

    learning = OverfittingCurves(
        table(losses), table(errors), 0.1 * np.array(RATE_FACTORS), chance, 50, classes
    )
    cause = (
        Finding("fail", 0.9, 0.3, "90% of units (limit 30%)", "advice", "saturated") if disturbed else None
    )
    finding = overfitting.judge(learning, cause)
    assert cause and "90%" in finding.found or says_its_limit(finding), finding.found
    assert (finding.status == "pass") == (not finding.advice) == (not finding.cause)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(losses, min_size=8, max_size=8), st.floats(0.1, 3), st.floats(0.1, 3), st.integers(0, 7),
    st.sampled_from([0.1, 1, 10, 1000]),
)  # fmt: skip
def test_of_the_learning_rates(end, start, chance, job_rate, longer):
    lr = np.geomspace(1e-4, 1e1, 8)
    table = RangeTest(lr, np.array(end)[:, None] + np.zeros(2), np.array([start]), chance)
    finding = range_test.judge(table, float(lr[job_rate]), longer)
    assert says_its_limit(finding), finding.found
    if table.suggestion:
        assert range_test.judge(table, table.suggestion, longer).status == "pass"
    if finding.status == "pass" and finding.number < table.working_range[0]:
        assert "times the steps" in finding.found


shares = st.floats(0, 1)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(shares, shares, st.booleans()), min_size=1, max_size=4))
def test_of_stuck_units_the_worst_beside_its_own_limit_is_said(units):
    looks = [
        {"activations": {f"f{n}": {"stuck": u[when], "bounded": u[2]} for n, u in enumerate(units)}}
        for when in (0, 1)
    ]
    (finding,) = saturation.stuck_findings({"at the start": looks[0], "after 100 steps": looks[1]})
    limit = [(0.3, 0.6 if bounded else 0.3) for *_, bounded in units]
    excess = max(u[when] / at[when] for u, at in zip(units, limit, strict=True) for when in (0, 1))
    assert (finding.status == "pass") == (excess <= 1) and says_its_limit(finding)
    if finding.status == "warn":
        assert finding.number / finding.threshold == pytest.approx(excess)


def test_saturated_from_the_start_is_told_as_that():
    looks = {
        "at the start": {"activations": {"tanh1": {"stuck": 0.77, "bounded": True}}},
        "after 100 steps": {"activations": {"tanh1": {"stuck": 0.79, "bounded": True}}},
    }
    (finding,) = saturation.stuck_findings(looks)
    assert finding.found == "77% of tanh1's units are saturated at the start (limit 30%)"


positive = st.floats(1e-12, 1e12)


@settings(max_examples=100, deadline=None)
@given(
    positive,
    positive,
    st.dictionaries(st.sampled_from("ab"), st.floats(0, 1e3) | st.just(np.nan), min_size=1),
)
def test_of_gradients_that_flow_and_updates(first, last, ratios):
    before = {
        "layers": {"a": {"gradient": first, "weights": 1.0}, "b": {"gradient": last, "weights": 1.0}},
        "activations": {},
    }
    assert all(
        says_its_limit(f)
        for f in [*saturation.gradient_flow_findings(before), *saturation._update_finding(ratios)]
    )


@pytest.mark.parametrize("value", [np.inf, np.nan])
def test_an_update_that_is_not_finite_is_reported_as_that(value):
    """torch's nan_to_num would make the largest float of inf, which is finite."""
    before, after = torch.ones(1, 4), torch.full((1, 4), value)
    leaf = LeafSlice(Parameter((2, 2), "weight"), 0)
    ratio = saturation._relative_update(leaf, before, after)
    (finding,) = saturation._update_finding({"hidden1.weight": ratio})
    assert ratio == np.inf and finding.status == "fail"
    assert finding.found == "hidden1.weight is no longer finite after 100 steps"


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1) | st.none()), min_size=1, max_size=3))
def test_of_wrong_gradients(pairs):
    compared = [GradientComparison(f"box{n}: dx", *pair, 0, 9, 9) for n, pair in enumerate(pairs)]
    finding = _finding(compared, compared)
    assert (finding.status == "pass") == (not any(c.wrong for c in compared)) and says_its_limit(finding)


@settings(max_examples=200, deadline=None)
@given(st.integers(2, 400), shares, shares, st.floats(0, 9), st.integers(2, 10), shares)
def test_of_doubted_labels(n, share, wrong, sure, classes, half):
    doubted, on_half = np.arange(n) < share * n, np.arange(n) < half * n
    finding = labels._noise_finding(doubted, wrong, sure, classes, on_half)
    assert says_its_limit(finding) and (finding.status == "pass") == (finding.cause == "")
    few = labels._few_doubted_finding(doubted & (np.arange(n) < n // 10))
    assert few.status == "pass" and says_its_limit(few)


@given(st.floats(-1, 1), st.floats(0.001, 1), st.integers(3, 2000))
def test_of_a_correlation(r, least, n):
    finding = labels._relation_finding(r, least, n, "labels")
    assert says_its_limit(finding) and (finding.status == "fail") <= (least <= labels.WEAK_CORRELATION)

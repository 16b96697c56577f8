"""Planted faults fail `nnlab check` and healthy jobs pass: a part of check_accuracy.py; verdicts, rungs."""

import numpy as np
import pytest
import torch
from check_cases import Nosy, faults
from check_jobs import HASTY, Between, combinations, drawn, job
from networks import one_thread  # noqa: F401
from test_check_verdicts import says_its_limit

import nnlab
from nnlab.autodiff.activations import ACTIVATIONS
from nnlab.checks import start
from nnlab.checks.ladder import RUNGS, run_rungs, select_rungs
from nnlab.checks.subject import Budget, Subject
from nnlab.checks.verdict import Finding, Verdict
from nnlab.errors import UserError
from nnlab.initializers import INITIALIZERS
from nnlab.models import MODELS

SMALL = Budget(rates=24, rate_seeds=2, seeds=5, steps=1000, parameters=5000)
TABLE = combinations()
ALL = [fault for fault in faults(seed=5) if fault.rungs != ("gradients",)]
TWICE = {f"inputs times 1000: {on}" for on in ("wine sigmoid", "diabetes relu", "diabetes tanh")}
# Each on one of two small data sets in turn, and some of the table; the rest is for the script.
ON_BOTH = {}  # what is planted -> by data set
for fault in ALL:
    for on in ("wine", "diabetes"):
        if on in fault.name and fault.name not in TWICE:
            ON_BOTH.setdefault(fault.name.replace(on, ""), []).append(fault)
SOME = {each[n % len(each)].name: each[n % len(each)] for n, each in enumerate(ON_BOTH.values())}
SOME |= {fault.name: fault for fault in [f for f in ALL if f.name.startswith("symmetry")][::14]}


@pytest.mark.parametrize("fault", SOME.values(), ids=SOME)
def test_a_fault_is_found_and_named(fault):
    verdicts = list(run_rungs(Subject(fault.experiment, SMALL), list(fault.rungs)))
    findings = [finding for verdict in verdicts for finding in verdict.findings]
    assert fault.is_detected(verdicts), [finding.found for finding in findings]
    assert all(f.advice for f in findings if f.status != "pass")
    assert all(map(says_its_limit, findings))


HEALTHY = [c for c in TABLE if c.mark == "+"][::48]


@pytest.mark.parametrize("combination", HEALTHY, ids=str)
def test_a_healthy_job_passes(combination):
    verdicts = list(run_rungs(Subject(combination.experiment("wine", seed=5), SMALL), list(RUNGS)))
    assert [v.rung for v in verdicts] == list(RUNGS)
    assert all(says_its_limit(f) for v in verdicts for f in v.findings)
    assert {v.status for v in verdicts} == {"pass"}, [v.worst.found for v in verdicts if v.status != "pass"]


@pytest.mark.parametrize("kind", HASTY)
def test_a_healthy_job_on_a_table_that_looks_faulty_passes(kind):
    verdicts = list(run_rungs(Subject(drawn(kind, "relu", seed=5), SMALL), list(RUNGS)))
    assert {v.status for v in verdicts} == {"pass"}, [v.worst.found for v in verdicts if v.status != "pass"]


def test_the_table_has_every_combination():
    networks = {(c.model.name, len(getattr(c.model, "hidden", ())), c.activation, c.init) for c in TABLE}
    expected = {("mlp", n, a, i) for n in (1, 3) for a in ACTIVATIONS for i in INITIALIZERS}
    expected |= {(name, 0, "-", i) for name in ("linear", "logistic") for i in INITIALIZERS}
    expected |= {("tabular", 1, "silu", i) for i in INITIALIZERS}
    assert {model for model, *_ in expected} == set(MODELS) - {"cnn", "graph"}  # of images; of any boxes
    assert networks == expected and len(TABLE) == len(expected)
    assert {c.mark for c in TABLE} == set("+x.")


# ---- verdicts


def test_a_verdict_is_as_bad_as_its_worst_finding():
    numbers = {"pass": 1, "warn": 3, "fail": 5}
    good, bad, worse = (Finding(s, n, 2, s, cause=s * (s != "pass")) for s, n in numbers.items())
    verdict = Verdict.from_findings("start", [good, bad, worse])
    assert verdict.status == "fail" and verdict.worst is worse and verdict.causes == ["fail", "warn"]
    assert Verdict.from_findings("start", [good]).status == "pass"
    with pytest.raises(ValueError, match="good"):
        Finding("good", 1, 2, "")


def test_rungs_are_climbed_in_their_order():
    assert select_rungs(None) == list(RUNGS)
    assert select_rungs(["data", "start"]) == ["start", "data"] and select_rungs("rates") == ["rates"]
    with pytest.raises(UserError, match="did you mean 'rates'"):
        select_rungs("rate")


# ---- what a rung leaves alone


def test_a_rung_depends_on_nothing_but_the_job():
    """Neither on the rungs before it nor on the global generators, and it changes none of them."""
    e = job("iris", regularizer=nnlab.Regularizer(dropout=0.3))
    torch.manual_seed(1), np.random.seed(1)
    before = torch.get_rng_state().clone()
    first = {v.rung: v.worst for v in run_rungs(Subject(e, SMALL), list(RUNGS))}
    assert torch.equal(torch.get_rng_state(), before)
    for rung in reversed(RUNGS):
        torch.manual_seed(2)
        (again,) = run_rungs(Subject(e, SMALL), [rung])
        assert again.worst == first[rung]


def test_rows_that_know_each_other_are_found_in_the_right_rung_only():
    e = job("wine", model=Between(box=Nosy()))
    assert [v.causes for v in run_rungs(Subject(e, SMALL), ["determinism"])] == [["rows_mixed"]]
    assert start.check(Subject(e, SMALL)).status == "pass"

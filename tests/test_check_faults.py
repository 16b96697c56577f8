"""Planted faults are found and named, healthy jobs pass: a fast part of scripts/check_accuracy.py. And the
parts of the rungs, by hand."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from check_cases import Changed, Nosy, faults
from check_jobs import HASTY, Between, Drawn, combinations, drawn, job
from networks import one_thread  # noqa: F401

import nnlab
from nnlab.autodiff.activations import ACTIVATIONS, ReLU, Sigmoid, Tanh
from nnlab.checks import data, labels, passes, rates, saturation, start, subset
from nnlab.checks.ladder import RUNGS, chosen, climb
from nnlab.checks.rates import Table
from nnlab.checks.subject import Budget, Subject, chance
from nnlab.checks.subset import Learning
from nnlab.checks.verdict import Finding, Verdict, graded
from nnlab.errors import UserError
from nnlab.initializers import INITIALIZERS
from nnlab.models import MODELS

SMALL = Budget(rates=24, rate_seeds=2, seeds=5, steps=1000)
TABLE = combinations()
ALL = [fault for fault in faults(seed=5) if fault.rungs != ("gradients",)]
# Those on two small data sets, and some of the table; the rest is for the script.
SOME = {fault.name: fault for fault in ALL if "wine" in fault.name or "diabetes" in fault.name}
SOME |= {fault.name: fault for fault in [f for f in ALL if f.name.startswith("symmetry")][::7]}


@pytest.mark.parametrize("fault", SOME.values(), ids=SOME)
def test_a_fault_is_found_and_named(fault):
    verdicts = list(climb(Subject(fault.experiment, SMALL), list(fault.rungs)))
    assert fault.found(verdicts), [finding.found for v in verdicts for finding in v.findings]
    assert all(f.advice for v in verdicts for f in v.findings if f.status != "pass")


HEALTHY = [c for c in TABLE if c.mark == "+"][::12]


@pytest.mark.parametrize("combination", HEALTHY, ids=str)
def test_a_healthy_job_passes(combination):
    verdicts = list(climb(Subject(combination.experiment("wine", seed=5), SMALL), list(RUNGS)))
    assert [v.rung for v in verdicts] == list(RUNGS)
    assert {v.status for v in verdicts} == {"pass"}, [v.worst.found for v in verdicts if v.status != "pass"]


@pytest.mark.parametrize("kind", HASTY)
def test_a_healthy_job_on_a_table_that_looks_faulty_passes(kind):
    verdicts = list(climb(Subject(drawn(kind, "relu", seed=5), SMALL), list(RUNGS)))
    assert {v.status for v in verdicts} == {"pass"}, [v.worst.found for v in verdicts if v.status != "pass"]


def test_the_table_has_every_combination():
    networks = {(c.model.name, len(getattr(c.model, "hidden", ())), c.activation, c.init) for c in TABLE}
    expected = {("mlp", n, a, i) for n in (1, 3) for a in ACTIVATIONS for i in INITIALIZERS}
    expected |= {(name, 0, "-", i) for name in set(MODELS) - {"mlp"} for i in INITIALIZERS}
    assert networks == expected and len(TABLE) == len(expected)
    assert {c.mark for c in TABLE} == set("+x.")


# ---- verdicts


def test_a_verdict_is_as_bad_as_its_worst_finding():
    good, bad, worse = (Finding(s, 1, 2, s, cause=s * (s != "pass")) for s in ("pass", "warn", "fail"))
    verdict = Verdict.of("start", [good, bad, worse])
    assert verdict.status == "fail" and verdict.worst is worse and verdict.causes == ["fail", "warn"]
    assert Verdict.of("start", [good]).status == "pass"
    assert [graded(x, 1, 2) for x in (0.9, 1, 2, np.nan, np.inf)] == ["pass", "warn", "fail", "fail", "fail"]
    with pytest.raises(ValueError, match="good"):
        Finding("good", 1, 2, "")


def test_rungs_are_climbed_in_their_order():
    assert chosen(None) == list(RUNGS)
    assert chosen(["data", "start"]) == ["start", "data"] and chosen("rates") == ["rates"]
    with pytest.raises(UserError, match="did you mean 'rates'"):
        chosen("rate")


# ---- chance


def chance_of(experiment):
    sample = Subject(experiment).sample(500)
    loss = experiment.loss_for(sample.dataset)
    return chance(loss, sample.dataset, sample.examples, sample.fold), sample


@pytest.mark.parametrize("changes, expected", [
    (dict(), np.log(3)),
    (dict(loss="binary_cross_entropy"), 3 * np.log(2)),
    (dict(loss="sparsemax_loss"), 1 / 3),  # |0 - t|^2 / 2 - |p|^2 / 2 = 1/2 - 1/6
    (dict(model=nnlab.Linear()), None),
], ids=str)  # fmt: skip
def test_chance_of_classes(changes, expected):
    found, sample = chance_of(job("wine", **changes))
    share = np.bincount(sample.dataset.y[sample.fold.train]) / len(sample.fold.train)
    variance = (share * (1 - share)).mean()
    assert found == pytest.approx(variance if expected is None else expected, rel=1e-5)


def test_chance_of_numbers_is_their_variance():
    assert chance_of(job("diabetes"))[0] == pytest.approx(1, rel=1e-5)
    raw, sample = chance_of(job("diabetes", data=nnlab.Diabetes(target_normalization="none")))
    assert raw == pytest.approx(sample.dataset.y[sample.fold.train].var(), rel=1e-4)
    absolute, _ = chance_of(job("diabetes", loss="absolute_error"))
    y = sample.dataset.y[sample.fold.train]
    assert absolute == pytest.approx(np.abs(y - np.median(y)).mean() / y.std(), rel=1e-2)


# ---- what flows through a network


def test_the_activations_and_layers_of_a_network_are_found():
    graph = job("wine", model=nnlab.MLP(hidden=(5, 4), activation=("tanh", "relu"), output="softmax"),
                loss="squared_error").graph(nnlab.Wine().load())  # fmt: skip
    names = [[graph.nodes[n].name for n in f(graph)] for f in (passes.layers, passes.activations)]
    assert names == [["hidden1", "hidden2", "output"], ["tanh1", "relu2"]]
    linear = nnlab.Logistic().graph(13, 3)
    assert [linear.nodes[n].name for n in passes.layers(linear)] == ["output"]
    assert passes.activations(linear) == []


@pytest.mark.parametrize("box, derivative", [
    (Tanh, lambda x: 1 - np.tanh(x) ** 2), (Sigmoid, lambda x: np.exp(-x) / (1 + np.exp(-x)) ** 2),
    (ReLU, lambda x: (x > 0) * 1.0),
])  # fmt: skip
def test_slopes_do_not_ask_bprop(box, derivative):
    from nnlab.testing.numeric import bind

    bound = bind(box(), [(4,)], 2, 6).box
    x = torch.linspace(-3.05, 3.05, 48, dtype=torch.float64).view(2, 4, 6)
    assert np.allclose(passes.slopes(bound, x).numpy(), derivative(x.numpy()), atol=1e-6)


def test_the_advice_for_stuck_units_depends_on_when_they_got_stuck():
    def advice(start, after, bounded=True):
        looks = [{"activations": {"tanh1": {"stuck": share, "bounded": bounded}}} for share in (start, after)]
        (found,) = saturation.stuck({"at the start": looks[0], "later": looks[1]})
        return found.status, found.number, found.advice

    assert advice(0.1, 0.2)[:2] == ("pass", 0.2)
    assert advice(0.1, 0.7) == ("fail", 0.7, "lower the learning rate")
    status, number, said = advice(0.5, 0.4)
    assert (status, number) == ("warn", 0.5) and "normalise the inputs" in said and "init.mean" not in said
    assert "init.mean=0.01" in advice(0.9, 0.9, bounded=False)[2]


@pytest.mark.parametrize("changes, cause", [
    (dict(model=nnlab.MLP(hidden=(64,) * 30, activation="sigmoid")), "vanishing"),  # squares are 0 in float32
    (dict(model=nnlab.MLP(hidden=(64,) * 90, activation="sigmoid")), "vanishing"),  # and so are the gradients
    (dict(model=nnlab.MLP(activation="sigmoid"), init=nnlab.Normal(bias=5.0)), "saturated"),  # every unit is
    (dict(init=nnlab.Auto(bias=-30.0)), "dead"),
], ids=str)  # fmt: skip
def test_what_stops_the_gradient_altogether(changes, cause):
    verdict = saturation.check(Subject(job("wine", **changes), SMALL))
    assert verdict.status == "fail" and verdict.causes[0] == cause


def test_in_training_half_of_the_tanh_units_may_be_saturated():
    looks = [{"activations": {"tanh1": {"stuck": s, "bounded": True}}} for s in (0.1, 0.5)]
    assert saturation.stuck({"at the start": looks[0], "later": looks[1]})[0].status == "pass"
    assert saturation.stuck({"at the start": looks[1]})[0].status == "warn"


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


def learning(own, lower=None, higher=None, error=0.5):
    """Curves of four epochs: the job's own, the rate times 0.1 and times 10; the two smallest hardly fall."""
    flat = [1.0, 0.9995, 0.999, 0.998]
    loss = np.array([own, flat, flat, lower or flat, higher or flat])
    return Learning(loss, np.full(loss.shape, error), 0.1 * np.array(subset.FACTORS), 1.0, 50, True)


def test_the_causes_are_told_apart():
    nan, learnt = np.nan, [1.0, 0.2, 0.03, 0.01]
    up = [1.0, 1.1, 1.2, 1.3]
    saturated = Finding("fail", 0.9, 0.3, "90% of tanh1's units are saturated", "advice", "saturated")

    def cause(said, before=None):
        found = subset.judge(said, before)
        return found.status, found.cause

    assert cause(learning(learnt, error=0.0)) == ("pass", "")
    assert cause(learning(learnt, error=0.1))[0] == "warn"  # the loss is there, the accuracy is not
    assert cause(learning(up), saturated) == ("fail", "saturated")
    assert cause(learning([1.0, nan, nan, nan], lower=learnt)) == ("fail", "lr_high")
    assert cause(learning([0.7, 0.9, 0.6, 0.9], lower=[1, 0.5, 0.2, 0.1])) == ("fail", "lr_high")
    assert "bounces" in subset.judge(learning([0.7, 0.9, 0.6, 0.9], lower=[1, 0.5, 0.2, 0.1]), None).found
    assert cause(Learning(np.tile(up, (5, 1)), np.ones((5, 4)), np.ones(5), 1.0, 50, True)) == (
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
        return subset.judge(
            Learning(loss, np.ones((5, 4)), np.array(subset.FACTORS), 1.0, 50, True), None
        ).cause

    assert cause([1.0, 1.1, 1.2, 1.3]) == "gradient"
    assert cause([1.0, np.nan, np.nan, np.nan]) == "lr_high"


def test_an_error_that_bounces():
    bouncing = nnlab.Experiment(data=nnlab.Diabetes(), optimizer=nnlab.Adam(lr=0.3))  # docs/lecture.md has it
    found = subset.check(Subject(bouncing)).worst
    assert found.cause == "lr_high" and "it bounces" in found.found


def test_what_is_too_large_from_the_start_comes_first():
    """Before the rates, of which a smaller and a larger one may both seem to help."""
    raw = nnlab.BreastCancer(normalization="none")
    assert subset.check(Subject(nnlab.Experiment(data=raw))).causes == ["scales"]


def test_nothing_is_asked_of_a_job_with_a_single_target():
    subject = Subject(job("diabetes", data=Changed(of=nnlab.Diabetes(), single=True)))
    found = {v.rung: v for v in climb(subject, ["start", "subset", "rates", "data"])}
    assert [found[rung].status for rung in found] == ["pass", "pass", "pass", "fail"]
    assert found["data"].causes == ["constant_target"] and "nothing to learn" in found["rates"].worst.found


def test_it_stops_when_it_is_learnt():
    verdict = subset.check(Subject(job("digits"), SMALL))
    assert verdict.status == "pass" and verdict.details["loss"].shape[1] < 20


# ---- learning rates


LR = np.geomspace(1e-4, 1e1, 11)


def table(end, start=(2.0, 2.1, 1.9)):
    return Table(LR, np.array(end, float)[:, None] + np.array([-0.01, 0, 0.01]), np.array(start), 2.3)


CURVE = [2.0, 1.9, 1.7, 1.2, 0.6, 0.3, 0.2, 0.25, 5.0, np.nan, np.nan]


def test_what_works_the_edge_and_the_suggestion():
    t = table(CURVE)
    assert t.edge == LR[8] and t.best in (6, 7)
    assert t.works == (LR[4], LR[7])  # half of the fall from 2 to 0.25 or less
    assert t.suggestion == pytest.approx(min(LR[t.best], LR[8] / 3))
    assert t.diverged.tolist() == [0] * 9 + [1] * 2


def test_a_single_noisy_curve_does_not_fool_it():
    end = np.array(CURVE)[:, None] + np.zeros(3)
    end[1, 0], end[5, 1] = 0.0, 1.9  # one seed is lucky at a small rate, one unlucky at a good one
    t = Table(LR, end, np.full(3, 2.0), 2.3)
    assert t.works == (LR[4], LR[7]) and t.edge == LR[8]


def test_a_lucky_rate_beyond_the_edge_is_no_good():
    t = table([*CURVE[:9], 0.0, 0.0])
    assert t.edge == LR[8] and t.works[1] == LR[7] and t.suggestion < LR[8]


@pytest.mark.parametrize("own, longer, status, cause", [
    (LR[5], 1, "pass", ""), (LR[9], 1, "fail", "lr_high"), (LR[8], 1, "fail", "lr_high"),
    (LR[0], 1, "fail", "lr_low"), (LR[2], 1, "warn", "lr_low"),
    (LR[2], 10, "pass", ""),  # it trains ten times as long as this test
    (LR[4], 0.01, "pass", ""),  # in the range, however short the job is
])  # fmt: skip
def test_where_the_jobs_rate_lies(own, longer, status, cause):
    finding = rates.judge(table(CURVE), own, longer)
    assert (finding.status, finding.cause) == (status, cause), finding.found
    assert ("optimizer.lr=" in finding.advice) == (status != "pass")


def test_when_no_rate_learns():
    finding = rates.judge(table([2.0] * 11), LR[5], 1)
    assert (finding.status, finding.cause) == ("fail", "nothing_learnt")
    rising = rates.judge(table([2.5, 2.6, 2.7, 3, 4, 5, 6, 7, 8, 9, 9]), LR[5], 1)
    assert rising.cause == "nothing_learnt"
    assert "another rung" not in finding.advice and "only=[" in finding.advice


def test_a_usual_regulariser_is_not_suspected():
    for usual in (dict(l2=1e-3), dict(dropout=0.5), dict(l1=1e-3), dict(max_norm=1.0)):
        e = job("wine", regularizer=nnlab.Regularizer(**usual))
        assert rates.check(Subject(e, SMALL)).status == "pass", usual


def test_the_rates_are_sorted_and_have_the_jobs_own():
    for own in (3e-3, 1e-9, 1e4):
        grid = rates.candidates(own, 64)
        assert len(grid) == 64 and own in grid and (np.diff(grid) > 0).all()
        assert grid[0] < own < grid[-1]


def test_a_large_network_gets_fewer_rows_and_steps():
    small, large = (Subject(job("digits", model=nnlab.MLP(hidden=h))) for h in ((64,), (400, 400)))
    assert rates.scale(small) == (64, 3, 200)
    count, seeds, steps = rates.scale(large)
    size = large.graph.layout()[2] * 64
    assert count >= 16 and seeds == 1 and steps >= 50 and size * count * seeds * steps < 64 * 3 * 200 * size


def test_a_large_batch_is_counted_and_cut_last():
    def work(e):
        subject = Subject(e)
        updates = int(np.prod(rates.scale(subject)))
        return rates.batch_for(subject, updates), updates * rates.batch_for(subject, updates)

    assert work(job("digits"))[0] == 64
    large, small = (job("digits", batch_size=b, model=nnlab.MLP(hidden=(400, 400))) for b in (1024, 64))
    assert work(large)[0] < 1024 and work(large)[1] <= 2 * work(small)[1]
    assert rates.batch_for(Subject(job("digits", batch_size="full")), 1) == 64


def test_large_networks_get_fewer_seeds():
    assert Subject(job("digits")).seeds(6400) == 10
    assert Subject(job("digits", model=nnlab.MLP(hidden=(1000, 1000)))).seeds(6400) == 2


# ---- data


def test_twins_are_found_up_to_sign_scale_and_shift():
    random = np.random.default_rng(0)
    x = random.standard_normal((30, 5))
    x[:, 2], x[:, 4] = 3 - 2 * x[:, 0], 1e6 * x[:, 1]
    x[:, 3] = x[:, 0] + 1e-3 * random.standard_normal(30)  # like it, but no twin
    assert data.twins(x, np.array([], int)) == [(0, 2), (1, 4)]


def test_confident_disagreement_by_hand():
    label = np.array([0, 0, 0, 1, 1, 1])
    first = np.array([0.9, 0.8, 0.1, 0.2, 0.95, 0.65])  # usual: 0.6 in the first class, 0.4 in the second
    doubted = labels.confident_disagreement(np.array([first, 1 - first]), label)
    assert doubted.tolist() == [False, False, True, False, True, True]


def test_the_suspected_labels_are_those_that_were_changed():
    noisy = job("breast_cancer", data=nnlab.BreastCancer(label_noise=0.15))
    subject = Subject(noisy)
    numbers, _ = labels.suspected(subject)
    changed = np.flatnonzero(subject.dataset.noisy != subject.dataset.y)
    there = np.intersect1d(changed, subject.fold.train)
    assert len(np.intersect1d(numbers, there)) > 0.6 * len(there)
    assert len(np.intersect1d(numbers, there)) > 0.5 * len(numbers)


def test_the_correlation_and_its_deviation_by_chance():
    random = np.random.default_rng(0)
    t = np.eye(4)[random.integers(4, size=300)].T
    p = random.random((4, 300)) * np.array([[1], [2], [0.5], [1]])
    r, deviation = labels.correlation(p, t)
    assert r == pytest.approx(
        np.corrcoef((p - p.mean(1)[:, None]).ravel(), (t - t.mean(1)[:, None]).ravel())[0, 1]
    )
    shuffled = [labels.correlation(p, t[:, random.permutation(300)])[0] for _ in range(2000)]
    assert deviation == pytest.approx(np.std(shuffled), rel=0.06) and abs(np.mean(shuffled)) < 0.1 * deviation
    two, answers = np.eye(2)[random.integers(2, size=300)].T, np.array([p[0], 1 - p[0]])
    for outputs, targets in ((p[:1], t[:1]), (answers, two)):
        assert labels.correlation(outputs, targets)[1] == pytest.approx(299**-0.5)
    assert labels.correlation(np.ones((1, 50)), t[:1, :50]) == (0.0, 49**-0.5)


@pytest.mark.parametrize("limit", [20, 50])
def test_few_examples_are_no_fault(limit):
    assert data.check(Subject(job("digits", data=nnlab.Digits(limit=limit)))).status == "pass"


def test_discrete_data_with_copies_in_the_test_set():
    """What repeats by nature is no alarm, copies beyond that are."""
    e = job("diabetes", data=Drawn(kind="discrete"))
    assert "repeated, of few different values" in data.check(Subject(e)).worst.found
    assert data.check(Subject(job("diabetes", data=Changed(of=e.data, copied=1.0)))).causes == [
        "test_in_training"
    ]


def test_scales_matter_only_where_nothing_normalises():
    raw = replace(nnlab.Wine(), normalization="none")
    assert data.check(Subject(job("wine", data=raw))).causes == ["scales"]
    assert data.check(Subject(job("wine"))).status == "pass"


def test_a_wide_table_may_have_constant_columns():
    verdict = data.check(Subject(job("digits")))
    assert verdict.status == "pass" and "4 constant columns" in verdict.worst.found


# ---- what a rung leaves alone


def test_a_rung_depends_on_nothing_but_the_job():
    """Neither on the rungs before it nor on the global generators, and it changes none of them."""
    e = job("iris", regularizer=nnlab.Regularizer(dropout=0.3))
    torch.manual_seed(1), np.random.seed(1)
    before = torch.get_rng_state().clone()
    first = {v.rung: v.worst for v in climb(Subject(e, SMALL), list(RUNGS))}
    assert torch.equal(torch.get_rng_state(), before)
    for rung in reversed(RUNGS):
        torch.manual_seed(2)
        (again,) = climb(Subject(e, SMALL), [rung])
        assert again.worst == first[rung]


def test_rows_that_know_each_other_are_found_in_the_right_rung_only():
    e = job("wine", model=Between(box=Nosy()))
    assert [v.causes for v in climb(Subject(e, SMALL), ["determinism"])] == [["rows_mixed"]]
    assert start.check(Subject(e, SMALL)).status == "pass"

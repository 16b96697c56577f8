"""A planted wrong sign that `nnlab check only=gradients` finds; its picture; errors against epsilon."""

import json

import numpy as np
import pytest
import torch
from check_jobs import Between, job
from check_mutants import MUTANTS, NEEDS, Convolved, Pooled
from networks import one_thread  # noqa: F401
from processes import forked

import nnlab
from nnlab.autodiff.activity_penalty import ActivityPenalty
from nnlab.autodiff.central_differences import compare
from nnlab.autodiff.gradient_comparison import GradientComparison
from nnlab.checks.objective import Objective
from nnlab.checks.subject import Subject

IRIS = job("iris", model=nnlab.MLP(hidden=(8,), activation="tanh"))


def checked(experiment, **arguments):
    (verdict,) = nnlab.check(experiment, only="gradients", **arguments)
    return verdict


# Of the activity penalty, which the graph of training alone has, see test_activity_penalty.
@pytest.mark.parametrize(
    "cls", [cls for cls in MUTANTS if cls is not ActivityPenalty], ids=lambda cls: cls.__name__
)
def test_a_planted_sign_turns_every_gradient_of_a_box_and_nothing_else(cls):
    data, _, changes = NEEDS.get(cls) or ("wine", "", dict(model=Between(box=cls())))
    experiment = job(data, **changes)
    (*_, name) = [node.name for node in Subject(experiment).graph.nodes if type(node.box) is cls]
    right, planted = (Objective(Subject(experiment, plant=plant)) for plant in (None, name))
    with torch.no_grad():
        z, again = (objective.network.fprop(objective.x) for objective in (right, planted))
        assert torch.equal(z, again)
        boxes = [objective.network.bound_boxes[right.graph[name]] for objective in (right, planted)]
        dy = torch.randn_like(boxes[0].ctx.y)
        for g, turned in zip(*[box.bprop(dy) for box in boxes], strict=True):
            assert (g is None and turned is None) or torch.equal(turned, -g)


@pytest.mark.parametrize("name, experiment", [
    ("tanh1", IRIS), ("hidden1", IRIS), ("output", IRIS),
    ("second", job("wine", model=Convolved())), ("box", job("wine", model=Pooled())),
    ("dropout1", job("wine", regularizer=nnlab.Regularizer(dropout=0.3))),
], ids=lambda value: value if isinstance(value, str) else "")  # fmt: skip
def test_a_planted_sign_is_found_and_no_other_box_is_accused(name, experiment):
    verdict = checked(experiment, plant=name, budget=nnlab.Budget(sample=10, parameters=1, work=1e6))
    wrong = {
        title.partition(":")[0] for title, c in verdict.details["boxes"].items() if not c["error"] < 1e-5
    }
    assert wrong == {name}, verdict.worst.found
    assert verdict.status == "fail" and verdict.worst.found.startswith(f"{name}: ")


def test_the_sentence_says_that_it_is_the_sign():
    verdict = checked(IRIS, plant="tanh1")
    assert verdict.worst.found.startswith("tanh1: dx is wrong, minus the right one: off by ")
    assert "spoils hidden1.bias, hidden1.weight" in verdict.worst.found
    assert verdict.worst.advice.startswith("found: plant=tanh1 turned the sign of its gradient;")


def test_the_job_itself_has_no_wrong_sign():
    """Other rungs train the job: one that learns fifty examples by heart does so beside a planted sign."""
    verdicts = list(nnlab.check(IRIS, only=["start", "gradients", "subset"], plant="output"))
    assert [v.status for v in verdicts] == ["pass", "fail", "pass"]


@pytest.mark.parametrize("plant, only, sentence", [
    ("tahn1", "gradients", "plant = 'tahn1': no box of this network has that name; did you mean 'tanh1'?"),
    ("input", "gradients", "no box of this network has that name; allowed: hidden1, output, tanh1"),
    ("hidden1.weight", "gradients", "no box of this network has that name; allowed: hidden1, output"),
    ("tanh1", ["data", "start"], "the rung that finds it is gradients, and only = start, data"),
    (3, "gradients", "plant = 3: expected a word or null"),
])  # fmt: skip
def test_what_cannot_be_planted_is_refused(plant, only, sentence):
    with pytest.raises(nnlab.UserError) as error:
        list(nnlab.check(IRIS, only=only, plant=plant))
    assert sentence in str(error.value)


def test_a_box_without_a_gradient_is_refused():
    dropped = job("iris", regularizer=nnlab.Regularizer(input_dropout=0.2))
    with pytest.raises(
        nnlab.UserError, match="'input_dropout': no gradient passes through that box; allowed"
    ):
        nnlab.check(dropped, only="gradients", plant="input_dropout")


def test_a_sign_that_turns_nothing_is_not_called_found():
    """Beyond a box that lets no gradient through, a wrong sign cannot be seen: the check says so."""
    from nnlab.checks.gradients import finding_of_planted
    from nnlab.checks.verdict import Finding

    passing = Finding("pass", 0, 1e-5, "all right")
    finding = finding_of_planted("relu1", passing, [GradientComparison("relu1: dx", 0.0, 0.0)])
    assert finding.status == "fail" and "was not found" in finding.found


@pytest.mark.parametrize("factor, words", [
    (-1, "wrong, minus the right one:"), (0.5, "wrong, 0.5 times the right one:"), (None, "wrong:"),
])  # fmt: skip
def test_a_multiple_of_the_right_gradient_is_recognised(factor, words):
    x = np.linspace(-1, 2, 9)
    gradient, total = 3 * x**2 * factor if factor else x, (x**3).sum()

    def shifted(which, step):
        return total - x[which] ** 3 + (x[which] + step) ** 3

    cubes = compare(gradient, shifted, total, 8.0, 12.0, 1e-5)
    assert cubes.factor == (pytest.approx(factor, rel=1e-5) if factor else None)
    fault = GradientComparison("box: dx", 0.5, None, factor=cubes.factor).fault
    assert words in fault


# ---- the error against epsilon


@pytest.mark.parametrize("changes", [
    {}, dict(regularizer=nnlab.Regularizer(dropout=0.3)),
], ids=str)  # fmt: skip
def test_the_error_by_epsilon_is_a_v(changes):
    """Lowest near the cube root of the machine's epsilon; rounding on the left, truncation on the right."""
    details = checked(IRIS if not changes else job("wine", **changes)).details["epsilon"]
    epsilons = details["epsilons"]
    for dtype, floor in (("float32", 1e-3), ("float64", 1e-8)):
        errors = np.array(details[dtype])
        best = epsilons[errors.argmin()]
        assert errors.min() < floor
        assert 1 / 200 < best / np.cbrt(np.finfo(dtype).eps) < 20
        assert errors[0] > 100 * errors.min() and errors[-1] > 100 * errors.min()
    at_chosen = np.interp(np.log(details["chosen"]), np.log(epsilons), details["float64"])
    assert at_chosen < 1e-7 < details["limit"]


def test_truncation_falls_with_the_square_of_epsilon():
    """Where no kink is: of tanh, and before rounding takes over."""
    details = checked(IRIS).details["epsilon"]
    epsilons, errors = details["epsilons"], np.array(details["float64"])
    range_ = (epsilons > 1e-4) & (epsilons < 1e-2)
    slope = np.polyfit(np.log(epsilons[range_]), np.log(errors[range_]), 1)[0]
    assert slope == pytest.approx(2, abs=0.1)
    rounding = (epsilons > 1e-12) & (epsilons < 1e-8)
    slope = np.polyfit(np.log(epsilons[rounding]), np.log(errors[rounding] + 1e-16), 1)[0]
    assert -1.6 < slope < -0.5


def test_no_epsilon_helps_a_wrong_gradient():
    errors = checked(IRIS, plant="tanh1").details["epsilon"]["float64"]
    assert min(errors) > 1e-3 > 1e-5


def test_a_network_that_is_too_large_has_no_curve():
    verdict = checked(IRIS, budget=nnlab.Budget(work=1e5))
    assert verdict.status == "pass" and verdict.details["epsilon"] == {}


# ---- the command


def test_the_command_fails_and_draws_the_box_in_red(tmp_path):
    words = ["check", "only=gradients", "data=iris", "model.hidden=[8]", "plant=relu1"]
    process = forked(tmp_path, *words, "hydra.run.dir=there")
    assert process.returncode == 1 and "relu1: dx is wrong, minus the right one" in process.stdout
    assert {path.name for path in (tmp_path / "there").glob("*.png")} == {"gradients.png"}
    record = json.loads((tmp_path / "there" / "check.json").read_text())[0]
    assert record["details"]["planted"] == "relu1" and record["cause"] == "gradient"
    process = forked(tmp_path, *words[:-1], "plant=relu9", "hydra.run.dir=nowhere")
    assert process.returncode == 2 and "did you mean 'relu1'?" in process.stderr
    assert not (tmp_path / "nowhere").exists()


def test_the_planted_box_is_named_in_red_and_alone(monkeypatch):
    from nnlab.records import gradients_picture

    figures = []
    monkeypatch.setattr(gradients_picture, "render_png", lambda figure: figures.append(figure) or b"")
    gradients_picture.gradients(checked(IRIS, plant="tanh1").details, "iris")
    left, right = figures[0].axes
    red = [label.get_text() for label in left.get_yticklabels() if label.get_color() == "#D55E00"]
    assert red == ["tanh1: dx  (planted)"]
    assert "no epsilon brings differences to it" in right.texts[0].get_text()

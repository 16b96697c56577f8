"""`nnlab check` through the real command line: run folder, output, exit codes and invalid input."""

import json
from dataclasses import replace

import numpy as np
import pytest
from processes import forked

from nnlab import SGD, Experiment, Momentum, Nesterov, fit
from nnlab.checks import chance_level
from nnlab.checks.chance_level import Chance, chance_error
from nnlab.checks.ladder import RUNGS
from nnlab.checks.proposal import (
    Outcome,
    OutcomeRecorder,
    propose_check,
    propose_check_for_runs,
    suggest_lower_rate,
)
from nnlab.cli import main
from nnlab.data.sources import Diabetes, Iris
from nnlab.data.splits import Holdout
from nnlab.losses import LOSSES
from nnlab.training.results import Record

FAST = ["check.rates=16", "check.rate_seeds=1", "check.steps=400", "check.seeds=3", "check.parameters=100"]


def folder(cwd):
    (check_folder,) = (cwd / "outputs" / "check").iterdir()
    return check_folder


def verdicts(cwd):
    return {v["rung"]: v for v in json.loads((folder(cwd) / "check.json").read_text())}


def test_a_healthy_job_in_another_folder(tmp_path):
    process = forked(tmp_path, "check", "data=wine", "batch_size=16", *FAST)
    assert process.returncode == 0, process.stdout + process.stderr
    lines = [line.split()[:2] for line in process.stdout.splitlines() if line.startswith("  pass")]
    assert lines == [["pass", rung] for rung in RUNGS]
    assert "7 passed in" in process.stdout
    files = {path.name for path in folder(tmp_path).iterdir()}
    pictures = {"data.png", "gradients.png", "rates.png", "subset.png", "saturation.png"}
    assert files == {".hydra", "config.yaml", "command.txt", "check.json"} | pictures
    records = verdicts(tmp_path)
    assert list(records) == list(RUNGS)
    for verdict in records.values():
        assert verdict["status"] == "pass" and verdict["seconds"] > 0
        assert isinstance(verdict["number"], (int, float)) and isinstance(verdict["threshold"], (int, float))
    assert len(records["rates"]["details"]["lr"]) == 16
    assert all((folder(tmp_path) / name).read_bytes()[:4] == b"\x89PNG" for name in pictures)
    command = (folder(tmp_path) / "command.txt").read_text()
    assert command.startswith("nnlab check data=wine") and "check.rates=16" in command


def test_a_faulty_job_fails_with_advice(tmp_path):
    process = forked(tmp_path, "check", "data=iris", "init=zeros", "only=[start,saturation]", "picture=false")
    assert process.returncode == 1, process.stderr
    assert "fail  start" in process.stdout and "-> break the symmetry" in process.stdout
    assert "init=auto" in process.stdout and "failed" in process.stdout
    records = verdicts(tmp_path)
    assert list(records) == ["start", "saturation"]
    assert records["start"]["cause"] == "symmetry" and "init=auto" in records["start"]["advice"]
    assert not list(folder(tmp_path).glob("*.png"))


def test_a_warning_is_no_failure(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.csv").write_text(
        "a,b,c,left\n" + "".join(f"{i % 9},{i % 7},5,{'yes' if i % 2 else 'no'}\n" for i in range(80))
    )
    arguments = ["check", "only=data", "data=csv", "data.path=mine.csv", "data.target=left"]
    assert main(arguments) in (0, 1)
    stdout = capsys.readouterr().out
    assert "1 of 3 columns constant (limit 0): c" in stdout and "-> leave them out" in stdout
    assert {f["cause"] for f in verdicts(tmp_path)["data"]["findings"]} >= {"constant_columns"}


@pytest.mark.parametrize("arguments", [
    ["data=diabetes", "model.hidden=[8]"], ["data=diabetes", "model=linear"],
    ["data=iris", "split=kfold", "seeds=3"], ["data=moons", "stopping=patience", "schedule=cosine"],
], ids=" ".join)  # fmt: skip
def test_it_climbs_every_rung_on_other_jobs(tmp_path, monkeypatch, capsys, arguments):
    monkeypatch.chdir(tmp_path)
    assert main(["check", *arguments, *FAST]) in (0, 1)
    assert list(verdicts(tmp_path)) == list(RUNGS)
    assert capsys.readouterr().err == ""


WRONG = [
    (["only=gradient"], ["'gradient'", "did you mean 'gradients'"]),
    (["only=[]"], ["only = []", "gradients"]),
    (["only=3"], ["only = 3", "gradients"]),
    (["only={a:1}"], ["only", "gradients"]),
    (["only=[start,[data]]"], ["only", "gradients"]),
    (["check.rates=3"], ["check.rates = 3", "at least 8"]),
    (["check.steps=many"], ["check.steps = 'many'", "a whole number"]),
    (["check.rate=3"], ["check.rate", "check.rates"]),
    (["optimizer=adm"], ["adm", "adam"]),
    (["picture=maybe"], ["picture = 'maybe'"]),
    (["data=csv"], ["data.path"]),
    (["data=diabetes", "model=logistic"], ["logistic", "diabetes"]),
    (["device=cuda:9"], ["cuda:9"]),
]


@pytest.mark.parametrize("arguments, phrases", WRONG, ids=[" ".join(arguments) for arguments, _ in WRONG])
def test_wrong_input_is_one_sentence_and_leaves_nothing(tmp_path, monkeypatch, capsys, arguments, phrases):
    monkeypatch.chdir(tmp_path)
    assert main(["check", *arguments]) == 2
    stderr = capsys.readouterr().err
    assert stderr.startswith("nnlab check: ") and stderr.count("\n") == 1 and "Traceback" not in stderr
    assert all(word in stderr for word in phrases), stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("option, phrases", [
    (["--help"], ["Usage: nnlab check", "determinism", "nnlab check only=gradients", "check.rate_steps=200"]),
    (["--cfg", "job"], ["only: null", "rate_steps: 200", "optimizer:"]),
])  # fmt: skip
def test_what_hydra_answers(tmp_path, monkeypatch, capsys, option, phrases):
    monkeypatch.chdir(tmp_path)
    assert main(["check", *option]) == 0
    stdout = capsys.readouterr().out
    assert all(word in stdout for word in phrases)
    assert not list(tmp_path.iterdir())


# ---- what train proposes

HEALTHY = Outcome(rows=3, diverged=0, epochs=50, first_loss=1.6, last_loss=0.01, error=0.02, chance=0.9)


@pytest.mark.parametrize("changes, proposal", [
    ({}, None),
    (dict(diverged=1), None),  # the sweep of a rate may lose one
    (dict(diverged=2), "2 of 3 rows diverged; find out why: nnlab check only=rates a=1"),
    (dict(diverged=3, last_loss=np.nan, first_loss=np.nan, error=np.nan),
     "3 of 3 rows diverged; find out why: nnlab check only=rates a=1"),
    (dict(rows=1, diverged=1, lower_rate=0.02),
     "the row diverged; try optimizer.lr=0.02, or find out why: nnlab check only=rates a=1"),
    (dict(rows=1, diverged=1), "the row diverged; find out why: nnlab check only=rates a=1"),
    (dict(last_loss=1.6, error=0.88),
     "the training loss did not fall; find out why: nnlab check only=[start,subset] a=1"),
    (dict(first_loss=0.3, last_loss=0.3, error=0.1, chance=0.11, val_loss=0.31, chance_loss=0.35), None),
    (dict(error=0.1, chance=0.11, margin=0.01, val_loss=0.31, chance_loss=0.35), None),
    (dict(error=0.1, chance=0.11, margin=0.01, val_loss=0.35, chance_loss=0.35),  # the error is lucky
     "the validation error is no better than chance; find out why: nnlab check only=data a=1"),
    (dict(error=9.0, chance=9.1, margin=0.2, measure="RMSE"),
     "the validation RMSE is no better than chance; find out why: nnlab check only=data a=1"),
    (dict(last_loss=1.6, error=0.88, epochs=2), None),  # it has had no chance yet
    (dict(first_loss=0.011, last_loss=0.011), None),  # flat, since it was done in the first epoch
    (dict(error=0.9),
     "the validation error is no better than chance; find out why: nnlab check only=data a=1"),
    (dict(error=0.8), None),
    (dict(error=0.9, first_loss=1.6, second_loss=2.5, lower_rate=0.02),
     "the validation error is no better than chance, and the training loss was 2.5 at first; "
     "try optimizer.lr=0.02, or find out why: nnlab check only=rates a=1"),
    (dict(error=0.9, first_loss=105.0, second_loss=2.3, last_loss=2.3, chance_loss=2.3, val_loss=2.3),
     "the validation error is no better than chance, and the training loss was 105 at first; "
     "find out why: nnlab check only=rates a=1"),
    (dict(last_loss=2.0, second_loss=2.5, error=0.88),
     "the training loss did not fall, and was 2.5 at first; find out why: nnlab check only=rates a=1"),
    (dict(first_loss=1.6, second_loss=9.0), None),  # it has recovered
], ids=str)  # fmt: skip
def test_what_is_proposed(changes, proposal):
    assert propose_check(Outcome(**vars(HEALTHY) | changes), "nnlab train a=1") == proposal


def test_an_outcome_is_read_from_the_records():
    course = OutcomeRecorder(3)
    for epoch, loss, error, rows, improved, ended in (
        (1, [3.0, 2.0, np.nan], [0.8, 0.1, 0.9], [0, 1, 2], [True, True, False], {2: "diverged"}),
        (2, [1.0, 1.0], [0.2, 0.4], [0, 1], [True, True], {1: "stopped"}),
        (
            3,
            [0.5],
            [0.1],
            [0],
            [False],
            {0: "finished"},
        ),  # neither this 0.1 nor that above is the best epoch's
    ):
        metrics = {
            "train_loss": np.array(loss),
            "val_error": np.array(error),
            "val_loss": 2 * np.array(error),
        }
        course.record(Record(epoch, np.array(rows), metrics, np.array(improved), ended))
    assert course.outcome(Chance(0.9, 0.1, 2.3)) == Outcome(
        3, 1, 3, first_loss=2.5, last_loss=0.75, error=pytest.approx(0.3), chance=0.9, margin=0.1,
        val_loss=pytest.approx(0.2), chance_loss=2.3, second_loss=1.0,
    )  # fmt: skip


def test_of_several_runs_the_worst_is_proposed():
    def bad(**changes):
        return Outcome(**vars(HEALTHY) | changes)

    runs = {"nnlab train a=1": HEALTHY, "nnlab train a=2": bad(error=0.9), "nnlab train a=3": bad(diverged=3)}
    assert propose_check_for_runs(runs) == (
        "2 of 3 runs went badly, the worst: 3 of 3 rows diverged; find out why: nnlab check only=rates a=3"
    )
    assert propose_check_for_runs({"nnlab train a=1": HEALTHY, "nnlab train": HEALTHY}) is None


@pytest.mark.parametrize("loss, expected", [
    ("cross_entropy", lambda p: -np.log(p).mean()),
    ("binary_cross_entropy", lambda p: -3 * (np.log(p) / 3 + 2 * np.log(1 - p) / 3).mean()),
    ("squared_error", lambda p: ((1 - p) ** 2 + 2 * p**2).mean() / 3),
])  # fmt: skip
def test_the_loss_of_chance(loss, expected):
    data = Iris().load()  # of three classes that are equally frequent in every part
    by_chance = chance_level.measure_chance(data, Holdout().folds(data), LOSSES[loss]())
    assert by_chance.loss == pytest.approx(expected(np.full(3, 1 / 3)))
    assert by_chance.margin == pytest.approx(2 * np.sqrt(2 / 9 / 30))


def test_the_error_of_chance():
    iris, diabetes = Iris().load(), Diabetes().load()
    (fold,) = Holdout().folds(iris)
    assert chance_error(iris, [fold, fold]) == pytest.approx(2 / 3)
    (fold,) = Holdout().folds(diabetes)
    y = diabetes.y[fold.validation]
    by_hand = np.sqrt(((y - diabetes.y[fold.train].mean()) ** 2).mean())
    assert chance_error(diabetes, [fold]) == pytest.approx(by_hand)


@pytest.mark.parametrize("data", ["diabetes", "line"])
@pytest.mark.parametrize("optimizer", [SGD, Momentum, Nesterov])
def test_the_proposed_rate_trains_where_the_default_diverges(data, optimizer):
    """Squared errors of a target: every shipped regression, over sizes of batches."""
    for batch_size in (8, 64, "full"):
        usual = optimizer()
        e = Experiment(data=data, optimizer=replace(usual, lr=suggest_lower_rate(usual)), epochs=5, seeds=3,
                             batch_size=batch_size)  # fmt: skip
        assert {result.status for result in fit(e).run().results} == {"finished"}
    assert (
        suggest_lower_rate(SGD(lr=0.002)) == 2e-4 and suggest_lower_rate(optimizer(lr=1e9)) == usual.lr / 10
    )


@pytest.mark.parametrize("arguments, proposal", [
    (["epochs=5"], None),
    (["data=diabetes", "epochs=5"], None),
    (["optimizer=sgd", "optimizer.lr=1e6", "epochs=5"],
     "the row diverged; try optimizer.lr=0.01, or find out why: nnlab check only=rates optimizer=sgd "
     "optimizer.lr=1e6 epochs=5"),
    (["init=zeros", "optimizer.lr=1e-6", "epochs=5"],
     "nnlab check only=[start,subset] init=zeros optimizer.lr=1e-6"),
    (["data=noise", "epochs=30"], "no better than chance; find out why: nnlab check only=data data=noise"),
    (["-m", "data=iris", "optimizer=sgd", "optimizer.lr=1e9,1e-9", "epochs=3"],
     "2 of 2 runs went badly, the worst: the row diverged; try optimizer.lr=0.01, or find out why: "
     "nnlab check only=rates data=iris"),
    (["optimizer=sgd", "optimizer.lr=1e6", "epochs=1", "show=[curves]", "caption=Divergence, drawn",
      "record=[effective_step]", "predictions=false", "checkpoint.minutes=9", "hydra.run.dir=outputs/here"],
     "find out why: nnlab check only=rates optimizer=sgd optimizer.lr=1e6 epochs=1"),
], ids=lambda v: " ".join(v) if isinstance(v, list) else "")  # fmt: skip
def test_train_ends_with_the_proposal(tmp_path, monkeypatch, capsys, arguments, proposal):
    monkeypatch.chdir(tmp_path)
    main(["train", *arguments])
    stdout = capsys.readouterr().out
    arguments = " ".join(stdout.replace(" \\\n", " ").replace("'", "").split())
    assert (
        proposal in arguments
        if proposal
        else "find out" not in arguments and stdout.splitlines()[-1].split()[-1].startswith("outputs/")
    )

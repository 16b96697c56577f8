"""A sweep's winner compared with its baseline; and sweeps begun under older defaults."""

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from scipy import stats
from searches import IRIS, resume, resume_error, sweep, sweep_json, train, trials_csv

import nnlab
from nnlab.commands import baseline, baseline_text
from nnlab.training.data_cache import DataCache
from nnlab.training.fit import Fit

OLD = Path(__file__).parent / "old_sweep"  # of nnlab when data.normalization was standard by default
MANY = ("trials=20", "sampler=random", "epochs=2")
KINDS = {
    "one structure": (*IRIS, *MANY, "optimizer.lr=tag(log,interval(1e-3,1e-1))"),
    "two structures": (*IRIS, *MANY, "model.hidden=choice([3],[4],[5])", "distinct=false"),
    "groups": (*IRIS, *MANY, "optimizer=sgd,momentum", "optimizer.lr=interval(0.01,0.1)"),
    "folds": (*IRIS, *MANY, "split=kfold", "split.k=3", "optimizer.lr=interval(0.01,0.1)"),
    "regression": ("data=diabetes", "report=false", *MANY, "optimizer.lr=interval(0.01,0.1)"),
    "two objectives": (*IRIS, *MANY, "objective=[val_error,parameters]", "optimizer.lr=interval(0.01,0.1)"),
    "largest": (*IRIS, *MANY, "direction=maximize", "optimizer.lr=interval(1e-5,1e-4)"),
    "seeds": (*IRIS, "trials=8", "sampler=random", "seeds=3", "optimizer.lr=interval(0.01,0.1)"),
}


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("kind", KINDS)
def test_both_are_what_their_own_lines_give(kind, tmp_path, capsys):
    """The winner and the default, each trained alone with as many seeds by its printed line."""
    folder = sweep(tmp_path / "s", *KINDS[kind])
    comparison = sweep_json(folder)["compared"]
    assert (comparison["seed"], comparison["seeds"], comparison["chosen"]) == (
        3 if kind == "seeds" else 1,
        4,
        False,
    )
    stdout = resume(folder)
    start = stdout.partition("\n  the baseline")[2].partition("\n\n")[0].replace("\\\n", " ").strip()
    for who, line in (("winner", sweep_json(folder)["best"]["command"]), ("default", start)):
        retrained = train(f"{line} seed={comparison['seed']} seeds={comparison['seeds']}", tmp_path / who)
        assert (
            json.loads((retrained / "summary.json").read_text())["metrics"] == comparison[who]["metrics"]
        ), who
    assert sweep_json(folder)["compared"] == comparison  # after a sweep that was resumed when it had ended
    one = {json.loads(text)["row"] for text in (folder / "best" / "metrics.jsonl").read_text().splitlines()}
    assert len(one) == {"folds": 3, "seeds": 3}.get(kind, 1)
    metric = "val_error" if kind == "two objectives" else "val_loss"
    less = comparison["winner"]["metrics"][metric]["mean"] < comparison["default"]["metrics"][metric]["mean"]
    better = less != (kind == "largest")
    assert comparison["metric"] == metric and (better or comparison["validation"]["verdict"] != "better")
    assert (kind == "largest") <= (comparison["validation"]["verdict"] == "better")
    assert f"the search's winner is {comparison['validation']['verdict']} than the baseline" in stdout


QUICK, SLOW = 1.0, 1e12  # parameters x examples seen of a row


@pytest.mark.parametrize("trials, sweep_seeds, work, expected", [
    (64, 1, SLOW, 4), (1000, 1, SLOW, 4), (25, 1, SLOW, 3), (4, 1, SLOW, 0), (64, 10, SLOW, 10),
    (4, 3, SLOW, 0), (4, 10, SLOW, 4), (2, 1, QUICK, 4), (1, 3, QUICK, 4), (4, 10, QUICK, 10),
])  # fmt: skip
def test_how_many_seeds(trials, sweep_seeds, work, expected):
    folds = BASE.split.folds(nnlab.Iris().load())
    winner = replace(BASE, seeds=sweep_seeds)
    assert baseline.comparison_seeds(winner, trials, folds, work) == expected
    if trials == 64 and sweep_seeds == 1:  # the default sweep
        assert 2 * expected + 1 <= 0.15 * trials * sweep_seeds


def test_repeats_of_the_split_are_values_too():
    winner = replace(BASE, split=nnlab.Holdout(repeats=10))
    folds = winner.split.folds(nnlab.Iris().load())
    assert baseline.comparison_seeds(winner, 8, folds, SLOW) == 1


def compared(winner, default, trials=64, sign=1):
    cache = DataCache()
    fit = Fit(baseline.comparison_experiments(winner, default, trials, cache), cache)
    for _ in fit:
        pass
    return baseline.compare(fit, ("val_loss",), (sign,)), fit


BASE = nnlab.Experiment(data=nnlab.Iris(), epochs=3)
FAST, BAD = replace(BASE, epochs=40), replace(BASE, optimizer=nnlab.SGD(lr=1e38))


THAN = "than the baseline"


@pytest.mark.parametrize("winner, default, verdict, message", [
    (FAST, BASE, "better", f"the search's winner is better {THAN}"),
    (BASE, FAST, "worse", f"the search's winner is worse {THAN}"),
    (replace(BASE, epochs=4), replace(BASE, epochs=4, optimizer=nnlab.Adam(beta2=0.9991)), "no better",
     f"the search's winner is no better {THAN}"),  # always a little better, by less than 0.1%
    (BASE, replace(BASE, seed=7), "identical", "the baseline have identical results"),
    (BASE, BASE, "itself", "the search's winner is the baseline: no trial was better"),
    (BASE, BAD, "diverged", "the baseline diverges; the search's winner does not"),
    (BAD, BASE, "diverged", "4 of its 4 rows diverged, against 0 of the baseline's"),
])  # fmt: skip
def test_the_verdict(winner, default, verdict, message):
    comparison, fit = compared(winner, default)
    assert comparison["validation"]["verdict"] == verdict
    text = "\n".join(baseline_text.lines(comparison, "classification", "nnlab train"))
    assert message in text and all(len(line) <= 80 for line in text.splitlines())
    if verdict in ("better", "worse", "no better"):
        values = [
            [r.best["val_loss"] for r in fit.results if fit.experiment_of_row[r.row] == i] for i in (2, 1)
        ]
        expected = stats.ttest_rel(*values).confidence_interval(0.95)
        difference = comparison["validation"]["difference"]
        assert (difference["low"], difference["high"]) == pytest.approx(tuple(expected))
        assert difference == comparison["differences"]["val_loss"]
        assert "seeds 1 to 4, unused by the search" in text
    if verdict == "no better":
        assert difference["high"] < 0 and "under 0.1%" in text
    if message.startswith("the baseline diverges"):
        assert "4 of the baseline's rows diverged" in text


@pytest.mark.parametrize("winner, default, verdict", [(FAST, BASE, "worse"), (BASE, FAST, "better")])
def test_the_verdict_on_what_is_maximised(winner, default, verdict):
    comparison, _ = compared(winner, default, sign=-1)
    assert comparison["validation"]["verdict"] == verdict == comparison["test"]["verdict"]


@pytest.mark.parametrize("scale", [1e-4, 1.0, 1e4, 1e9, -1e9])
def test_columns_of_large_numbers_stand_apart(scale):
    """The table of both is a line for each metric, in 80 columns, two spaces between its cells."""
    mean, half = 1.6623 * scale, 0.6458 * abs(scale)
    metric = {"n": 4, "mean": mean, "low": mean - half, "high": mean + half}
    metrics = {"val_loss": metric, "test_loss": metric, "test_rmse": metric}
    each = {"rows": {"diverged": 0, "total": 4}, "metrics": metrics}
    comparison = {
        "metric": "val_loss", "seed": 1, "seeds": 4, "chosen": False, "winner": each, "default": each,
        "differences": metrics, "validation": {"verdict": "better", "difference": metric},
        "test": {"verdict": "better"},
    }  # fmt: skip
    shown = [line for line in baseline_text.lines(comparison, "regression", "nnlab train") if " ± " in line][
        :-1
    ]
    assert len(shown) == 3 and all(len(line) <= 80 for line in shown)
    cells = [re.split(" {2,}", line.strip()) for line in shown]
    assert all(len(row) == 4 and row[1] == row[2] == row[3] for row in cells), cells


def test_one_seed_that_chose_the_winner_tells_nothing(monkeypatch):
    monkeypatch.setattr(baseline, "QUICK_WORK", 0.0)
    comparison, fit = compared(FAST, BASE, trials=4)
    assert len(fit.rows) == 2 and comparison["validation"]["verdict"] == "cannot be told"
    text = "\n".join(baseline_text.lines(comparison, "classification", "nnlab train"))
    assert "is undecided: one seed each, which chose the winner" in text
    assert "to decide it, run both commands with new seeds: seed=1 seeds=4" in text


def test_without_examples_held_back_it_is_by_those_of_training():
    alone = replace(BASE, split=nnlab.NoSplit(), metric="last")
    comparison, _ = compared(replace(alone, epochs=40), alone)
    assert comparison["metric"] == "train_loss" and comparison["validation"]["verdict"] == "better"


@pytest.mark.parametrize("overrides", [
    ("optimizer.beta2=interval(0.998,0.9995)", "sampler=random", "trials=6", "epochs=4"),
    ("model.hidden=choice([4],[8],[16])", "distinct=false", "sampler=random", "trials=6", "epochs=2"),
])  # fmt: skip
def test_a_small_sweep_has_seeds_enough(overrides, tmp_path):
    comparison = sweep_json(sweep(tmp_path / "s", *IRIS, *overrides))["compared"]
    assert comparison["seeds"] == 4 and comparison["differences"]["val_loss"]["n"] == 4
    assert comparison["validation"]["verdict"] in ("no better", "better", "worse")
    assert (comparison["validation"]["verdict"] == "no better") or "beta2" not in overrides[0]


def test_the_winner_is_the_default_or_has_other_examples(tmp_path, capsys):
    overrides = ("data=diabetes", "report=false", "sampler=grid", "epochs=2", "split=kfold")
    folder = sweep(tmp_path / "s", *overrides, "split.k=choice(5)")
    assert sweep_json(folder)["compared"] == {"validation": {"verdict": "itself"}}
    stdout = resume(folder)
    assert "the search's winner is the baseline" in stdout
    other = sweep_json(sweep(tmp_path / "o", *overrides, "split.k=choice(2)"))["compared"]
    assert other == {"reason": "their validation examples are not the same"}


def test_what_does_not_stand_beside_each_other_is_said(tmp_path):
    folder = sweep(
        tmp_path / "s", *IRIS, "trials=4", "sampler=random", "epochs=1", "loss=cross_entropy,squared_error"
    )
    if sweep_json(folder)["best"]["params"]["loss"] == "squared_error":
        assert "is not the baseline's" in sweep_json(folder)["compared"]["reason"]


# ---- folders of other defaults


def test_a_sweep_goes_on_with_its_own_settings_whatever_the_defaults_are_today(tmp_path):
    shutil.copytree(OLD, tmp_path / "old")
    resume(tmp_path / "old", "trials=7")
    overrides = (
        "data=breast_cancer",
        "sampler=random",
        "trials=7",
        "epochs=2",
        "model.hidden=[4]",
        "report=false",
    )
    now = sweep(tmp_path / "now", *overrides, "data.normalization=standard")
    other = sweep(tmp_path / "other", *overrides)
    old, now, other = (trials_csv(f) for f in (tmp_path / "old", now, other))
    losses = [[float(trial["val_loss"]) for trial in trials] for trials in (old, now, other)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-4) and losses[0] != pytest.approx(losses[2], rel=1e-4)
    best = sweep_json(tmp_path / "old")["best"]
    assert "data.normalization=standard" in best["command"]
    alone = train(best["command"], tmp_path / "alone")
    assert (alone / "metrics.jsonl").read_bytes() == (
        tmp_path / "old" / "best" / "metrics.jsonl"
    ).read_bytes()


def test_refining_keeps_them_too_and_what_is_typed_goes_first(tmp_path):
    shutil.copytree(OLD, tmp_path / "old")
    refined = sweep(tmp_path / "kept", f"refine={tmp_path / 'old'}", "trials=3")
    assert "data.normalization=standard" in sweep_json(refined)["words"]
    typed = sweep(tmp_path / "typed", f"refine={tmp_path / 'old'}", "trials=3", "data.normalization=robust")
    assert "data.normalization=standard" not in sweep_json(typed)["words"]
    assert "data.normalization = robust" in resume_error(tmp_path / "old", "data.normalization=robust")
    assert "epochs = 4" in resume_error(tmp_path / "old", "epochs=4")


def test_a_folder_that_lacks_a_key_means_what_it_meant(tmp_path):
    shutil.copytree(OLD, tmp_path / "old")
    config = (tmp_path / "old" / "config.yaml").read_text()
    (tmp_path / "old" / "config.yaml").write_text(config.replace("  normalization: standard\n", ""))
    resume(tmp_path / "old", "trials=5")
    assert "data.normalization=standard" in sweep_json(tmp_path / "old")["best"]["command"]

"""A sweep's winner beside what the search started from; and sweeps that began under other defaults."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from searches import IRIS, about, refused, resume, sweep, train, trials_csv

import nnlab
from nnlab.commands import baseline
from nnlab.fitting import Fit

OLD = Path(__file__).parent / "old_sweep"  # of nnlab when data.normalization was standard by default
MANY = ("trials=64", "sampler=random", "epochs=2")
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
    found = about(folder)["compared"]
    assert found["seeds"] == (3 if kind == "seeds" else 4)
    said = resume(folder)
    (start,) = (t.split("from", 1)[1].strip() for t in said.splitlines() if t.startswith("  it started from"))
    for who, line in (("winner", about(folder)["best"]["command"]), ("default", start)):
        alone = train(f"{line} seeds={found['seeds']}", tmp_path / who)
        assert json.loads((alone / "summary.json").read_text())["metrics"] == found[who]["metrics"], who
    assert about(folder)["compared"] == found  # after a sweep that was resumed when it had ended
    one = {json.loads(text)["row"] for text in (folder / "best" / "metrics.jsonl").read_text().splitlines()}
    assert len(one) == {"folds": 3, "seeds": 3}.get(kind, 1)
    metric = "val_error" if kind == "two objectives" else "val_loss"
    better = found["winner"]["metrics"][metric]["mean"] < found["default"]["metrics"][metric]["mean"]
    assert found["metric"] == metric and (better or found["validation"]["verdict"] != "better")
    assert (kind == "largest") <= (found["validation"]["verdict"] == "worse")
    assert f"the search's winner is {found['validation']['verdict']} than what it started from" in said


@pytest.mark.parametrize("trials, own, expected", [
    (64, 1, 4), (1000, 1, 4), (25, 1, 2), (4, 1, 1), (64, 10, 10), (64, 3, 4), (2, 3, 3),
])  # fmt: skip
def test_how_many_seeds(trials, own, expected):
    assert baseline.seeds_of_each(trials, own) == expected
    more = 2 * expected - own - own  # than winner and default have anyway
    assert more <= baseline.SHARE * trials * own


def compared(winner, default, trials=64):
    fit = Fit(baseline.together(winner, default, trials))
    for _ in fit:
        pass
    return baseline.compared(fit, ("val_loss",)), fit


BASE = nnlab.Experiment(data=nnlab.Iris(), epochs=3)
FAST, BAD = replace(BASE, epochs=40), replace(BASE, optimizer=nnlab.SGD(lr=1e38))


@pytest.mark.parametrize("winner, default, verdict, said", [
    (FAST, BASE, "better", "the search's winner is better than what it started from"),
    (BASE, FAST, "worse", "the search's winner is worse than what it started from"),
    (BASE, BASE, "no better", "the search's winner is no better than what it started from"),
    (BASE, BAD, "diverged", "what the search started from diverges; its winner does not"),
])  # fmt: skip
def test_the_verdict(winner, default, verdict, said):
    found, fit = compared(winner, default)
    assert found["validation"]["verdict"] == verdict
    text = "\n".join(baseline.lines(found, "classification", "nnlab train"))
    assert said in text and all(len(line) <= 80 for line in text.splitlines())
    if verdict != "diverged":
        pairs = {
            k: [r.best["val_loss"] for r in fit.results if fit.owner[r.row] in k] for k in ((0, 2), (1,))
        }
        difference = np.subtract(pairs[0, 2], pairs[1,])
        assert found["validation"]["difference"]["mean"] == pytest.approx(difference.mean())
        assert found["validation"]["difference"]["std"] == pytest.approx(difference.std(ddof=1))
    else:
        assert "4 of the default's rows diverged" in text


def test_what_does_not_stand_beside_each_other_is_said(tmp_path):
    folder = sweep(
        tmp_path / "s", *IRIS, "trials=4", "sampler=random", "epochs=1", "loss=cross_entropy,squared_error"
    )
    if about(folder)["best"]["params"]["loss"] == "squared_error":
        assert "is not the default's" in about(folder)["compared"]["reason"]


# ---- folders of other defaults


def test_a_sweep_goes_on_with_its_own_settings_whatever_the_defaults_are_today(tmp_path):
    shutil.copytree(OLD, tmp_path / "old")
    resume(tmp_path / "old", "trials=7")
    words = (
        "data=breast_cancer",
        "sampler=random",
        "trials=7",
        "epochs=2",
        "model.hidden=[4]",
        "report=false",
    )
    now = sweep(tmp_path / "now", *words, "data.normalization=standard")
    other = sweep(tmp_path / "other", *words)
    old, now, other = (trials_csv(f) for f in (tmp_path / "old", now, other))
    losses = [[float(trial["val_loss"]) for trial in trials] for trials in (old, now, other)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-4) and losses[0] != pytest.approx(losses[2], rel=1e-4)
    best = about(tmp_path / "old")["best"]
    assert "data.normalization=standard" in best["command"]
    alone = train(best["command"], tmp_path / "alone")
    assert (alone / "metrics.jsonl").read_bytes() == (
        tmp_path / "old" / "best" / "metrics.jsonl"
    ).read_bytes()


def test_refining_keeps_them_too_and_what_is_typed_goes_first(tmp_path):
    shutil.copytree(OLD, tmp_path / "old")
    kept = sweep(tmp_path / "kept", f"refine={tmp_path / 'old'}", "trials=3")
    assert "data.normalization=standard" in about(kept)["words"]
    typed = sweep(tmp_path / "typed", f"refine={tmp_path / 'old'}", "trials=3", "data.normalization=robust")
    assert "data.normalization=standard" not in about(typed)["words"]
    assert "data.normalization = robust" in refused(tmp_path / "old", "data.normalization=robust")
    assert "epochs = 4" in refused(tmp_path / "old", "epochs=4")


def test_a_folder_that_lacks_a_key_means_what_it_meant(tmp_path):
    shutil.copytree(OLD, tmp_path / "old")
    config = (tmp_path / "old" / "config.yaml").read_text()
    (tmp_path / "old" / "config.yaml").write_text(config.replace("  normalization: standard\n", ""))
    resume(tmp_path / "old", "trials=5")
    assert "data.normalization=standard" in about(tmp_path / "old")["best"]["command"]

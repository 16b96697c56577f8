"""The table of `nnlab train -m`: which run is the best, in what it is measured, and that both are said."""

import io
import json
import re

import pytest

from nnlab.cli import main
from nnlab.records import comparison


def a_summary(loss, error=0.1, diverged=0, rows=10, **about):
    task = about.get("task", "classification")
    test = "test_accuracy" if task == "classification" else "test_rmse"
    names = {"val_loss": loss, "val_error": error, test: 0.5}
    interval = {"std": 0.1, "n": rows - diverged}
    metrics = {k: {"mean": v, "low": v - 0.1, "high": v + 0.1, **interval} for k, v in names.items()}
    counts = {"total": rows, "finished": rows - diverged, "stopped": 0, "diverged": diverged}
    intervals = {"test": {"method": "student"}, "validation": {"method": "student"}}
    usual = {
        "task": task,
        "data": "digits",
        "loss_is": "cross entropy",
        "intervals": intervals,
        "unit": "seed",
    }
    return usual | about | {"rows": counts, "metrics": metrics if diverged < rows else {}}


@pytest.fixture
def compared(tmp_path, monkeypatch):
    """What `compare` prints of these summaries, and the runs in the order of comparison.json."""
    axes = []
    monkeypatch.setattr(
        comparison, "picture", lambda runs, kind, axis: axes.append((list(runs), axis)) or b"png"
    )

    def compare(**summaries):
        for name, summary in summaries.items():
            (tmp_path / name).mkdir()
            (tmp_path / name / "summary.json").write_text(json.dumps(summary))
        stream = io.StringIO()
        comparison.compare({name: tmp_path / name for name in summaries}, stream)
        rows = json.loads((tmp_path / "comparison.json").read_text())
        return stream.getvalue(), [row["run"] for row in rows], axes[-1]

    return compare


def test_diverged_rows_count_against_a_run(compared):
    """A mean over survivors is no rank: of more of them, then of fewer, then of none."""
    said, order, (drawn, _) = compared(
        none=a_summary(9.0, diverged=10), few=a_summary(0.1, diverged=9), one=a_summary(0.2, diverged=1),
        good=a_summary(0.5), worse=a_summary(0.6), another=a_summary(0.1, diverged=1),
        half=a_summary(0.0, 0, 1, 2),
    )  # fmt: skip
    assert order == ["good", "worse", "another", "one", "half", "few", "none"]
    assert "the best first: fewest diverged, then least validation loss" in said
    assert "few (9 of 10 diverged)" in drawn and "±" in said and "95% interval over 10 seeds" in said


def test_without_diverged_rows_none_are_spoken_of(compared):
    said, order, _ = compared(b=a_summary(0.5), a=a_summary(0.4))
    assert order == ["a", "b"] and "\n  the best first: least validation loss\n" in said


def test_each_data_set_is_ranked_by_itself_and_in_its_own_unit(compared):
    diabetes = {
        "task": "regression",
        "data": "diabetes",
        "loss_is": "squared error of the standardised target",
    }
    said, order, (_, axis) = compared(
        d2=a_summary(0.3, 65.3, **diabetes), c2=a_summary(0.9, 0.2), d1=a_summary(0.2, 50.1, **diabetes),
        c1=a_summary(0.8, 0.03),
    )  # fmt: skip
    assert order == ["d1", "d2", "c1", "c2"] and "of each data set the best first" in said
    assert "of different data" in axis
    lines = {line.split()[0]: line for line in said.splitlines() if line.strip()}
    assert "3.00%" in lines["c1"] and "50.1000 ±" in lines["d1"]
    assert not any("%" in lines[run] for run in ("d1", "d2"))
    for head in ("validation error", "validation RMSE", "test accuracy", "test RMSE"):
        assert head in said


def test_losses_that_differ_in_kind_are_not_compared(compared):
    said, order, _ = compared(
        squared=a_summary(0.02, 0.2, loss_is="squared error"), entropy=a_summary(0.3, 0.1)
    )
    assert order == ["entropy", "squared"]
    assert "least validation error (their losses differ in kind)" in said


def test_more_runs_than_the_picture_has_are_said(compared):
    _, order, (drawn, axis) = compared(**{f"r{i}": a_summary(i) for i in range(9)})
    assert drawn == order[:8] and axis == "validation loss (the 8 best of 9 runs)"


def test_folders_of_earlier_versions_are_read(compared):
    """They say neither the task, nor the data, nor how intervals were made."""
    old = [a_summary(0.4, task="regression"), a_summary(0.3, task="regression", diverged=2)]
    for summary in old:
        for key in ("task", "data", "loss_is", "intervals"):
            del summary[key]
    said, order, _ = compared(a=old[0], b=old[1])
    assert order == ["a", "b"] and "validation RMSE" in said and "mean ± 95% interval over 10 seeds\n" in said


@pytest.mark.parametrize("runs, luck", [
    (("split.seed=0", "split.seed=1"), "differs: the order is luck; for the mean split.repeats=10"),
    (("seed=0", "seed=1"), "seeds=10"),
    (("seed=0 lr=1", "seed=1 lr=1"), "only seed differs"),
    (("seed=0 lr=1", "seed=0 lr=2"), ""),
    (("seed=0 lr=1", "seed=1 lr=2"), ""),
])  # fmt: skip
def test_the_luckiest_of_several_seeds_is_not_the_best(runs, luck, compared):
    said, *_ = compared(**{run: a_summary(i) for i, run in enumerate(runs)})
    assert ("the order is luck" in said) == bool(luck) and luck in said


def test_runs_of_two_tasks_through_the_command_line(tmp_path, monkeypatch, capsys):
    """An RMSE of 65 was once printed as 6526.84%, and means of nats and squared units as one loss."""
    monkeypatch.chdir(tmp_path)
    assert main(["train", "-m", "data=diabetes,iris", "epochs=2", "seeds=2", "hydra.sweep.dir=m"]) == 0
    said = capsys.readouterr().out
    progress = [line.split() for line in said.splitlines() if re.fullmatch(r" +\d+% .* s", line)]
    assert progress and all(line[2:4] == ["of", "2"] and len(line) == 6 for line in progress)
    lines = said.splitlines()
    diabetes, iris = (next(s for s in lines if f"data={d} " in s) for d in ("diabetes", "iris"))
    assert "%" not in diabetes and iris.count("%") == 4
    rows = json.loads((tmp_path / "m" / "comparison.json").read_text())
    assert [row["loss_is"] for row in rows] == ["squared error of the standardised target", "cross entropy"]
    assert f"{rows[0]['metrics']['val_error']['mean']:.4f} ±" in diabetes


def test_a_table_of_trials_says_what_its_spread_is_and_who_is_not_in_it(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    words = ["data=diabetes", "epochs=2", "optimizer=sgd", "optimizer.lr=choice(0.01,1e30)", "sampler=grid"]
    assert main(["sweep", *words, "seeds=2", "objective=val_error", "hydra.run.dir=s"]) == 0
    said = capsys.readouterr().out
    assert "validation RMSE" in said and "± the standard deviation over a trial's 2 rows" in said
    assert "not ranked: 1 trial of which a row diverged" in said
    page = (tmp_path / "s" / "report.html").read_text()
    assert "<th>validation RMSE</th>" in page and "± is the standard deviation over a trial" in page

"""Sweep folders that are named by default, moved, linked, used twice, or made on other data."""

import contextlib
import io
import shlex
import shutil

import numpy as np
import pytest
from searches import IRIS, journal_trials, resume, sweep, trials_csv

import nnlab
from nnlab.cli import main
from nnlab.commands import continued_sweep
from nnlab.commands.command_line import CommandLine

SHORT = ("trials=4", "epochs=2")
FEW_TRIALS = (*IRIS, *SHORT)
HEADER_LINES = 2  # of study.journal, before the first trial


def run_cli(*overrides) -> tuple[int, str]:
    """The exit code of `nnlab` in this process, and what it printed."""
    with contextlib.redirect_stdout(io.StringIO()) as stdout, contextlib.redirect_stderr(stdout):
        return main(list(overrides)), stdout.getvalue()


def test_a_folder_with_a_default_name_is_resumed_and_refined(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run_cli("sweep", *FEW_TRIALS)[0] == 0
    (folder,) = (tmp_path / "outputs" / "sweep").iterdir()
    assert "=" in folder.name and "," in folder.name
    assert run_cli("sweep", f"resume={folder}", "trials=6")[0] == 0
    assert len(journal_trials(folder)) == 6
    for overrides in ([], ["trials=2"]):  # as many as were asked for, or more
        output = " ".join(run_cli("sweep", f"resume={folder}", *overrides)[1].split())
        assert "6 trials are there already, as many as were asked for: nothing is trained" in output
    assert run_cli("sweep", f"refine={folder}", "plan=true")[0] == 0
    assert run_cli("sweep", f"resume={folder}", "plan=true", "trials=9")[1].count("3 trials, 3 rows") == 1


def test_the_command_of_a_resumed_sweep_quotes_its_folder_once():
    overrides = ["resume=my sweeps/lr=1,2 (a)", "trials=3"]
    typed = CommandLine("sweep", tuple(overrides))
    line = continued_sweep.with_folders_quoted(typed)
    assert list(line.overrides) != overrides and continued_sweep.typed_overrides(line) == overrides
    assert list(typed.overrides) == overrides


@pytest.mark.parametrize("link", ["trials", "best", "curves.jsonl"])
def test_a_link_in_a_folder_is_refused(link, tmp_path):
    folder, elsewhere = sweep(tmp_path / "s", *FEW_TRIALS), tmp_path / "elsewhere"
    elsewhere.mkdir(), (elsewhere / "precious").mkdir()
    shutil.rmtree(folder / link) if (folder / link).is_dir() else (folder / link).unlink()
    (folder / link).symlink_to(elsewhere)
    assert f"{link}' is a link" in resume(folder, "trials=5", code=2)
    assert (elsewhere / "precious").is_dir() and len(journal_trials(folder)) == 4


def test_a_stale_optuna_lock_symlink_is_accepted(tmp_path):
    folder = sweep(tmp_path / "s", *FEW_TRIALS)
    (folder / "study.journal.lock").symlink_to("study.journal")  # as optuna makes its lock
    resume(folder, "trials=5")
    assert len(journal_trials(folder)) == 5 and not (folder / "study.journal.lock").is_symlink()


def test_other_files_beside_the_trials_stay(tmp_path):
    folder = sweep(tmp_path / "s", *FEW_TRIALS)
    (folder / "trials" / "notes.txt").write_text("mine")
    resume(folder, "trials=12")
    assert (folder / "trials" / "notes.txt").read_text() == "mine"


def test_a_folder_that_holds_a_sweep_keeps_its_identity(tmp_path):
    folder = sweep(tmp_path / "s", *FEW_TRIALS)
    before = (folder / "sweep.json").read_bytes(), (folder / "config.yaml").read_bytes()
    code, output = run_cli(
        "sweep", *FEW_TRIALS, "seed=1", f"hydra.run.dir={folder}", "hydra.output_subdir=null"
    )
    assert code == 2 and "holds a run already" in output
    assert ((folder / "sweep.json").read_bytes(), (folder / "config.yaml").read_bytes()) == before
    resume(folder, "trials=5")


def test_other_data_under_the_same_name_are_refused(tmp_path, monkeypatch):
    for folder_name, seed in (("one", 0), ("two", 1)):
        (tmp_path / folder_name).mkdir()
        x = np.random.default_rng(seed).standard_normal((60, 2))
        table = np.c_[x, x[:, 0] > 0]
        np.savetxt(tmp_path / folder_name / "d.csv", table, delimiter=",", header="a,b,y", comments="")
    csv = ("data=csv", "data.path=d.csv", "data.target=y", *IRIS[1:], *SHORT)
    monkeypatch.chdir(tmp_path / "one")
    folder = sweep(tmp_path / "s", *csv)
    monkeypatch.chdir(tmp_path / "two")
    assert "the data are not those" in resume(folder, "trials=6", code=2)
    monkeypatch.chdir(tmp_path / "one")
    resume(folder, "trials=6")
    assert len(journal_trials(folder)) == 6


@pytest.mark.parametrize("kept_lines", [12, 24, 40])
def test_a_trial_that_diverged_after_a_rung_counts_there_on_resume(kept_lines, tmp_path):
    overrides = ("data=diabetes", "epochs=20", "optimizer=sgd", "sampler=random", "trials=48", "batch=48")
    overrides += ("optimizer.lr=interval(0.05,0.1)", "report=false")
    overrides += ("pruner=halving", "pruner.min_epochs=1", "pruner.factor=2")
    whole = sweep(tmp_path / "whole", *overrides)
    assert {"failed", "pruned"} <= {line["state"] for line in trials_csv(whole)}
    truncated = tmp_path / "truncated"
    shutil.copytree(whole, truncated)
    lines = (whole / "study.journal").read_bytes().splitlines(keepends=True)
    (truncated / "study.journal").write_bytes(b"".join(lines[: HEADER_LINES + kept_lines]))
    resume(truncated)
    assert (truncated / "trials.csv").read_bytes() == (whole / "trials.csv").read_bytes()


def test_divergence_reason_reports_the_earliest_epoch_over_rows(tmp_path):
    """The rows of a trial are its five folds; a linear model diverges slowly, so they differ."""
    experiment = nnlab.Experiment(
        data="diabetes", split="kfold", epochs=20, model=nnlab.MLP(hidden=()), optimizer=nnlab.SGD(lr=0.38)
    )
    fit = nnlab.Fit([experiment])
    for _ in fit:
        pass
    epochs = [result.epochs for result in fit.results if result.status == "diverged"]
    assert len(epochs) == 5 and min(epochs) < max(epochs)
    overrides = ("data=diabetes", "split=kfold", "epochs=20", "optimizer=sgd", "model.hidden=[]")
    overrides += ("sampler=grid", "report=false", "optimizer.lr=choice(0.38,0.01)")
    reason = trials_csv(sweep(tmp_path / "s", *overrides))[0]["reason"]
    assert reason == f"diverged in epoch {min(epochs)}, 5 of 5 rows"


def test_equal_runs_of_multirun_are_all_trained(tmp_path):
    code, output = run_cli(
        "train", "-m", "data=iris", "epochs=1", "seed=1,1", f"hydra.sweep.dir={tmp_path}/m"
    )
    assert code == 0 and "(run 0)" in output and "(run 1)" in output
    first_run, second_run = ((tmp_path / "m" / n / "metrics.jsonl").read_bytes() for n in "01")
    assert first_run == second_run


def test_runs_with_more_files_than_may_be_open_train_in_groups(tmp_path, monkeypatch):
    from nnlab.commands import train_command

    monkeypatch.setattr(
        train_command, "MAX_OPEN_FILES", train_command.RESERVED_FILES + 8
    )  # two runs of one row, with 3 files each
    overrides = ("data=iris", "epochs=1", "seed=range(0,7)", f"hydra.sweep.dir={tmp_path}/m")
    code, output = run_cli("train", "-m", *overrides)
    assert code == 0 and "2 runs: " in output and "7 runs" not in output
    assert len(list((tmp_path / "m").glob("*/summary.json"))) == 7


def test_the_line_after_an_interrupt_can_be_pasted(tmp_path, monkeypatch):
    from nnlab.search.batch_training import TrialBatch

    def interrupted(self):
        raise KeyboardInterrupt
        yield  # unreachable, but makes it a generator, as the original is

    monkeypatch.chdir(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(TrialBatch, "__iter__", interrupted)
        code, output = run_cli("sweep", *FEW_TRIALS)
    assert code == 130
    line = shlex.split(output.splitlines()[-1].partition("to go on: ")[2])
    assert run_cli(*line[1:])[0] == 0

"""Reading a run folder: equals what was written; each invalid file is named in one sentence."""

import json
import shutil
from dataclasses import asdict, fields, replace
from pathlib import Path

import numpy as np
import pytest
import yaml
from test_leaves import WithCentred

import nnlab
from nnlab import untrusted
from nnlab.cli import main
from nnlab.commands.command_keys import experiment_settings
from nnlab.errors import UserError
from nnlab.experiment import Experiment
from nnlab.records import stored_run
from nnlab.records.files import to_jsonable
from nnlab.records.run_folder import RunFolder
from nnlab.records.stored_run import StoredRun
from nnlab.records.summary import summarize
from nnlab.runtime import machine
from nnlab.testing.rows import Bumps

OLD = Path(__file__).parent / "old_runs"
BASE = nnlab.Experiment(data=Bumps(), model=nnlab.MLP(hidden=(4,)), epochs=4, batch_size=16)
JOBS = {
    "plain": BASE,
    "seeds": replace(BASE, seeds=3),
    "folds": replace(BASE, split=nnlab.KFold(k=3), seeds=2),
    "refit": replace(BASE, refit=True),
    "stops": replace(BASE, epochs=30, seeds=3, stopping=nnlab.Patience(patience=1, min_delta=0.02)),
    "diverges": replace(BASE, optimizer=nnlab.SGD(lr=1e30)),
    "float64": replace(BASE, dtype="float64"),
    "regression": replace(BASE, data=Bumps(classes=0)),
    "buffers": replace(BASE, model=WithCentred(), seeds=2),
    "no split": replace(BASE, split=nnlab.NoSplit(), metric="last"),
}


def written(path, e: Experiment):
    """A run's folder, and what was written into it."""
    fit = nnlab.fit(e)
    with RunFolder(path) as folder:
        folder.start({"epochs": e.epochs}, "nnlab train it", fit.datasets[e.data].spec)
        records = []
        for record in fit:
            folder.record(record)
            records.append(record)
        results = sorted(fit.results, key=lambda r: r.row)
        folder.write_results(results)
        folder.close(summarize(results))
    return fit, records, results


ENDS = {"stops": "stopped", "diverges": "diverged"}


@pytest.mark.parametrize("name", JOBS)
def test_what_is_written_is_read(tmp_path, name):
    e = JOBS[name]
    fit, records, results = written(tmp_path / "r", e)
    run = StoredRun(tmp_path / "r")
    assert {row["status"] for row in run.rows} >= {ENDS.get(name, "finished")}
    assert run.ended and run.settings == {"epochs": e.epochs} and run.command == "nnlab train it"
    assert run.spec == fit.datasets[e.data].spec
    assert run.summary["rows"]["total"] == len(results)
    assert run.summary == to_jsonable(summarize(results))
    for row, result in zip(run.rows, results, strict=True):
        refit = result.refit and asdict(result.refit)
        values = {f.name: getattr(result, f.name) for f in fields(result)} | {"refit": refit}
        assert row == to_jsonable({key: values[key] for key in row})
        assert row.keys() >= {"row", "seed", "repeat", "fold", "status", "epochs", "best", "test"}
        assert ("refit" in row) == e.refit and ("reason" in row) == bool(result.reason)
    searching = [record for record in records if not record.refit]
    for metric in searching[0].metrics:
        values = np.full((len(results), max(r.epoch for r in searching)), np.nan)
        for record in searching:
            values[record.rows, record.epoch - 1] = record.metrics[metric]
        np.testing.assert_array_equal(run.curves(metric), np.where(np.isfinite(values), values, np.nan))
    assert set(run.metrics) == {metric for record in records for metric in record.metrics}
    assert (run.curves("train_loss", refit=True).size > 0) == e.refit
    assert [*run.weights] == [*run.normalizer] == [result.row for result in results]
    for result in results:
        for read, there in ((run.weights, result.weights), (run.normalizer, result.normalizer)):
            assert set(read[result.row]) == set(there)
            for tensor, array in there.items():
                np.testing.assert_array_equal(read[result.row][tensor], array)
                assert read[result.row][tensor].dtype == array.dtype


def test_an_interrupted_run_has_what_was_kept(tmp_path):
    fit = nnlab.fit(replace(BASE, seeds=2))
    with RunFolder(tmp_path) as folder:
        folder.start({}, "nnlab train")
        folder.record(next(iter(fit)))
        folder.save_partial(fit.stop().results)
    run = StoredRun(tmp_path)
    assert (
        not run.ended
        and repr(run) == f"<StoredRun: {tmp_path}, not ended>"
        and run.curves("val_loss").shape == (2, 1)
        and len(run.weights) == len(run.rows) == 2
    )
    with pytest.raises(UserError, match="has no summary.json: the run has not ended"):
        _ = run.summary


def test_a_killed_run_has_its_curves_but_for_half_a_line(tmp_path):
    shutil.copytree(OLD / "rows", tmp_path / "r")
    for name in ("summary.json", "rows.json", "model.safetensors"):
        (tmp_path / "r" / name).unlink()
    lines = (tmp_path / "r/metrics.jsonl").read_bytes()
    whole = StoredRun(OLD / "rows").curves("val_loss")
    (tmp_path / "r/metrics.jsonl").write_bytes(lines + lines[:40])
    np.testing.assert_array_equal(StoredRun(tmp_path / "r").curves("val_loss"), whole)


def with_lines(folder, *lines: dict) -> StoredRun:
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return StoredRun(folder)


def test_a_run_killed_before_its_first_rows_were_there(tmp_path):
    """Stacks train beside each other: row 7 may end its first epoch before row 0 does."""
    run = with_lines(tmp_path, {"epoch": 1, "row": 7, "val_loss": 0.5})
    assert run.curves("val_loss").shape == (8, 1) and run.curves("val_loss")[7, 0] == 0.5
    with pytest.raises(UserError, match=r"metrics.jsonl' has no curve 'val_los'; did you mean 'val_loss'"):
        run.curves("val_los")
    with pytest.raises(UserError, match="no curve 'val_loss': no epoch has ended"):
        with_lines(tmp_path).curves("val_loss")
    (tmp_path / "metrics.jsonl").unlink()
    (tmp_path / "config.yaml").write_text("epochs: 3")
    with pytest.raises(UserError, match="has no metrics.jsonl: no epoch has ended"):
        StoredRun(tmp_path).curves("val_loss")


def test_an_epoch_that_is_there_twice_is_the_later_one(tmp_path):
    for first, then, read in ((1.0, 2.0, 2.0), (1.0, None, np.nan), (np.inf, 3.0, 3.0)):
        run = with_lines(tmp_path, *({"epoch": 1, "row": 0, "val_loss": value} for value in (first, then)))
        np.testing.assert_array_equal(run.curves("val_loss"), [[read]])


def test_curves_of_any_length_are_read(tmp_path, monkeypatch):
    """A run of 1,000 rows and epochs has 200 MB of lines: only one of them is in memory at a time."""
    monkeypatch.setitem(untrusted.MAX_FILE_BYTES, "JSON", 100)
    shutil.copytree(OLD / "rows", tmp_path / "r")
    assert StoredRun(tmp_path / "r").curves("val_loss").shape == (4, 3)
    (tmp_path / "r/metrics.jsonl").write_text(" " * (untrusted.MAX_LINE_BYTES + 1))
    with pytest.raises(UserError, match="metrics.jsonl', line 1 is longer than 1,048,576 bytes"):
        _ = StoredRun(tmp_path / "r").metrics


def test_rows_of_any_number_are_read_that_fit_into_memory(monkeypatch):
    monkeypatch.setitem(untrusted.MAX_FILE_BYTES, "JSON", 100)
    assert len(StoredRun(OLD / "rows").rows) == 4
    monkeypatch.setattr(stored_run, "available_memory", lambda: 32_000)
    with pytest.raises(UserError, match="rows.json' has .* bytes; allowed are 1,000"):
        _ = StoredRun(OLD / "rows").rows


def test_weights_are_read_row_by_row(monkeypatch):
    run, free = StoredRun(OLD / "rows"), []
    monkeypatch.setattr(machine, "available_memory", lambda: free.append(1) or 10**9)
    assert len(run.weights) == 4 and not free
    assert run.weights[2]["output.weight"].any() and free == [1]


@pytest.mark.parametrize(
    "name, read",
    [
        ("model.safetensors", lambda run: run.weights[0]),
        ("metrics.jsonl", lambda run: run.curves("val_loss")),
    ],
)
def test_what_does_not_fit_into_memory_is_not_begun(name, read, monkeypatch):
    monkeypatch.setattr(machine, "available_memory", lambda: 100)
    run = StoredRun(OLD / "rows")
    with pytest.raises(UserError, match=rf"{name}'.* has .*; this machine has 100 bytes left"):
        read(run)


def test_runs_of_every_command_are_read(tmp_path, monkeypatch):
    """Those of -m, of which one has no validation set; the best trial of a sweep."""
    monkeypatch.chdir(tmp_path)
    overrides = ["data=iris", "epochs=2", "model.hidden=[4]"]
    assert main(["train", "-m", *overrides, "split=none,holdout", "metric=last", "hydra.sweep.dir=m"]) == 0
    assert main(["sweep", *overrides, "trials=2", "report=false", "hydra.run.dir=s"]) == 0
    folders = [file.parent for file in Path().glob("*/*/summary.json")]
    assert len(folders) == 3
    for folder in folders:
        run = StoredRun(folder)
        assert run.experiment.epochs == 2 and run.spec.classes and run.command.startswith("nnlab train ")
        assert run.curves("train_loss").shape == (1, 2) and len(run.rows) == len(run.weights) == 1


# ---- folders of earlier days


@pytest.mark.parametrize("name, rows", [("plain", 1), ("rows", 4), ("first", 4)])
def test_old_folders_open(name, rows):
    """`first` is of the days before there was a spec, or another normalisation than `standard`."""
    run = StoredRun(OLD / name)
    assert run.ended and len(run.rows) == len(run.weights) == rows
    assert (run.spec is None) == (name == "first") and (run.spec is None or run.spec.features)
    assert run.experiment == Experiment.from_config(experiment_settings(run.settings))
    assert run.command.startswith("nnlab train ") and "data=iris" in run.command
    e = replace(run.experiment, threads=1)
    retrained = nnlab.fit(e).run()
    for row, result in zip(run.rows, retrained.results, strict=True):  # the line repeats, some rounding aside
        assert row["best_epoch"] == result.best_epoch
        for key, value in row["best"].items():
            assert value == pytest.approx(result.best[key], rel=1e-3, abs=1e-6)
        assert {n: a.shape for n, a in run.weights[result.row].items()} == {
            n: a.shape for n, a in result.weights.items()
        }


def test_a_folder_without_a_spec_opens(tmp_path):
    shutil.copytree(OLD / "plain", tmp_path / "r")
    (tmp_path / "r/spec.json").unlink()
    assert StoredRun(tmp_path / "r").spec is None


def test_a_folder_that_says_nothing_of_normalisation_means_what_it_meant(tmp_path):
    shutil.copytree(OLD / "plain", tmp_path / "r")
    settings = yaml.safe_load((tmp_path / "r/config.yaml").read_text())
    del settings["data"]["normalization"]
    (tmp_path / "r/config.yaml").write_text(yaml.safe_dump(settings))
    assert StoredRun(tmp_path / "r").experiment.data.normalization == "standard"


def test_folders_that_hold_runs_name_one(tmp_path):
    for name in ("0_lr=1", "1_lr=2"):
        shutil.copytree(OLD / "plain", tmp_path / "runs" / name)
    for name in ("a configuration", "weights"):  # which are no runs
        (tmp_path / "runs" / name).mkdir()
    (tmp_path / "runs/a configuration/config.yaml").touch()
    (tmp_path / "runs/weights/model.safetensors").touch()
    for read in (StoredRun, nnlab.load):
        with pytest.raises(UserError, match="a folder of 2 runs: say which one, '.*/[01]_lr=.', '.*_lr=.'$"):
            read(tmp_path / "runs")
    shutil.rmtree(tmp_path / "runs/0_lr=1")
    for read in (StoredRun, nnlab.load):
        with pytest.raises(UserError, match="not the .* run; did you mean '.*/1_lr=2', the only one in it?"):
            read(tmp_path / "runs")
    shutil.copytree(OLD / "plain", tmp_path / "sweep/best")
    (tmp_path / "sweep/sweep.json").write_text("{}")
    (tmp_path / "sweep/config.yaml").write_text("sampler: grid")
    with pytest.raises(UserError, match="folder of a sweep, .*: the run of its winner is '.*/best'"):
        StoredRun(tmp_path / "sweep")
    shutil.rmtree(tmp_path / "sweep/best")
    with pytest.raises(UserError, match="folder of a sweep, expected that of a run$"):
        StoredRun(tmp_path / "sweep")

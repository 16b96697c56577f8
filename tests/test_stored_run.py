"""What a run folder says is what was written; whatever is wrong is a sentence that names the file."""

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml

import nnlab
from nnlab.commands.train import of_experiment
from nnlab.errors import UserError
from nnlab.experiment import Experiment
from nnlab.records.run_folder import RunFolder
from nnlab.records.stored_run import StoredRun
from nnlab.records.summary import summarize
from nnlab.testing.rows import Bumps

OLD = Path(__file__).parent / "old_runs"
BASE = nnlab.Experiment(data=Bumps(), model=nnlab.MLP(hidden=(4,)), epochs=4, batch_size=16)
JOBS = {
    "plain": BASE,
    "seeds": replace(BASE, seeds=3),
    "folds": replace(BASE, split=nnlab.KFold(k=3), seeds=2),
    "refit": replace(BASE, refit=True),
    "stops": replace(BASE, epochs=30, seeds=3, stopping=nnlab.Patience(patience=2)),
    "diverges": replace(BASE, optimizer=nnlab.SGD(lr=1e30)),
    "float64": replace(BASE, dtype="float64"),
    "regression": replace(BASE, data=Bumps(classes=0)),
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
        folder.close(summarize(results), results)
    return fit, records, results


@pytest.mark.parametrize("e", JOBS.values(), ids=JOBS)
def test_what_is_written_is_read(tmp_path, e):
    fit, records, results = written(tmp_path / "r", e)
    run = StoredRun(tmp_path / "r")
    assert run.ended and run.settings == {"epochs": e.epochs} and run.command == "nnlab train it"
    assert run.spec == fit.datasets[e.data].spec
    assert run.summary["rows"]["total"] == len(results)
    for row, result in zip(run.rows, results, strict=True):
        assert (row["row"], row["seed"], row["status"]) == (result.row, result.seed, result.status)
        assert row["best_epoch"] == result.best_epoch
    searching = [record for record in records if not record.refit]
    for name in searching[0].metrics:
        values = np.full((len(results), max(r.epoch for r in searching)), np.nan)
        for record in searching:
            values[record.rows, record.epoch - 1] = record.metrics[name]
        np.testing.assert_array_equal(run.curves(name), np.where(np.isfinite(values), values, np.nan))
    assert set(run.metrics) == {name for record in records for name in record.metrics}
    assert (run.curves("train_loss", refit=True).size > 0) == e.refit
    for result in results:
        for read, there in ((run.weights, result.weights), (run.normalizer, result.normalizer)):
            assert set(read[result.row]) == set(there)
            for name, array in there.items():
                np.testing.assert_array_equal(read[result.row][name], array)
                assert read[result.row][name].dtype == array.dtype


def test_an_interrupted_run_has_what_was_kept(tmp_path):
    fit = nnlab.fit(replace(BASE, seeds=2))
    with RunFolder(tmp_path) as folder:
        folder.start({}, "nnlab train")
        folder.record(next(iter(fit)))
        folder.keep(fit.stop().results)
    run = StoredRun(tmp_path)
    assert not run.ended and run.curves("val_loss").shape == (2, 1) and len(run.weights) == len(run.rows) == 2
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


# ---- folders of earlier days


@pytest.mark.parametrize("name, rows", [("plain", 1), ("rows", 4)])
def test_old_folders_open(name, rows):
    run = StoredRun(OLD / name)
    assert run.ended and len(run.rows) == len(run.weights) == rows and run.spec.features
    assert run.experiment == Experiment.from_config(of_experiment(run.settings))
    assert run.command.startswith("nnlab train data=iris")
    e = replace(run.experiment, threads=1)
    again = nnlab.fit(e).run()
    for row, result in zip(run.rows, again.results, strict=True):  # the line repeats, some rounding aside
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


# ---- folders of strangers


def everything(run: StoredRun):
    return [
        run.settings, run.experiment, run.command, run.spec, run.summary, run.rows, run.metrics,
        run.curves("val_loss"), run.weights, run.normalizer,
    ]  # fmt: skip


WRONG = {
    "config.yaml": ["", "[1]", "a: [", "optimizer: {name: x}", "a: !!python/object:os.system x", "epochs: 0"],
    "spec.json": ["{}", "[]", '{"shape": [-1]}', "x"],
    "summary.json": ["[]", "3", "{"],
    "rows.json": ["{}", "[1]", '[{"row": 0}]', '[{"row": true}]', "["],
    "metrics.jsonl": ["3\n", "{}\n", "x\n", '{"row": -1, "epoch": 1}\n', '{"row": 0, "epoch": 99999999}\n',
                      '{"row": 1e9, "epoch": 1}\n', '{"row": 999999, "epoch": 1}\n', "[" * 5000 + "\n"],
    "model.safetensors": ["", "x", "\x00" * 8, "\xff" * 64],
}  # fmt: skip


@pytest.mark.parametrize("name, text", [(name, text) for name, texts in WRONG.items() for text in texts])
def test_a_wrong_file_is_a_sentence_that_names_it(tmp_path, name, text):
    shutil.copytree(OLD / "plain", tmp_path / "r")
    (tmp_path / "r" / name).write_text(text, encoding="latin-1")
    with pytest.raises(UserError) as wrong:
        everything(StoredRun(tmp_path / "r"))
    assert name in str(wrong.value) and "\n" not in str(wrong.value) and len(str(wrong.value)) < 600


@pytest.mark.parametrize("name", WRONG)
def test_nothing_outside_is_read(tmp_path, name):
    shutil.copytree(OLD / "plain", tmp_path / "r")
    (tmp_path / "r" / name).unlink()
    os.symlink(OLD / "plain" / name, tmp_path / "r" / name)
    with pytest.raises(UserError, match="is a link: nothing outside of a run's folder is read"):
        everything(StoredRun(tmp_path / "r"))


@pytest.mark.parametrize("name", WRONG)
def test_no_pipe_is_waited_for(tmp_path, name):
    shutil.copytree(OLD / "plain", tmp_path / "r")
    (tmp_path / "r" / name).unlink()
    os.mkfifo(tmp_path / "r" / name)
    with pytest.raises(UserError, match=name):
        everything(StoredRun(tmp_path / "r"))


@pytest.mark.parametrize("name", ["", "nothing", "file"])
def test_what_is_no_run(tmp_path, name):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="not a folder|not the folder of a run"):
        StoredRun(tmp_path / name)


def test_numbers_that_json_has_not_are_no_metrics(tmp_path):
    shutil.copytree(OLD / "plain", tmp_path / "r")
    lines = [json.loads(line) for line in (tmp_path / "r/metrics.jsonl").read_text().splitlines()]
    lines[0]["val_loss"], lines[1]["val_loss"] = "3", [1]
    (tmp_path / "r/metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert np.isnan(StoredRun(tmp_path / "r").curves("val_loss")[0, :2]).all()

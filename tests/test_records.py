"""What runs record: summaries, run folders, TensorBoard's event files, and the console."""

import io
import json
import os
import re
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import yaml
from datafiles import write_idx
from scipy import special, stats
from sklearn.metrics import r2_score

from nnlab import Adam, Experiment, Fit, Logistic, Regularizer
from nnlab.data.sources import Idx
from nnlab.data.splits import Holdout, KFold
from nnlab.data.synthetic import Moons
from nnlab.errors import UserError
from nnlab.metrics.tasks import Regression
from nnlab.records import run_folder
from nnlab.records.console import Console
from nnlab.records.run_folder import RunFolder
from nnlab.records.stored_run import StoredRun
from nnlab.records.summary import summarize
from nnlab.records.summary_text import refit_lines, summary_lines
from nnlab.records.tensorboard import TensorBoard, row_names
from nnlab.records.text import format_alike, format_duration, format_number, format_percent, plus_minus
from nnlab.statistics.student import t_quantile
from nnlab.training.results import Record, Refit, Result

METRICS = ("train_loss", "train_error", "val_loss", "val_error", "lr", "grad_norm", "penalty")


def a_record(epoch, rows, ended=None, improved=True, seconds=0.0, **metrics):
    """A Record in which every metric of row r is (r + 1) / epoch, unless given."""
    rows = np.asarray(rows)
    values = {name: (rows + 1.0) / epoch for name in METRICS}
    values |= {name: np.asarray(v, dtype=float) for name, v in metrics.items()}
    return Record(epoch, rows, values, np.full(len(rows), improved), ended or {}, seconds)


def a_result(row=0, seed=0, repeat=0, fold=0, status="finished", best=None, test=None, **others):
    best = {"val_loss": 0.5, "val_error": 0.1, "train_loss": 0.4, "train_error": 0.05} | (best or {})
    test = {"accuracy": 0.9, "error": 0.1} if test is None else test
    weights = others.get("weights", {"affine1/weights": np.ones((2, 3), np.float32)})
    normalizer = {"mean": np.zeros(2), "scale": np.ones(2)}
    examples = others.get("examples", {"train": 60, "validation": 20, "test": 20})
    known = examples, others.get("fixed_test", False)
    return Result(row, seed, repeat, fold, status, 10, 7, best, test, weights, normalizer, *known)


def grid(values, unit="seed"):
    """Results with val_loss[unit, fold], rows numbered through."""
    return [
        a_result(i, **{unit: u}, fold=f, best={"val_loss": values[u, f]})
        for i, (u, f) in enumerate(np.ndindex(values.shape))
    ]


# --- summary


def test_t_quantile_is_scipys():
    for dof in [*range(1, 60), 99, 100, 1001]:
        assert t_quantile(dof) == pytest.approx(special.stdtrit(dof, 0.975), rel=1e-10)


def test_one_row_has_no_interval():
    loss = summarize([a_result()])["metrics"]["val_loss"]
    assert loss == {"mean": 0.5, "std": None, "low": None, "high": None, "n": 1}


def test_interval_over_seeds_is_students_over_fold_means():
    values = np.random.default_rng(0).normal(size=(6, 5))
    summary = summarize(grid(values))
    means = values.mean(1)
    low, high = stats.t.interval(0.95, 5, means.mean(), stats.sem(means))
    expected = {"mean": means.mean(), "std": means.std(ddof=1), "low": low, "high": high, "n": 6}
    assert summary["unit"] == "seed" and summary["intervals"]["validation"]["method"] == "student"
    assert "not new data" in summary["intervals"]["test"]["about"]
    assert summary["metrics"]["val_loss"] == pytest.approx(expected)


def over_repeats(repeats, seeds=1, folds=1, **others):
    """Random results of all of these, the numbers of val_loss and test_accuracy, (repeats, seeds, folds)."""
    losses, accuracies = np.random.default_rng(1).normal(size=(2, repeats, seeds, folds))
    results = [
        a_result(
            i, *at[1::-1], at[2], best={"val_loss": losses[at]}, test={"accuracy": accuracies[at]}, **others
        )
        for i, at in enumerate(np.ndindex(losses.shape))
    ]
    return losses, accuracies, results


def corrected(values, overlap):
    """Nadeau and Bengio's interval of these values."""
    n, std = len(values), values.std(ddof=1)
    half = stats.t.ppf(0.975, n - 1) * std * np.sqrt(1 / n + overlap)
    mean = values.mean()
    return {"mean": mean, "std": std, "low": mean - half, "high": mean + half, "n": n}


@pytest.mark.parametrize("seeds", [1, 3])
@pytest.mark.parametrize("train, validation, test", [(60, 20, 20), (10, 40, 50), (900, 99, 1)])
def test_interval_over_splits_is_corrected_for_their_overlap(train, validation, test, seeds):
    examples = {"train": train, "validation": validation, "test": test}
    losses, accuracies, results = over_repeats(4, seeds, examples=examples)
    summary = summarize(results)
    about = summary["intervals"]["test"]
    assert about["method"] == "corrected" and "Nadeau and Bengio 2003" in about["interval"]
    assert about["n_test / n_train"] == pytest.approx(test / train)
    metrics = summary["metrics"]
    assert metrics["val_loss"] == pytest.approx(corrected(losses.mean((1, 2)), validation / train))
    assert metrics["test_accuracy"] == pytest.approx(corrected(accuracies.mean((1, 2)), test / train))


def test_repeated_folds_are_all_values_of_the_validation_and_one_of_the_test():
    """Validation sets of one division do not overlap, test sets are the same: Bouckaert and Frank 2004."""
    examples = {"train": 64, "validation": 16, "test": 20}
    losses, accuracies, results = over_repeats(3, 2, 5, examples=examples)
    metrics = summarize(results)["metrics"]
    assert metrics["val_loss"] == pytest.approx(corrected(losses.mean(1).ravel(), 1 / 4))
    assert metrics["test_accuracy"] == pytest.approx(corrected(accuracies.mean((1, 2)), 20 / 64))


def test_a_refit_trains_on_more_than_the_epoch_was_chosen_on():
    examples = {"train": 60, "validation": 20, "test": 20, "refit": 80}
    losses, accuracies, results = over_repeats(5, examples=examples)
    metrics = summarize(results)["metrics"]
    assert metrics["val_loss"] == pytest.approx(corrected(losses.ravel(), 1 / 3))
    assert metrics["test_accuracy"] == pytest.approx(corrected(accuracies.ravel(), 1 / 4))


def test_a_test_set_of_the_datas_own_is_no_new_test_set_in_any_split():
    losses, accuracies, results = over_repeats(5, fixed_test=True)
    summary = summarize(results)
    assert summary["metrics"]["val_loss"] == pytest.approx(corrected(losses.ravel(), 1 / 3))
    assert summary["metrics"]["test_accuracy"] == pytest.approx(corrected(accuracies.ravel(), 0))
    assert "one test set, not new data" in summary["intervals"]["test"]["about"]
    assert any("same in every split" in line for line in summary_lines(summary, "classification"))


@pytest.mark.parametrize("sizes, split, counts", [
    (True, Holdout(repeats=2), {"train": 44, "validation": 16, "test": 20}),
    (False, Holdout(repeats=2), {"train": 36, "validation": 12, "test": 12}),
    (False, KFold(k=3, repeats=2), {"train": 32, "validation": 16, "test": 12}),
])  # fmt: skip
def test_results_know_how_many_examples_their_sets_have(sizes, split, counts, tmp_path):
    write_idx(tmp_path)
    data = Idx(path=str(tmp_path)) if sizes else Moons(n=60)
    fit = Fit([Experiment(data=data, split=split, model=Logistic(), epochs=1)])
    for _ in fit:
        pass
    assert all(r.examples == counts and r.fixed_test == sizes for r in fit.results)
    intervals = summarize(fit.results)["intervals"]
    assert intervals["test"]["method"] == ("student" if sizes else "corrected")
    overlap = intervals["validation"]["n_test / n_train"]
    assert overlap == pytest.approx(counts["validation"] / counts["train"])


def test_no_interval_is_made_up():
    """Of training sets that overlap, of splits of which nothing is known, of what is infinite."""
    metrics = summarize(over_repeats(3)[2])["metrics"]
    assert metrics["train_loss"]["low"] is None and metrics["train_loss"]["n"] == 3
    metrics = summarize(over_repeats(3, examples={})[2])["metrics"]
    assert metrics["val_loss"]["low"] is None and metrics["val_loss"]["std"] > 0
    infinite = [a_result(i, seed=i, test={"loss": v}) for i, v in enumerate([1.0, np.inf])]
    loss = summarize(infinite)["metrics"]["test_loss"]
    assert loss == {"mean": np.inf, "std": None, "low": None, "high": None, "n": 2}


def test_the_interval_over_splits_holds_the_mean_over_data_sets():
    """Every table is split ten times. Without the correction intervals hold it far too seldom."""
    tables, repeats = 60, 10
    common = {"model": Logistic(), "epochs": 8, "optimizer": Adam(lr=0.05), "regularizer": Regularizer()}
    fit = Fit([
        Experiment(data=Moons(n=100, noise=0.3, seed=s + 1), split=Holdout(repeats=repeats), **common)
        for s in range(tables)
    ])  # fmt: skip
    for _ in fit:
        pass
    results_of_table = [
        [r for r in fit.results if fit.experiment_of_row[r.row] == table] for table in range(tables)
    ]
    accuracies = [summarize(results)["metrics"]["test_accuracy"] for results in results_of_table]
    truth = np.mean([m["mean"] for m in accuracies])
    far = np.array([abs(m["mean"] - truth) / (m["high"] - m["mean"]) for m in accuracies])
    uncorrected = np.sqrt((1 / repeats + 1 / 3) * repeats)
    assert (far <= 1).mean() >= 0.9 and (far * uncorrected <= 1).mean() <= 0.85


def test_folds_of_one_seed_give_a_spread_and_no_interval():
    values = np.array([[1.0, 2.0, 4.0]])
    loss = summarize(grid(values))["metrics"]["val_loss"]
    assert loss["n"] == 1 and loss["low"] is None
    assert loss["fold_std"] == pytest.approx(values.std(ddof=1))


def test_diverged_rows_are_counted_and_left_out():
    bad = {"val_loss": np.nan}
    results = [*grid(np.array([[1.0], [3.0]])), a_result(2, seed=2, status="diverged", best=bad)]
    summary = summarize(results)
    assert summary["rows"] == {"total": 3, "finished": 2, "stopped": 0, "diverged": 1}
    assert summary["metrics"]["val_loss"]["mean"] == 2 and summary["metrics"]["val_loss"]["n"] == 2


def test_unit_does_not_change_when_the_other_repeats_diverge():
    results = [a_result(s, seed=s, best={"val_loss": s}) for s in range(3)]
    results += [a_result(3 + s, seed=s, repeat=1, status="diverged") for s in range(3)]
    summary = summarize(results)
    assert summary["unit"] == "repeat" and summary["metrics"]["val_loss"]["n"] == 1


def test_all_diverged():
    summary = summarize([a_result(status="diverged", best={}, test={})])
    assert summary["metrics"] == {} and summary["rows"]["diverged"] == 1


def test_classes_are_added_up():
    def test(matrix, precision):
        scores = {"precision": precision, "recall": [0.5, 1.0], "accuracy": 0.5}
        return {"confusion_matrix": matrix, "classes": ["a", "b"], **scores}

    first, second = test([[1, 2], [3, 4]], [0.2, 0.4]), test([[5, 0], [0, 5]], [0.4, 1.0])
    summary = summarize([a_result(0, test=first), a_result(1, seed=1, test=second)])
    assert summary["classification"]["confusion_matrix"] == [[6, 2], [3, 9]]
    assert summary["classification"]["precision"] == pytest.approx([0.3, 0.7])
    assert summary["classification"]["classes"] == ["a", "b"]
    assert set(summary["metrics"]) >= {"test_accuracy", "val_error"}
    assert "test_precision" not in summary["metrics"]


def test_a_missing_number_is_not_counted():
    tests = [{"rmse": 1.0, "r2": np.nan}, {"rmse": 1.0, "r2": 0.5}, {"rmse": 1.0, "r2": 0.7}]
    summary = summarize([a_result(i, seed=i, test=t) for i, t in enumerate(tests)])
    r2 = summary["metrics"]["test_r2"]
    assert r2["n"] == 2 and r2["mean"] == pytest.approx(0.6) and summary["undefined"] == {"test_r2": 1}
    [line] = [line for line in summary_lines(summary, "regression") if "R2" in line]
    assert "(undefined in 1 of 3 rows: all test targets are equal)" in line
    [line] = [x for x in summary_lines(summarize([a_result(test=tests[0])]), "regression") if "R2" in x]
    assert line.split(maxsplit=2)[2] == "undefined: all test targets are equal"


def test_classes_that_no_test_set_has_are_left_out_and_named():
    def test(recall, precision):
        return {"confusion_matrix": np.eye(3, dtype=int), "classes": list("abc"), "recall": recall,
                "precision": precision}  # fmt: skip

    both = [test([1.0, np.nan, np.nan], [0.5, 0.0, np.nan]), test([0.5, 0.2, np.nan], [1.0, 1.0, np.nan])]
    summary = summarize([a_result(i, seed=i, test=t) for i, t in enumerate(both)])
    report = summary["classification"]
    assert report["recall"] == [0.75, 0.2, None] and report["recall_rows"] == [2, 1, 0]
    assert report["precision"] == [0.75, 0.5, None] and report["precision_rows"] == [2, 2, 0]
    lines = [line.strip() for line in summary_lines(summary, "classification") if "recall" in line]
    assert lines == [
        "no test example, so no recall: 'c'",
        "no test example in some rows, so no recall there: 'b'",
    ]
    one = summary_lines(summarize([a_result(test=both[0])]), "classification")
    assert [line.strip() for line in one if "recall" in line] == ["no test example, so no recall: 'b', 'c'"]


@pytest.mark.parametrize("rows, lost, message", [
    (1, 0, ["first on 60 examples: the numbers above", "again on 80, validation included, for 9 epochs:",
            "the weights, and the test numbers below"]),
    (1, 1, ["first on 60 examples: all numbers here and the weights",
            "again on 80, validation included, and diverged"]),
    (3, 3, ["first on 60 examples: all numbers here and the weights",
            "again on 80, validation included, and all rows diverged"]),
    (3, 2, ["first on 60 examples: the numbers above", "again on 80, validation included, for 9 epochs:",
            "the weights, and the test numbers below; but",
            "2 of 3 rows diverged then: theirs are the first's"]),
])  # fmt: skip
def test_whose_the_numbers_are_after_a_refit(rows, lost, message):
    examples = {"train": 60, "validation": 20, "test": 20, "refit": 80}
    results = [
        replace(a_result(i, seed=i, examples=examples), refit=Refit(9, 80, how))
        for i, how in enumerate(["diverged"] * lost + ["finished"] * (rows - lost))
    ]
    lines = refit_lines(summarize(results))
    assert [line[21:] for line in lines] == message and max(map(len, lines)) <= 80


def test_outputs_that_have_no_r2_are_named():
    t = np.array([[1.0, 2.0, 4.0], [3.0, 3.0, 3.0]])
    scores = Regression().test(t + 0.1, t)
    summary = summarize([a_result(test=scores)])
    assert summary["metrics"]["test_r2"]["mean"] == pytest.approx(r2_score(t[0], t[0] + 0.1))
    text = "\n".join(summary_lines(summary, "regression"))
    assert "test R2 without output 1: equal test targets" in text
    both = summary_lines(summarize([a_result(test=Regression().test(t[:1] + 0.1, t[:1]))]), "regression")
    assert "without" not in "\n".join(both)


# --- run folder


def strict(text):
    def refuse(constant):
        raise AssertionError(f"{constant} is not JSON")

    return json.loads(text, parse_constant=refuse)


def lines_of(folder):
    return [strict(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def test_metrics_are_on_disk_after_each_epoch(tmp_path):
    with RunFolder(tmp_path / "a" / "run") as folder:
        folder.record(a_record(1, [0, 2], val_loss=[np.nan, np.inf]))
        assert lines_of(folder.path)[0]["val_loss"] is None
        folder.record(a_record(2, [2]))
        lines = lines_of(folder.path)
    assert [(line["epoch"], line["row"]) for line in lines] == [(1, 0), (1, 2), (2, 2)]
    assert lines[2]["lr"] == 1.5 and list(lines[0]) == ["epoch", "row", *METRICS]


def test_a_failure_loses_nothing_that_was_finished(tmp_path):
    with pytest.raises(KeyboardInterrupt), RunFolder(tmp_path) as folder:
        folder.start({"lr": 0.1}, "nnlab train")
        folder.record(a_record(1, [0]))
        raise KeyboardInterrupt
    assert len(lines_of(tmp_path)) == 1
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "command.txt",
        "config.yaml",
        "metrics.jsonl",
    ]


def test_a_torn_line_is_cut_off_before_appending(tmp_path):
    (tmp_path / "metrics.jsonl").write_text('{"epoch": 1, "row": 0}\n{"epoch": 2, "ro')
    with RunFolder(tmp_path) as folder:
        folder.record(a_record(2, [0]))
    assert [line["epoch"] for line in lines_of(tmp_path)] == [1, 2]


def test_configuration_and_command(tmp_path):
    config = {
        "optimizer": {"name": "adam", "lr": 1e-05},
        "max_norm": float("inf"),
        "x": None,
        "hidden": [64],
    }
    with RunFolder(tmp_path) as folder:
        folder.start(config, "nnlab train optimizer=adam")
    assert yaml.safe_load((tmp_path / "config.yaml").read_text()) == config
    assert (tmp_path / "command.txt").read_text() == "nnlab train optimizer=adam\n"


def test_results_are_strict_json(tmp_path):
    test = {"r2": np.float64("nan"), "matrix": np.eye(2, dtype=int), "classes": ("ä", np.int64(3))}
    results = [
        a_result(test=test),
        a_result(1, seed=1, status="diverged", best={"val_loss": np.inf}),
    ]
    with RunFolder(tmp_path) as folder:
        folder.write_results(results)
        folder.close(summarize(results))
    rows = strict((tmp_path / "rows.json").read_text(encoding="utf-8"))
    assert rows[0]["test"] == {"r2": None, "matrix": [[1, 0], [0, 1]], "classes": ["ä", 3]}
    assert rows[1]["status"] == "diverged" and rows[1]["best"]["val_loss"] is None
    assert list(rows[0]) == "row seed repeat fold status epochs best_epoch best test examples".split()
    assert strict((tmp_path / "summary.json").read_text())["rows"]["total"] == 2


def test_weights_come_back(tmp_path):
    flat = np.arange(24, dtype=np.float32)
    weights = {"a/w": flat[:12].reshape(3, 4).T, "a/b": flat[::2], "scalar": np.float64(2.0)}
    results = [a_result(row, seed=row, weights=weights) for row in (0, 10, 2)]
    with RunFolder(tmp_path) as folder:
        folder.write_results(results)
        folder.close(summarize(results))
    run = StoredRun(tmp_path)
    assert list(run.weights) == list(run.normalizer) == [0, 2, 10]
    assert set(run.weights[10]) == set(weights)
    for name, array in weights.items():
        np.testing.assert_array_equal(run.weights[10][name], array)
    np.testing.assert_array_equal(run.normalizer[10]["scale"], np.ones(2))
    assert run.weights[10]["a/w"].dtype == np.float32


def test_weights_that_are_not_there(tmp_path):
    with pytest.raises(UserError, match="is not the folder of a run"):
        StoredRun(tmp_path)
    RunFolder(tmp_path).start({}, "nnlab train")
    with pytest.raises(UserError, match="has no model.safetensors: the run has not ended"):
        _ = StoredRun(tmp_path).weights
    (tmp_path / "model.safetensors").write_bytes(b"nonsense")
    with pytest.raises(UserError, match="does not hold"):
        _ = StoredRun(tmp_path).weights


def test_files_appear_whole_or_not_at_all(tmp_path, monkeypatch):
    (tmp_path / "summary.json").write_text("before")

    def fail(*_):
        raise OSError("disk full")

    with RunFolder(tmp_path) as folder:
        monkeypatch.setattr(run_folder.os, "fsync", fail)
        with pytest.raises(OSError, match="disk full"):
            folder.write_results([a_result()])
            folder.close(summarize([a_result()]))
    assert [p.name for p in tmp_path.iterdir()] == ["summary.json"]
    assert (tmp_path / "summary.json").read_text() == "before"


@pytest.mark.skipif(os.name != "posix", reason="modes are POSIX's")
def test_every_file_has_the_mode_that_the_user_gives_files(tmp_path):
    with RunFolder(tmp_path) as folder:
        folder.start({}, "x")
        folder.write_results([a_result()])
        folder.close(summarize([a_result()]))
    (tmp_path / "other").touch()
    assert len({p.stat().st_mode for p in tmp_path.iterdir()}) == 1


# --- TensorBoard


@pytest.fixture(scope="module")
def accumulator():
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    def load(folder):
        events = EventAccumulator(str(folder))
        events.Reload()
        return events

    return load


def curve(events, tag):
    return [(event.step, event.value) for event in events.Scalars(tag)]


def hparams_tab(logdir):
    """The HParams plugin's own answers for a folder: the experiment, the session groups."""
    from tensorboard import context
    from tensorboard.backend.event_processing.data_provider import MultiplexerDataProvider
    from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer
    from tensorboard.plugins.base_plugin import TBContext
    from tensorboard.plugins.hparams import api_pb2, backend_context
    from tensorboard.plugins.hparams import get_experiment as experiment
    from tensorboard.plugins.hparams import list_session_groups as groups

    multiplexer = EventMultiplexer()
    multiplexer.AddRunsFromDirectory(str(logdir))
    multiplexer.Reload()
    provider = MultiplexerDataProvider(multiplexer, str(logdir))
    backend = backend_context.Context(TBContext(data_provider=provider, logdir=str(logdir)))
    request = api_pb2.ListSessionGroupsRequest(slice_size=100, allowed_statuses=[0, 1, 2, 3])
    about = context.RequestContext()
    return (
        experiment.Handler(about, backend, "", api_pb2.GetExperimentRequest()).run(),
        groups.Handler(about, backend, "", request).run().session_groups,
    )


def a_run(folder, hparams=None, results=None, epochs=3):
    results = results or [a_result()]
    rows = [r.row for r in results]
    with TensorBoard(folder, hparams or {}, len(rows)) as board:
        for epoch in range(1, epochs + 1):
            board.record(a_record(epoch, rows))
        board.close(summarize(results), results)


def test_curves_of_one_row(tmp_path, accumulator):
    a_run(tmp_path)
    assert len(list(tmp_path.rglob("*tfevents*"))) == 1
    events = accumulator(tmp_path)
    tags = ["loss/train", "loss/validation", "error/train", "error/validation"]
    for tag in [*tags, "learning_rate", "gradient_norm", "penalty"]:
        assert curve(events, tag) == [(1, 1.0), (2, 0.5), (3, pytest.approx(1 / 3))]
    assert curve(events, "best/validation_loss") == [(7, 0.5)]
    assert curve(events, "test/accuracy") == [(7, pytest.approx(0.9))]


def test_curves_of_several_rows(tmp_path, accumulator):
    names = row_names([(0, 0, 0), (1, 0, 0), (2, 0, 0)])
    with TensorBoard(tmp_path, {}, 3, names) as board:
        board.record(a_record(1, [0, 1, 2], val_loss=[1, np.nan, 3], ended={1: "diverged"}))
        board.record(a_record(2, [0, 2], val_loss=[2, 4], ended={0: "finished", 2: "finished"}))
        results = [a_result(i, seed=i) for i in range(3)]
        board.close(summarize(results), results)
    tags_of_run = accumulator(tmp_path)
    assert curve(tags_of_run, "loss/validation") == [(1, 2.0), (2, 3.0)]
    assert curve(tags_of_run, "rows_training") == [(1, 3.0), (2, 2.0)]
    assert curve(accumulator(tmp_path / "rows" / "seed2"), "loss/validation") == [
        (1, 3.0),
        (2, 4.0),
    ]
    [(step, value)] = curve(accumulator(tmp_path / "rows" / "seed1"), "loss/validation")
    assert step == 1 and np.isnan(value)


def test_stacks_one_after_another_have_one_mean(tmp_path, accumulator):
    with TensorBoard(tmp_path, {}, 3) as board:
        board.record(a_record(1, [0, 1], val_loss=[1, 2], ended={0: "stopped"}))
        board.record(a_record(2, [1], val_loss=[5]))
        board.record(a_record(3, [1], val_loss=[7], ended={1: "finished"}))
        board.record(a_record(1, [2], val_loss=[6]))
        board.record(a_record(2, [2], val_loss=[1], ended={2: "stopped"}))
        board.close(summarize([a_result()]), [a_result()])
    events = accumulator(tmp_path)
    assert curve(events, "loss/validation") == [(1, 3.0), (2, 3.0), (3, 7.0)]
    assert curve(events, "rows_training") == [(1, 3.0), (2, 2.0), (3, 1.0)]


def test_many_rows_have_twenty_folders_and_a_note(tmp_path, accumulator):
    with TensorBoard(tmp_path, {}, 25) as board:
        board.record(a_record(1, np.arange(25)))
    assert len(list((tmp_path / "rows").iterdir())) == 20
    assert curve(accumulator(tmp_path), "loss/train") == [(1, 13.0)]
    [note] = accumulator(tmp_path).Tensors("rows")
    assert b"Rows 0 to 19 of 25" in note.tensor_proto.string_val[0]


def test_hparams(tmp_path, accumulator):
    hparams = {
        "optimizer": {"name": "adam", "lr": 0.01},
        "nesterov": True,
        "max_norm": float("inf"),
    }
    hparams |= {"hidden": [64, 32], "l1": None}
    results = [a_result(i, seed=i, best={"val_loss": float(i)}) for i in range(30)]
    a_run(tmp_path, hparams, results)
    tags = accumulator(tmp_path).PluginTagToContent("hparams")
    parts = ("experiment", "session_start_info", "session_end_info")
    assert set(tags) == {f"_hparams_/{part}" for part in parts}
    experiment, [group] = hparams_tab(tmp_path)
    values = {name: getattr(v, v.WhichOneof("kind")) for name, v in group.hparams.items()}
    assert values == {
        "optimizer.name": "adam",
        "optimizer.lr": 0.01,
        "nesterov": True,
        "max_norm": sys.float_info.max,
        "hidden": "[64, 32]",
    }
    assert {info.name for info in experiment.hparam_infos} == {*values, "l1"}
    metrics = {m.name.tag: m.value for m in group.metric_values}
    assert metrics["best/validation_loss"] == pytest.approx(np.arange(30).mean())
    assert metrics["best/validation_error"] == pytest.approx(0.1)
    assert metrics["test/accuracy"] == pytest.approx(0.9)
    assert group.sessions[0].status == 1  # success


def test_errors_of_a_regression_are_rmses(tmp_path, accumulator):
    results = [a_result(0), a_result(1, seed=1), a_result(2, seed=2, status="diverged", best={}, test={})]
    with TensorBoard(tmp_path, {"lr": 0.1}, 3, task="regression") as board:
        board.record(a_record(1, range(3)))
        board.close(summarize(results), results)
    tags = accumulator(tmp_path).Tags()["tensors"] + accumulator(tmp_path).Tags()["scalars"]
    assert {"rmse/train", "rmse/validation", "best/validation_rmse"} <= set(tags)
    assert not any("error" in tag for tag in tags if not tag.startswith("test/"))
    _, [group] = hparams_tab(tmp_path)
    assert {m.name.tag: m.value for m in group.metric_values}["rows/diverged"] == 1


def test_runs_side_by_side_have_a_line_each(tmp_path):
    a_run(tmp_path / "one", {"lr": 0.1})
    a_run(tmp_path / "two", {"lr": 0.2}, [a_result(i, seed=i) for i in range(3)])
    _, groups = hparams_tab(tmp_path)
    assert {g.name: g.hparams["lr"].number_value for g in groups} == {"one": 0.1, "two": 0.2}


def test_a_run_that_fails_says_so(tmp_path, accumulator):
    with pytest.raises(RuntimeError), TensorBoard(tmp_path, {"lr": 0.1}, 1) as board:
        board.record(a_record(1, [0]))
        raise RuntimeError
    assert curve(accumulator(tmp_path), "loss/train") == [(1, 1.0)]
    _, [group] = hparams_tab(tmp_path)
    assert group.sessions[0].status == 2  # failure


def test_a_run_whose_rows_all_diverged(tmp_path):
    a_run(tmp_path, {"lr": 0.1}, [a_result(status="diverged", best={}, test={})])
    _, [group] = hparams_tab(tmp_path)
    assert group.sessions[0].status == 2


def test_curves_can_be_read_while_training(tmp_path, accumulator, monkeypatch):
    monkeypatch.setattr("nnlab.records.events.FLUSH_SECONDS", 0.0)
    with TensorBoard(tmp_path, {}, 1) as board:
        board.record(a_record(1, [0]))
        assert curve(accumulator(tmp_path), "loss/train") == [(1, 1.0)]


def test_frame_is_tensorboards(tmp_path):
    from tensorboard.summary.writer.record_writer import RecordWriter

    from nnlab.records.events import tfrecord

    for data in (b"", b"123456789", bytes(range(256)) * 3):
        stream = io.BytesIO()
        RecordWriter(stream).write(data)
        assert stream.getvalue() == tfrecord(data)


def test_row_names():
    assert row_names([(3, 0, 0)]) == ["row0"]
    assert row_names([(0, 0, 0), (0, 0, 0)]) == ["row0", "row1"]
    assert row_names([(0, 1, 2), (0, 2, 2)]) == ["repeat1", "repeat2"]
    assert row_names([(i, 0, 0) for i in range(11)])[9:] == ["seed09", "seed10"]


# --- console


class Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self):
        return True


@pytest.fixture(autouse=True)
def clock(monkeypatch):
    """A clock that stands still unless told: `clock[0]` is the time."""
    now = [100.0]
    monkeypatch.setattr("nnlab.records.progress.monotonic", lambda: now[0])
    return now


@pytest.fixture
def shown(clock):
    """What the console shows of a run; `ended` is epoch -> {row: status}."""

    def show(rows=1, epochs=50, task="classification", stream=None, seconds=0.001, **others):
        stream, running = stream or io.StringIO(), set(range(rows))
        with Console("digits", rows, epochs, task, stream) as console:
            for epoch in range(1, epochs + 1):
                now = others.get("ended", {}).get(epoch, {})
                if epoch == epochs:
                    now = dict.fromkeys(running, "finished") | now
                clock[0] += seconds
                console.record(a_record(epoch, sorted(running), now, seconds=seconds * epoch))
                running -= set(now)
                if not running:
                    break
            results = others.get("results") or [a_result(i, seed=i) for i in range(rows)]
            console.close(summarize(results), "outputs/train/a run")
        return stream.getvalue()

    return show


def epochs_of(text):
    return [int(m) for m in re.findall(r"^ +(\d+)  .*%.* s$", text, re.M)]


@pytest.mark.parametrize("rows", [1, 12])
def test_plain_lines(rows, shown):
    text = shown(rows)
    assert epochs_of(text) == [1, 5, 10, 15, 20, 25, 30, 35, 40, 45, 50]
    assert max(map(len, text.splitlines())) <= 80 and "\x1b" not in text
    header, first = text.splitlines()[1:3]
    assert len(header) == len(first)
    assert ("12/12" in first) == (rows > 1)
    assert "nnlab board 'outputs/train/a run'" in text


def test_a_row_that_stops_has_a_last_line(shown):
    assert epochs_of(shown(ended={23: {0: "stopped"}})) == [1, 5, 10, 15, 20, 23]


def test_rows_that_end_are_counted_where_they_end(shown):
    text = shown(4, ended={7: {0: "diverged"}, 30: {1: "stopped"}})
    assert epochs_of(text) == [1, 5, 10, 15, 20, 25, 30, 35, 40, 45, 50]
    assert "3/4" in text and "2/4" in text


def test_stacks_one_after_another(clock):
    stream = io.StringIO()
    with Console("digits", 2, 10, stream=stream, single_stack=False) as console:
        for row in (0, 1):
            for epoch in range(1, 11):
                clock[0] += 1
                ended = {row: "finished"} if epoch == 10 else {}
                console.record(a_record(epoch, [row], ended, seconds=float(epoch)))
    header, *lines = stream.getvalue().splitlines()[1:]
    shares = [int(line.split()[0][:-1]) for line in lines]
    assert header.split()[0] == "done" and shares == [5, *range(10, 101, 10)]
    assert lines[-1].endswith("20 s")


def test_stacks_in_turns(clock):
    stream = io.StringIO()
    with Console("digits", 3, 10, stream=stream) as console:
        for epoch in range(1, 11):
            clock[0] += 1
            ended = {0: "finished", 1: "finished"} if epoch == 10 else {}
            console.record(a_record(epoch, [0, 1], ended, seconds=float(epoch)))
            ended = {2: "finished"} if epoch == 10 else {}
            console.record(a_record(epoch, [2], ended, seconds=epoch / 2))
    assert epochs_of(stream.getvalue()) == [*range(1, 11)]
    last = stream.getvalue().splitlines()[-1]
    assert last.split() == "10 0.2000 20.00% 0.2000 20.00% 3/3 10 s".split()


def test_errors_are_percentages_of_classes_only(shown):
    assert "10.00%" in shown(task="classification")
    assert "%" not in shown(task="regression")


def test_summary_says_the_interval(shown):
    results = [a_result(i, seed=i, test={"accuracy": a}) for i, a in enumerate([0.9, 0.92, 0.94])]
    half = 100 * stats.t.ppf(0.975, 2) * np.std([0.9, 0.92, 0.94], ddof=1) / np.sqrt(3)
    text = shown(3, results=results)
    assert re.search(rf"test accuracy +92.00% ± {half:.2f}%", text)
    assert "mean ± 95% interval over 3 seeds" in text


def test_summary_of_folds_and_of_a_diverged_row(shown):
    results = [a_result(i, fold=i) for i in range(3)]
    assert "sd over folds" in shown(3, results=results)
    results.append(a_result(3, fold=3, status="diverged", best={}))
    assert "1 diverged (left out of the means)" in shown(4, results=results)
    alone = [a_result(status="diverged", best={}, test={})]
    assert "1 row: 1 diverged" in shown(results=alone)


def test_a_stream_without_plus_minus():
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    with Console("10 × 2", 2, 1, stream=stream) as console:
        console.record(a_record(1, [0, 1]))
        console.close(summarize([a_result(i, seed=i) for i in range(2)]), "run")
    stream.flush()
    assert b"+-" in raw.getvalue()


@pytest.fixture
def terminal(monkeypatch):
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "80")
    return Terminal()


def test_live_view(terminal, shown):
    text = shown(3, epochs=20, stream=terminal, seconds=0.2, ended={4: {1: "diverged"}})
    assert "\x1b[?25l" in text and text.rindex("\x1b[?25h") > text.rindex("\x1b[?25l")
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text).replace("\r", "\n")
    assert "epoch 2 of 20" in plain and "left" in plain and "at epoch" in plain
    assert epochs_of(plain)[-1] == 20 and "best epoch" in plain


def test_a_short_run_has_no_live_view(terminal, shown):
    assert "\x1b[?25l" not in shown(stream=terminal)


def test_live_view_goes_when_training_fails(terminal):
    with pytest.raises(RuntimeError), Console("digits", 1, 50, stream=terminal) as console:
        console.record(a_record(1, [0], seconds=1.0))
        raise RuntimeError
    assert terminal.getvalue().count("\x1b[?25h") == terminal.getvalue().count("\x1b[?25l") == 1


def test_view_of_a_few_rows(terminal):
    from rich.console import Console as Screen

    from nnlab.records.live import run_view

    console = Console("digits", 4, 10, stream=terminal)
    console.record(a_record(1, range(4), seconds=2.0, val_loss=[1, 1, 1, np.nan], ended={3: "diverged"}))
    text = run_view(console, Screen(file=terminal, width=80)).plain
    assert "epoch 1 of 10" in text and "14 s left" in text  # 3 rows, 9 epochs, half a second each
    assert re.search(r"validation +1.0000", text) and re.search(r"best +1.0000", text)
    assert "3 training, 1 diverged" in text
    assert max(map(len, text.splitlines())) <= 80


def test_no_color_and_dumb_terminals(terminal, monkeypatch, shown):
    monkeypatch.setenv("NO_COLOR", "1")
    assert not re.search(r"\x1b\[[0-9;]*3[0-9]m", shown(stream=terminal, seconds=0.2))
    monkeypatch.setenv("TERM", "dumb")
    dumb = Terminal()
    assert "\x1b" not in shown(stream=dumb, seconds=0.2)


def test_numbers_as_text():
    assert format_percent(0.0321) == "3.21%" and format_percent(float("nan")) == "nan"
    assert [format_number(x) for x in (0.0, 0.5, 123.456, 2e-5, 1e6)] == [
        "0.0000",
        "0.5000",
        "123.5",
        "2e-05",
        "1e+06",
    ]
    assert [format_number(x) for x in (99.5, 999.96, 9398.3, -16623.4, 999999.4)] == [
        "99.5000", "1,000", "9,398", "-16,623", "999,999"
    ]  # fmt: skip
    assert format_alike(184_000, 22_700, 1_770_000, 9000.4) == ["184,000", "22,700", "1,770,000", "9,000"]
    assert format_alike(2.5e9, 22_700, 0) == ["2.50e+09", "2.27e+04", "0"]
    assert format_alike(0.5, -3, 0.25) == ["0.5000", "-3.0000", "0.2500"]
    pairs = [(9398.3056, 2058.2735), (-7166.2641, 6458.17), (1234.5, 0.3), (0.0874, 2e-4), (1.07e7, 8948.17)]
    assert [plus_minus(*pair) for pair in pairs] == [
        "9,398 ± 2,058", "-7,166 ± 6,458", "1,234 ± 0.3", "0.0874 ± 0.0002", "1.07e+07 ± 8.9e+03",
    ]  # fmt: skip
    assert plus_minus(0.02, 0.001, format_percent) == "2.00% ± 0.10%" and plus_minus(5000.0, None) == "5,000"
    times = [format_duration(s) for s in (0.123, 1.26, 59.4, 59.6, 200, 3599.6, 3900)]
    assert times == ["0.12 s", "1.3 s", "59 s", "1:00 min", "3:20 min", "1:00 h", "1:05 h"]


# --- what is imported when


def test_nothing_heavy_is_imported(tmp_path):
    code = f"""
import io, sys
sys.path.insert(0, {os.path.dirname(__file__)!r})
import nnlab.records.summary, nnlab.records.run_folder, nnlab.records.console as console
heavy = ("torch", "rich", "scipy", "tensorboard", "google", "yaml", "safetensors")
assert not [m for m in heavy if m in sys.modules], sys.modules
import nnlab.records.tensorboard as board
with board.TensorBoard({str(tmp_path)!r}, {{"lr": 1.0}}, 1):
    pass
summary = {{"rows": {{"total": 1, "diverged": 0}}, "metrics": {{}}}}
console.Console("t", 1, 1, stream=io.StringIO()).close(summary, "f")
print([m for m in ("rich", "scipy", "fsspec", "tensorboard.summary") if m in sys.modules])
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize(
    "rows, shown", [(3, "3/3"), (9999, "9999/9999"), (99_999, "99999"), (10**5, "100000")]
)
def test_columns_do_not_touch(rows, shown):
    stream, half = io.StringIO(), {name: np.full(rows, 0.5) for name in METRICS}
    with Console("digits", rows, 1, stream=stream) as console:
        console.record(a_record(1, np.arange(rows), dict.fromkeys(range(rows), "finished"), **half))
    header, line = stream.getvalue().splitlines()[-2:]
    assert len(line) <= 80 and len(line.split()) == len(re.split(r"  +", header.strip())) + 1  # "0.00 s"
    assert shown in line.split()

"""`refit=true`: trains again on training and validation examples, for the best number of epochs."""

import json
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pytest
from networks import Points
from test_row_independence import blobs

from nnlab import cli
from nnlab.data.splits import Fold, Holdout
from nnlab.experiment import Experiment
from nnlab.hyperparameters import stack, static
from nnlab.models import MLP
from nnlab.optimizers import SGD, Adam
from nnlab.records.stored_run import StoredRun
from nnlab.schedules import SCHEDULES, Cosine, HalveAndGoBack, HalveOnRise, ReduceOnPlateau, Schedule
from nnlab.stopping import Patience, Stopping
from nnlab.training.fit import fit
from nnlab.training.training import Training

BASE = Experiment(data=blobs(90, 5, 3), model=MLP(hidden=(7,)), optimizer=Adam(lr=0.05), epochs=30,
                  schedule=Cosine(), stopping=Patience(patience=3), batch_size=16, seeds=2)  # fmt: skip


def done(*experiments):
    run = fit(*experiments)
    return list(run), run.results


def test_the_best_number_of_epochs_on_all_but_the_test_set():
    _, first = done(BASE)
    records, again = done(replace(BASE, refit=True))
    for one, two in zip(first, again, strict=True):
        assert (one.best_epoch, one.best, one.status) == (two.best_epoch, two.best, two.status)
    refit_epochs = {row: sum(row in r.rows for r in records if r.refit) for row in (0, 1)}
    assert refit_epochs == {r.row: r.best_epoch for r in first}


class Everything(Holdout):
    """Trains on the validation examples too."""

    def folds(self, dataset):
        (fold,) = super().folds(dataset)
        train = np.sort(np.concatenate([fold.train, fold.validation]))
        return [Fold(train, fold.validation, fold.test)]


@dataclass(frozen=True)
class Scripted(Schedule):
    """The factor of every epoch, and after which it goes back: it listens to nothing."""

    name: ClassVar[str] = "scripted"
    goes_back: ClassVar[bool] = True
    factors: tuple[float, ...] = static((1.0,))
    back: tuple[bool, ...] = static((False,))

    def start(self, rows):
        return {"epoch": np.zeros(rows, int)}

    def scale(self, progress, state):
        return np.array([self.factors[epoch] for epoch in state["epoch"]])[:, None]

    def observe(self, state, metrics):
        back = np.array([self.back[epoch] for epoch in state["epoch"]])
        state["epoch"] += 1  # in place: what a refit remembers must not change with it
        return back


JUMPY = replace(BASE, optimizer=SGD(lr=2.0), batch_size=8)
LISTENERS = {
    "halve_on_rise": HalveOnRise(tolerance=0.0),
    "halve_and_go_back": HalveAndGoBack(tolerance=0.0),
    "another metric": HalveAndGoBack(tolerance=0.0, metric="val_error", factor=0.7, stop_below=0.0),
    "a lost epoch": HalveAndGoBack(warmup=4.0),
    "reduce_on_plateau": ReduceOnPlateau(patience=0, cooldown=1, factor=0.5, warmup=2.0),
    "a plug-in": Scripted(factors=(1.0, 0.5) * 20, back=(False, False, True, False) * 10),
}


def test_every_schedule_that_listens_is_refitted_here():
    listening = {name for name, schedule in SCHEDULES.items() if schedule().start(1)}
    assert listening == {schedule.name for schedule in LISTENERS.values()} - {"scripted"}


def script(schedule, epochs: list[dict]) -> Scripted:
    """What the schedule says when it hears these metrics; its last epoch is not taken back."""
    one, factors, back = stack([schedule]), [], []
    state = one.start(1)
    for metrics in epochs:
        factors.append(float(one.scale(None, state)[0, 0]))
        lost = not all(np.isfinite([metrics["train_loss"], metrics["val_loss"], metrics["grad_norm"]]))
        heard = {name: np.array([np.inf if lost else value]) for name, value in metrics.items()}
        gone = one.observe(state, heard)
        back.append(gone is not None and bool(gone[0]))
    return Scripted(tuple(factors), (*back[:-1], False), warmup=schedule.warmup)


@pytest.mark.parametrize("name", LISTENERS)
def test_a_refit_repeats_what_chose_its_epochs(name, monkeypatch):
    """Every row the rates of its own, as far as its best epoch, and what was taken back is taken back again:
    its weights are those of a schedule that is given these and listens to nothing."""
    if name == "a lost epoch":
        epoch = Training.train_epoch

        def lost(self, number, *should_pause):
            metrics = epoch(self, number, *should_pause)
            return metrics | ({"train_loss": np.full(len(self.population), np.nan)} if number == 2 else {})

        monkeypatch.setattr(Training, "train_epoch", lost)
    schedule = LISTENERS[name]
    base = replace(JUMPY, schedule=schedule, stopping=Patience(patience=40), seeds=3)
    records, results = done(replace(base, refit=True))
    of_rows = [[], [], []]
    for r in records:
        for k, row in enumerate(r.rows.tolist()):
            of_rows[row].append({"refit": r.refit} | {name: float(v[k]) for name, v in r.metrics.items()})
    went_back = changed = 0
    for result, epochs in zip(results, of_rows, strict=True):
        first = [m for m in epochs if not m["refit"]]
        second = [m["lr"] for m in epochs if m["refit"]]
        assert second == [m["lr"] for m in first][: result.best_epoch]
        changed += len(set(second)) > 1
        scripted = script(schedule, first[: result.best_epoch])
        went_back += sum(scripted.back)
        alone = replace(base, seed=result.seed, seeds=1, epochs=result.best_epoch, metric="last")
        _, (expected,) = done(replace(alone, split=Everything(), schedule=scripted, stopping=Stopping()))
        for name, weight in expected.weights.items():
            assert np.array_equal(weight, result.weights[name]), name
        assert expected.test == result.test
    assert (went_back > 0) == schedule.goes_back and changed > 0


def test_the_validation_metrics_of_a_refit_are_not_numbers():
    records, _ = done(replace(BASE, refit=True))
    for record in records:
        assert np.isnan([record.val_loss, record.val_error]).all() == record.refit
        assert np.isfinite([record.train_loss, record.train_error, record.lr]).all()


@pytest.mark.parametrize("normalization", ["robust", "standard", "minmax", "maxabs"])
def test_the_normaliser_is_that_of_the_weights(normalization):
    """Of all that is saved: the network by hand, on the raw inputs of the test set, has the reported RMSE."""
    data = replace(Points(classes=0), normalization=normalization)
    one = replace(BASE, data=data, dtype="float64", refit=True)
    run = fit(one)
    list(run)
    for row, result in zip(run.rows, run.results, strict=True):
        d, n, w = data.load(), result.normalizer, result.weights
        h = (d.x[row.fold.test] - n["mean"]) / n["scale"]
        if "linear" in n:  # beyond it, as a logarithm
            r = np.maximum(np.abs(h) - n["linear"], 0)
            h = np.clip(h, -n["linear"], n["linear"]) + np.sign(h) * np.log1p(r)
        for name in ("hidden1", "output"):
            h = h @ w[f"{name}.weight"].T + w[f"{name}.bias"].ravel()
            h = np.maximum(0, h) if name == "hidden1" else h
        p = h * n["target_scale"] + n["target_mean"]
        assert result.test["rmse"] == pytest.approx(np.sqrt(((p - d.y[row.fold.test]) ** 2).mean()), rel=1e-9)


def test_a_row_that_diverges_in_its_refit_keeps_its_first_training(monkeypatch):
    """Its neighbours are refitted. The test set is looked at once, with the weights that are kept."""
    epoch = Training.train_epoch

    def lost(self, number, *should_pause):
        lost_rows = [row.seed == 1 and row.refit > 0 and number == 3 for row in self.population.rows]
        metrics = epoch(self, number, *should_pause)
        return metrics | {"train_loss": np.where(lost_rows, np.nan, metrics["train_loss"])}

    monkeypatch.setattr(Training, "train_epoch", lost)
    base = replace(BASE, threads=1)
    _, plain = done(base)
    _, (good, bad) = done(replace(base, refit=True))
    assert (good.refit.status, bad.refit.status, bad.status) == ("finished", "diverged", plain[1].status)
    assert (bad.refit.examples, bad.examples) == (72, plain[1].examples) and good.examples["refit"] == 72
    assert bad.test == plain[1].test and good.test != plain[0].test
    for part in ("weights", "normalizer"):
        for name, array in getattr(plain[1], part).items():
            assert np.array_equal(array, getattr(bad, part)[name])
    assert not np.array_equal(good.normalizer["mean"], bad.normalizer["mean"])


def test_a_row_that_diverged_the_first_time_is_tested_with_its_best_weights(monkeypatch):
    epoch = Training.train_epoch

    def lost(self, number, *should_pause):
        lost_rows = [row.seed == 1 and number == 4 for row in self.population.rows]
        return epoch(self, number, *should_pause) | {"grad_norm": np.where(lost_rows, np.inf, 1.0)}

    monkeypatch.setattr(Training, "train_epoch", lost)
    _, plain = done(BASE)
    _, (good, bad) = done(replace(BASE, refit=True))
    assert (bad.status, bad.refit, bad.best_epoch) == ("diverged", None, plain[1].best_epoch)
    assert bad.test == plain[1].test and good.refit.status == "finished"


# ---- what is said and written


def test_the_screen_and_the_summary_say_that_it_trained_twice(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    overrides = "data=iris refit=true epochs=12 seeds=2 schedule=reduce_on_plateau stopping=patience"
    assert cli.main(["train", *overrides.split(), "hydra.run.dir=run"]) == 0
    stdout = capsys.readouterr().out
    summary, rows = (json.loads((tmp_path / f"run/{name}.json").read_text()) for name in ("summary", "rows"))
    epochs = sorted(row["best_epoch"] for row in rows)
    assert summary["refit"]["rows"] == 2 and summary["refit"]["diverged"] == 0
    assert summary["refit"]["first_examples"]["min"] == 90 and summary["refit"]["examples"]["max"] == 120
    assert [summary["refit"]["epochs"][key] for key in ("min", "max")] == epochs
    assert [row["refit"] for row in rows] == [
        {"epochs": row["best_epoch"], "examples": 120, "status": "finished"} for row in rows
    ]
    before, after = stdout.split("trained twice")
    assert "validation loss" in before and "test accuracy" in after and "test" not in before
    assert "on 90 examples" in after and "again on 120, validation included" in after
    assert max(map(len, stdout.splitlines()[:-3])) <= 80
    run = StoredRun(tmp_path / "run")
    for refit in (False, True):  # which has no validation examples left
        trained = np.isfinite(run.curves("train_loss", refit))
        assert trained.any() and (np.isfinite(run.curves("val_loss", refit)) == (trained & (not refit))).all()
    assert run.normalizer[0]["mean"].shape == (4,)


def test_the_table_of_several_runs_says_which_were_trained_twice(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["train", "-m", "data=iris", "epochs=3", "refit=true,false"]) == 0
    stdout = capsys.readouterr().out
    assert "refit=True: trained twice" in stdout and "refit=False:" not in stdout
    assert cli.main(["train", "-m", "data=iris,wine", "epochs=3"]) == 0
    assert "twice" not in capsys.readouterr().out


def test_it_equals_training_on_those_examples():
    one = replace(BASE, seeds=1, schedule=Cosine(floor=1.0))
    _, (result,) = done(replace(one, refit=True))
    plain = replace(one, split=Everything(), stopping=replace(Patience(), patience=99), metric="last")
    _, (expected,) = done(replace(plain, epochs=result.best_epoch))
    for name, weight in expected.weights.items():
        assert np.array_equal(weight, result.weights[name]), name
    assert expected.test == result.test


def test_the_test_set_is_touched_once(monkeypatch):
    from nnlab.training.evaluation import Evaluator

    tested, test = [], Evaluator.test
    monkeypatch.setattr(
        Evaluator, "test", lambda self, *fitted: tested.append(len(self.rows)) or test(self, *fitted)
    )
    done(replace(BASE, refit=True, threads=1))
    assert sum(tested) == 2


@pytest.mark.parametrize("metric", ["val_loss", "val_error", "last"])
def test_metric_picks_the_epoch(metric):
    records, (result,) = done(replace(BASE, seeds=1, metric=metric, stopping=Patience(patience=99)))
    values = [-r.epoch if metric == "last" else r.metrics[metric][0] for r in records]
    assert result.best_epoch == 1 + int(np.argmin(values))


def test_beside_an_experiment_that_is_not_trained_again():
    _, both = done(BASE, replace(BASE, refit=True))
    _, plain = done(BASE)
    _, refit = done(replace(BASE, refit=True))
    for got, expected in zip(both, plain + refit, strict=True):
        assert got.test == expected.test

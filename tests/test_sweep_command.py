"""`nnlab sweep` through the real command line: folder, winner, trials, grids, plans and spaces."""

import itertools
import json
import math
import re

import numpy as np
import pytest
import yaml
from searches import (
    IRIS,
    cached_sweeps,
    curves,
    journal_trials,
    json_lines,
    nnlab,
    sweep,
    sweep_json,
    train,
    trials_csv,
)

from nnlab.cli import main
from nnlab.paths import CONFIG_DIR

RANDOM = ("sampler=random", "trials=5")
LR = "optimizer.lr=tag(log,interval(1e-3,1e-1))"
KINDS = {  # what is searched, and how each trial is trained
    "numbers": (LR, "regularizer.dropout=interval(0,0.5)", "batch_size=int(interval(16,40))"),
    "seeds": (LR, "seeds=2", "regularizer.l2=0.01"),
    "folds": (LR, "split=kfold", "split.k=3"),
    "lists": ("model.hidden=choice([4],[7,5],[])", "model.activation=relu,tanh", LR),
    "groups": ("optimizer=sgd,momentum", "optimizer.gamma=interval(0.5,0.9)", LR, "schedule=constant,cosine"),
    "stopping": (LR, "stopping=patience", "stopping.patience=choice(1,2)", "epochs=range(3,7)"),
    "refit": (LR, "refit=true", "histograms=2", "metric=val_error"),
    "error": (LR, "objective=val_error", "stopping=patience"),
}  # fmt: skip


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    """kind -> the folder of its sweep, made once."""
    made = {}

    def folder(kind):
        if kind not in made:
            made[kind] = sweep(tmp_path_factory.mktemp("kind") / "s", *IRIS, *RANDOM, *KINDS[kind])
        return made[kind]

    return folder


# ---- the folder


def test_the_folder(swept):
    folder = swept("numbers")
    files = {p.name for p in folder.iterdir() if not p.name.startswith(".")}
    expected = {"best", "command.txt", "config.yaml", "curves.jsonl", "study.journal", "sweep.json", "trials"}
    assert files == expected | {"trials.csv"}
    config, command = (
        yaml.safe_load((folder / "config.yaml").read_text()),
        (folder / "command.txt").read_text(),
    )
    assert config["space"] == dict(word.split("=", 1) for word in KINDS["numbers"])
    assert config["sampler"] == {"name": "random", "seed": 0} and config["trials"] == 5
    assert command.startswith("nnlab sweep data=iris") and LR in command
    names = {p.name.split(".")[0] for p in (folder / "best").iterdir()}
    recorded = {"command", "config", "events", "metrics", "model", "rows", "spec", "splits", "summary"}
    assert names == recorded | {"test_predictions", "speed"}
    record = sweep_json(folder)
    assert record["trials"] == {"complete": 5, "pruned": 0, "failed": 0} and record["ended"] == "complete"
    assert record["seconds"]["total"] > record["seconds"]["training"] > 0 < record["seconds"]["search"]


def test_trials_csv_journal_and_curves_say_the_same(swept):
    folder = swept("seeds")
    rows, journal, each = trials_csv(folder), journal_trials(folder), curves(folder)
    assert [int(row["trial"]) for row in rows] == sorted(each) == list(range(5))
    for row, op, curve in zip(rows, journal, each.values(), strict=True):
        assert float(row["val_loss"]) == op["value"] and row["state"] == "complete"
        assert float(row["optimizer.lr"]) == op["params"]["optimizer.lr"]
        assert int(row["rows"]) == op["user_attrs"]["rows"] == 2
        assert float(row["val_loss_std"]) == op["user_attrs"]["spread"][0] > 0
        assert {len(values) for values in curve.values()} == {int(row["epochs"])} == {3}
        worth = list(op["intermediate_values"].values())
        assert worth == sorted(worth, reverse=True) and worth[-1] == op["value"]
    values = [float(row["val_loss"]) for row in rows]
    winner = sweep_json(folder)["best"]
    assert winner["trial"] == np.argmin(values) and winner["values"] == [min(values)]


# ---- the winner, and every other trial, is what its line of `nnlab train` gives


@pytest.mark.parametrize("kind", KINDS)
def test_best_is_what_the_printed_line_gives_bit_for_bit(swept, kind, tmp_path):
    folder = swept(kind)
    line = sweep_json(folder)["best"]["command"]
    repeated = train(line, tmp_path / "again")
    for name in ("metrics.jsonl", "model.safetensors", "rows.json", "summary.json"):
        assert (folder / "best" / name).read_bytes() == (repeated / name).read_bytes(), name
    assert (folder / "best" / "command.txt").read_text().strip() == line
    settings = [yaml.safe_load((f / "config.yaml").read_text()) for f in (folder / "best", repeated)]
    assert settings[0] == settings[1]


@pytest.mark.parametrize("kind", KINDS)
def test_every_trial_is_what_its_own_line_gives(swept, kind, tmp_path):
    """Alone through the front door: the same curve, and so the same objective, to the last bit."""
    folder = swept(kind)
    each, best = curves(folder), sweep_json(folder)["best"]
    objective = "val_error" if kind == "error" else "val_loss"
    fixed = [w for w in (*IRIS, *KINDS[kind]) if not w.startswith(("report", "objective"))]
    trained = "epochs_trained" if kind == "stopping" else "epochs"
    for row in trials_csv(folder)[: 2 if kind in ("lists", "groups") else 1]:
        settings = dict([*row.items()][6:-1])  # its parameters
        overrides = {w.split("=")[0]: w for w in fixed} | {k: f"{k}={v}" for k, v in settings.items()}
        overrides = {
            k: w for k, w in overrides.items() if settings.get(k) != ""
        }  # what it does not have is left out
        alone = train(
            "nnlab train " + " ".join(f"'{w}'" for w in overrides.values()), tmp_path / row["trial"]
        )
        lines = [line for line in json_lines(alone / "metrics.jsonl") if not line.get("refit")]
        epochs = range(1, 1 + max(line["epoch"] for line in lines))
        for name, curve in each[int(row["trial"])].items():
            means = [np.mean([line[name] for line in lines if line["epoch"] == e]) for e in epochs]
            assert curve == means, (name, row["trial"])
        rows = json.loads((alone / "rows.json").read_text())
        assert float(row[objective]) == np.mean([r["best"][objective] for r in rows])
        assert int(row["rows"]) == len(rows) and int(row[trained]) == len(epochs)
    values = [float(row[objective]) for row in trials_csv(folder)]
    assert best["values"] == [min(values)]


def test_the_test_set_is_used_for_the_winner_alone(swept):
    for kind in ("seeds", "folds", "refit"):
        folder = swept(kind)
        summary = json.loads((folder / "best" / "summary.json").read_text())
        tests = {name: m for name, m in summary["metrics"].items() if name.startswith("test_")}
        assert sweep_json(folder)["test"] == tests and "test_accuracy" in tests
        assert sweep_json(folder).get("refit") == summary.get("refit") and ("refit" in summary) == (
            kind == "refit"
        )
        for name in ("trials.csv", "curves.jsonl", "study.journal"):
            assert "test" not in (folder / name).read_text()
        for file in (folder / "trials").rglob("events*"):
            assert b"test" not in file.read_bytes()


# ---- samplers through the front door


def test_a_grid_is_the_cross_product_and_is_counted_before(capsys):
    overrides = ("sampler=grid", "optimizer=sgd,momentum", "optimizer.lr=0.1,0.01", "optimizer.gamma=0.5,0.9")
    assert main(["sweep", *IRIS, *overrides, "hydra.run.dir=g"]) == 0
    stdout = capsys.readouterr().out
    assert "6 cells in the grid" in stdout and stdout.index("6 cells in the grid") < stdout.index("complete")
    from pathlib import Path

    cells = [(r["optimizer"], r["optimizer.lr"], r["optimizer.gamma"]) for r in trials_csv(Path("g"))]
    sgd = [("sgd", lr, "") for lr in ("0.1", "0.01")]
    assert cells == [*sgd, *itertools.product(["momentum"], ["0.1", "0.01"], ["0.5", "0.9"])]


def test_a_grid_lays_points_with_both_ends(tmp_path):
    overrides = ("sampler=grid", "sampler.points=3", "optimizer.lr=tag(log,interval(1e-3,1e-1))",
             "regularizer.dropout=tag(points2,interval(0,0.5))")  # fmt: skip
    rows = trials_csv(sweep(tmp_path / "g", *IRIS, *overrides))
    points = [(float(r["optimizer.lr"]), float(r["regularizer.dropout"])) for r in rows]
    expected = list(itertools.product((1e-3, 1e-2, 1e-1), (0, 0.5)))
    assert points == [pytest.approx(e, rel=1e-12) for e in expected]
    assert (points[0][0], points[-1][0]) == (1e-3, 1e-1)


def test_a_space_that_is_used_up_ends_the_sweep(tmp_path, capsys):
    overrides = (*IRIS, "sampler=random", "trials=50", "optimizer.lr=0.1,0.01", "batch_size=16,32,64")
    folder = sweep(tmp_path / "s", *overrides)
    assert len(trials_csv(folder)) == 6 and sweep_json(folder)["ended"] == "the space has no further trial"


def test_several_objectives_give_the_front(tmp_path):
    overrides = ("sampler=random", "trials=12", "model.hidden=choice([2],[4],[8],[16])", LR,
             "objective=[val_loss,parameters]")  # fmt: skip
    folder = sweep(tmp_path / "s", *IRIS, *overrides)
    rows = trials_csv(folder)
    points = [(float(r["val_loss"]), float(r["parameters"]), int(r["trial"])) for r in rows]
    sizes = {"[2]": 4 * 2 + 2 + 2 * 3 + 3, "[4]": 35, "[8]": 67, "[16]": 131}
    assert all(float(r["parameters"]) == sizes[r["model.hidden"]] for r in rows)
    front = [
        p for p in points
        if not any(q[0] <= p[0] and q[1] <= p[1] and q[:2] != p[:2] for q in points)
    ]  # fmt: skip
    from nnlab.search.ledger import Ledger
    from nnlab.search.trial import rank_trials

    ledger = Ledger(folder, None, "s", sweep_json(folder)["id"], (1, 1), True)
    ranked = [t.number for t in rank_trials(ledger.trials(), (1, 1))]
    assert ranked[: len(front)] == [n for *_, n in sorted(front)]
    assert sweep_json(folder)["best"]["trial"] == min(front)[2] == min(points)[2]


def test_maximise(tmp_path):
    folder = sweep(tmp_path / "s", *IRIS, *RANDOM, LR, "objective=val_error", "direction=maximize")
    values = [float(r["val_error"]) for r in trials_csv(folder)]
    assert sweep_json(folder)["best"]["values"] == [max(values)]


def test_the_same_sweep_twice_gives_the_same_and_another_seed_another(tmp_path):
    overrides = (*IRIS, "sampler=tpe", "sampler.startup=3", "batch=3", "trials=9", LR)
    first, second, third = (sweep(tmp_path / f"{i}", *overrides, f"sampler.seed={i // 2}") for i in range(3))
    assert (first / "trials.csv").read_bytes() == (second / "trials.csv").read_bytes()
    assert (first / "trials.csv").read_bytes() != (third / "trials.csv").read_bytes()


# ---- what fails


DIABETES = ("data=diabetes", "epochs=3", "report=false", "model=linear", "optimizer=sgd")


def test_a_diverged_trial_has_failed_with_its_reason_and_is_never_best(tmp_path):
    folder = sweep(tmp_path / "s", *DIABETES, "sampler=grid", "optimizer.lr=1e30,1e-3,1e20,1e-2")
    rows = trials_csv(folder)
    assert [r["state"] for r in rows] == ["failed", "complete", "failed", "complete"]
    assert rows[0]["reason"] == "diverged in epoch 1" and rows[0]["val_loss"] == "" and not rows[1]["reason"]
    assert sweep_json(folder)["best"]["trial"] in (1, 3)
    assert sweep_json(folder)["trials"] == {"complete": 2, "pruned": 0, "failed": 2}
    assert (
        journal_trials(folder)[0]["state"] == 3
        and journal_trials(folder)[0]["user_attrs"]["reason"] == "diverged in epoch 1"
    )


def test_a_trial_of_which_one_row_diverges_has_failed(tmp_path):
    folder = sweep(tmp_path / "s", *DIABETES, "seeds=3", "sampler=grid", "optimizer.lr=1e30,1e-3")
    assert trials_csv(folder)[0]["reason"] == "diverged in epoch 1, 3 of 3 rows"


@pytest.mark.filterwarnings("always::nnlab.errors.Advice")
def test_a_setting_that_only_some_trials_cannot_have_fails_those(tmp_path):
    folder = sweep(tmp_path / "s", *IRIS, "sampler=grid", "split.test=0.2,0.7", "split.validation=0.2,0.5")
    rows = {(r["split.test"], r["split.validation"]): r for r in trials_csv(folder)}
    assert rows["0.7", "0.5"]["state"] == "failed" and "nothing to train on" in rows["0.7", "0.5"]["reason"]
    assert rows["0.2", "0.5"]["state"] == rows["0.7", "0.2"]["state"] == "complete"


ORDERS = {  # values of which some combinations cannot be trained, in the order in which the first can
    "a list for each layer": ("model.hidden=[8],[16,8]", "model.activation=relu,[tanh,relu]"),
    "shares": ("split.test=0.1,0.5", "split.validation=0.2,0.6"),
    "ranked or not": ("metric=last,val_loss", "split=none,holdout"),
    "measured or not": ("objective=small_weights", "regularizer.small=null,0.1", "seed=0,1"),
}  # fmt: skip


def _orders(overrides) -> list[tuple[str, ...]]:
    """The words with their values in every order."""
    each = [word.partition("=") for word in overrides]
    lists = [re.findall(r"\[[^]]*\]|[^,\[\]]+", values) for *_, values in each]
    picks = itertools.product(*(itertools.permutations(values) for values in lists))
    return [tuple(f"{key}={','.join(v)}" for (key, *_), v in zip(each, pick, strict=True)) for pick in picks]


@pytest.mark.filterwarnings("always::nnlab.errors.Advice")
@pytest.mark.parametrize("case", ORDERS)
def test_in_which_order_values_stand_says_nothing(case, tmp_path, capsys):
    results = []
    for number, overrides in enumerate(_orders(ORDERS[case])):
        line = [
            "sweep",
            *IRIS,
            "epochs=1",
            "sampler=grid",
            *overrides,
            f"hydra.run.dir={tmp_path / str(number)}",
        ]
        assert main(line) == 0
        rows = trials_csv(tmp_path / str(number))
        keys = [word.partition("=")[0] for word in overrides]
        results.append({(*(row.get(key) for key in keys), row["state"], row.get("val_loss")) for row in rows})
        failed = [row["reason"] for row in rows if row["state"] == "failed"]
        assert failed and all(failed) and f"; {len(failed)} cannot be trained" in capsys.readouterr().out
        assert (tmp_path / str(number) / "best").is_dir()
    assert len(results) > 3 and all(each == results[0] for each in results)


def test_a_value_that_fits_nowhere_is_refused_and_one_that_fits_somewhere_is_not(tmp_path, capsys):
    wrong = ("split.test=0.2,0.9", "split.validation=0.2,0.3")
    assert main(["sweep", *IRIS, "sampler=grid", *wrong]) == 2
    assert "split.test = 0.9" in capsys.readouterr().err and not list(tmp_path.iterdir())
    three = ("model.hidden=[8],[8,8],[8,8,8]", "model.activation=[relu,tanh],[tanh],[relu,tanh,relu]")
    assert main(["sweep", "data=iris", "split=none", "metric=last", "optimizer.lr=0.1,0.2"]) == 2
    assert "split=none holds back none: set objective=train_loss" in capsys.readouterr().err
    assert main(["sweep", "data=iris", "epochs=1", "plan=true", "sampler=grid", *three]) == 0
    assert "9 cells in the grid; 6 cannot be trained" in capsys.readouterr().out


def test_a_combination_that_cannot_be_trained_uses_up_no_trial(tmp_path):
    overrides = (
        "trials=12",
        "model.hidden=[8],[8,8],[8,8,8]",
        "model.activation=relu,[relu,tanh],[relu]",
        LR,
    )
    for name in ("random", "tpe", "qmc"):
        overrides = (*overrides, "data=iris", "epochs=1", "report=false", f"sampler={name}")
        rows = trials_csv(sweep(tmp_path / name, *overrides))
        assert len(rows) == 12 and {row["state"] for row in rows} == {"complete"}


@pytest.mark.filterwarnings("always::nnlab.errors.Advice")
def test_a_grid_whose_first_cells_all_diverge_is_trained_to_its_end(tmp_path):
    overrides = ("sampler=grid", "optimizer.lr=1e30,1e-3", "seed=range(0,22)", "batch=22", "epochs=1")
    rows = trials_csv(sweep(tmp_path / "s", *DIABETES, *overrides))
    assert [row["state"] for row in rows] == ["failed"] * 22 + ["complete"] * 22


def test_a_space_that_is_too_small_and_one_that_is_left_out_are_said(capsys):
    assert main(["sweep", *IRIS[1:3], "data=iris", "model.hidden=[4],[5]", "trials=128", "plan=true"]) == 0
    stdout = capsys.readouterr().out
    assert "2 trials, not 128: this space has no others" in stdout
    assert "space=default would add\n  optimizer.lr, regularizer.l2, regularizer.dropout\n" in stdout
    for overrides in (["space=default", "model.hidden=[4],[5]"], [], ["space=none", LR]):
        assert main(["sweep", "data=iris", "epochs=1", *overrides, "plan=true"]) == 0
        stdout = capsys.readouterr().out
        assert "would add" not in stdout and "no others" not in stdout
    assert main(["sweep", "data=iris", LR, "regularizer.l2=0.1", "plan=true"]) == 0
    assert "would add\n  regularizer.dropout\n" in capsys.readouterr().out


def test_twenty_failures_from_the_first_on_end_the_sweep(tmp_path, capsys):
    overrides = (*DIABETES, "sampler=random", "trials=60", "batch=10", "optimizer.lr=interval(1e29,1e30)")
    assert main(["sweep", *overrides, f"hydra.run.dir={tmp_path / 's'}"]) == 1
    captured = capsys.readouterr()
    assert captured.err == (
        "nnlab sweep: the first 20 trials all failed, most of them so: diverged in epoch 1\n"
    )
    assert "no trial was trained to its end: 20 of 20 diverged in epoch 1" in captured.out
    line = re.search(r"nnlab check only=rates (?:.*\\\n)*.*", captured.out)[0]
    assert "data=diabetes" in line and re.search(r"optimizer\.lr=\d\.\d+e\+29", line)
    assert len(trials_csv(tmp_path / "s")) == 20 and not (tmp_path / "s" / "best").exists()
    assert "first 20 trials all failed" in sweep_json(tmp_path / "s")["ended"]


def test_a_few_failures_alone_do_not_end_it_but_its_exit_code_says_so(tmp_path):
    folder = sweep(tmp_path / "s", *DIABETES, "sampler=grid", "optimizer.lr=1e30,1e29", code=1)
    assert sweep_json(folder)["best"] is None and sweep_json(folder)["ended"] == "complete"


# ---- plan, refine, spaces


def test_a_plan_trains_nothing_and_leaves_nothing(capsys, tmp_path):
    assert main(["sweep", "plan=true", "trials=256", "pruner=halving", "seeds=2"]) == 0
    stdout = capsys.readouterr().out
    assert (
        "256 trials, 512 rows, in batches of 16 trials" in stdout
        and "memory" in stdout
        and "time about" in stdout
    )
    assert "optimizer.lr         0.0001 to 0.1 (log)" in stdout
    assert not list(tmp_path.iterdir())


def test_a_plan_counts_stacks_by_structure(capsys):
    overrides = (
        "sampler=grid",
        "model.hidden=choice([4],[5],[6])",
        "optimizer.lr=0.1,0.01",
        "rows=2",
        "seeds=2",
    )
    assert main(["sweep", *IRIS, *overrides, "plan=true"]) == 0
    stdout = capsys.readouterr().out
    assert "6 trials, 12 rows, in batches of 6 trials" in stdout
    assert "a batch is 6 stacks of 2 rows" in stdout and "6 cells in the grid" in stdout


def test_refine_searches_again_around_the_best_and_leaves_the_other_as_it_was(swept, tmp_path):
    other = swept("numbers")
    before = {p: p.read_bytes() for p in other.rglob("*") if p.is_file()}
    folder = sweep(tmp_path / "r", *IRIS, *RANDOM, f"refine={other}")
    assert {p: p.read_bytes() for p in other.rglob("*") if p.is_file()} == before
    rows, original_rows = trials_csv(other), trials_csv(folder)
    for key in ("optimizer.lr", "regularizer.dropout", "batch_size"):
        assert key in original_rows[0]
        low, high = (f(float(r[key]) for r in rows) for f in (min, max))
        margin = 0.1 * 2 * math.log(10) if key == "optimizer.lr" else 0.05 if key != "batch_size" else 3.4
        to = math.log if key == "optimizer.lr" else float
        assert all(to(low) - margin <= to(float(r[key])) <= to(high) + margin for r in original_rows)


POINTS7 = LR.replace("log", "log,points7")
AROUND = {  # how a grid got its 7 points, or gets them now; how many are laid around its best
    "sampler.points": (["sampler=grid", "sampler.points=7", LR], [], 7),
    "a tag": (["sampler=grid", POINTS7], [], 7),
    "a tag before sampler.points": (["sampler=grid", "sampler.points=3", POINTS7], [], 7),
    "more points now": (["sampler=grid", "sampler.points=7", LR], ["sampler.points=13"], 13),
    "other points now, of a tag": (["sampler=grid", POINTS7], ["sampler.points=4"], 4),
    "two points": (["sampler=grid", "sampler.points=2", LR], [], 3),
    "other points now": (["sampler=grid", "sampler.points=7", LR], ["sampler.points=4"], 4),
    "a grid now": (["sampler=random", "trials=7", LR], ["sampler=grid", "sampler.points=7"], 7),
    "not one now": (["sampler=grid", "sampler.points=7", LR], ["sampler=random", "trials=3"], None),
}


@pytest.fixture(scope="module")
def to_refine(tmp_path_factory):
    return cached_sweeps(tmp_path_factory)


@pytest.mark.filterwarnings("always::nnlab.errors.Advice")
@pytest.mark.parametrize("first, then, points", AROUND.values(), ids=AROUND)
def test_refine_lays_as_many_points_as_the_grid_had(first, then, points, to_refine, capsys):
    folder = to_refine(*IRIS, "epochs=1", *first)
    capsys.readouterr()
    assert main(["sweep", f"refine={folder}", "plan=true", *then]) == 0
    stdout = capsys.readouterr().out.rpartition("\n  optimizer.lr")[2]
    assert f"  {points} cells in the grid" in stdout if points else "(log)" in stdout


@pytest.mark.filterwarnings("always::nnlab.errors.Advice")
def test_refine_of_every_whole_number_lies_between_the_neighbours(tmp_path, capsys):
    overrides = ("sampler=grid", "epochs=1", "batch_size=tag(log,int(interval(4,24)))")
    folder = sweep(tmp_path / "one", *IRIS, *overrides)
    best = sweep_json(folder)["best"]["params"]["batch_size"]
    assert main(["sweep", f"refine={folder}", "plan=true"]) == 0
    line = next(w for w in capsys.readouterr().out.splitlines() if w.startswith("  batch_size"))
    assert [int(n) for n in line.split(maxsplit=1)[1].split(",")] == [
        n for n in (best - 1, best, best + 1) if 4 <= n <= 24
    ]


SPACES = sorted(path.stem for path in CONFIG_DIR.glob("space/*.yaml") if path.stem != "none")


@pytest.mark.parametrize("space", SPACES)
def test_every_space_composes_and_a_short_sweep_of_it_runs(space, tmp_path):
    folder = sweep(tmp_path / "s", "data=iris", "epochs=2", "report=false", f"space={space}", "trials=2")
    keys = yaml.safe_load((CONFIG_DIR / "space" / f"{space}.yaml").read_text())
    assert {r["state"] for r in trials_csv(folder)} == {"complete"} and len(trials_csv(folder)) == 2
    assert set(keys) <= set(trials_csv(folder)[0])


def test_the_command_line_goes_before_a_space(tmp_path):
    overrides = (
        *IRIS,
        *RANDOM,
        "space=default",
        "optimizer.lr=0.01",
        "regularizer.dropout=0.1,0.2,0.3,0.4,0.5",
    )
    folder = sweep(tmp_path / "s", *overrides)
    assert [*trials_csv(folder)[0]][6:-1] == ["regularizer.l2", "regularizer.dropout"]
    assert "optimizer.lr=0.01" in sweep_json(folder)["best"]["command"]
    alone = sweep(tmp_path / "t", *IRIS, *RANDOM, LR)  # values on the command line, and so no space
    assert [*trials_csv(alone)[0]][6:-1] == ["optimizer.lr"]


# ---- Hydra's own questions, start-up


def test_help_and_cfg(capsys):
    assert main(["sweep", "--help"]) == 0
    stdout = capsys.readouterr().out
    assert re.search(r"sampler=tpe +cmaes.*tpe", stdout) and "space=" in stdout and "trials=auto" in stdout
    assert main(["sweep", "--cfg", "job", "sampler=gp", "optimizer.lr=interval(0,1)"]) == 0
    shown = yaml.safe_load(capsys.readouterr().out)
    assert shown["sampler"]["name"] == "gp" and shown["epochs"] == 50 and shown["trials"] == "auto"


def test_the_sweep_is_in_the_help_which_imports_nothing_heavy(tmp_path):
    import subprocess
    import sys

    from searches import ROOT

    code = (
        "import sys; from nnlab.cli import main; main(['--help']); "
        "print([m for m in ('torch', 'optuna', 'hydra', 'numpy') if m in sys.modules])"
    )
    process = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert "sweep" in process.stdout and process.stdout.splitlines()[-1] == "[]", process.stderr


def test_as_a_process_warnings_are_errors_and_nothing_is_said_on_stderr(tmp_path):
    process = nnlab(tmp_path, "sweep", *IRIS, "trials=20", "hydra.run.dir=s")
    assert process.returncode == 0 and process.stderr == "", process.stderr
    assert "to repeat it" in process.stdout and "sweep folder       s" in process.stdout

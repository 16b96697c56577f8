"""Weight decay and the L2 penalty: never both by default; and what schedules watch with `metric=last`."""

import csv
import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pytest
import yaml
from networks import Points
from omegaconf import OmegaConf
from optimizer_cases import CASES
from searches import trials_csv

import nnlab
from nnlab import cli, plugins
from nnlab.commands import resolvers, sweep_definition
from nnlab.commands.command_line import CommandLine
from nnlab.experiment import DEFAULT_L2, Experiment
from nnlab.hyperparameters import column
from nnlab.optimizers import OPTIMIZERS
from nnlab.regularizers import Regularizer

DECAYING = {name for name in OPTIMIZERS if CASES[name].decays}
SHORT = ("data=iris", "epochs=2")


def test_which_optimisers_decay_the_weights():
    assert {name for name, kind in OPTIMIZERS.items() if kind().decays} == DECAYING


@pytest.fixture
def train(tmp_path, monkeypatch, capsys):
    """train(*words): the settings that the run wrote, and what it advised; exit code 0."""
    monkeypatch.chdir(tmp_path)

    def train(*overrides, command="train"):
        assert cli.main([command, *SHORT, *overrides, "hydra.run.dir=run"]) == 0
        advice = capsys.readouterr().err
        settings = yaml.safe_load((tmp_path / "run/config.yaml").read_text())
        line = (tmp_path / "run/command.txt").read_text()
        (tmp_path / "run").rename(tmp_path / f"run{len(list(tmp_path.iterdir()))}")
        return settings, advice, line

    return train


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_default_penalty_is_left_out_beside_a_decay_of_the_optimiser(name, train):
    settings, advice, line = train(f"optimizer={name}")
    assert settings["regularizer"]["l2"] == (0.0 if name in DECAYING else DEFAULT_L2)
    assert ("so regularizer.l2 is 0" in advice) == (name in DECAYING) and advice.count("\n") == (
        name in DECAYING
    )
    assert Experiment(optimizer=OPTIMIZERS[name]()).regularizer.l2 == settings["regularizer"]["l2"]
    assert line.strip() == f"nnlab train data=iris epochs=2 optimizer={name}"


ASKED = [  # words, l2, a part of the advice or nothing
    (["optimizer=adamw", "regularizer=l2"], 1e-3, "and regularizer.l2 is 0.001"),
    (["optimizer=lion", "regularizer.l2=0.02"], 0.02, "and regularizer.l2 is 0.02"),
    (["optimizer=adamw", "regularizer=[auto,dropout]"], 0.0, "so regularizer.l2 is 0"),
    (["optimizer=adamw", "regularizer=dropout"], 0.0, ""),
    (["optimizer=adamw", "regularizer=none"], 0.0, ""),
    (["optimizer=adamw", "regularizer=l2", "optimizer.weight_decay=0"], 1e-3, ""),
    (["optimizer=adamw", "optimizer.weight_decay=0"], 1e-3, ""),
    (["optimizer=lion", "optimizer.weight_decay=0.0"], 1e-3, ""),
    (["optimizer=lion", "optimizer.weight_decay=0.3"], 0.0, "so regularizer.l2 is 0"),
    (["optimizer=adamw", "optimizer.weight_decay=0", "regularizer.l2=0"], 0.0, ""),
    (["regularizer=[auto,dropout]"], 1e-3, ""),
    (["experiment=lecture/mlp", "optimizer=adamw"], 0.0, ""),
]


@pytest.mark.parametrize("overrides, l2, advice", ASKED)
def test_what_is_asked_for_is_done(overrides, l2, advice, train):
    settings, stderr, _ = train(*overrides)
    assert settings["regularizer"]["l2"] == l2
    assert advice in stderr if advice else not stderr


def test_runs_beside_each_other_have_each_their_own(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    overrides = ["-m", *SHORT, "optimizer=adam,adamw", "hydra.sweep.dir=runs"]
    assert cli.main(["train", *overrides]) == 0
    assert capsys.readouterr().err.count("advice") == 1
    each = [yaml.safe_load(file.read_text()) for file in sorted(tmp_path.glob("runs/*/config.yaml"))]
    assert {c["optimizer"]["name"]: c["regularizer"]["l2"] for c in each} == {"adam": 1e-3, "adamw": 0.0}


def test_trials_of_a_sweep_too(tmp_path, monkeypatch, capsys):
    """The winner's own run has what its trial had, and its line repeats it."""
    monkeypatch.chdir(tmp_path)
    overrides = "optimizer=adamw,lion sampler=grid report=false hydra.run.dir=sweep"
    assert cli.main(["sweep", *SHORT, *overrides.split()]) == 0
    assert capsys.readouterr().err.count("so regularizer.l2 is 0") == 2
    best = json.loads((tmp_path / "sweep/sweep.json").read_text())["best"]
    assert yaml.safe_load((tmp_path / "sweep/best/config.yaml").read_text())["regularizer"]["l2"] == 0.0
    rows = json.loads((tmp_path / "sweep/best/rows.json").read_text())
    assert [row["best"]["val_loss"] for row in rows] == best["values"]


def test_a_trial_whose_decay_is_zero_keeps_the_penalty(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    overrides = "optimizer=adamw optimizer.weight_decay=0,0.01 sampler=grid report=false hydra.run.dir=sweep"
    assert cli.main(["sweep", *SHORT, *overrides.split()]) == 0
    trials = trials_csv(tmp_path / "sweep")
    for trial, decay in zip(trials, ("0", "0.01"), strict=True):
        overrides = ["optimizer=adamw", f"optimizer.weight_decay={decay}", f"hydra.run.dir=run{decay}"]
        assert cli.main(["train", *SHORT, *overrides]) == 0
        (row,) = json.loads((tmp_path / f"run{decay}/rows.json").read_text())
        assert row["best"]["val_loss"] == float(trial["val_loss"])


ONCE = "so optimizer.weight_decay is searched in place of the space's regularizer.l2"
SEARCHED = [  # words, keys of each optimiser's trials beside those of rate and dropout, advice
    ("optimizer=adamw", [{"optimizer.weight_decay"}], ONCE),
    ("optimizer=lion space=mlp_small", [{"optimizer.weight_decay"}], ONCE),
    ("optimizer=adam", [{"regularizer.l2"}], ""),
    ("optimizer=adamw optimizer.weight_decay=0", [{"regularizer.l2"}], ""),
    ("optimizer=adamw optimizer.weight_decay=0.1", [set()], ONCE),
    ("optimizer=adam,adamw space=default", [{"regularizer.l2"}, {"optimizer.weight_decay"}], ONCE),
    ("optimizer=adamw regularizer.l2=0.1,0.2", [{"regularizer.l2"}], "and regularizer.l2 is searched"),
    ("optimizer=adamw regularizer.l2=0.1", [set()], "and regularizer.l2 is 0.1"),
    (
        "optimizer=adamw optimizer.weight_decay=0,0.1 regularizer.l2=0.1",
        [{"optimizer.weight_decay"}],
        "(optimizer.weight_decay is searched) and regularizer.l2 is 0.1",
    ),
    ("optimizer=adamw optimizer.weight_decay=0,0.1", [{"optimizer.weight_decay"}], "so regularizer.l2 is 0"),
    ("optimizer=adamw optimizer.weight_decay=0,0.1 regularizer.l2=0", [{"optimizer.weight_decay"}], ""),
]  # fmt: skip


@pytest.mark.parametrize("overrides, keys, advice", SEARCHED)
def test_a_space_decays_the_weights_once(overrides, keys, advice):
    trials = sweep_definition.read(CommandLine("sweep", tuple(overrides.split()))).trials
    groups = trials.space.choices()
    decays = {"regularizer.l2", "optimizer.weight_decay"}
    assert [decays & {*trials.space.keys(chosen)} for chosen in groups] == keys
    notes = " ".join(trials.notes())
    assert advice in notes if advice else not notes


def test_such_a_sweep_is_trained_and_goes_on_and_is_refined(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    overrides = "optimizer=adam,adamw space=default trials=6 report=false hydra.run.dir=sweep"
    assert cli.main(["sweep", *SHORT, *overrides.split()]) == 0
    for trial in trials_csv(tmp_path / "sweep"):
        decays = (trial["regularizer.l2"] != "", trial["optimizer.weight_decay"] != "")
        assert decays == ((True, False) if trial["optimizer"] == "adam" else (False, True))
    assert cli.main(["sweep", "resume=sweep", "trials=8"]) == 0
    assert len(trials_csv(tmp_path / "sweep")) == 8
    capsys.readouterr()
    assert cli.main(["sweep", "refine=sweep", "trials=3", "hydra.run.dir=again"]) == 0
    assert "usually one of them" not in capsys.readouterr().err


def test_in_python_too():
    """The default follows the optimiser; what is given stays."""
    data, l2 = Points(), Regularizer(l2=0.5)
    assert nnlab.Experiment(data=data, optimizer=nnlab.AdamW()).regularizer == Regularizer()
    assert nnlab.Experiment(data=data, optimizer=nnlab.AdamW(), regularizer=l2).regularizer == l2
    assert Experiment.from_config({"optimizer": {"name": "lion"}}).regularizer == Regularizer()
    assert Experiment.from_config({"optimizer": {"name": "adam"}}).regularizer.l2 == DEFAULT_L2


def test_an_optimiser_of_a_package_too():
    """By the key alone: its settings are its class's fields."""

    @dataclass(frozen=True)
    class Mine(nnlab.SGD):
        name: ClassVar[str] = "mine"
        weight_decay: float = column(0.3, low=0)

    settings = {"optimizer": plugins.settings(Mine), "regularizer": {"l2": 0.0}}
    config = OmegaConf.create(settings | {"regularizer": {"l2": "${unless_decayed:1e-3}"}})
    assert config.regularizer.l2 == 0.0 and Mine().decays
    (note,) = resolvers.decay_advice(config, settings)
    assert note.startswith("optimizer=mine decays the weights itself (optimizer.weight_decay = 0.3), so")
    assert OmegaConf.create({**config, "optimizer": plugins.settings(nnlab.SGD)}).regularizer.l2 == DEFAULT_L2


# ---- metric=last


@pytest.mark.parametrize("listener", ["stopping=patience", "schedule=reduce_on_plateau"])
def test_what_follows_the_metric_listens_to_the_loss_where_the_last_weights_are_kept(listener, train):
    group = listener.split("=")[0]
    for metric, heard in (("last", "val_loss"), ("val_error", "val_error"), ("val_loss", "val_loss")):
        settings, advice, _ = train(f"metric={metric}", listener)
        assert (settings["metric"], settings[group]["metric"], advice) == (metric, heard, "")


def test_what_does_not_listen_cannot_be_told_to(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["train", *SHORT, "stopping=patience", "stopping.metric=last"]) == 2
    assert "stopping.metric = 'last'" in capsys.readouterr().err


@pytest.mark.parametrize("listener", ["stopping=patience", "schedule=reduce_on_plateau"])
def test_a_wrong_metric_is_not_blamed_on_what_follows_it(listener, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["train", *SHORT, listener, "metric=val_erorr"]) == 2
    assert capsys.readouterr().err.startswith("nnlab train: metric = 'val_erorr': expected one of val_loss")


# ---- a sweep that began when the defaults were others


def test_an_old_sweep_over_optimisers_and_schedules_goes_on_as_it_began(tmp_path, monkeypatch):
    """Begun by nnlab 0.1.0 of commit 1b75089, which trained 9 trials (whole.csv); here it has the first 4."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(Path(__file__).parent / "old_choices", "sweep")
    assert cli.main(["sweep", "resume=sweep", "trials=9"]) == 0
    texts = (Path(f"sweep/{name}.csv").read_text() for name in ("trials", "whole"))
    actual, expected = (list(csv.DictReader(text.splitlines())) for text in texts)
    assert {"adamw", "lion"} <= {row["optimizer"] for row in expected[4:]}
    assert "halve_on_rise" in {row["schedule"] for row in expected[4:]}
    for row, old in zip(actual, expected, strict=True):
        assert float(row["val_loss"]) == pytest.approx(float(old["val_loss"]), rel=1e-4), row

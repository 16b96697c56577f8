"""An interrupted and resumed sweep gives the same results as an uninterrupted one."""

import csv
import itertools
import re
import shutil
from pathlib import Path

import pytest
from searches import (
    IRIS,
    SAMPLED,
    USUAL,
    cached_sweeps,
    journal_trials,
    reproducible_content,
    resume,
    resume_error,
    sweep,
    sweep_json,
    trials_csv,
)

from nnlab.search.samplers import SAMPLERS


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


OLD = Path(__file__).parent / "old_sweeps"  # begun by nnlab 0.1.0 of commit 1b75089, killed at trial 10


@pytest.mark.parametrize("name", sorted(p.name for p in OLD.iterdir()))
def test_a_sweep_of_an_old_version_goes_on_as_it_began(name, tmp_path):
    """It chooses what that version chose, failed trials too, up to the last digits of another machine."""
    folder = tmp_path / "s"
    shutil.copytree(OLD / name, folder)
    resume(folder)
    actual, expected = trials_csv(folder), csv.DictReader((OLD / name / "whole.csv").read_text().splitlines())
    for row, old in zip(actual, expected, strict=True):
        assert (row["trial"], row["state"]) == (old["trial"], old["state"])
        for key in ("optimizer.lr", "init.mean"):
            assert float(row[key]) == pytest.approx(float(old[key]), rel=1e-6)
    assert "failed" in [row["state"] for row in actual[10:]]


# ---- in this process: the folder as a killed process may have left it


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    return cached_sweeps(tmp_path_factory)


def killed(uninterrupted: Path, folder: Path, trials: int, tail: bytes = b"") -> Path:
    """The whole sweep's folder as it was when so many trials had been told, and a bit of the next line."""
    shutil.copytree(uninterrupted, folder)
    for name in ("best", "trials"):
        shutil.rmtree(folder / name)
    lines = (folder / "study.journal").read_bytes().splitlines(keepends=True)
    (folder / "study.journal").write_bytes(b"".join(lines[: 2 + trials]) + tail)
    of_trials = (folder / "trials.csv").read_text().splitlines(keepends=True)
    (folder / "trials.csv").write_text("".join(of_trials[: 1 + trials]))
    return folder


@pytest.mark.parametrize(
    "name, trials",
    [*itertools.product(SAMPLERS, [3]), ("tpe", 0), ("tpe", 8), ("gp", 8), ("cmaes", 12)],
)
def test_a_resumed_sweep_is_one_that_was_not_interrupted(name, trials, uninterrupted, tmp_path):
    one = uninterrupted(*USUAL, *SAMPLED[name])
    folder = killed(one, tmp_path / "s", trials, b'{"op_code":4,"worker')
    before = (folder / "study.journal").read_bytes().splitlines()[: 2 + trials]
    resume(folder)
    assert reproducible_content(folder) == reproducible_content(one)
    assert (folder / "study.journal").read_bytes().splitlines()[: 2 + trials] == before
    assert [op["params"] for op in journal_trials(folder)] == [op["params"] for op in journal_trials(one)]
    assert len(journal_trials(folder)) == 12


DIVERGES = (
    "data=diabetes", "data.target_normalization=none", "data.limit=60", "epochs=2", "batch_size=4", "batch=4",
    "model.hidden=[3,3]", "regularizer=none", "optimizer=sgd", "optimizer.lr=tag(log,interval(1e-6,1e4))",
    "init.mean=interval(0,1)", "trials=16", "report=false",
)  # fmt: skip


@pytest.mark.parametrize("name", ["tpe", "cmaes"])
def test_one_whose_trials_diverge_too(name, uninterrupted, tmp_path):
    """What a sampler learned of the failed ones, it learns again."""
    one = uninterrupted(*DIVERGES, *SAMPLED[name])
    states = [row["state"] for row in trials_csv(one)]
    assert "failed" in states[:8] and states.count("failed") < 8
    folder = killed(one, tmp_path / "s", 10)
    resume(folder)
    assert reproducible_content(folder) == reproducible_content(one)


@pytest.mark.parametrize("lines", [None, 0, 1, 2])
def test_one_that_was_killed_before_its_study_was_complete(lines, uninterrupted, tmp_path):
    one = uninterrupted(*USUAL, *SAMPLED["random"])
    folder = killed(one, tmp_path / "s", 0)
    for name in ("trials.csv", "curves.jsonl"):
        (folder / name).unlink()
    journal = (folder / "study.journal").read_bytes().splitlines(keepends=True)
    (folder / "study.journal").write_bytes(b"".join(journal[:lines]))
    if lines is None:
        (folder / "study.journal").unlink()
    resume(folder)
    assert reproducible_content(folder) == reproducible_content(one)


@pytest.mark.parametrize("pruner, trials", [("median", 3), ("halving", 8), ("hyperband", 3)])
def test_a_pruned_one_too(pruner, trials, uninterrupted, tmp_path):
    overrides = ("pruner.warmup=2", "pruner.interval=2") if pruner == "median" else ("pruner.min_epochs=1",)
    one = uninterrupted(
        *USUAL, "sampler=tpe", "sampler.startup=3", f"pruner={pruner}", *overrides, "epochs=5"
    )
    assert "pruned" in (one / "trials.csv").read_text()
    folder = killed(one, tmp_path / "s", trials)
    resume(folder)
    assert reproducible_content(folder) == reproducible_content(one)


@pytest.mark.parametrize("name", ["tpe", "cmaes"])
def test_more_trials_are_those_of_a_longer_sweep(name, uninterrupted, tmp_path):
    overrides = (*USUAL, *SAMPLED[name])
    shutil.copytree(uninterrupted(*overrides), tmp_path / "s")
    resume(tmp_path / "s", "trials=18")
    longer = sweep(tmp_path / "longer", *overrides, "trials=18")
    assert reproducible_content(tmp_path / "s") == reproducible_content(longer)


def test_a_sweep_that_used_up_its_space_has_nothing_to_go_on_with(tmp_path):
    for name in ("random", "grid"):
        overrides = (*IRIS, f"sampler={name}", "optimizer.lr=0.1,0.01,0.001", "trials=9")
        folder = sweep(tmp_path / name, *overrides)
        before = reproducible_content(folder)
        resume(folder)
        resume(folder, "trials=20")
        assert reproducible_content(folder) == before and len(journal_trials(folder)) == 3


def test_a_folder_without_its_report_and_best_gets_them_again(uninterrupted, tmp_path):
    one = uninterrupted(*USUAL, *SAMPLED["random"])
    folder = killed(one, tmp_path / "s", 12)
    resume(folder)
    assert (
        reproducible_content(folder) == reproducible_content(one)
        and len(list((folder / "trials").iterdir())) == 13
    )


@pytest.mark.parametrize(
    "overrides, key",
    [
        (["epochs=4"], "epochs = 4: the sweep to go on with has 3"),
        (["sampler=gp"], "sampler.name = gp"),
        (["sampler.seed=1"], "sampler.seed = 1"),
        (["pruner=halving"], "pruner.name = halving"),
        (["data=wine"], "data.name = wine"),
        (["optimizer=sgd"], "optimizer.name = sgd"),
        (["optimizer.lr=interval(0.1,0.2)"], "space.optimizer.lr = interval(0.1,0.2)"),
        (["optimizer.lr=0.1"], "optimizer.lr = 0.1: the sweep to go on with has 0.003"),
        (["optimizer.beta1=interval(0.1,0.2)"], "space.optimizer.beta1"),
        (["batch=5"], "batch = 5: the sweep to go on with has 4"),
        (["seeds=2"], "seeds = 2"),
        (["objective=val_error"], "objective = val_error"),
        (["storage=sqlite:///x.db"], "storage = sqlite:///x.db"),
    ],
)
def test_another_configuration_is_refused_by_the_name_of_its_key(uninterrupted, tmp_path, overrides, key):
    folder = killed(uninterrupted(*USUAL, *SAMPLED["random"]), tmp_path / "s", 4)
    before = {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    message = resume_error(folder, *overrides)
    assert key in message and "only trials may change" in message
    assert {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()} == before


def test_a_damaged_folder_is_refused(uninterrupted, tmp_path):
    one = uninterrupted(*USUAL, *SAMPLED["random"])
    texts = {"sweep.json": ["{", "[]", "{}"], "config.yaml": ["a: [", "[]"],
             "study.journal": ["nonsense\n", "{}\n", ""]}  # fmt: skip
    for number, (name, text) in enumerate((file, text) for file in texts for text in texts[file]):
        folder = killed(one, tmp_path / str(number), 4)
        (folder / name).write_text(text)
        resume_error(folder)


def test_a_journal_of_another_sweep_is_refused(uninterrupted, tmp_path):
    folder = killed(uninterrupted(*USUAL, *SAMPLED["random"]), tmp_path / "s", 4)
    text = (folder / "study.journal").read_text()
    (folder / "study.journal").write_text(text.replace(sweep_json(folder)["id"], "0" * 16))
    assert "the study 's' there is of another sweep" in resume_error(folder)
    changed = re.sub(r'("optimizer.lr":)0\.\d+', r"\g<1>0.05", text, count=1)
    (folder / "study.journal").write_text(changed)  # a trial that this sweep would not have chosen
    resume(folder)  # its batch is told whole, and so taken as it is
    assert journal_trials(folder)[0]["params"]["optimizer.lr"] == 0.05


def test_a_trial_that_would_now_be_another_is_told(uninterrupted, tmp_path):
    folder = killed(uninterrupted(*USUAL, *SAMPLED["random"]), tmp_path / "s", 2)
    text = (folder / "study.journal").read_text()
    (folder / "study.journal").write_text(re.sub(r'("optimizer.lr":)0\.\d+', r"\g<1>0.05", text, count=1))
    before = (folder / "study.journal").read_bytes()
    last_line = resume(folder, code=2).splitlines()[-1]
    assert "trial 0 was" in last_line and "refine=FOLDER" in last_line and "Traceback" not in last_line
    assert (folder / "study.journal").read_bytes() == before

"""Runs of given lists of words are composed, checked, trained and resumable as those of -m."""

import json
from dataclasses import replace
from itertools import product
from pathlib import Path

import pytest

from nnlab.commands import hydra_entry
from nnlab.commands.command_line import CommandLine
from nnlab.commands.multirun import composed_runs
from nnlab.commands.word_lists import composed_runs_of
from nnlab.errors import UserError

LINE = CommandLine("train")


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_they_are_the_runs_of_m():
    swept = {"optimizer": "sgd,adam", "model.hidden": "[4],[6,5]"}
    lists = [
        ["data=iris", f"optimizer={optimizer}", f"model.hidden={hidden}"]
        for optimizer, hidden in product(["sgd", "adam"], ["[4]", "[6,5]"])
    ]
    line = replace(LINE, multirun=True).with_overrides(["data=iris", *map("=".join, swept.items())])
    for given, typed in zip(composed_runs_of(LINE, lists), composed_runs(line), strict=True):
        assert given.settings == typed.settings and given.command == typed.command
        assert given.overrides == typed.overrides and given.is_multirun


def test_a_name_from_a_file_is_quoted_as_a_typed_one():
    (run,) = composed_runs_of(LINE, [["data=csv", "data.path=my data (1).csv", "data.target=Größe, cm"]])
    assert run.settings["data"]["path"] == "my data (1).csv" and run.settings["data"]["target"] == "Größe, cm"


@pytest.mark.parametrize(
    ("words", "said"),
    {
        "optimizer=sgd,adam": "is several values",
        "optimizer=adamm": "did you mean",
        "epoch=3": "did you mean",
        "hydra.callbacks.x=1": "callbacks",
        "experiment=lecture/optimizers": "sweeps by itself",
    }.items(),
)
def test_wrong_words_are_refused(words, said):
    with pytest.raises(UserError, match=said), hydra_entry.one_sentence_errors():
        composed_runs_of(LINE, [["data=iris"], [words]])


def test_they_train_into_a_given_folder_without_a_ranking(capsys):
    from nnlab.commands.train_command import begin_runs, train_runs

    lists = [["data=iris", "epochs=2", "model.hidden=[4]", f"optimizer={o}"] for o in ("sgd", "adam")]

    def make_folder() -> Path:
        folder = Path("mine/here")
        folder.mkdir(parents=True)
        return folder

    prepared = begin_runs(composed_runs_of(LINE, lists), make_folder)
    names = json.loads(Path("mine/here/runs.json").read_text())["runs"]
    assert names == ["0_optimizer=sgd", "1_optimizer=adam"]
    assert [run.name for run in prepared] == ["optimizer=sgd", "optimizer=adam"]
    assert train_runs(prepared, Path("mine/here")) == 0
    assert all((run.folder / "summary.json").exists() for run in prepared)
    assert not Path("mine/here/comparison.json").exists()  # that of the ranking
    assert "the best first" not in capsys.readouterr().out

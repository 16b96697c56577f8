"""Parsing the command line once into a `CommandLine`, and the lines that resume and refine derive from it."""

import ast
from copy import deepcopy
from dataclasses import FrozenInstanceError, fields
from pathlib import Path

import pytest
from searches import IRIS, resume, sweep, sweep_json

import nnlab
from nnlab.checks.ladder import CheckSettings
from nnlab.commands import continued_sweep, hydra_private, multirun, sweep_definition
from nnlab.commands.command_keys import (
    CHANGEABLE_ON_RESUME,
    LOCATION_KEYS,
    SWEEP_FOLDER_KEYS,
    experiment_settings,
    keys_of,
    train_settings,
)
from nnlab.commands.command_line import CommandLine, by_key, key_of
from nnlab.commands.command_settings import GraphSettings, SweepSettings, TrainSettings
from nnlab.commands.parsing import parse_command_line
from nnlab.search.domains import Interval
from nnlab.search.settings import Search
from nnlab.search.space import Space

COMMANDS = Path(nnlab.__file__).parent / "commands"
PARSES = {
    "parsing",
    "hydra_private",
    "board",
    "work",
    "report",
}  # Hydra's flags; what Hydra itself is asked with; argparse alone


def test_a_line_has_the_words_and_the_flags():
    arguments = ["optimizer=adam", "-m", "-cd", "mine", "seed=1,2", "-cn", "own"]
    line, request = parse_command_line("train", arguments)
    assert line == CommandLine("train", ("optimizer=adam", "seed=1,2"), "mine", "own", multirun=True)
    assert not request.is_answered_by_hydra() and not request.help
    assert line.prefix() == ["nnlab", "train", "-cd", "mine", "-cn", "own"]
    assert line.keys() == {"optimizer", "seed"}
    _, request = parse_command_line("train", ["--cfg", "job"])
    assert request.is_answered_by_hydra() and request.cfg == "job"


def test_a_line_is_never_written_to():
    line = CommandLine("sweep", ("trials=3",))
    for name in (field.name for field in fields(line)):
        with pytest.raises(FrozenInstanceError):
            setattr(line, name, None)
    assert line.with_overrides(["trials=4"]) == CommandLine("sweep", ("trials=4",))
    assert line.overrides == ("trials=3",)


def test_of_two_words_with_one_key_the_later_counts():
    assert by_key(["a=1", "+b.c=2", "a=3"]) == {"a": "a=3", "b.c": "+b.c=2"}
    assert key_of("+b.c=d=e") == "b.c"


ABOUT = {"words": ["optimizer.lr=interval(0,1)", "sampler.seed=3", "trials=5", "hydra.run.dir=x"], "count": 8}
LINES = [  # the words of this line, and of the line that goes on with ABOUT
    ([], ["optimizer.lr=interval(0,1)", "sampler.seed=3", "hydra.run.dir=x", "trials=8"]),
    (["trials=9"], ["optimizer.lr=interval(0,1)", "sampler.seed=3", "hydra.run.dir=x", "trials=9"]),
    (["sampler.seed=4"], ["optimizer.lr=interval(0,1)", "hydra.run.dir=x", "sampler.seed=4", "trials=8"]),
]


@pytest.mark.parametrize("arguments, expected", LINES)
def test_a_line_that_goes_on_puts_its_words_before_those_that_it_began_with(arguments, expected):
    line, about = CommandLine("sweep", tuple(arguments)), deepcopy(ABOUT)
    assert list(continued_sweep.resumed_line(line, about).overrides) == expected
    assert line == CommandLine("sweep", tuple(arguments)) and about == ABOUT


def test_a_line_around_the_best_searches_there_and_in_a_folder_of_its_own():
    line = CommandLine("sweep", ("refine=x", "sampler=random", "epochs=2"))
    around = Space({"optimizer.lr": Interval(0.1, 0.2)})
    new = continued_sweep.refined_line(line, {"words": ABOUT["words"]}, around, {"optimizer.lr"})
    # Of another sampler the seed is another's too.
    assert list(new.overrides) == ["trials=5", "sampler=random", "epochs=2", "optimizer.lr=interval(0.1,0.2)"]
    assert line.overrides == ("refine=x", "sampler=random", "epochs=2")


def test_a_file_turns_multirun_on_without_writing_to_the_line(tmp_path):
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment" / "m.yaml").write_text(
        "# @package _global_\nhydra:\n  mode: MULTIRUN\n  sweeper:\n    params:\n      seed: 1,2\n"
    )
    line = CommandLine("train", ("experiment=m",), config_dir=str(tmp_path))
    runs = multirun.composed_runs(line)
    assert [run.settings["seed"] for run in runs] == [1, 2] and all(run.is_multirun for run in runs)
    assert not line.multirun and not multirun.composed_runs(CommandLine("train"))[0].is_multirun
    # A sweep may read its line twice, if a default has changed since it began.
    line = CommandLine("sweep", ("experiment=m",), config_dir=str(tmp_path))
    assert sweep_definition.read(line).texts == sweep_definition.read(line).texts == {"seed": "1,2"}


def test_a_sweep_parses_its_line_once(tmp_path, monkeypatch):
    folder = sweep(tmp_path / "s", *IRIS, "trials=2", "epochs=1", "optimizer.lr=0.1,0.2,0.3")
    original, calls = hydra_private.argument_parser, []
    monkeypatch.setattr(hydra_private, "argument_parser", lambda: calls.append(1) or original())
    resume(folder, "trials=3")
    assert calls == [1] and sweep_json(folder)["trials"]["complete"] == 3


def test_no_other_module_knows_argparse():
    knows = set()
    for file in COMMANDS.glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if "argparse" in names or getattr(node, "module", None) == "argparse":
                knows.add(file.stem)
    assert knows == PARSES


def test_the_keys_of_commands_are_those_that_their_classes_declare():
    assert keys_of("train") == {f.name for f in fields(TrainSettings)} | {"checkpoint"}
    assert keys_of("sweep") == {f.name for f in fields(SweepSettings)} | {f.name for f in fields(Search)} | {
        "space"
    }
    assert keys_of("check") == {f.name for f in fields(CheckSettings)} | {"check"}
    assert keys_of("graph") == {f.name for f in fields(GraphSettings)}
    assert {*SWEEP_FOLDER_KEYS, *CHANGEABLE_ON_RESUME} | {*LOCATION_KEYS} - {"hydra"} <= keys_of("sweep")


def test_settings_of_a_trial_and_of_its_experiment():
    settings = {"epochs": 3, "picture": True, "trials": 4, "space": {}, "only": "all"}
    assert train_settings(settings) == {"epochs": 3, "picture": True, "only": "all"}
    assert experiment_settings(train_settings(settings)) == {"epochs": 3, "only": "all"}
    assert experiment_settings(settings, "check") == {"epochs": 3, "trials": 4, "space": {}}

"""Copies of what was composed (composed_once.py) are what Hydra composes; and a command composes it once."""

import pytest
from composed_once import composed_once
from hydra import compose
from omegaconf import OmegaConf
from omegaconf.base import Container

from nnlab.commands import (
    compare_words,
    compared_samplers,
    hydra_entry,
    multirun,
    plugin_choices,
    sweep_request,
)
from nnlab.commands.command_line import CommandLine
from nnlab.commands.composing import session
from nnlab.commands.once import one_command
from nnlab.commands.parsing import parse_command_line

LINES = [
    [],
    ["data=wine", "optimizer=adam"],
    ["hydra.run.dir=a/${now:%H}/b", "experiment=lecture/optimizers"],
    ["hydra.mode=MULTIRUN", "hydra.sweep.dir=here", "hydra.sweep.subdir=${hydra:job.num}", "schedule=cosine"],
    ["hydra.run.dir=1", "regularizer=[l1,l2]"],
]


def flags(config: Container) -> list:
    """Of it and of all that it holds: read-only, struct; and what kind of node it is."""
    own = [config._get_flag("readonly"), config._get_flag("struct"), type(config)]
    parts = [config._get_node(key) for key in (range(len(config)) if OmegaConf.is_list(config) else config)]
    return own + [flags(part) for part in parts if isinstance(part, Container)]


@pytest.mark.parametrize("command", ["train", "sweep", "check"])
@pytest.mark.parametrize("words", LINES)
def test_a_copy_is_what_hydra_composes(command, words, monkeypatch, tmp_path):
    line, _ = parse_command_line(command, [])
    with session(line), monkeypatch.context() as context:
        context.setattr(plugin_choices, "compose", compose)
        with composed_once():
            for folder in (".", tmp_path):
                context.chdir(folder)
                copies = [plugin_choices.composed(command, words) for _ in range(2)]
                composed = compose(command, words, return_hydra_config=True)
                for copy in copies:
                    assert OmegaConf.to_yaml(copy) == OmegaConf.to_yaml(composed)
                    assert flags(copy) == flags(composed)
                copies[0].hydra.job.name = "changed"  # no other copy is


# ---- in the product: a command composes no configuration twice

COMPOSED = {  # the command line -> how often Hydra composes
    "train": 1,
    "train optimizer=sgd seeds=2": 1,
    "train -m optimizer=sgd,adam seeds=2": 2,
    "train -m optimizer.lr=0.1,0.01 seed=1,2": 1,
    "compare optimizer=sgd,adam": 1 + 2,  # the comparison itself, and the choices
    "sweep": 1,
    "sweep sampler=grid,random optimizer.lr=0.1,0.01": 2 * 2,  # with the default space, and without
}


def act(command: str, line: CommandLine) -> None:
    """What the command composes before anything is trained."""
    if command == "train":
        multirun.composed_runs(line)
    elif command == "compare":
        compare_words.read(line)
    else:
        lines = compared_samplers.split(line)
        requests = {sampler: sweep_request.read(each) for sampler, each in lines.items()}
        if len(lines) > 1:
            for each in compared_samplers.with_equal_budget(lines, requests).values():
                sweep_request.read(each)


@pytest.mark.parametrize("words", COMPOSED)
def test_a_command_composes_no_configuration_twice(words, monkeypatch):
    command, *argv = words.split()
    composed = []
    compose_or_copy = plugin_choices.compose

    def counted(name, overrides, **settings):
        composed.append((name, *overrides))
        return compose_or_copy(name, overrides, **settings)

    monkeypatch.setattr(plugin_choices, "compose", counted)
    for times in (1, 2):  # the next command composes anew
        assert hydra_entry.run_guarded(command, argv, lambda line: act(command, line)) is None
        assert len(composed) == times * COMPOSED[words]
    assert len({*composed}) == COMPOSED[words]


def test_a_command_takes_a_users_file_as_it_was_at_first(tmp_path):
    file = tmp_path / "optimizer" / "mine.yaml"
    file.parent.mkdir()
    line = CommandLine("train", ("optimizer=mine",), config_dir=str(tmp_path))

    def learning_rate(lr: float) -> float:
        file.write_text(f"name: sgd\nlr: {lr}\n")
        (run,) = multirun.composed_runs(line)
        return run.settings["optimizer"]["lr"]

    with one_command():
        assert [learning_rate(0.5), learning_rate(0.25)] == [0.5, 0.5]
    with one_command():
        assert learning_rate(0.25) == 0.25
    assert [learning_rate(0.5), learning_rate(0.125)] == [0.5, 0.125]  # of no command


def test_nobody_changes_what_is_kept():
    line = CommandLine("train", ("optimizer=sgd,adam", "optimizer.lr=0.1,0.01", "seed=3"), multirun=True)
    with one_command():
        first = multirun.composed_runs(line)
        first[0].config.optimizer.lr, first[0].settings["seed"] = 9.0, 9
        again = multirun.composed_runs(line)
    alone = multirun.composed_runs(line)
    for runs in (again, first[1:]):
        for run, other in zip(runs, alone[-len(runs) :], strict=True):
            assert OmegaConf.to_yaml(run.config) == OmegaConf.to_yaml(other.config)
            assert flags(run.config) == flags(other.config)
            assert run.settings == other.settings and run.command == other.command

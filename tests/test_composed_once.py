"""Copies of what was composed (composed_once.py) are what Hydra composes."""

import pytest
from composed_once import composed_once
from hydra import compose
from omegaconf import OmegaConf
from omegaconf.base import Container

from nnlab.commands import plugin_choices
from nnlab.commands.composing import session
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

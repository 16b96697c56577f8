"""The catalogue's values of a command with a user's configuration files equal those that Hydra composes."""

import pytest
from omegaconf import OmegaConf

from nnlab.catalogue import Catalogue
from nnlab.commands import multirun
from nnlab.commands.parsing import parse_command_line

FILES = {
    "own_last": "defaults: [train, _self_]\nepochs: 7\noptimizer: {lr: 0.9}\nregularizer: {l2: 0.5}\n",
    "own_first": "defaults: [_self_, train]\nepochs: 8\noptimizer: {lr: 0.9}\nregularizer: {l2: 0.5}\n",
    "overriding": "defaults:\n  - train\n  - override optimizer: sgd\n  - override data: iris\n  - _self_\n",
    "two_deep": "defaults: [own_last, _self_]\nbatch_size: 3\n",
    "with_experiment": "defaults:\n  - train\n  - override experiment: mine\n  - _self_\nseed: 6\n",
    "experiment/mine": "# @package _global_\ndefaults:\n  - override /optimizer: momentum\n"
                       "epochs: 9\nseed: 5\nmodel: {output: null}\noptimizer: {lr: 0.6}\n",
    "optimizer/adam": "name: adam\nlr: 0.77\n",  # nnlab's file of that name comes first
    "train": "epochs: 66\n",
}  # fmt: skip
NAMES = ("own_last", "own_first", "overriding", "two_deep", "with_experiment", "train")


@pytest.fixture
def folder(tmp_path):
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / f"{name}.yaml").write_text(text)
    return str(tmp_path)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("overrides", [
    [], ["experiment=mine"], ["optimizer=momentum"], ["regularizer=[l2, dropout]"],
], ids=" ".join)  # fmt: skip
def test_values_are_those_that_hydra_composes(folder, name, overrides):
    line, _ = parse_command_line("train", ["-cd", folder, "-cn", name, *overrides])
    (run,) = multirun.composed_runs(line)
    composed = OmegaConf.create(run.settings)
    keys = line.catalogue().all_keys()
    assert {"epochs", "optimizer.lr", "regularizer.l2", "model.output"} <= keys.keys()
    for key in keys.values():
        expected = OmegaConf.select(composed, key.name)
        interpolated = isinstance(key.value, str) and "${" in key.value
        assert interpolated or same_value(key.value, expected), (key, expected)


def same_value(value, composed) -> bool:
    """Whether they are equal, where YAML 1.1 reads 1e-3 as text."""
    is_text_of_number = isinstance(value, str) and isinstance(composed, float)
    return (float(value) if is_text_of_number else value) == composed


def test_a_key_without_a_comment_means_what_the_included_file_says(folder):
    keys = Catalogue("train", [], folder, "own_last").keys()
    assert keys["epochs"].value == 7 and "training set" in keys["epochs"].meaning


def test_names_of_combined_choices_may_have_spaces():
    assert Catalogue("train", ["regularizer=[l2, dropout]"]).chosen("regularizer") == ["l2", "dropout"]


@pytest.mark.parametrize("command, takes_resume", [("train", True), ("check", False)])
def test_keys_that_a_command_does_not_take_depend_on_no_file_name(tmp_path, command, takes_resume):
    (tmp_path / "mine.yaml").write_text(f"defaults: [{command}, _self_]\n")
    assert ("resume" in Catalogue(command, [], str(tmp_path), "mine").keys()) == takes_resume


@pytest.mark.parametrize("defaults", ["[a, _self_]", "[b, _self_]", "[_self_, a, b]"])
def test_files_that_include_each_other(tmp_path, defaults, capsys):
    from nnlab.cli import main

    (tmp_path / "a.yaml").write_text(f"defaults: {defaults}\nepochs: 3\n")
    (tmp_path / "b.yaml").write_text("defaults: [a, _self_]\n")
    assert Catalogue("train", [], str(tmp_path), "a").keys()["epochs"].value == 3
    assert main(["train", "-cd", str(tmp_path), "-cn", "a"]) == 2
    assert "lead back to it" in capsys.readouterr().err


@pytest.mark.parametrize(
    "text", ["defaults: 3\nepochs: 4\n", "defaults: {a: b}\nepochs: 4\nregularizer: 5\n"]
)
def test_a_file_of_the_wrong_form_is_read_as_far_as_it_goes(tmp_path, text):
    (tmp_path / "a.yaml").write_text(text)
    assert Catalogue("train", [], str(tmp_path), "a").all_keys()["epochs"].value == 4

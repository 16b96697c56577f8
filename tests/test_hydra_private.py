"""The private parts of Hydra that nnlab relies on, so that a new hydra-core shows which one changed."""

import ast
from pathlib import Path

import pytest
from hydra.core.global_hydra import GlobalHydra
from hydra.core.object_type import ObjectType
from hydra.core.override_parser.overrides_parser import OverridesParser

import nnlab
from nnlab.commands import hydra_private
from nnlab.commands.config_files import BoundedFiles
from nnlab.paths import CONFIG_DIR


@pytest.fixture
def session(tmp_path):
    (tmp_path / "optimizer").mkdir()
    (tmp_path / "optimizer" / "mine.yaml").write_text("name: sgd\nlr: 0.5\n")
    GlobalHydra.instance().clear()
    hydra_private.register_config_source(BoundedFiles)
    yield hydra_private.config_loader("train", CONFIG_DIR, tmp_path)
    GlobalHydra.instance().clear()


def test_the_loader_knows_both_folders(session):
    options = hydra_private.group_options(session)
    assert {"adam", "mine"} <= set(options("optimizer", ObjectType.CONFIG))
    assert "lecture" in options("experiment", ObjectType.GROUP)
    assert options("nothing", ObjectType.CONFIG) == []


def test_a_folder_given_goes_before(session):
    from hydra import compose

    assert compose("train", ["optimizer=mine"]).optimizer.lr == 0.5


def test_the_files_of_a_composition_are_in_the_order_of_merging(session):
    files = hydra_private.merged_files("sweep", ["optimizer=mine"])
    assert hydra_private.MergedFile("optimizer/mine", "train", "optimizer") in files
    assert [file.name for file in files if not file.package] == ["train", "sweep"]


def test_the_parser_knows_the_words_of_hydra_main():
    arguments = ["a=1", "b=2", "-m", "-cd", "x", "-cn", "y", "--cfg", "job"]
    args = vars(hydra_private.argument_parser().parse_args(arguments))
    expected = dict(overrides=["a=1", "b=2"], multirun=True, config_dir="x", config_name="y", cfg="job")
    assert args == args | expected | dict(info=None, hydra_help=False, resolve=False, package=None)
    assert {"help", "shell_completion", "run"} <= args.keys()


def test_the_runs_of_multirun_are_a_product_in_the_order_of_the_words():
    read = OverridesParser.create().parse_overrides(["a=1,2", "b=x", "c=choice(3,4)"])
    assert hydra_private.multirun_combinations(read) == [
        ["a=1", "b=x", "c=3"], ["a=1", "b=x", "c=4"], ["a=2", "b=x", "c=3"], ["a=2", "b=x", "c=4"],
    ]  # fmt: skip


def test_hydra_answers_itself(capsys):
    GlobalHydra.instance().clear()
    hydra_private.run_hydra_main({"cfg": "job", "overrides": ["optimizer=sgd"]}, CONFIG_DIR, "train")
    GlobalHydra.instance().clear()
    assert "name: sgd" in capsys.readouterr().out


def test_the_yaml_loader_reads_what_omegaconf_does():
    import yaml

    assert yaml.load("a: 1e3", hydra_private.yaml_loader()) == {"a": 1000.0}
    with pytest.raises(yaml.YAMLError, match="duplicate key"):
        yaml.load("a: 1\na: 2", hydra_private.yaml_loader())


def test_nobody_else_imports_what_is_private():
    private = set()
    for file in Path(nnlab.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            module = getattr(node, "module", None) or ""
            if isinstance(node, ast.ImportFrom) and module.startswith(("hydra", "omegaconf")):
                names = [*module.split("."), *(alias.name for alias in node.names)]
                if any(name.startswith("_") for name in names):
                    private.add(file.stem)
    assert private == {"hydra_private"}

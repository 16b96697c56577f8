"""Classes of installed packages, by name: found, checked, and never looked for without need."""

import sys
from dataclasses import replace
from itertools import count

import pytest
import torch
import yaml
from hydra.core.config_store import ConfigStore

import nnlab
from nnlab import plugins
from nnlab.checks import saturation
from nnlab.checks.subject import Subject
from nnlab.cli import main
from nnlab.experiment import Row
from nnlab.training.population import initial

NUMBER = count()  # a package's module is imported once in a process, so each test has one of its own

SGD = """
from dataclasses import dataclass
from typing import ClassVar
from nnlab.hyperparameters import column, static
from nnlab.optimizers import SGD

@dataclass(frozen=True)
class Mine(SGD):
    name: ClassVar[str] = "mine"
    lr: float = column(0.25, above=0)
    sizes: tuple[int, ...] = static((3, 4))

class Other(Mine):
    name = "other"

number = 3
"""


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Put a package on sys.path as an installer would: its module and its entry points. Gives its name."""
    monkeypatch.chdir(tmp_path)

    def install(source, *announced, package="mylab"):
        module, site = f"{package}_{next(NUMBER)}", tmp_path / f"site-{package}"
        info = site / f"{package}-0.1.dist-info"
        info.mkdir(parents=True)
        (site / f"{module}.py").write_text(source)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 0.1\n")
        lines = [f"[nnlab.{group}]\n{name} = {module}:{place}" for group, name, place in announced]
        (info / "entry_points.txt").write_text("\n".join(lines))
        monkeypatch.syspath_prepend(str(site))
        return module

    yield install
    for name in ("mine.yaml", "other.yaml"):  # what Hydra was told of
        ConfigStore.instance().repo.get("optimizer", {}).pop(name, None)


def refused(capsys, *argv) -> str:
    assert main(["train", *argv]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("nnlab train: ") and err.count("\n") == 1
    return err


def test_settings_are_those_of_the_class():
    assert plugins.settings(nnlab.Momentum)["gamma"] == 0.9
    assert plugins.settings(nnlab.MLP)["hidden"] == [64]


def test_an_optimizer_by_name(install, tmp_path, capsys):
    install(SGD, ("optimizer", "mine", "Mine"))
    assert main(["train", "optimizer=mine", "optimizer.clip_norm=2", "epochs=1"]) == 0
    (config,) = tmp_path.glob("outputs/train/*/config.yaml")
    expected = {"name": "mine", "lr": 0.25, "clip_norm": 2, "clip_value": float("inf"), "sizes": [3, 4]}
    assert yaml.safe_load(config.read_text())["optimizer"] == expected
    capsys.readouterr()
    assert main(["train", "optimizer=mine", "--cfg", "job"]) == 0
    assert "name: mine" in capsys.readouterr().out
    assert "unknown key 'optimizer.lrr'" in refused(capsys, "optimizer=mine", "optimizer.lrr=2")
    assert "optimizer.lr = -1" in refused(capsys, "optimizer=mine", "optimizer.lr=-1")


def test_an_experiment_may_choose_it(install, tmp_path, capsys):
    install(SGD, ("optimizer", "other", "Other"))
    folder = tmp_path / "mine" / "experiment"
    folder.mkdir(parents=True)
    text = "# @package _global_\ndefaults: [{override /optimizer: other}]\nepochs: 1\n"
    (folder / "first.yaml").write_text(text)
    assert main(["train", "-cd", "mine", "experiment=first", "--cfg", "job"]) == 0
    assert "name: other" in capsys.readouterr().out
    assert main(["train", "-cd", "mine", "experiment=first"]) == 0


ACTIVATION = """
from typing import ClassVar
from nnlab.autodiff.activations import Tanh

class Mine(Tanh):
    name: ClassVar[str] = "mine"
    bounded: ClassVar[bool] = {bounded}
    initialization: ClassVar[str] = "{initialization}"
"""


@pytest.mark.parametrize("bounded, initialization", [(True, "he_normal"), (False, "lecun_normal")])
def test_an_activation_says_what_suits_it(install, bounded, initialization):
    """init=auto draws for it what it asks for, and the saturation rung takes it for what it says it is."""
    install(ACTIVATION.format(bounded=bounded, initialization=initialization), ("activation", "mine", "Mine"))
    e = nnlab.Experiment(model=nnlab.MLP(hidden=(20,), activation="mine"), seed=3)
    graph = e.model.graph((50,), 3)
    own, named = (initial([Row(replace(e, init=init), 3, None)], graph) for init in ("auto", initialization))
    hidden = graph.layout().slots["hidden1.weight"]
    assert torch.equal(hidden.view(own), hidden.view(named))
    verdict = saturation.check(Subject(replace(e, data="iris")))
    assert verdict.details["start"]["activations"]["mine1"]["bounded"] == bounded


def test_names_are_told(install, capsys):
    install(SGD, ("optimizer", "sign_mine", "Mine"), ("activation", "bent", "Mine"), ("loss", "cosh", "Mine"))
    assert "did you mean 'sign_mine'" in refused(capsys, "optimizer=sign_min")
    assert "did you mean 'bent'" in refused(capsys, "model.activation=bend")
    assert "did you mean 'cosh'" in refused(capsys, "loss=cash")
    with pytest.raises(nnlab.UserError, match="did you mean 'sign_mine'"):
        nnlab.Experiment.from_config({"optimizer": {"name": "sign_min"}})


WRONG = [
    (SGD, ("optimizer", "wrong", "Mine"), ["optimizer 'wrong' of package 'mylab'", "calls itself 'mine'"]),
    (SGD, ("optimizer", "wrong", "number"), ["package 'mylab'", "no subclass of nnlab.optimizers"]),
    (SGD, ("optimizer", "wrong", "absent"), ["package 'mylab' cannot be imported", "AttributeError"]),
    ("import nothing_like_it", ("optimizer", "wrong", "Mine"), ["package 'mylab'", "'nothing_like_it'"]),
    ("def", ("optimizer", "wrong", "Mine"), ["package 'mylab' cannot be imported", "SyntaxError"]),
    ("1 / 0", ("optimizer", "wrong", "Mine"), ["package 'mylab' cannot be imported", "ZeroDivisionError"]),
    (SGD, ("init", "wrong", "Mine"), ["init 'wrong' of package", "no subclass of nnlab.initializers.Init"]),
    ("from nnlab.optimizers import Optimizer as Mine", ("optimizer", "wrong", "Mine"), ["no subclass of"]),
    (SGD, ("loss", "wrong", "Mine"), ["loss 'wrong' of package", "no subclass of nnlab.losses.Loss"]),
    (SGD, ("activation", "wrong", "Mine"), ["activation 'wrong' of package", "nnlab.autodiff.box.Box"]),
]


@pytest.mark.parametrize("source, announced, phrases", WRONG)
def test_what_cannot_be_used(install, capsys, tmp_path, source, announced, phrases):
    install(source, announced)
    group = {"activation": "model.activation"}.get(announced[0], announced[0])
    said = refused(capsys, f"{group}=wrong")
    assert [phrase for phrase in phrases if phrase not in said] == [], said
    assert not (tmp_path / "outputs").exists()


def test_two_packages_of_one_name(install, capsys):
    for package in ("mylab", "yourlab"):
        install(SGD, ("optimizer", "mine", "Mine"), package=package)
    assert "two packages, 'mylab' and 'yourlab'" in refused(capsys, "optimizer=mine")


def test_nnlabs_own_names_stay_and_cost_no_search(install, monkeypatch):
    """Not even a search for entry points; a package that announces `sgd` is never imported."""
    announced = ("optimizer", "sgd", "Mine"), ("loss", "cross_entropy", "Mine")
    module = install("raise SystemExit('imported')", *announced)

    def search(*arguments):
        raise AssertionError("searched")

    monkeypatch.setattr(plugins, "_entry_points", search)
    assert main(["train", "optimizer=sgd", "loss=cross_entropy", "epochs=1"]) == 0
    monkeypatch.undo()
    assert main(["train", "--help"]) == 0  # lists what is announced, and imports nothing
    assert module not in sys.modules


def test_a_configuration_imports_nothing_that_is_not_announced(install, capsys):
    module = install(SGD)
    for name in (f"{module}:Mine", f"{module}.Mine", module):
        with pytest.raises(nnlab.UserError, match="unknown optimizer"):
            nnlab.Experiment.from_config({"optimizer": {"name": name}})
    assert module not in sys.modules


def test_rows_of_classes_of_one_name_share_no_stack():
    """Two packages may both have a class `Mine`."""
    a, b = (type("Mine", (nnlab.SGD,), {"name": name}) for name in "ab")
    rows = nnlab.Fit([nnlab.Experiment(optimizer=kind()) for kind in (a, b)]).rows
    assert rows[0].structure != rows[1].structure


def test_tab_and_help_know_an_installed_class_without_importing_it(install, capsys):
    from nnlab import tab

    module = install(SGD, ("optimizer", "mine", "Mine"), ("activation", "mine_too", "Other"))
    assert "optimizer=mine" in tab.offers("nnlab train optimizer=m")
    assert tab.offers("nnlab train model.activation=mi") == ["model.activation=mine_too"]
    keys = ["clip_norm", "clip_value", "lr", "sizes"]
    assert tab.offers("nnlab train optimizer=mine optimizer.") == [f"optimizer.{key}=" for key in keys]
    assert module not in sys.modules
    assert main(["train", "optimizer=mine", "--help"]) == 0
    assert "optimizer.sizes=[3,4]" in capsys.readouterr().out

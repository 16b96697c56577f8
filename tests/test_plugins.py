"""Plug-ins, that is classes of installed packages: found by name, checked, and imported only when needed."""

import json
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
from nnlab.training.population import initial_theta

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
    expected |= {"bias_lr_factor": 1.0}
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
    by_auto, by_name = (
        initial_theta([Row(replace(e, init=init), 3, None)], graph) for init in ("auto", initialization)
    )
    hidden = graph.layout().parameters["hidden1.weight"]
    assert torch.equal(hidden.view(by_auto), hidden.view(by_name))
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
    (SGD, ("optimizer", "wrong", "number"), ["package 'mylab'", "not a subclass of nnlab.optimizers"]),
    (SGD, ("optimizer", "wrong", "absent"), ["package 'mylab' cannot be imported", "AttributeError"]),
    ("import nothing_like_it", ("optimizer", "wrong", "Mine"), ["package 'mylab'", "'nothing_like_it'"]),
    ("def", ("optimizer", "wrong", "Mine"), ["package 'mylab' cannot be imported", "SyntaxError"]),
    ("1 / 0", ("optimizer", "wrong", "Mine"), ["package 'mylab' cannot be imported", "ZeroDivisionError"]),
    (
        SGD,
        ("init", "wrong", "Mine"),
        ["init 'wrong' of package", "not a subclass of nnlab.initializers.Init"],
    ),
    ("from nnlab.optimizers import Optimizer as Mine", ("optimizer", "wrong", "Mine"), ["not a subclass of"]),
    (SGD, ("loss", "wrong", "Mine"), ["loss 'wrong' of package", "not a subclass of nnlab.losses.Loss"]),
    (SGD, ("activation", "wrong", "Mine"), ["activation 'wrong' of package", "nnlab.autodiff.box.Box"]),
]


@pytest.mark.parametrize("source, announced, phrases", WRONG)
def test_what_cannot_be_used(install, capsys, tmp_path, source, announced, phrases):
    install(source, announced)
    group = {"activation": "model.activation"}.get(announced[0], announced[0])
    message = refused(capsys, f"{group}=wrong")
    assert [phrase for phrase in phrases if phrase not in message] == [], message
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
    assert "optimizer=mine" in tab.completions("nnlab train optimizer=m")
    assert tab.completions("nnlab train model.activation=mi") == ["model.activation=mine_too"]
    keys = ["bias_lr_factor", "clip_norm", "clip_value", "lr", "sizes"]
    assert tab.completions("nnlab train optimizer=mine optimizer.") == [f"optimizer.{key}=" for key in keys]
    assert module not in sys.modules
    assert main(["train", "optimizer=mine", "--help"]) == 0
    assert "optimizer.sizes=[3,4]" in capsys.readouterr().out


# ---- the groups of a search, and regularisers

SEARCHING = """
from dataclasses import dataclass
from typing import ClassVar
import numpy as np
from optuna.samplers import RandomSampler
from nnlab.hyperparameters import static
from nnlab.search.pruners import Pruner
from nnlab.search.samplers import Sampler

@dataclass(frozen=True)
class Lottery(Sampler):
    name: ClassVar[str] = "lottery"
    conditional: ClassVar[bool] = False
    numbers: ClassVar[int] = 1
    objectives: ClassVar[int] = 2
    tickets: int = static(7, low=1)

    def optuna(self, space, seed, worked=0, failed=0):
        return RandomSampler(seed=seed)

@dataclass(frozen=True)
class Once(Pruner):
    name: ClassVar[str] = "once"
    at: int = static(1, low=1)

    def rungs(self, epochs):
        return [self.at] if self.at < epochs else []

    def keep(self, rung, epochs, numbers, worth, came):
        return worth <= np.median(worth)
"""
SEARCH = ("data=iris", "epochs=2", "report=false", "trials=4", "hydra.run.dir=sweep")
RATE = "optimizer.lr=tag(log,interval(1e-4,1e-1))"


@pytest.fixture
def searching(install):
    install(SEARCHING, ("sampler", "lottery", "Lottery"), ("pruner", "once", "Once"))
    yield
    for group, name in (("sampler", "lottery"), ("pruner", "once")):
        ConfigStore.instance().repo.get(group, {}).pop(f"{name}.yaml", None)


def test_a_sampler_and_a_pruner_search(searching, tmp_path, capsys):
    overrides = ("sampler=lottery", "sampler.tickets=3", "pruner=once", "pruner.at=1", RATE)
    assert main(["sweep", *SEARCH, *overrides]) == 0
    about = yaml.safe_load((tmp_path / "sweep/config.yaml").read_text())
    assert about["sampler"] == {"name": "lottery", "seed": 0, "tickets": 3}
    assert about["pruner"] == {"name": "once", "at": 1}
    trials = json.loads((tmp_path / "sweep/sweep.json").read_text())["trials"]
    assert trials["pruned"] == 2 if isinstance(trials, dict) else trials == 4
    capsys.readouterr()
    assert main(["sweep", "resume=sweep", "trials=6"]) == 0
    assert main(["sweep", "sampler=lottery", "--help"]) == 0
    assert "sampler.tickets=7" in capsys.readouterr().out
    search = nnlab.Search(sampler="lottery", pruner="once", trials=2)
    assert search.sampler.tickets == 7 and search.pruner.prunes


@pytest.mark.parametrize("overrides, message", [
    (["sampler=lottery", "optimizer=sgd,momentum", "optimizer.gamma=interval(0,0.9)"],
     "sampler=lottery needs parameters that are part of every trial, and optimizer.gamma"),
    (["sampler=lottery", "optimizer=sgd,adam"],
     "sampler=lottery needs at least 1 parameter that is a number and part of every trial"),
    (["sampler=lottery", RATE, "objective=[val_loss,val_error,penalty]"],
     "sampler=lottery takes 2 objectives, not 3"),
    (["sampler=lottery", "pruner=once", RATE, "objective=[val_loss,val_error]"],
     "pruner=once judges by one objective, not 2"),
    (["sampler=lotery", RATE], "did you mean 'lottery'"),
    (["pruner=onze", RATE], "did you mean 'once'"),
    (["sampler=once", RATE], "once"),
])  # fmt: skip
def test_a_search_that_they_cannot_do_is_refused(searching, capsys, overrides, message, tmp_path):
    assert main(["sweep", *SEARCH, *overrides]) == 2
    err = capsys.readouterr().err
    assert message in err and err.count("\n") == 1, err
    assert not (tmp_path / "sweep").exists()


ELASTIC = """
from dataclasses import dataclass
from typing import ClassVar
import torch
from nnlab.hyperparameters import column
from nnlab.regularizers import Regularizer

@dataclass(frozen=True)
class Quartic(Regularizer):
    '''Omega has l4 / 4 sum W^4 too.'''
    name: ClassVar[str] = "quartic"
    l4: float = column(0.3, low=0)

    def penalty(self, weights):
        l4 = self.l4[:, 0].to(weights.device)
        return super().penalty(weights) + l4 / 4 * weights.double().pow(4).sum(1)

    def factors(self, lr):
        return super().factors(lr) | {"l4": self.l4}

    def add_gradient(self, weights, grad, f, scratch):
        super().add_gradient(weights, grad, f, scratch)
        torch.mul(weights, weights, out=scratch).mul_(weights)
        grad.addcmul_(scratch, f.l4, value=FACTOR)

class Other(Quartic):
    name = "other"
"""


@pytest.fixture
def quartic(install):
    def install_it(factor=1):
        source = ELASTIC.replace("FACTOR", str(factor))
        install(source, ("regularizer", "quartic", "Quartic"), ("regularizer", "other", "Other"))

    yield install_it
    for name in ("quartic", "other"):
        ConfigStore.instance().repo.get("regularizer", {}).pop(f"{name}.yaml", None)


def test_a_regularizer_combines_with_those_of_nnlab(quartic, tmp_path, capsys):
    quartic()
    overrides = ["regularizer=[l2,quartic,dropout]", "regularizer.l4=0.5", "data=iris", "epochs=1"]
    assert main(["train", *overrides, "hydra.run.dir=run"]) == 0
    settings = yaml.safe_load((tmp_path / "run/config.yaml").read_text())["regularizer"]
    assert settings["name"] == "quartic" and settings["l4"] == 0.5
    assert settings["l2"] == 1e-3 and settings["dropout"] == 0.2 and settings["l1"] == 0
    stored = nnlab.StoredRun("run").experiment.regularizer
    assert stored == nnlab.Experiment(regularizer=["l2", "quartic", "dropout"]).regularizer.__class__(
        l2=1e-3, dropout=0.2, l4=0.5
    )
    penalty = json.loads((tmp_path / "run/metrics.jsonl").read_text().splitlines()[0])["penalty"]
    assert penalty > 0.01
    with pytest.raises(nnlab.UserError, match="quartic and other do not combine"):
        nnlab.Experiment(regularizer=["quartic", "other"])
    capsys.readouterr()
    assert "did you mean 'quartic'" in refused(capsys, "regularizer=quartik")
    assert ", regularizer.l4," in refused(capsys, "regularizer=quartic", "regularizer.l5=1")
    assert main(["train", "regularizer=quartic", "--help"]) == 0
    page = capsys.readouterr().out
    assert "regularizer.l4=0.3" in page and "Omega has l4 / 4 sum W^4 too." in page


@pytest.mark.parametrize("factor, code", [(1, 0), (2, 1)])
def test_nnlab_check_looks_at_the_gradient_of_a_regularizer(quartic, capsys, factor, code):
    quartic(factor)
    overrides = ["only=gradients", "regularizer=[l2,quartic]", "data=iris", "model.hidden=[5]"]
    assert main(["check", *overrides]) == code
    assert ("penalty: dW is wrong" in capsys.readouterr().out) == (code == 1)

"""The shipped YAML files: each composes, has the defaults of its dataclass, and trains.

The files are found by themselves: a new one is tested as soon as it is there.
"""

import copy
from dataclasses import fields, is_dataclass
from functools import cache

import numpy as np
import pytest
from datafiles import WRITERS
from hydra import compose, initialize_config_dir
from networks import Points
from omegaconf import OmegaConf

import nnlab
from nnlab.catalogue import RUN_COMMANDS
from nnlab.checks.subject import Budget
from nnlab.commands import multirun, sweep_definition
from nnlab.commands.command_keys import experiment_settings, keys_of
from nnlab.commands.command_line import CommandLine
from nnlab.commands.command_settings import EvaluateSettings, ExportSettings, PredictSettings
from nnlab.commands.parsing import parse_command_line
from nnlab.experiment import GROUPS, Experiment
from nnlab.hyperparameters import make_part
from nnlab.paths import CONFIG_DIR
from nnlab.plugins import group_of
from nnlab.search import settings as search

COMMANDS = sorted(path.stem for path in CONFIG_DIR.glob("*.yaml"))
FILES = sorted(
    (str(path.parent.relative_to(CONFIG_DIR)), path.stem)
    for path in CONFIG_DIR.glob("**/*.yaml")
    if path.parent != CONFIG_DIR and path.relative_to(CONFIG_DIR).parts[0] != "experiment"
)
OF_SWEEP = {**search.GROUPS, "space": None}  # the groups of nnlab sweep, of which an experiment knows nothing
CHOICES = [(group, choice) for group, choice in FILES if group not in OF_SWEEP]
SEARCHES = [(group, choice) for group, choice in FILES if group in search.GROUPS]
SPACES = [choice for group, choice in FILES if group == "space"]
EXPERIMENTS = sorted(
    str(path.relative_to(CONFIG_DIR / "experiment").with_suffix(""))
    for path in CONFIG_DIR.glob("experiment/**/*.yaml")
)
# A YAML's values differ on purpose: a regulariser's default is to do nothing.
OTHER_DEFAULTS = {pair for pair in CHOICES if pair[0] == "regularizer"} - {("regularizer", "none")}
WITH = {("split", "none"): ["metric=last"]}  # what a choice does not go without
TRAINS_WITH = {("model", "graph"): ["+model.boxes.out={box:affine,units:outputs}"]}  # what it trains with
DATA_OF = {"linear": "diabetes"}  # a model that wants other data than the default

every_choice = pytest.mark.parametrize("group, choice", CHOICES, ids=map("/".join, CHOICES))


@cache
def composed(*overrides, command="train") -> dict:
    """An experiment's settings in plain Python, as a command gets them. (Hydra takes 0.2 s for them.)"""
    return experiment_settings(whole(*overrides, command=command), command)


def whole(*overrides, command) -> dict:
    """All of a command's settings, its own among them."""
    with initialize_config_dir(str(CONFIG_DIR), version_base="1.3"):
        settings = compose(command, list(overrides))
    return OmegaConf.to_container(settings, resolve=True, throw_on_missing=True)


def own_keys(group, choice) -> dict:
    return OmegaConf.to_container(OmegaConf.load(CONFIG_DIR / group / f"{choice}.yaml"))


def plain(value):
    return list(value) if isinstance(value, tuple) else value


def as_settings(part) -> dict:
    """A part as its YAML would say it."""
    if not is_dataclass(part):
        return plain(part)
    named = {"name": part.name} if isinstance(GROUPS.get(group_of(type(part))), dict) else {}
    return named | {f.name: as_settings(getattr(part, f.name)) for f in fields(part)}


def test_the_files_were_found():
    assert "train" in COMMANDS and ("optimizer", "adam") in CHOICES
    assert set(GROUPS) == {group for group, _ in CHOICES}
    assert set(OF_SWEEP) == {group for group, _ in FILES} - set(GROUPS)
    assert "sweep" in COMMANDS and ("sampler", "tpe") in SEARCHES and "default" in SPACES
    assert "lecture/mlp" in EXPERIMENTS


def test_every_class_has_a_file():
    groups = {**GROUPS, **search.GROUPS}
    listed = {
        (group, name) for group, classes in groups.items() if isinstance(classes, dict) for name in classes
    }
    assert listed <= set(FILES)
    named = {(group, choice) for group, choice in FILES if isinstance(groups.get(group), dict)}
    assert named <= listed


@pytest.mark.parametrize("command", sorted({*COMMANDS} - {*RUN_COMMANDS, "data"}))
def test_every_command_composes_to_the_default_experiment(command):
    """Beside the settings that the command says are its own."""
    settings = whole(command=command)
    assert keys_of(command) | keys_of("train") <= set(settings)
    usual = Experiment(seeds=10) if command == "compare" else Experiment()
    assert Experiment.from_config(experiment_settings(settings, command)) == usual


@pytest.mark.parametrize(
    "cls, command", [(PredictSettings, "predict"), (EvaluateSettings, "evaluate"), (ExportSettings, "export")]
)
def test_commands_on_a_run_have_their_own_settings_alone(cls, command):
    (run,) = multirun.composed_runs(CommandLine(command))
    assert run.settings == {f.name: getattr(cls(), f.name) for f in fields(cls)}


def test_the_budgets_of_check_are_those_of_its_dataclass():
    settings = whole(command="check")["check"]
    assert settings == as_settings(Budget()) and make_part(Budget, settings, "check") == Budget()


def test_train_is_the_default_experiment():
    settings = composed()
    assert Experiment.from_config(settings) == Experiment()
    assert settings == as_settings(Experiment())


@every_choice
def test_keys_and_values_are_those_of_the_dataclass(group, choice):
    config = composed(f"{group}={choice}", *WITH.get((group, choice), ()))
    keys, settings = own_keys(group, choice), config[group]
    e = Experiment.from_config(config)
    part = getattr(e, group)
    assert Experiment.from_config(e.as_config()) == e
    default = as_settings(type(part)())
    assert set(keys) | (set(settings) if group == "regularizer" else set()) == set(default)
    assert set(settings) == set(default)
    if isinstance(GROUPS[group], dict):
        assert keys["name"] == choice == part.name
    if (group, choice) in OTHER_DEFAULTS:
        assert settings != default
    else:
        assert settings == default and part == type(part)()


@pytest.mark.parametrize("group, choice", SEARCHES, ids=map("/".join, SEARCHES))
def test_keys_and_values_of_a_sweeps_parts_are_those_of_the_dataclass(group, choice):
    keys, part = own_keys(group, choice), search.GROUPS[group][choice]()
    assert keys == {"name": choice} | {f.name: getattr(part, f.name) for f in fields(part)}
    assert whole(f"{group}={choice}", command="sweep")[group] == keys


def test_the_sweeps_own_settings_are_those_of_the_dataclass():
    settings, default = whole(command="sweep"), search.Search()
    for f in fields(default):
        if f.name in search.GROUPS:
            assert settings[f.name]["name"] == getattr(default, f.name).name
        else:
            assert settings[f.name] == getattr(default, f.name)
    beside = set(settings) - {f.name for f in fields(default)} - set(whole(command="train"))
    assert beside == {"space", "storage", "study", "refine", "plan", "report"}
    assert keys_of("sweep") == beside | {"resume"} | {f.name for f in fields(default)}  # which train has too


@pytest.mark.parametrize("choice", [choice for choice in SPACES if choice != "none"])
def test_every_space_is_of_keys_that_exist(choice):
    line, _ = parse_command_line("sweep", [f"space={choice}"])
    trials = sweep_definition.read(line).trials
    assert list(trials.space.domains) == list(own_keys("space", choice))
    keys = trials.space.domains
    assert all(
        trials.composer.options(key) or trials.has(key, {}) or trials.space.conditional for key in keys
    )
    cell = trials.space.draw(lambda key, domain: domain.points(2)[0])
    trains(Experiment.from_config(experiment_settings(trials.settings(cell)) | {"epochs": 2}))


@every_choice
def test_the_experiment_trains_for_two_epochs(group, choice, tmp_path):
    wanted = {"data": own_keys("data", DATA_OF[choice])} if choice in DATA_OF else {}
    if group == "data" and choice in WRITERS:  # it needs a file
        wanted = {"data": own_keys("data", choice) | WRITERS[choice](tmp_path)}
    words = *WITH.get((group, choice), ()), *TRAINS_WITH.get((group, choice), ())
    trains(Experiment.from_config(composed(f"{group}={choice}", *words) | wanted | {"epochs": 2}))


def runs_of(overrides):
    line, _ = parse_command_line("train", overrides)
    return multirun.composed_runs(line)


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_experiment_composes_and_its_first_run_trains_for_two_epochs(name):
    overrides = [f"experiment={name}", "epochs=2", "seeds=1"]
    splits = runs_of(overrides)[0].settings["split"]
    overrides += ["split.repeats=1"] if "repeats" in splits else []
    experiments = [Experiment.from_config(experiment_settings(run.settings)) for run in runs_of(overrides)]
    assert len(set(experiments)) == len(experiments)
    assert [Experiment.from_config(e.as_config()) for e in experiments] == experiments
    trains(experiments[0])


def trains(experiment):
    """For two epochs, with finite metrics, to the end."""
    run = nnlab.Fit([experiment])
    records = list(run)
    assert [record.epoch for record in records] == [1, 2]
    for record in records:
        assert all(np.isfinite(values).all() for values in record.metrics.values())
    assert {result.status for result in run.results} == {"finished"}
    assert all(bool(r.test) == bool(len(run.rows[r.row].fold.test)) for r in run.results)
    assert len(run.results) == len(run.rows)


def test_regularizers_combine():
    keys = own_keys("regularizer", "l2") | own_keys("regularizer", "dropout")
    e = Experiment.from_config(composed("regularizer=[l2,dropout]"))
    assert e.regularizer == nnlab.Regularizer(**keys) and set(keys) == {"l2", "dropout"}


# ---- what is wrong

NAN, INF = float("nan"), float("inf")
WRONG = [  # key, value, words of the sentence
    ("optimizer.lr", -1, ["optimizer.lr = -1", "a number above 0"]),
    ("optimizer.lr", 0, ["optimizer.lr = 0", "above 0"]),
    ("optimizer.lr", "fast", ["optimizer.lr = 'fast'", "a number"]),
    ("optimizer.lr", True, ["optimizer.lr = True", "a number"]),
    ("optimizer.lr", None, ["optimizer.lr = null", "a number"]),
    ("optimizer.lr", [0.1], ["optimizer.lr = [0.1]", "a number"]),
    ("optimizer.lr", {"a": 1}, ["optimizer.lr", "a number"]),
    ("optimizer.lr", NAN, ["optimizer.lr = nan"]),
    ("optimizer.lr", INF, ["optimizer.lr = inf"]),
    ("optimizer.lr", 10**400, ["optimizer.lr"]),
    ("optimizer.beta1", 1, ["optimizer.beta1 = 1", "at least 0 and below 1"]),
    ("optimizer.epsilon", 0, ["optimizer.epsilon = 0", "at least 1e-30"]),
    ("optimizer.epsilon_inside_root", "yes", ["optimizer.epsilon_inside_root = 'yes'", "true or false"]),
    ("optimizer.epsilon_inside_root", 1, ["optimizer.epsilon_inside_root = 1", "true or false"]),
    ("optimizer.gamma", 0.9, ["optimizer.gamma", "optimizer 'adam' has no such key"]),
    ("optimizer.name", "adm", ["unknown optimizer 'adm'", "did you mean 'adam'"]),
    ("optimizer.name", None, ["optimizer has no name", "adam, adamw"]),
    ("optimizer.name", ["adam"], ["unknown optimizer", "adam, adamw"]),
    ("optimizer", "adam", ["optimizer"]),
    ("optimizer", None, ["optimizer"]),
    ("optimizer", [0.1], ["optimizer"]),
    ("regularizer.l2", -0.1, ["regularizer.l2 = -0.1", "at least 0"]),
    ("regularizer.dropout", 1.0, ["regularizer.dropout = 1.0", "below 1"]),
    ("regularizer.l3", 1.0, ["regularizer.l3", "no such key", "dropout, flip, input_dropout,"]),
    ("init.bias", NAN, ["init.bias = nan", "a number"]),
    ("model.hidden", 64, ["model.hidden = 64", "a list", "a whole number at least 1"]),
    ("model.hidden", [64, 0], ["model.hidden = [64, 0]", "at least 1"]),
    ("model.hidden", [-3], ["model.hidden = [-3]", "at least 1"]),
    ("model.hidden", [True], ["model.hidden = [True]", "a whole number"]),
    ("model.hidden", [1.5], ["model.hidden = [1.5]", "a whole number"]),
    ("model.hidden", "64", ["model.hidden = '64'", "a list"]),
    ("model.activation", "rel", ["model.activation = 'rel'", "did you mean 'relu'"]),
    ("model.activation", 3, ["model.activation = 3", "one of", "tanh"]),
    ("model.layers", [3], ["model.layers", "model 'mlp' has no such key", "hidden"]),
    ("model.name", "mpl", ["unknown model 'mpl'", "did you mean 'mlp'"]),
    ("data.name", "digit", ["unknown data 'digit'", "did you mean 'digits'"]),
    ("data.normalization", "minmex", ["data.normalization = 'minmex'", "'minmax'"]),
    ("data.seed", -1, ["data.seed = -1", "at least 0"]),
    ("split.test", 1, ["split.test = 1", "at least 0 and below 1"]),
    ("split.validation", 0, ["split.validation = 0", "above 0 and below 1"]),
    ("split.validation", 1, ["split.validation = 1", "below 1"]),
    ("split.stratify", "no", ["split.stratify = 'no'", "true or false"]),
    ("split.repeats", 0, ["split.repeats = 0", "at least 1"]),
    ("split.k", 5, ["split.k", "split 'holdout' has no such key"]),
    ("schedule.name", "cos", ["unknown schedule 'cos'"]),
    ("schedule.factor", 0.5, ["schedule.factor", "schedule 'constant'"]),
    ("stopping", {"name": "patience", "patience": 0}, ["stopping.patience = 0", "at least 1"]),
    ("stopping", {"name": "patience", "metric": "loss"}, ["stopping.metric = 'loss'", "val_loss"]),
    ("epochs", 0, ["epochs = 0", "a whole number at least 1"]),
    ("epochs", 2.5, ["epochs = 2.5", "a whole number"]),
    ("epochs", True, ["epochs = True", "a whole number"]),
    ("epochs", INF, ["epochs = inf", "a whole number"]),
    ("batch_size", 0, ["batch_size = 0", "at least 1", "full"]),
    ("batch_size", -64, ["batch_size = -64", "at least 1"]),
    ("batch_size", "ful", ["batch_size = 'ful'", "full"]),
    ("batch_size", True, ["batch_size = True", "a whole number"]),
    ("seed", -1, ["seed = -1", "at least 0"]),
    ("seed", "0", ["seed = '0'", "a whole number"]),
    ("seeds", 0, ["seeds = 0", "at least 1"]),
    ("threads", 0, ["threads = 0", "at least 1", "auto"]),
    ("dtype", "float16", ["dtype = 'float16'", "float32"]),
    ("loss", "cross_entrpy", ["loss = 'cross_entrpy'", "did you mean 'cross_entropy'"]),
    ("metric", "acuracy", ["metric = 'acuracy'", "val_loss, val_error", "did you mean 'accuracy'"]),
    ("device", 0, ["device = 0", "a word"]),
    ("epoch", 3, ["unknown key 'epoch'", "did you mean 'epochs'"]),
    ("nonsense", {"a": 1}, ["unknown key 'nonsense'"]),
]


@pytest.mark.parametrize("key, value, phrases", WRONG, ids=[f"{key}={str(v)[:20]}" for key, v, _ in WRONG])
def test_what_is_wrong_is_told(key, value, phrases):
    config = copy.deepcopy(composed())
    *group, last = key.split(".")
    (config[group[0]] if group else config)[last] = value
    with pytest.raises(nnlab.UserError) as error:
        Experiment.from_config(config)
    message = str(error.value)
    assert all(word in message for word in phrases) and "\n" not in message and "''" not in message, message


@pytest.mark.parametrize(
    "key", sorted({key for key, _, _ in WRONG if "." not in key} - {"epoch", "nonsense"})
)
def test_the_same_values_are_refused_in_python(key):
    if key in GROUPS:
        return
    for value in [v for k, v, _ in WRONG if k == key]:
        with pytest.raises(nnlab.UserError, match=f"{key} = "):
            Experiment(**{key: value})


LATE = [  # wrong for these data or this machine: found when a fit is made, before it trains
    (dict(device="gpu"), ["device = 'gpu'", "cpu"]),
    (dict(device="cuda:99"), ["device = 'cuda:99'"]),
    (dict(data=Points(classes=0), loss="cross_entropy"), ["loss = 'cross_entropy'", "squared_error"]),
    (dict(data=Points(classes=0), model=nnlab.Logistic()), ["model = 'logistic'", "model=linear"]),
    (dict(data=Points(n=9), split=nnlab.KFold(k=9)), ["split.k = 9", "at most 7"]),
]


@pytest.mark.parametrize("changes, phrases", LATE, ids=[phrases[0] for _, phrases in LATE])
def test_what_does_not_fit_the_data_or_the_machine(changes, phrases):
    with pytest.raises(nnlab.UserError) as error:
        nnlab.Fit([Experiment(**changes)])
    assert all(word in str(error.value) for word in phrases), error.value

"""Tab completion: every offer is valid, every valid choice is offered; in bash and zsh too."""

import gzip
import os
import shutil
import subprocess
import sys
from itertools import zip_longest
from pathlib import Path
from typing import get_type_hints

import pytest
import yaml

from nnlab import cli, shells, tab
from nnlab.allowed import validate
from nnlab.catalogue import Catalogue
from nnlab.checks.ladder import select_rungs
from nnlab.checks.subject import Budget
from nnlab.commands import composing, grammar, multirun, sweep_definition
from nnlab.commands.command_keys import experiment_settings
from nnlab.commands.command_settings import SweepSettings
from nnlab.commands.parsing import parse_command_line
from nnlab.commands.train_command import wants_picture
from nnlab.data.headers import header_names
from nnlab.experiment import GROUPS, Experiment
from nnlab.hyperparameters import Component, fields, make_part
from nnlab.metrics import METRICS
from nnlab.paths import CONFIG_DIR
from nnlab.search.settings import GROUPS as GROUPS_OF_SEARCH
from nnlab.search.settings import Search

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def example_folder(tmp_path, monkeypatch):
    """A folder with some files, among them such as a stranger may have put there."""
    monkeypatch.chdir(tmp_path)
    for name in (
        "churn.csv",
        "my table.csv",
        "b,c.csv",
        "$(touch pwned).csv",
        "x.npz",
        "a.png",
        ".hidden.csv",
    ):
        (tmp_path / name).touch()
    (tmp_path / "mnist").mkdir()
    done = tmp_path / "outputs" / "sweep" / "2026-01-01_optimizer.lr=1,2"
    done.mkdir(parents=True)
    (done / "sweep.json").touch()
    (tmp_path / "outputs" / "train" / "run").mkdir(parents=True)
    config_folder = tmp_path / "mine"
    for name in ("optimizer/fast", "experiment/own/deep", "lab/first", "other"):
        (config_folder / name).parent.mkdir(parents=True, exist_ok=True)
        (config_folder / f"{name}.yaml").write_text(
            "name: sgd\nlr: 0.7\n" if "fast" in name else "# @package _global_\n{}\n"
        )
    return tmp_path


# ---- what is offered


EPOCH_METRICS = sorted([*METRICS, "val_error", "val_loss"])
OFFERS = [  # line, what all offers begin with, how they go on
    ("nnlab train experiment", "", "experiment="),
    ("nnlab train experiment=lecture/mlp_d", "experiment=lecture/", "mlp_dropout|mlp_dropout_digits"),
    ("nnlab train optimizer=sgd,ada", "optimizer=sgd,", "adadelta|adagrad|adam|adamw"),
    ("nnlab train loss=cross_entropy,sq", "loss=cross_entropy,", "squared_error"),
    ("nnlab train -m optimizer=sgd,ada", "optimizer=sgd,", "adadelta|adagrad|adam|adamw"),
    ("nnlab sweep optimizer=sgd,adama", "", ""),
    ("nnlab sweep model.activation=relu,tan", "model.activation=relu,", "tanh"),
    ("nnlab train optimizer=momentum optimizer.gamma", "optimizer.", "gamma=|gamma_start="),
    ("nnlab train optimizer=sgd optimizer.", "optimizer.", "bias_lr_factor=|clip_norm=|clip_value=|lr="),
    ("nnlab train -m optimizer=sgd,adam optimizer.", "optimizer.",
     "bias_lr_factor=|clip_norm=|clip_value=|lr="),
    ("nnlab sweep optimizer=sgd,adam optimizer.beta", "optimizer.", "beta1=|beta2="),
    ("nnlab train experiment=lecture/optimizers optimizer=sgd optimizer.g", "", ""),
    ("nnlab train experiment=lecture/initialization optimizer.g", "optimizer.", "gamma=|gamma_start="),
    ("nnlab train optimizer=sgd optimizer", "", "optimizer."),
    ("nnlab train 'regularizer=[l2,drop", 'regularizer=[l2,', 'dropconnect|dropout'),
    ("nnlab check only=[data,s", "only=[data,", "saturation|start|subset"),
    ("nnlab check only=s", "only=", "saturation|start|subset"),
    ("nnlab train loss=s", "loss=", "sparsemax_loss|squared_error"),
    ("nnlab train metric=", "metric=", "|".join(sorted([*EPOCH_METRICS, "last"]))),
    ("nnlab train schedule=halve_on_rise schedule.metric=", "schedule.metric=", "|".join(EPOCH_METRICS)),
    ("nnlab train refit=", "refit=", "false|true"),
    ("nnlab train dtype=", "dtype=", "float32|float64"),
    ("nnlab train data.normalization=m", "data.normalization=", "maxabs|minmax"),
    ("nnlab train batch_size=", "batch_size=", "full"),
    ("nnlab train epochs=", "epochs=", "50"),
    ("nnlab train model=linear model.", "", ""),
    ("nnlab train sampler", "", ""),
    ("nnlab check pruner", "", ""),
    ("nnlab train space=", "", ""),
    ("nnlab sweep space=n", "space=", "none"),
    ("nnlab sweep sampler=gp,", "", ""),
    ("nnlab sweep trials=64,", "", ""),
    ("nnlab sweep objective=[val_loss,par", "objective=[val_loss,", "parameters"),
    ("nnlab train --h", "--", "help|hydra-help"),
    ("nnlab board -", "-", "-help|-port|-newest"),
    ("nnlab train -m -c", "-c", "|d|n"),
    ("nnlab sweep -m", "", ""),
    ("nnlab train --c", "", "--cfg|--config-dir|--config-name"),
    ("nnlab train --cfg j", "", "job"),
    ("nnlab sweep --mu", "", ""),
    ("nnlab train --mu", "", "--multirun"),
    ("nnlab board --", "", "--help|--port|--newest"),
    ("nnlab report -", "-", "-help"),
    ("nnlab report outputs/", "outputs/", "sweep/|train/"),
    ("nnlab report outputs/train o", "o", "utputs/|utput="),
    ("nnlab report outputs output=x o", "o", "utputs/"),
    ("nnlab work -", "-", "-help"),
    ("nnlab work outputs/", "outputs/", "sweep/|train/"),
    ("nnlab work outputs/sweep ", "", "mine/|mnist/|outputs/|threads=|wait="),
    ("nnlab work outputs/sweep wait=9 t", "t", "hreads="),
    ("nnlab board outputs/", "outputs/", "sweep/|train/"),
    ("nnlab compare outputs/", "outputs/", "sweep/|train/"),
    ("nnlab compare o", "o", "ptimizer.|ptimizer=|utputs/"),
    ("nnlab compare outputs/train s", "", "seeds="),
    ("nnlab compare outputs/train o", "o", "utputs/"),
    ("nnlab compare outputs/train measure=test_a", "measure=test_", "accuracy|average_precision"),
    ("nnlab compare optimizer=sgd,ada", "optimizer=sgd,", "adadelta|adagrad|adam|adamw"),
    ("nnlab compare measure=val_loss,val", "", ""),
    ("nnlab compare optimizer=sgd,adam -cd m", "", "mine/|mnist/"),
    ("nnlab compare --mu", "", ""),
    ("nnlab train data=csv data.path=", "data.path=", "churn.csv|my table.csv|mine/|mnist/|outputs/"),
    ("nnlab train data.path=", "data.path=", "churn.csv|my table.csv|x.npz|mine/|mnist/|outputs/"),
    ("nnlab train data.path=my", "data.path=", "my table.csv"),
    ("nnlab train data=npz data.path=", "data.path=", "x.npz|mine/|mnist/|outputs/"),
    ("nnlab train data=csv data.path=.h", "data.path=.hidden.", "csv"),
    ("nnlab train data=npz data.path=x", "data.path=x.", "npz"),
    ("nnlab train data=idx data.path=m", "data.path=", "mine/|mnist/"),
    ("nnlab sweep resume=", "resume=", "outputs/"),
    ("nnlab sweep refine=outputs/sweep/2", "refine=outputs/sweep/2026-01-01_optimizer.lr=1,", "2/"),
    ("nnlab train hydra.run.dir=out", "hydra.run.dir=", "outputs/"),
    ("nnlab train -cd m", "", "mine/|mnist/"),
    ("nnlab train -cd mine optimizer=f", "optimizer=", "fast"),
    ("nnlab train -cd mine optimizer=fast optimizer.", "optimizer.", "lr="),
    ("nnlab train -cd mine experiment=o", "experiment=own/", "deep"),
    ("nnlab train -cd mine +l", "", "+lab=|+loss="),
    ("nnlab train -cd mine -cn o", "", "other"),
    ("nnlab train -cd nowhere optimizer=sg", "optimizer=", "sgd"),
    ("nnlab train x=", "", ""),
    ("nnlab tran x", "", ""),
    ("nnlab train model.hidden=[6", "", ""),
]  # fmt: skip


@pytest.mark.parametrize("line, head, rest", OFFERS, ids=[line for line, _, _ in OFFERS])
def test_offers(example_folder, line, head, rest):
    assert tab.completions(line) == [f"{head}{end}" for end in rest.split("|") if rest]


COLUMNS = [  # content, its columns' names that are offered
    ("a,b,label\n1,2,x\n", "a|b|label"), ("Age (years);b\n1,5;2\n", "Age (years)|b"), ("a\tb\n1\t2\n", "a|b"),
    ('"x, y",b\n1,2\n', "b"),
    ("\ufeffÄpfel,b\n1,2\n", "b|Äpfel"), ("\n\na,b\n", "a|b"), ("1,2\n3,4\n", "null"),
    ("", "null"), ("a,$(touch pwned)\n", "a"), ("a,\x1bb\n1,2\n", "a"),
]  # fmt: skip


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("content, names", COLUMNS)
def test_columns_of_the_file_on_the_line(example_folder, content, names, packed):
    data = content.encode()
    (example_folder / "t.csv").write_bytes(gzip.compress(data) if packed else data)
    line = "nnlab train data=csv data.path=t.csv data.target="
    assert tab.completions(line) == [f"data.target={name}" for name in names.split("|")]


def test_columns_are_looked_for_within_bounds(example_folder):
    """A pipe, a device, a folder, a header without end, a damaged archive: nothing is waited for."""
    os.mkfifo(example_folder / "pipe.csv")
    (example_folder / "long.csv").write_bytes(b"a,b," + b"c" * 10**7)
    (example_folder / "cut.csv").write_bytes(gzip.compress(b"a,b\n1,2\n")[:-9])
    (example_folder / "mine.csv").mkdir()
    for name in ("pipe.csv", "/dev/zero", "mine.csv", "nowhere.csv", "cut.csv"):
        assert len(header_names(name)) in (0, 2)
    assert header_names("long.csv")[:2] == ["a", "b"]


def test_a_dash_alone_is_any_option():
    assert {"-m", "-cd", "--multirun", "--help"} < set(tab.completions("nnlab train -"))
    assert "-m" not in tab.completions("nnlab sweep -") and "-m" not in tab.completions(
        "nnlab train --multirun -"
    )


def test_several_values_want_a_flag():
    assert "-m" in tab.completions("nnlab train optimizer=sgd,adam ")
    for line in ("nnlab train 'model.hidden=[3,4]' ", "nnlab train -m seed=1,2 ", "nnlab sweep seed=1,2 "):
        assert "-m" not in tab.completions(line)


def test_a_word_that_is_open_or_wrong_does_not_spoil_others():
    assert (
        tab.completions("nnlab train a=[x batch_")
        == tab.completions("nnlab train 'batch_")
        == ["batch_size="]
    )


def test_groups_and_keys_are_all_offered_and_only_those_of_the_command():
    for command, others in (("train", {"sampler", "pruner", "space", "trials", "only"}), ("sweep", {"only"})):
        offered = {word.rstrip("=.") for word in tab.completions(f"nnlab {command} ")}
        assert offered == set(settings_of_line(command, [])) | {"experiment"}
        assert not offered & others


def settings_of_line(command, overrides):
    line, _ = parse_command_line(command, overrides)
    if command == "sweep":
        return sweep_definition.read(line).run.settings
    return multirun.composed_runs(line)[0].settings


# ---- whatever is offered is accepted


def endings(before: str, word: str = ""):
    """Every word that one comes to by TAB after TAB; a key with nothing to offer has its own value."""
    for offer in tab.completions(f"{before} {word}"):
        if not offer.endswith(("=", ".")):
            yield offer
            continue
        further = list(endings(before, offer))
        key = Catalogue(before.split()[1], before.split()[2:]).all_keys().get(offer[:-1])
        if not further and key is not None:
            further = [grammar.override_for(key.name, key.value)]
        yield from further


def with_commas(before: str, offers: list[str]):
    """The same with a second value after a comma, where one is offered."""
    firsts = {word.partition("=")[0]: word for word in offers}
    for word in firsts.values():
        yield from tab.completions(f"{before} {word},")[:1]


def sweeps_by_itself(experiment: str) -> bool:
    file = CONFIG_DIR / "experiment" / f"{experiment}.yaml"
    hydra = yaml.safe_load(file.read_text()).get("hydra", {}) if file.is_file() else {}
    return "sweeper" in hydra


def groups_of(command: str, overrides: list[str]) -> set[str]:
    return {word.partition("=")[0] for word in overrides} & {*Catalogue(command).groups}


@pytest.fixture(scope="module")
def offered_to_train():
    return list(endings("nnlab train"))


def test_every_choice_that_is_offered_is_accepted(offered_to_train):
    """The i-th choices of all groups beside each other; an experiment that sweeps by itself over keys
    of its own optimiser, say, takes no other."""
    groups, columns = groups_of("train", offered_to_train), {}
    for word in offered_to_train:
        if word.startswith("experiment=") and sweeps_by_itself(word.partition("=")[2]):
            continue
        if word.partition("=")[0] in groups:
            columns.setdefault(word.partition("=")[0], []).append(word)
    assert len(columns) == len(GROUPS) + 1
    for overrides in zip_longest(*columns.values()):
        overrides = [word for word in overrides if word]
        settings = is_accepted("train", overrides)
        for group in GROUPS:
            offered = {w.rstrip("=") for w in tab.completions(f"nnlab train {' '.join(overrides)} {group}.")}
            assert offered == {f"{group}.{key}" for key in settings[group] if key != "name"}, overrides


@pytest.mark.parametrize("state", [
    "train", "check", "train experiment=lecture/mlp_dropout",
    "train data=csv schedule=halve_on_rise stopping=patience optimizer=adamw split=kfold",
])  # fmt: skip
def test_every_value_that_is_offered_is_accepted(example_folder, state):
    """The i-th values of all keys beside each other; a skip needs layers of one width."""
    command, *before = state.split()
    columns = {}
    for word in endings(f"nnlab {state}"):
        columns.setdefault(word.partition("=")[0], []).append(word)
    for group in groups_of(command, [f"{key}=" for key in columns]):
        del columns[group]
    assert len(columns) > 30
    for overrides in zip_longest(*columns.values()):
        needed = ["model.hidden=[64,64]"] * ("model.residual=true" in overrides)
        is_accepted(command, [*before, *(word for word in overrides if word), *needed])


def is_accepted(command, overrides):
    settings = settings_of_line(command, overrides)
    wants_picture(settings, rows=1)
    if command == "check":
        select_rungs(settings.pop("only"))
        make_part(Budget, settings.pop("check"), "check")
    for key, value in experiment_settings(settings, command).items():
        if key in GROUPS:
            make_part(GROUPS[key], value, key)
        else:
            is_of(Experiment, key, value)
    return settings


def is_of(cls: type[Component], key: str, value):
    (f,) = [f for f in fields(cls) if f.name == key]
    validate(value, get_type_hints(cls)[key], f.metadata["allowed"], key)


@pytest.mark.parametrize("command, flags", [("train", ["-m"]), ("sweep", [])])
def test_several_values_that_are_offered_are_accepted(command, flags, offered_to_train):
    overrides = list(with_commas(" ".join(["nnlab", command, *flags]), offered_to_train))
    assert len(overrides) > 20
    line, _ = parse_command_line(command, overrides)
    with composing.open_composer(line) as composer:
        read = composer.read(overrides, allow_several=command == "train", for_search=command == "sweep")
    assert all(o.is_sweep_override() and len(set(o.value().list)) == 2 for o in read)


def test_what_a_sweep_offers_beside_is_accepted(offered_to_train):
    offered_to_sweep_only = [
        word for word in endings("nnlab sweep") if "." not in word and word not in offered_to_train
    ]
    assert {"space=none", "sampler=gp", "trials=auto", "storage=null"} <= set(offered_to_sweep_only)
    columns = {}
    for word in offered_to_sweep_only:
        if not word.startswith(("resume=", "refine=", "storage=sqlite")):
            columns.setdefault(word.partition("=")[0], []).append(word)
    for overrides in zip_longest(*columns.values()):
        settings = settings_of_line("sweep", [word for word in overrides if word])
        SweepSettings(**{f.name: settings[f.name] for f in fields(SweepSettings)})
        for f in fields(Search):
            if f.name in GROUPS_OF_SEARCH:
                make_part(GROUPS_OF_SEARCH[f.name], settings[f.name], f.name)
            else:
                is_of(Search, f.name, settings[f.name])


# ---- as a process


def complete(line, point=None, shell="bash", **environment):
    """What `nnlab -sc query=SHELL` prints, and which heavy packages it imported."""
    heavy = {"torch", "hydra", "omegaconf", "optuna", "sklearn", "numpy", "scipy", "rich"}
    code = (
        "import sys; from nnlab.cli import main; code = main();"
        f"print(*sorted({heavy} & set(sys.modules)), file=sys.stderr); sys.exit(code)"
    )
    process = subprocess.run(
        [sys.executable, "-c", code, "-sc", f"query={shell}"], capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), "COMP_LINE": line,
             "COMP_POINT": str(len(line) if point is None else point), **environment},
    )  # fmt: skip
    assert process.returncode == 0 and process.stderr == "\n", process.stderr
    return process.stdout.splitlines()


@pytest.mark.parametrize("line, expected", [
    ("nnlab ", list(cli.COMMANDS)), ("nnlab", list(cli.COMMANDS)), ("  nnlab  t", ["train"]),
    ("nnlab -", ["--help", "--version"]), ("nnlab x", []),
    ("~/bin/nnlab train optimizer=sgd optimizer.l", ["optimizer.lr="]),
    ("nnlab check loss=s", ["loss=sparsemax_loss", "loss=squared_error"]),
    ("nnlab tran x", []),
])  # fmt: skip
def test_as_a_process_nothing_heavy_is_imported(line, expected):
    assert complete(line) == expected


def test_completion_is_for_the_word_at_the_cursor():
    line = "nnlab train optimizer=s epochs=3"
    assert complete(line, point=line.index(" epochs")) == ["optimizer=sgd"]


@pytest.mark.parametrize("line, word, inserted", [
    ("nnlab train loss=sq", "sq", ["squared_error"]),
    ("nnlab train loss=sq", "loss=sq", ["loss=squared_error"]),  # where `=` is no sign that breaks words
    ("nnlab train data=csv data.path=my\\ ", "my\\ ", ["my\\ table.csv"]),
    ("nnlab train 'data.path=my t", "'data.path=my t", ["data.path=my table.csv"]),
    ("nnlab train data=csv 'data.path=my t", "'data.path=my t", ["data.path=my table.csv"]),
    ("nnlab board $", "$", ["\\$\\(touch\\ pwned\\)/"]),
    ("nnlab board '$", "'$", ["$(touch pwned)/"]),
    ('nnlab board "$', '"$', ["\\$(touch pwned)/"]),
])  # fmt: skip
def test_words_as_bash_inserts_them(example_folder, line, word, inserted):
    (example_folder / "$(touch pwned)").mkdir()
    assert shells.quote_for_bash(tab.completions(line), line, word) == inserted


def test_install(capsys):
    for shell in shells.INSTALL_SCRIPTS:
        assert cli.main(["-sc", f"install={shell}"]) == 0
        assert "nnlab -sc query" in capsys.readouterr().out.replace('"$1"', "nnlab").replace(
            '"${(Q)words[1]}"', "nnlab"
        )
    for wrong in (["-sc", "nonsense"], ["-sc"], ["-sc", "install=tcsh"]):
        assert cli.main(wrong) == 2
        assert "bash" in capsys.readouterr().err


# ---- in the shells


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash")
@pytest.mark.parametrize("typed_words, offered", [
    (["nnlab", "train", "experiment"], ["experiment="]),
    (["nnlab", "train", "optimizer", "=", "ada"], ["adadelta", "adagrad", "adam", "adamw"]),
    (["nnlab", "board", "$"], ["\\$\\(touch\\ pwned\\)/"]),
])  # fmt: skip
def test_in_bash(example_folder, typed_words, offered):
    (example_folder / "$(touch pwned)").mkdir()
    line = " ".join(typed_words).replace(" = ", "=")
    script = f"""
        set -u
        nnlab() {{ '{sys.executable}' -m nnlab "$@"; }}
        eval "$(nnlab -sc install=bash)"
        COMP_LINE='{line}' COMP_POINT={len(line)}
        _nnlab_tab nnlab '{typed_words[-1]}' x
        printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    process = subprocess.run(
        ["bash", "-c", script], capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    assert process.stdout.splitlines() == offered, process.stderr
    assert not (example_folder / "pwned").exists()


@pytest.mark.skipif(shutil.which("zsh") is None, reason="no zsh")
def test_zsh_asks_inside_of_an_open_bracket(tmp_path):
    """Where zsh believes to be in a variable's subscript, whose words are not those of the line."""
    script = f"""
        compdef() {{ :; }}; compinit() {{ :; }}; compadd() {{ print -r -- "$@"; }}
        _subscript() {{ print default; }}
        nnlab() {{ '{sys.executable}' -m nnlab "$@"; }}
        {shells.INSTALL_SCRIPTS["zsh"]}
        LBUFFER='nnlab train epochs=3 model.activation=[relu,t' PREFIX='relu,t' _nnlab_subscript
        LBUFFER='echo $path[1' PREFIX=1 _nnlab_subscript
    """
    process = subprocess.run(["zsh", "-f", "-c", script], capture_output=True, text=True,
                          env={**os.environ, "PYTHONPATH": str(ROOT)})  # fmt: skip
    assert process.stdout.splitlines() == ["-S  -- relu,tanh", "default"], process.stderr


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_scripts_can_be_read(shell, tmp_path):
    if shutil.which(shell) is None:
        pytest.skip(f"no {shell}")
    for script in (shells.INSTALL_SCRIPTS, shells.UNINSTALL_SCRIPTS):
        subprocess.run([shell, "-n"], input=script[shell], text=True, check=True)

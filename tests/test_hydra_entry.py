"""From a command line to a composed configuration, and how invalid lines are refused."""

import multiprocessing
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig
from omegaconf import OmegaConf

from nnlab.commands import composing, folders, hydra_entry
from nnlab.commands.command_keys import experiment_settings
from nnlab.commands.parsing import parse_command_line
from nnlab.commands.run_folders import run_each
from nnlab.errors import UserError
from nnlab.experiment import Experiment
from nnlab.paths import CONFIG_DIR


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """Every test runs in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("NNLAB_TRACEBACK", raising=False)
    return tmp_path


class Calls(list):
    """What `execute` was called with."""

    def __call__(self, run):
        assert run.folder.is_dir()
        self.append((run.prepared, run.folder, run.settings, run.command))


def exit_code(argv, prepare=lambda settings: settings, execute=lambda run: 0) -> int:
    return hydra_entry.run("train", argv, lambda runs: run_each("train", runs, prepare, execute))


def run(*argv, prepare=lambda settings: settings, code=0):
    calls = Calls()
    assert exit_code(list(argv), prepare, calls) == code
    return calls


def refused(capsys, *argv, prepare=lambda settings: settings) -> str:
    """The one sentence that `argv` is refused with; nothing is run and nothing is left behind."""
    before = sorted(Path.cwd().rglob("*"))
    assert run(*argv, prepare=prepare, code=2) == []
    out, err = capsys.readouterr()
    assert err.startswith("nnlab train: ") and err.count("\n") == 1 and "Traceback" not in err
    assert out == "" and sorted(Path.cwd().rglob("*")) == before
    return err.removeprefix("nnlab train: ").strip()


# Right input


def test_settings_are_plain_and_resolved():
    ((prepared, _, settings, command),) = run("stopping=patience", "model.hidden=[128,64]", "seed=3")
    assert prepared is settings and "hydra" not in settings
    assert type(settings["model"]) is dict and type(settings["model"]["hidden"]) is list
    assert settings["model"]["hidden"] == [128, 64] and settings["seed"] == 3
    assert settings["stopping"]["metric"] == settings["metric"]
    assert command == "nnlab train stopping=patience 'model.hidden=[128,64]' seed=3"


def test_several_regularizers_combine():
    ((_, _, settings, _),) = run("regularizer=[l2,dropout]", "regularizer.dropout=0.3")
    assert settings["regularizer"]["dropout"] == 0.3 and settings["regularizer"]["l2"] > 0
    ((_, _, settings, _),) = run("regularizer=none", "regularizer.dropout=0.3")
    assert settings["regularizer"]["dropout"] == 0.3 and settings["regularizer"]["l2"] == 0


@pytest.mark.parametrize(
    "lines",
    [
        [],
        ["optimizer=sgd", "optimizer.lr=0.7"],
        ["optimizer.lr=0.7", "optimizer=momentum", "seed='${epochs}'", "model.hidden=[]"],
        ["regularizer=[l2,dropout]", "metric=null", "data=diabetes", "split=kfold", "epochs=1", "epochs=2"],
    ],
)
def test_composed_as_hydra_itself_composes(lines):
    ((_, folder, settings, _),) = run(*lines)
    with initialize_config_dir(str(CONFIG_DIR), version_base="1.3", job_name="train"):
        config = compose("train", lines)
    assert settings == OmegaConf.to_container(config, resolve=True)
    assert OmegaConf.load(folder / ".hydra/config.yaml") == config
    assert yaml.safe_load((folder / ".hydra/overrides.yaml").read_text()) == lines


def test_flags_and_overrides_in_any_order():
    assert len(run("epochs=1", "-m", "seed=1,2")) == 2


def test_a_plus_before_a_known_key_is_harmless():
    ((_, _, settings, _),) = run("+optimizer.lr=3", "++epochs=2")
    assert settings["optimizer"]["lr"] == 3 and settings["epochs"] == 2


def test_a_plus_before_a_group_with_a_default_is_harmless(user_folder):
    ((_, _, settings, command),) = run("+optimizer=sgd", "optimizer.lr=3")
    assert settings["optimizer"] | {"name": "sgd", "lr": 3} == settings["optimizer"]
    assert command == "nnlab train optimizer=sgd optimizer.lr=3"
    assert [s["optimizer"]["name"] for _, _, s, _ in run("-m", "+optimizer=sgd,adam")] == ["sgd", "adam"]
    plus, none = (run("-cd", user_folder, f"{sign}experiment=both")[0] for sign in ("+", ""))
    assert plus[2:] == none[2:]


def test_a_group_without_a_default_keeps_its_plus(user_folder, capsys):
    assert run("-cd", user_folder, "+own_group=short")[0][2]["epochs"] == 1
    assert "write +own_group=" in refused(capsys, "-cd", user_folder, "own_group=short")
    message = refused(capsys, "-cd", user_folder, "experiment=chooses", "+own_group=short")
    assert "own_group has a choice already" in message


def test_an_experiment_that_sweeps_turns_m_on_and_gives_way_to_the_command_line(user_folder, capsys):
    cells = run("-cd", user_folder, "experiment=sweeps")
    assert [s["seed"] for _, _, s, _ in cells] == [1, 2]
    cells = run("-cd", user_folder, "+experiment=sweeps", "seed=5", "epochs=3,4")
    assert [(s["seed"], s["epochs"]) for _, _, s, _ in cells] == [(5, 3), (5, 4)]
    assert "unknown key 'sed'" in refused(capsys, "-cd", user_folder, "experiment=sweeps", "sed=3")


def test_the_keys_of_another_command_are_no_settings_of_an_experiment():
    """With `-cn sweep`, nnlab train has keys of a search: they are refused, and not dropped."""
    ((_, _, settings, _),) = run("-cn", "sweep")
    with pytest.raises(UserError, match="unknown key 'sampler'"):
        Experiment.from_config(experiment_settings(settings))


def test_exit_code_is_that_of_execute():
    assert exit_code([], execute=lambda run: 1) == 1
    codes = iter([0, 3, 1])
    assert exit_code(["-m", "seed=1,2,3"], execute=lambda run: next(codes)) == 3


# Run folders


def test_run_folder_says_what_was_overridden():
    ((_, folder, _, _),) = run("optimizer=sgd", "model.hidden=[128,64]", "data.seed=1")
    assert folder.parent == Path("outputs/train")
    date, time, slug = folder.name.split("_", 2)
    assert len(date.split("-")) == len(time.split("-")) == 3
    assert slug == "optimizer=sgd,hidden=128,64,seed=1"
    hydra = yaml.safe_load((folder / ".hydra/hydra.yaml").read_text())["hydra"]
    assert hydra["runtime"]["output_dir"] == str(folder.resolve())
    assert hydra["job"]["name"] == "train" and hydra["mode"] == "RUN"


@pytest.mark.parametrize(
    ("lines", "slug"),
    [
        ([], ""),
        (["+experiment=mine/first"], "experiment=mine-first"),
        (["data.path=/home/a b/ü.csv"], "data.path=home-a-b-ü.csv"),
        (["metric='a,b'", "hidden=[]"], "metric=a,b,hidden"),
        (["seed=${now:%Y}"], "seed=now-Y"),
        (["x=" + "y" * 300], "x=" + "y" * 40),
        (["path=../.."], "path"),
    ],
)
def test_slug(lines, slug):
    assert folders.slug(lines) == slug


def test_what_is_drawn_or_recorded_names_no_folder(tmp_path):
    config = OmegaConf.create({"hydra": {"run": {"dir": str(tmp_path / "now")}}})
    words = ["seed=3", "show=[boundary]", "+caption=a b", "picture=false", "checkpoint.epochs=2"]
    assert folders.make_run_folder(config, words, exact=False).name == "now_seed=3"
    assert folders.make_run_folder(config, words[1:], exact=False).name == "now"


LONG = "[" + "1000," * 12


@pytest.mark.parametrize(("runs", "names"), [
    ([["a.b=1"], ["a.b=2"]], ["a.b=1", "a.b=2"]),
    ([[f"model.hidden={LONG}8]"], [f"model.hidden={LONG}16]"]], ["hidden=..8", "hidden=..16"]),
    ([[f"data.path={'/deep' * 12}/good.csv"], [f"data.path={'/deep' * 12}/grand.csv"]],
     ["path=..good.csv", "path=..grand.csv"]),
    ([["seed=1", f"model.hidden={LONG}8]"], ["seed=2", f"model.hidden={LONG}9]"]],
     ["seed=1,hidden=..8", "seed=2,hidden=..9"]),
    ([["optimizer.lr=0.00100001", "optimizer.clip_norm=0.5", "regularizer.label_smoothing=0.1"],
      ["optimizer.lr=0.00100002", "optimizer.clip_norm=0.5", "regularizer.label_smoothing=0.2"]],
     ["lr=0.00100001,clip_norm=0.5,label_smo=0.1", "lr=0.00100002,clip_norm=0.5,label_smo=0.2"]),
])  # fmt: skip
def test_folders_of_multirun_keep_what_differs(runs, names):
    assert [folders.slug(overrides) for overrides in folders.shorten_overrides(runs)] == names


def test_runs_of_one_second_get_folders_of_their_own():
    made = [run("hydra.output_subdir=null")[0][1] for _ in range(3)]
    assert len(set(made)) == 3


def _new(barrier, path):
    barrier.wait()
    return str(folders._make_numbered(Path(path)))


def test_concurrent_runs_never_share_a_folder(tmp_path):
    context = multiprocessing.get_context("fork")
    queue, barrier = context.Queue(), context.Barrier(8)
    workers = [
        context.Process(target=lambda: queue.put(_new(barrier, tmp_path / "a" / "run"))) for _ in range(8)
    ]
    for worker in workers:
        worker.start()
    made = [queue.get(timeout=30) for _ in workers]
    for worker in workers:
        worker.join()
    expected = {str(tmp_path / "a" / f"run{suffix}") for suffix in ["", *(f"-{n}" for n in range(2, 9))]}
    assert set(made) == expected


def test_an_exact_folder_is_used_and_never_twice(capsys):
    ((_, folder, _, command),) = run("hydra.run.dir=here/it is", "seed=2")
    assert folder == Path("here/it is") and command == "nnlab train seed=2"
    assert "'here/it is' holds a run already" in refused(capsys, "hydra.run.dir=here/it is")
    Path("empty").mkdir()
    assert run("hydra.run.dir=empty")[0][1] == Path("empty")


def test_folder_that_cannot_be_made(capsys):
    Path("file").touch()
    assert "cannot make the run folder 'file/x'" in refused(capsys, "hydra.run.dir=file/x")
    assert "cannot make the run folder 'file'" in refused(capsys, "hydra.run.dir=file")


def test_without_hydra_subfolder():
    ((_, folder, _, _),) = run("hydra.output_subdir=null")
    assert list(folder.iterdir()) == []


# -m


def test_multirun_cells():
    seen, before = [], HydraConfig.instance().cfg

    def execute(run):
        config = HydraConfig.get()
        seen.append((run.folder, run.settings, run.command))
        assert config.job.num == len(seen) - 1
        assert config.runtime.output_dir == str(run.folder.resolve()) and (run.folder / ".hydra").is_dir()

    argv = ["-m", "optimizer=sgd,adam", "model.hidden=[8],[16,8]", "epochs=2"]
    assert exit_code(argv, execute=execute) == 0
    assert len({folder.parent for folder, _, _ in seen}) == 1
    assert seen[0][0].parent.name.endswith("_multirun")
    assert [folder.name for folder, _, _ in seen] == [
        "0_optimizer=sgd,model.hidden=8",
        "1_optimizer=sgd,model.hidden=16,8",
        "2_optimizer=adam,model.hidden=8",
        "3_optimizer=adam,model.hidden=16,8",
    ]
    assert seen[1][2] == "nnlab train optimizer=sgd 'model.hidden=[16,8]' epochs=2"
    assert seen[3][1]["optimizer"]["name"] == "adam" and seen[3][1]["model"]["hidden"] == [16, 8]
    assert HydraConfig.instance().cfg is before


def test_multirun_of_groups_ranges_globs_and_lists():
    names = [settings["optimizer"]["name"] for _, _, settings, _ in run("-m", "optimizer=glob(*d*)")]
    assert {"adam", "sgd"} <= set(names)
    assert [s["epochs"] for _, _, s, _ in run("-m", "epochs=range(1,4)")] == [1, 2, 3]
    cells = run("-m", "regularizer=[l2],[l2,dropout]")
    assert [s["regularizer"]["dropout"] > 0 for _, _, s, _ in cells] == [False, True]


def test_multirun_cells_agree_on_the_time():
    first, second = (s["metric"] for _, _, s, _ in run("-m", "seed=1,2", "metric=${now:%f}"))
    assert first == second


def test_multirun_folders_of_the_users_own():
    cells = run("-m", "seed=1,2", "hydra.sweep.dir=all", "hydra.sweep.subdir=cell${hydra.job.num}")
    assert [folder for _, folder, _, _ in cells] == [Path("all/cell0"), Path("all/cell1")]


def test_all_cells_are_checked_before_any_folder_exists(capsys):
    def prepare(settings):
        if settings["epochs"] == 3:
            raise UserError("epochs = 3: too many")

    assert "epochs = 3" in refused(capsys, "-m", "epochs=1,2,3", prepare=prepare)
    assert "beta1" in refused(capsys, "-m", "optimizer=adam,sgd", "optimizer.beta1=0.5")


# Wrong input: one sentence, exit code 2, nothing left behind

WRONG = [
    (["optimizer=adm"], ["unknown optimizer 'adm'", "did you mean 'adam'"]),
    (["optimizer=[sgd,adam]"], ["optimizer=[sgd,adam]", "one of adadelta, adagrad, adam,", "-m"]),
    (["optimizer=null"], ["optimizer=null", "one of adadelta, adagrad, adam,"]),
    (["optimizer="], ["optimizer=", "one of adadelta, adagrad, adam,"]),
    (["optimizer=5"], ["optimizer=5", "one of adadelta, adagrad, adam,"]),
    (["optimizer={name:adam}"], ["one of adadelta, adagrad, adam,"]),
    (["optimizer=../data/digits"], ["unknown optimizer '../data/digits'", "adam"]),
    (["regularizer=[l2,dropot]"], ["unknown regularizer 'dropot'", "did you mean 'dropout'"]),
    (["optimzer=adam"], ["unknown key 'optimzer'", "did you mean 'optimizer'"]),
    (["optimizer.lrr=1"], ["unknown key 'optimizer.lrr'", "did you mean 'optimizer.lr'"]),
    (["lr=1"], ["unknown key 'lr'", "'optimizer.lr'"]),
    (["epochs.x=1"], ["unknown key 'epochs.x'", "'epochs'"]),
    (["model=linear", "model.hidden=[3]"], ["'model.hidden' of model=linear", "no keys"]),
    (["+foo=1"], ["unknown key 'foo'", "epochs"]),
    (["++optimizer.foo=1"], ["unknown key 'optimizer.foo'", "optimizer.lr"]),
    (["nothing/here=1"], ["unknown key 'nothing/here'"]),
    (["~optimizer"], ["~optimizer", "nothing can be taken away"]),
    (["optimizer@x=sgd"], ["optimizer@x=sgd", "'@'"]),
    (["=3"], ["=3"]),
    ([""], ["'' is not KEY=VALUE, such as epochs=20"]),
    (["epochs"], ["'epochs' is not KEY=VALUE"]),
    (["model.hidden=[64,"], ["cannot read 'model.hidden=[64,'", "bracket"]),
    (["epochs=f(1)"], ["epochs=f(1)", "Unknown function 'f'"]),
    (["seed=${nope}"], ["seed=${nope}", "no key is called 'nope'"]),
    (["seed=${epoch}"], ["no key is called 'epoch'", "did you mean 'epochs'"]),
    (["seed=${seed}"], ["seed=${seed}", "Recursive"]),
    (["seed=???"], ["seed has no value yet"]),
    (["seed=1,2"], ["seed=1,2", "add -m"]),
    (["-m", "seed=interval(1,2)"], ["seed=interval(1,2)", "a,b,c"]),
    (["-m", "seed=range(2,1)"], ["seed=range(2,1) has no value"]),
    (["-m", "optimizer=glob(x*)"], ["matches none of adadelta, adagrad, adam,"]),
    (["-m", "optimizer=sgd,adm"], ["unknown optimizer 'adm'"]),
    (["--epochs=5"], ["--epochs=5", "KEY=VALUE"]),
    (["--cfg", "jobs"], ["'jobs'", "'job'"]),
    (["--resolve"], ["--cfg"]),
    (["-cd", "missing"], ["--config-dir missing"]),
    (["-cn", "trian"], ["--config-name trian", "did you mean 'train'"]),
    (["-cp", "x"], ["--config-path", "-cd"]),
    (["--experimental-rerun", "x"], ["--experimental-rerun", "unpickles"]),
    (["hydra/launcher=joblib"], ["does not use Hydra launchers"]),
    (["hydra.launcher._target_=x"], ["does not use Hydra launchers"]),
    (["+hydra.callbacks.x._target_=os.abort"], ["never runs Hydra callbacks"]),
    (["hydra.searchpath=[pkg://this]"], ["-cd FOLDER"]),
    (["hydra.job.chdir=true"], ["hydra.job.chdir=true", "hydra.run.dir"]),
    (["hydra.run.dir=${nope}"], ["hydra.run.dir", "'nope'"]),
    (["hydra.run.dir=[1]"], ["hydra.run.dir=[1]"]),
    (["hydra.output_subdir=???"], ["hydra.output_subdir"]),
    (["k" * 300 + "=1"], ["unknown key"]),
]


@pytest.mark.parametrize(("argv", "phrases"), WRONG, ids=[" ".join(argv)[:40] for argv, _ in WRONG])
def test_wrong_input(capsys, argv, phrases):
    message = refused(capsys, *argv)
    assert [phrase for phrase in phrases if phrase not in message] == [], message


@pytest.mark.parametrize(
    ("argv", "phrases"),
    [
        (["--cfg", "job", "optimizer=adm"], ["unknown optimizer 'adm'", "'adam'"]),
        (["--cfg", "job", "optimizer.lrr=1"], ["unknown key 'optimizer.lrr'", "'optimizer.lr'"]),
        (["--cfg", "job", "optimizer=[sgd,adam]"], ["not a list"]),
        (["--cfg", "job", "+foo=1"], ["unknown key 'foo'"]),
        (["--cfg", "job", "-p", "nope"], ["package 'nope' not found"]),
        (["--cfg", "job", "-m"], ["Only one of"]),
        (["--help", "lr=1"], ["unknown key 'lr'"]),
        (["--info", "defaults", "optimizer=adm"], ["unknown optimizer 'adm'"]),
        (["-sc", "install=bash"], ["before the command", "nnlab -sc install=bash"]),
    ],
)
def test_wrong_input_to_hydras_own_commands(capsys, argv, phrases):
    message = refused(capsys, *argv)
    assert [phrase for phrase in phrases if phrase not in message] == [], message


def test_wrong_values_come_from_prepare(capsys):
    def prepare(settings):
        raise UserError(f"epochs = {settings['epochs']}: expected\na whole number")

    message = refused(capsys, "epochs=-1", prepare=prepare)
    assert message == "epochs = -1: expected a whole number"


def test_traceback_on_request(capsys, monkeypatch):
    monkeypatch.setenv("NNLAB_TRACEBACK", "1")
    run("optimizer.lrr=1", code=2)
    err = capsys.readouterr().err
    assert "Traceback" in err and "ConfigAttributeError" in err
    assert err.splitlines()[-1].startswith("nnlab train: unknown key")


def test_a_bug_is_not_taken_for_wrong_input():
    with pytest.raises(KeyError):
        exit_code([], prepare=lambda settings: settings["nope"])
    with pytest.raises(ValueError, match="bug"):
        exit_code([], execute=lambda run: int("bug"))


def test_interrupted(capsys):
    def execute(*_):
        raise KeyboardInterrupt

    assert exit_code([], execute=execute) == 130
    assert capsys.readouterr().err == "nnlab train: interrupted\n"


# Hydra's own commands


def test_help_is_there_and_writes_nothing(capsys):
    run("--help")
    stdout = capsys.readouterr().out
    assert stdout.startswith("nnlab train: ") and "Usage: nnlab train" in stdout and "hydra.run.dir" in stdout
    assert list(Path.cwd().iterdir()) == []


def test_cfg_shows_what_would_run(capsys):
    run("--cfg", "job", "--resolve", "optimizer=sgd", "seed=4")
    shown = yaml.safe_load(capsys.readouterr().out)
    ((_, _, settings, _),) = run("optimizer=sgd", "seed=4")
    assert shown == settings
    run("-c", "job", "-p", "optimizer", "optimizer=sgd")
    assert "name: sgd" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("argv", "phrase"),
    [
        (["--info", "defaults-tree"], "optimizer: adam"),
        (["--info", "searchpath"], str(CONFIG_DIR)),
        (["--hydra-help"], 'eval "$(nnlab -sc install=bash)"'),
        (["--cfg", "hydra"], "dir: outputs/train/"),
    ],
)
def test_hydras_own_commands(argv, phrase):
    process = subprocess.run(
        [sys.executable, "-c", "import sys; from nnlab.commands import hydra_entry as f;"
         "sys.exit(f.run('train', sys.argv[1:], None))", *argv],
        capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(CONFIG_DIR.parent)},
    )  # fmt: skip
    assert process.returncode == 0 and phrase in process.stdout and process.stderr == ""


# Folders of configurations of the user's own


@pytest.fixture
def user_folder(elsewhere, monkeypatch):
    files = {
        "optimizer/fast.yaml": "name: sgd\nlr: 0.7\n",
        "optimizer/latin.yaml": "caf\udce9: 1\n",
        "experiment/both.yaml": "# @package _global_\ndefaults:\n"
        "  - override /regularizer: [l2, dropout]\n  - override /optimizer: sgd\nepochs: 7\n",
        "experiment/list.yaml": "# @package _global_\ndefaults: [{override /optimizer: [sgd, adam]}]\n",
        "experiment/typo.yaml": "# @package _global_\ndefaults: [{override /optimizer: adm}]\n",
        "experiment/broken.yaml": "a: [1,\nb: 2\n",
        "experiment/callback.yaml": "# @package _global_\n"
        "hydra: {callbacks: {x: {_target_: pathlib.Path.touch, self: pwned}}}\n",
        "experiment/handler.yaml": "# @package _global_\nhydra: {hydra_logging: {version: 1, handlers: "
        "{h: {(): logging.FileHandler, filename: pwned}}, root: {handlers: [h]}}}\n",
        "experiment/sweeps.yaml": "# @package _global_\n"
        "hydra: {mode: MULTIRUN, sweeper: {params: {seed: '1,2'}}}\n",
        "experiment/chooses.yaml": "# @package _global_\ndefaults: [{/own_group: long}]\n",
        "own_group/short.yaml": "# @package _global_\nepochs: 1\n",
        "own_group/long.yaml": "# @package _global_\nepochs: 99\n",
        "experiment/deep/one.yaml": "# @package _global_\nepochs: 9\n",
        "own.yaml": "defaults: [train, _self_]\nhydra: {searchpath: ['pkg://pwned_package']}\nepochs: 4\n",
    }
    for name, text in files.items():
        file = elsewhere / "my conf,s" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(text.encode("utf-8", "surrogateescape"))
    (elsewhere / "pwned_package").mkdir()
    (elsewhere / "pwned_package" / "__init__.py").touch()
    monkeypatch.syspath_prepend(elsewhere)
    return "my conf,s"


def test_a_folder_of_ones_own(user_folder):
    ((_, _, settings, command),) = run("-cd", user_folder, "optimizer=fast")
    assert settings["optimizer"] == {"name": "sgd", "lr": 0.7}
    assert command == f"nnlab train -cd '{user_folder}' optimizer=fast"
    ((_, folder, settings, _),) = run("-cd", user_folder, "+experiment=both", "epochs=8")
    assert settings["epochs"] == 8 and settings["optimizer"]["name"] == "sgd"
    assert settings["regularizer"]["dropout"] > 0 and folder.name.endswith("_experiment=both,epochs=8")
    assert run("-cd", user_folder, "+experiment=deep/one")[0][2]["epochs"] == 9
    assert len(run("-cd", user_folder, "-m", "optimizer=glob(fas*)")) == 1


def test_a_primary_configuration_of_ones_own(user_folder, capsys):
    ((_, _, settings, command),) = run("-cd", user_folder, "-cn", "own", "seed=1")
    assert settings["epochs"] == 4 and settings["optimizer"]["name"] == "adam"
    assert command == f"nnlab train -cd '{user_folder}' -cn own seed=1"
    run("-cd", user_folder, "-cn", "own", "--cfg", "job", "-p", "epochs")
    assert capsys.readouterr().out.strip() == "4"


@pytest.mark.parametrize(
    ("line", "phrases"),
    [
        ("+experiment=list", ["optimizer takes one of adadelta,", "not a list"]),
        ("+experiment=typo", ["optimizer/adm", "did you mean 'adam'"]),
        ("+experiment=broken", ["broken.yaml", "line 1"]),
        ("+experiment=callback", ["hydra.callbacks is not empty"]),
        ("+experiment=bth", ["unknown experiment 'bth'; did you mean 'both'?"]),
        ("experiment=bth", ["unknown experiment 'bth'; did you mean 'both'?"]),
        ("experiment=[both,typo]", ["experiment takes one of both,", "not a list"]),
        ("experiment=deep/on", ["unknown experiment 'deep/on'; did you mean 'deep/one'?"]),
        ("optimizer=latin", ["UTF-8"]),
    ],
)
def test_wrong_files(capsys, user_folder, line, phrases):
    message = refused(capsys, "-cd", user_folder, line)
    assert [phrase for phrase in phrases if phrase not in message] == [], message


def test_a_strangers_file_runs_nothing(capsys, user_folder):
    for flags, experiment in (("", "handler"), ("--help", "handler"), ("-m", "callback")):
        exit_code(["-cd", user_folder, *flags.split(), f"+experiment={experiment}"], execute=Calls())
    exit_code(["-cd", user_folder, "-cn", "own", "--help"], execute=Calls())
    assert not Path("pwned").exists() and "pwned_package" not in sys.modules


def test_checked_lines_are_those_of_the_command_line():
    line, _ = parse_command_line("train", ["-m", "+epochs=3", "seed=1,2"])
    assert composing.checked_overrides(line) == ["epochs=3", "seed=1,2"]

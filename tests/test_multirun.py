"""`nnlab train -m`: its runs share stacks, and each folder has the bits of the run by itself."""

import contextlib
import io
import json
import re
import shlex
from pathlib import Path

import pytest
from searches import json_lines, train

from nnlab.cli import main
from nnlab.training.fit import Fit

USUAL = ["data=iris", "epochs=3", "model.hidden=[8]", "picture=false"]
CASES = {  # what is common, what differs, how many stacks there are
    "columns": (["picture=true"], ["optimizer.lr=0.1,0.01", "regularizer.dropout=0,0.3"], 1),
    "structures": (["regularizer.dropout=0.2"], ["model.hidden=[4],[6,5]", "optimizer=sgd,adam"], 4),
    "seeds": (["seeds=2"], ["seed=0,5", "optimizer.lr=0.1,0.01"], 1),
    "folds": (["split=kfold", "split.k=3"], ["optimizer.lr=0.1,0.01"], 1),
    "splits": ([], ["split.seed=0,1", "epochs=2,4"], 2),
    "data": ([], ["data=iris,wine"], 2),
    "refit": (["refit=true"], ["optimizer.lr=0.1,0.01", "seeds=1,2"], 1),
    "some refit": ([], ["refit=true,false"], 1),
    "stopping": (["stopping=patience", "epochs=12"], ["stopping.patience=1,3", "optimizer.lr=0.3,0.01"], 1),
    "histograms": (["histograms=1"], ["optimizer.lr=0.1,0.01"], 1),
    "diverging": (
        ["data=diabetes", "model=linear", "optimizer=sgd"], ["optimizer.lr=1e30,0.01,1e20", "seeds=2"], 1,
    ),
}  # fmt: skip


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def multirun(*overrides, code=0) -> tuple[list[Path], str]:
    """The folders of the runs, in their order; what was printed."""
    with contextlib.redirect_stdout(io.StringIO()) as stdout, contextlib.redirect_stderr(stdout):
        exit_code = main(
            ["train", "-m", *overrides, "hydra.sweep.dir=m", "hydra.sweep.subdir=${hydra:job.num}"]
        )
    assert exit_code == code, stdout.getvalue()
    return sorted(Path("m").glob("[0-9]*"), key=lambda folder: int(folder.name)), stdout.getvalue()


@pytest.fixture
def made(monkeypatch) -> list[list[int]]:
    """The sizes of the stacks of every fit that begins."""
    made_stacks, original = [], Fit.stacks

    def watched(fit, rows=None):
        stacks = original(fit, rows)
        if rows is fit.rows:
            made_stacks.append([len(stack) for stack in stacks])
        return stacks

    monkeypatch.setattr(Fit, "stacks", watched)
    return made_stacks


@pytest.mark.parametrize("case", CASES)
def test_runs_share_stacks_and_each_is_what_it_is_alone_bit_for_bit(case, tmp_path, made):
    common, differs, stacks = CASES[case]
    given = {word.split("=")[0] for word in [*common, *differs]} | (
        {"model.hidden"} if "model=linear" in common else set()
    )
    usual = [word for word in USUAL if word.split("=")[0] not in given]
    folders, stdout = multirun(*usual, *common, *differs, code=int(case == "diverging"))
    rows = sum(len(json.loads((f / "rows.json").read_text())) for f in folders)
    assert len(folders) > 1 and len(made) == 1  # one fit for all of them
    assert len(made[0]) == stacks and sum(made[0]) == rows
    assert f"{len(folders)} runs: {rows} rows in {stacks} stack" in stdout
    for folder in folders:
        alone = train((folder / "command.txt").read_text(), tmp_path / "alone" / folder.name)
        for name in ("metrics.jsonl", "model.safetensors", "rows.json", "summary.json", "config.yaml"):
            assert (folder / name).read_bytes() == (alone / name).read_bytes(), (folder, name)
        names = [{p.name.split(".")[0] for p in f.iterdir()} for f in (folder, alone)]
        assert names[0] == names[1]


def test_a_diverging_run_says_so_and_leaves_its_neighbours_alone():
    folders, stdout = multirun(
        "data=diabetes", "model=linear", "optimizer=sgd", "epochs=3", "optimizer.lr=1e30,0.01", code=1
    )
    summaries = [json.loads((f / "summary.json").read_text())["rows"] for f in folders]
    assert [s["diverged"] for s in summaries] == [1, 0] and summaries[1]["finished"] == 1
    assert len(json_lines(folders[1] / "metrics.jsonl")) == 3


# ---- experiments that sweep by themselves


def words_of(folders) -> list[tuple[str, ...]]:
    """What each run's line says of the keys in question."""
    keys = ("experiment", "optimizer", "optimizer.lr", "init", "seed", "mine", "batch_size")
    lines = [shlex.split((folder / "command.txt").read_text()) for folder in folders]
    return [tuple(w for w in line if w.partition("=")[0].lstrip("+") in keys) for line in lines]


SEVEN = ("sgd", "momentum", "nesterov", "adagrad", "adadelta", "rmsprop", "adam")
FAST = ("seeds=1", "epochs=1", "data=iris", "model.hidden=[4]", "picture=false")
OPTIMIZERS, TWO, INIT = "experiment=lecture/optimizers", "experiment=two", "experiment=inits"
SWEPT = {  # the command line, and what the runs are
    "one of the lecture": ([OPTIMIZERS], [(OPTIMIZERS, f"optimizer={o}") for o in SEVEN]),
    "two": (
        ["experiment=two,inits"],
        [(TWO, "optimizer=sgd"), (TWO, "optimizer=adam"), (INIT, "init=zeros"), (INIT, "init=normal")],
    ),
    "and one that does not": (
        ["experiment=lecture/mlp,inits"],
        [("experiment=lecture/mlp",), *((INIT, f"init={i}") for i in ("zeros", "normal"))],
    ),
    "and the command line": (
        [TWO, "optimizer.lr=0.1,0.01"],
        [(TWO, f"optimizer.lr={lr}", f"optimizer={o}") for lr in (0.1, 0.01) for o in ("sgd", "adam")],
    ),
    "a key of both": (
        [OPTIMIZERS, "optimizer=sgd,adam"], [(OPTIMIZERS, f"optimizer={o}") for o in ("sgd", "adam")],
    ),
    "a key of both, once": ([OPTIMIZERS, "optimizer=sgd"], [(OPTIMIZERS, "optimizer=sgd")]),
    "a key of one": (
        ["experiment=two,inits", "init=normal"],
        [(TWO, "init=normal", f"optimizer={o}") for o in ("sgd", "adam")] + [(INIT, "init=normal")],
    ),
    "a pattern": (["experiment=glob(tw*)"], [(TWO, f"optimizer={o}") for o in ("sgd", "adam")]),
    "your own": (
        ["experiment=own,lecture/mlp"],
        [("experiment=own", f"seed={s}", f"batch_size={b}") for s in (1, 2) for b in (8, 16)]
        + [("experiment=lecture/mlp",)],
    ),
    "a group of your own": (
        ["+mine=rates"], [("+mine=rates", f"optimizer.lr={lr}") for lr in (0.1, 0.2, 0.3)],
    ),
}  # fmt: skip


@pytest.fixture
def user_folder(tmp_path) -> Path:
    """A folder for -cd, with files that sweep."""
    head = "# @package _global_\nhydra:\n  mode: MULTIRUN\n  sweeper:\n    params:\n"
    swept = {
        "experiment/own": "      seed: 1,2\n      batch_size: 8,16\n",
        "experiment/two": "      optimizer: sgd,adam\n",
        "experiment/inits": "      init: zeros,normal\n",
        "mine/rates": "      optimizer.lr: 0.1,0.2,0.3\n",
    }
    for name, params in swept.items():
        file = tmp_path / "mine" / f"{name}.yaml"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(head + params)
    return tmp_path / "mine"


@pytest.mark.parametrize("case", SWEPT)
def test_files_that_sweep_by_themselves_are_run_one_by_one(case, user_folder):
    overrides, expected = SWEPT[case]
    folders, _ = multirun(
        "-cd", str(user_folder), *overrides, *FAST[2 if case == "a key of both, once" else 0 :]
    )
    assert words_of(folders) == expected


def test_several_experiments_without_m_are_refused_as_ever(capsys):
    overrides = ["train", "experiment=lecture/optimizers,lecture/initialization"]
    assert main(overrides) == 2 and "add -m to run each" in capsys.readouterr().err
    assert main(["train", "experiment=lecture/mlp", "seed=1,2"]) == 2
    assert "add -m to run each" in capsys.readouterr().err


@pytest.mark.filterwarnings("always::nnlab.errors.Advice")
@pytest.mark.parametrize("overrides, searched", [
    ([OPTIMIZERS], {"optimizer": ", ".join(SEVEN)}),
    ([OPTIMIZERS, "optimizer=sgd,adam"], {"optimizer": "sgd, adam"}),
    ([OPTIMIZERS, "optimizer=sgd", "optimizer.lr=0.1,0.2"], {"optimizer.lr": "0.1, 0.2"}),
    (["experiment=own"], {"seed": "1, 2", "batch_size": "8, 16"}),
    (["experiment=lecture/mlp,lecture/mlp_dropout"], {"experiment": "lecture/mlp, lecture/mlp_dropout"}),
])  # fmt: skip
def test_nnlab_sweep_searches_what_an_experiment_sweeps(overrides, searched, user_folder, capsys):
    assert main(["sweep", "-cd", str(user_folder), *overrides, *FAST, "plan=true"]) == 0
    shown = [line.split(None, 1) for line in capsys.readouterr().out.splitlines()[1 : 1 + len(searched)]]
    assert {key: values.strip() for key, values in shown} == searched


def test_nnlab_sweep_takes_one_such_experiment_at_a_time(capsys):
    both = "experiment=lecture/mlp,lecture/optimizers"
    assert main(["sweep", both, *FAST]) == 2
    stderr = capsys.readouterr().err
    assert f"{OPTIMIZERS} sweeps by itself, optimizer=sgd,momentum" in stderr and f"train -m {both}" in stderr
    assert stderr.count("\n") == 1
    assert main(["sweep", both, "optimizer=sgd", *FAST, "plan=true"]) == 0


DOUBTS = {  # what is searched, and what stands below the table; nothing where runs may be ranked
    "data=moons data.noise=0.1,0.4": "data.noise: runs on different data, so their order does not say which",
    "data=moons data.seed=0,1": "data.seed: runs have other validation examples, so their order is luck",
    "data=iris split.test=0.2,0.4": "split.test: runs have other validation examples, so their order is",
    "data=iris split=holdout,kfold": "split: runs have other validation examples, so their order is partly",
    "data=iris split.k=3,5 split=kfold": "split.k: runs have other validation examples",
    "data=iris,wine split.test=0.2,0.4": "split.test: runs have other validation examples",
    "data=iris data.label_noise=0,0.3": "data.label_noise: runs have other validation examples",
    "data=iris split.test=0.2,0.4 split.seed=0,1": "split.test: runs have other validation examples, so",
    "data=iris metric=last split=none,holdout": "split: runs have other training examples",
    "data=iris split.seed=0,1 seed=0,1": "only seed and split.seed differ: the order is luck",
    "data=iris split.seed=0,1": "only split.seed differs: the order is luck",
    "data=iris data.seed=0,1": "",
    "data=iris,wine": "",
    "data=diabetes data.target_normalization=standard,none": "",
    "data=iris optimizer.lr=0.1,0.01": "",
}


@pytest.mark.parametrize("overrides", DOUBTS)
def test_the_order_of_runs_on_other_examples_is_doubted(overrides):
    _, stdout = multirun("epochs=1", "model.hidden=[4]", "picture=false", *overrides.split())
    below = " ".join(stdout.partition("the best first")[2].split())
    assert DOUBTS[overrides] in below if DOUBTS[overrides] else not re.search("runs have|runs on|luck", below)


@pytest.mark.parametrize("overrides", [[OPTIMIZERS, "optimizer=sgd,adam"], ["-m", "optimizer.lr=0.1,0.01"]])
def test_several_runs_go_where_one_was_asked_to_go(overrides, capsys):
    """Whether an experiment is several runs is its file's to say; and what is asked for is done."""
    assert main(["train", *overrides, "data=iris", "epochs=1", "hydra.run.dir=mine"]) == 0
    assert Path("mine/comparison.json").is_file() and len([*Path("mine").glob("*/summary.json")]) > 1
    assert [path.name for path in Path().iterdir()] == ["mine"]
    assert main(["train", *overrides, "data=iris", "epochs=1", "hydra.run.dir=mine"]) == 2  # not empty
    assert "'mine'" in capsys.readouterr().err
    given = ["hydra.run.dir=one", "hydra.sweep.dir=two"]
    assert main(["train", "-m", "optimizer.lr=0.1,0.01", "data=iris", "epochs=1", *given]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert [path.name for path in Path().iterdir()] == ["mine"]

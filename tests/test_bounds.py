"""Extreme values of every key of every choice: each is accepted, or refused in one sentence."""

import math
from dataclasses import fields

import pytest
from fuzzing import EXTREMES, parts

from nnlab.allowed import MAX_ROWS
from nnlab.cli import main
from nnlab.commands.hydra_overrides import MAX_RUNS
from nnlab.commands.quoting import to_hydra_spelling
from nnlab.errors import UserError
from nnlab.hyperparameters import kind

TINY = ("data=iris", "epochs=1", "model.hidden=[4]")
KEYS = [(cls, f) for cls in parts() for f in fields(cls) if kind(f) != "part"]
NAMES = [f"{cls.__name__}.{f.name}" for cls, f in KEYS]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("cls, f", KEYS, ids=NAMES)
def test_every_key_takes_an_extreme_value_or_says_in_a_sentence_what_it_takes(cls, f):
    for value in EXTREMES:
        try:
            cls(**{f.name: value})
        except UserError as e:
            assert f.name in str(e) and len(str(e)) < 500, (value, str(e))


COLUMNS = ("target", "group", "time", "weight", "part")  # a column has a name, or a number
WHOLE = {name: key for name, key in zip(NAMES, KEYS, strict=True) if "int" in str(key[1].type)}


@pytest.mark.parametrize("cls, f", WHOLE.values(), ids=WHOLE)
def test_every_whole_number_has_an_upper_end(cls, f):
    assert math.isfinite(f.metadata["allowed"].high) or f.name in COLUMNS


@pytest.mark.parametrize(
    "overrides, phrases",
    [
        (["seeds=100000000"], ["seeds", "100,000"]),
        (["seeds=1000", "split.repeats=1000"], ["1,000,000 rows", f"{MAX_ROWS:,}"]),
        (["split.repeats=1000000000"], ["split.repeats", "1,000"]),
        (["split=kfold", "split.k=1000000000"], ["split.k", "rows"]),
        (["-m", "seed=range(0,100000000)"], ["100,000,000 runs", f"{MAX_RUNS:,}"]),
        (["-m", "seed=range(0,100)", "split.seed=range(0,100)", "init.gain=1,2"], ["20,000 runs"]),
        (["-m", "seed=shuffle(range(0,100000000))"], ["100,000,000 runs"]),
        (["-m", "seed=range(0,1,1e-300)"], ["more than 10^12 runs"]),
        (["-m", "seed=range(0,inf)"], ["three finite numbers"]),
        (["epochs=" + "9" * 400], ["epochs", "10,000,000"]),
        (["epochs=" + "9" * 5000], ["epochs"]),
        (["model.hidden=" + "[" * 400 + "4" + "]" * 400], ["brackets"]),
        (["model.hidden=[" + "4," * 2000 + "4]"], ["model.hidden", "2,001"]),
        (["data=noise", "data.n=10000000", "data.d=1000000"], ["data.n", "data.d", "numbers"]),
        (["optimizer.lr=5e-324"], ["optimizer.lr", "above 0"]),
        (["optimizer.lr=.nan"], ["optimizer.lr", "nan"]),
        (["optimizer.lr=.inf"], ["optimizer.lr", "inf"]),
        (["optimizer.clip_norm=-.inf"], ["optimizer.clip_norm = -inf"]),
        (["epochs=1e400"], ["epochs = inf (as any number beyond 1.8e+308 is read)"]),
        (["optimizer.lr=1e-320"], ["optimizer.lr = 1e-320 (below 2.2e-308, ", "counts as 0"]),
    ],
    ids=lambda x: " ".join(x)[:50],
)
def test_what_nobody_can_wait_for_is_refused_at_once(capsys, tmp_path, overrides, phrases):
    assert main(["train", *TINY, *overrides]) == 2
    stderr = capsys.readouterr().err
    assert stderr.count("\n") == 1 and all(phrase in stderr for phrase in phrases), stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "overrides, phrase",
    [
        (["epochs=1000000000"], "epochs"),
        (["sampler=grid", "sampler.points=1000000000"], "sampler.points"),
        (["sampler=grid", "optimizer.lr=tag(points1000000000,interval(0.1,1))"], "1000000000 points"),
        (["seed=(", "--cfg", "job"], "seed=("),
        (["picture=range(1,4)"], "write one value"),
        (["optimizer.lr=interval(0.1,.inf)"], "no finite ends"),
        (["optimizer.lr=range(1,.inf)"], "three finite numbers"),
    ],
    ids=lambda x: " ".join(x)[:50],
)
def test_of_a_sweep_too(capsys, tmp_path, overrides, phrase):
    assert main(["sweep", *TINY, *overrides]) == 2
    stderr = capsys.readouterr().err
    assert stderr.count("\n") == 1 and phrase in stderr, stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "name", ["config.yaml", "model.safetensors", ".reserved", "study.journal", "best", "trials"]
)
def test_hydras_own_folder_is_not_called_as_a_file_of_the_run(capsys, tmp_path, name):
    for command in (["train"], ["sweep", "trials=2"], ["check", "only=start"]):
        assert main([*command, *TINY, f"hydra.output_subdir={name}"]) == 2
        stderr = capsys.readouterr().err
        assert stderr.count("\n") == 1 and "hydra.output_subdir" in stderr, stderr
    assert not list(tmp_path.iterdir())


def test_infinity_as_yaml_writes_it_is_infinity(capsys):
    grid = ("sampler=grid", "plan=true", "regularizer=max_norm", "regularizer.max_norm=.inf,2")
    assert main(["train", *TINY, "optimizer.clip_norm=.inf", "optimizer.clip_value=.Inf"]) == 0
    assert main(["train", *TINY, "-m", "optimizer.clip_norm=.INF,1"]) == 0
    assert main(["train", *TINY, "data.label_noise=5e-324"]) == 0
    assert main(["sweep", *TINY, *grid]) == 0
    assert "inf, 2" in capsys.readouterr().out


@pytest.mark.parametrize(
    "word, read",
    [
        ("a=.inf", "a=inf"),
        ("a=-.INF", "a=-inf"),
        ("a=+.Inf", "a=+inf"),
        ("a=[.inf,.nan]", "a=[inf,nan]"),
        ("a=choice(.inf,[-.inf,1])", "a=choice(inf,[-inf,1])"),
        ("a={b:.NaN}", "a={b:nan}"),
        ("a='.inf'", "a='.inf'"),
        ('a="x,.inf"', 'a="x,.inf"'),
        ("data.path=x.inf", "data.path=x.inf"),
        ("data.path=./.information", "data.path=./.information"),
    ],
)
def test_only_a_value_by_itself_is_infinity(word, read):
    assert to_hydra_spelling(word) == read

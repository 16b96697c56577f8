"""Console output fits 80 columns, whatever the keys are called, and commands can be copied from it."""

import re
import shlex
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nnlab.cli import main
from nnlab.records import comparison_table, run_summaries
from nnlab.records.text_columns import (
    CELL_CHARACTERS,
    LINE_WIDTH,
    command_lines,
    elide_middle,
    labelled_lines,
    short_names,
    table,
    wrap_line,
)

cell_texts = st.text(
    st.characters(categories=["L", "N"], include_characters="._=[]"), min_size=1, max_size=30
)


@given(st.lists(cell_texts, min_size=1, max_size=12), st.integers(1, 4), st.integers(0, 3))
def test_a_table_of_any_columns_fits_and_has_every_cell(heads, count, left_aligned):
    rows = [[f"{i}.{k}" for i in range(len(heads))] for k in range(count)]
    lines = table(heads, rows, left_aligned)
    assert max(map(len, lines)) <= LINE_WIDTH
    cells = " ".join(lines).split()
    assert all(cell in cells for row in rows for cell in row)


@given(st.text(max_size=200))
def test_a_shortened_text_has_its_beginning_and_its_end(text):
    short = elide_middle(text)
    assert len(short) == min(len(text), CELL_CHARACTERS) and (short == text) == (len(text) <= CELL_CHARACTERS)
    assert short[:18] == text[:18] and short[len(short) - 18 :] == text[-18:] or len(text) <= CELL_CHARACTERS


def test_keys_are_shortened_where_they_stay_apart():
    keys = ["optimizer.lr", "schedule.warmup", "a.seed", "b.seed", "batch_size"]
    assert short_names(keys) == ["lr", "warmup", "a.seed", "b.seed", "batch_size"]


@pytest.mark.parametrize("size", [5, 30, 60, 90, 200])
def test_what_is_labelled_stays_whole_or_is_broken_between_words(size):
    path = "x" * size
    lines = labelled_lines("run folder", path)
    assert path in [line.strip() for line in lines] or lines == [f"  run folder         {path}"]
    assert all(len(line) <= LINE_WIDTH or line == f"    {path}" for line in lines)
    sentence = labelled_lines("importance", "lr 80%, " * 20)
    assert max(map(len, sentence)) <= LINE_WIDTH and "  ".join(sentence).split() == [
        "importance",
        *["lr", "80%,"] * 20,
    ]
    assert all(line.startswith(" " * 21 + "lr") or line.startswith(" " * 21 + "80%") for line in sentence[1:])


@pytest.mark.parametrize("size", [5, 60, 76, 79, 90, 200])
def test_what_stands_below_its_label_is_indented(size):
    for lines in (
        labelled_lines("run folder", "x" * size),
        command_lines("its curves", f"nnlab board {'x' * size}"),
    ):
        assert lines[0].startswith("  ") and all(line.startswith("    ") for line in lines[1:])


@pytest.mark.parametrize("values", [1, 3, 12])
def test_a_command_that_was_copied_is_the_command(values):
    line = shlex.join(["nnlab", "train", *(f"model.hidden=[{n}, 'a b']" for n in range(values))])
    label, *lines = command_lines("to repeat it", line)
    assert all(len(text) <= LINE_WIDTH for text in lines)
    copied = "\n".join(lines) if lines else label.replace("to repeat it", "")
    echo = subprocess.run(
        ["bash", "-c", copied.replace("nnlab", "printf '%s\\n'", 1)], capture_output=True, text=True
    )
    assert echo.stdout.splitlines() == shlex.split(line)[1:]
    assert [part for text in lines for part in wrap_line(text)] == lines


RUNS = {
    "one key": {"optimizer.lr": ["0.1", "0.01"]},
    "three keys": {
        "optimizer": ["sgd", "momentum"], "batch_size": ["16", "full"], "model.activation": ["relu", "tanh"],
    },
    "a key of two groups": {"model.seed": ["1"], "data.seed": ["2", "3"], "regularizer.dropout": ["0.12345"]},
    "a long value": {"data.path": ["some/where/" * 8 + "a.csv", "some/where/" * 8 + "b.csv"]},
    "nine keys": {f"schedule.some_key_{n}": ["0.123456789", "2"] for n in range(9)},
}  # fmt: skip


@pytest.mark.parametrize("task", ["classification", "regression"])
@pytest.mark.parametrize("lost", [0, 3])
@pytest.mark.parametrize("case", RUNS)
def test_a_comparison_fits_and_shows_every_run(case, lost, task):
    """`-m` over three keys was wider than a terminal, and lines wrapped in the middle of numbers."""
    keys = RUNS[case]
    names = [" ".join(f"{k}={v[i % len(v)]}" for k, v in keys.items()) for i in range(2)]
    test = "test_accuracy" if task == "classification" else "test_rmse"
    interval = {"low": 100.0, "high": 190.0}
    metrics = {name: {"mean": 123.4567, **interval} for name in ("val_loss", "val_error", test)}
    summary = {"task": task, "rows": {"total": 10, "diverged": lost}, "metrics": metrics}
    lines = comparison_table.table(dict.fromkeys(names, summary))
    alone = "\n".join(lines)
    assert max(len(line) for line in lines if "some/where" not in line) <= LINE_WIDTH
    assert alone.count("3 of 10") == (2 if lost else 0) and alone.count("±") == 6
    values = {value for each in keys.values() for value in each[:2]}
    assert all(value in alone for value in values if len(value) < 30) and ("b.csv" in alone) == (
        case == "a long value"
    )


def test_brief_names_fit_a_line_of_progress():
    assert run_summaries.brief_names(["optimizer.lr=0.1 seed=1", "optimizer.lr=0.2"]) == [
        "lr=0.1 seed=1",
        "lr=0.2",
    ]
    long = "optimizer=momentum batch_size=16 model.activation=tanh"
    assert run_summaries.brief_names([long, long]) == ["momentum, 16, tanh"] * 2


GOLDEN = {
    "train": "train data=iris epochs=3",
    "train, rows": "train data=diabetes epochs=2 seeds=3 split=kfold split.k=3",
    "train, many settings": "train data=iris epochs=2 optimizer=momentum optimizer.lr=0.01234567 "
    "schedule=cosine regularizer.l2=0.0001234 regularizer.dropout=0.25",
    "train, diverged": "train data=iris epochs=3 optimizer=sgd optimizer.lr=1e20 init=glorot_normal seeds=2",
    "-m": "train -m data=iris epochs=2 optimizer=sgd,adam batch_size=16,full model.activation=relu,tanh",
    "-m, diverged": "train -m data=iris epochs=3 optimizer=sgd optimizer.lr=0.1,1e20 seeds=2",
    "sweep": "sweep data=iris epochs=2 trials=10 space=mlp_small report=false",
    "plan": "sweep space=mlp_small data=iris plan=true",
    "check": "check data=iris only=[data,start,gradients]",
}


@pytest.mark.parametrize("case", GOLDEN)
def test_no_line_of_a_command_is_wider_than_a_terminal(case, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(GOLDEN[case].split()) in (0, 1)
    stdout, stderr = capsys.readouterr()
    assert stdout and max(map(len, stdout.splitlines())) <= LINE_WIDTH, max(stdout.splitlines(), key=len)
    folder = re.search(r"outputs/\S+", stdout)
    assert (folder is None) == (case == "plan") and (case == "plan" or (tmp_path / folder[0]).is_dir())
    if "check" not in case and "plan" not in case:
        assert "nnlab board" in stdout and "tensorboard" not in stdout


def test_a_table_has_one_head_where_the_first_line_waits_for_other_stacks(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    overrides = ["data=iris", "model.hidden=[4]", "seeds=10", "split=kfold", "split.k=8", "epochs=10"]
    assert main(["train", *overrides, "threads=1"]) == 0
    assert capsys.readouterr().out.count("train loss") == 1

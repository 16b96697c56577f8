"""`nnlab train` through the real command line: golden curves, run folder, invalid input, start-up imports."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from processes import forked

ROOT = Path(__file__).parent.parent

GOLDEN = {  # overrides: validation loss of each epoch; rounding differs between machines, so 3e-4 of it
    ("epochs=4",): [0.81517, 0.382435, 0.251978, 0.190126],
    ("epochs=3", "optimizer=momentum", "model.hidden=[16,8]", "regularizer=dropout", "seed=3"):
        [1.68687, 0.962561, 0.669135],
}  # fmt: skip


def run_folder(cwd) -> Path:
    (folder,) = (cwd / "outputs" / "train").iterdir()
    return folder


def lines(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("overrides", GOLDEN, ids=" ".join)
def test_golden_curves(tmp_path, overrides):
    process = forked(tmp_path, "train", *overrides)
    assert process.returncode == 0, process.stderr
    losses = [line["val_loss"] for line in lines(run_folder(tmp_path))]
    assert losses == pytest.approx(GOLDEN[overrides], rel=3e-4)


def test_the_written_command_repeats_the_run(tmp_path):
    first, second = tmp_path / "a", tmp_path / "b"
    first.mkdir(), second.mkdir()
    assert forked(first, "train", "epochs=2", "model.hidden=[9]", "regularizer.dropout=0.3").returncode == 0
    command = (run_folder(first) / "command.txt").read_text()
    process = subprocess.run(
        command.replace("nnlab", f"{sys.executable} -m nnlab", 1), shell=True, cwd=second,
        env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True,
    )  # fmt: skip
    assert process.returncode == 0
    assert lines(run_folder(first)) == lines(run_folder(second))
    weights = [(run_folder(f) / "model.safetensors").read_bytes() for f in (first, second)]
    assert weights[0] == weights[1]


def test_seeds_and_folds(tmp_path):
    process = forked(tmp_path, "train", "seeds=2", "split=kfold", "split.k=3", "epochs=2", "model=logistic")
    assert process.returncode == 0, process.stderr
    summary = json.loads((run_folder(tmp_path) / "summary.json").read_text())
    assert summary["rows"]["finished"] == 6
    accuracy = summary["metrics"]["test_accuracy"]
    assert accuracy["n"] == 2 and accuracy["low"] <= accuracy["mean"] <= accuracy["high"]


def test_regression(tmp_path):
    process = forked(tmp_path, "train", "data=diabetes", "model=linear", "epochs=3")
    assert process.returncode == 0, process.stderr
    summary = json.loads((run_folder(tmp_path) / "summary.json").read_text())
    assert {"test_rmse", "test_mae", "test_r2"} <= set(summary["metrics"])


@pytest.mark.parametrize("largest, dtype, ok", [
    (1e30, "float32", True), (1e38, "float32", False), (1e38, "float64", True), (1e200, "float64", False),
])  # fmt: skip
@pytest.mark.parametrize("column", ["x", "y"])
def test_numbers_that_are_too_large_to_compute_with(
    largest, dtype, ok, column, tmp_path, monkeypatch, capsys
):
    from nnlab.cli import main

    monkeypatch.chdir(tmp_path)
    lines = [f"{i + largest * (i == 7) * (column == 'x')},{(2 * i + 0.5) * (largest / 60) ** (column == 'y')}"
             for i in range(30)]  # fmt: skip
    (tmp_path / "t.csv").write_text("\n".join(["x,y", *lines]))
    overrides = ["data=csv", "data.path=t.csv", "data.target=y", f"dtype={dtype}", "epochs=2"]
    assert main(["train", *overrides]) == (0 if ok else 2)
    stderr = capsys.readouterr().err
    assert ok or f"dtype={dtype} computes with numbers up to" in stderr and stderr.count("\n") == 1
    assert ("set dtype=float64" in stderr) == (largest == 1e38 and not ok)


WRONG = [  # overrides, what the sentence must say
    (["optimizer=adm"], ["adm", "adam"]),
    (["optimizr=adam"], ["optimizr", "optimizer"]),
    (["optimizer.lrr=0.1"], ["lrr", "lr"]),
    (["optimizer.lr=fast"], ["optimizer.lr", "'fast'", "a number above 0"]),
    (["optimizer.lr=-1"], ["optimizer.lr", "-1", "above 0"]),
    (["optimizer.lr=nan"], ["optimizer.lr", "nan"]),
    (["epochs=0"], ["epochs = 0", "at least 1"]),
    (["epochs=2.5"], ["epochs = 2.5", "whole number"]),
    (["batch_size=ful"], ["batch_size", "'ful'", "full"]),
    (["model.hidden=[64,-3]"], ["model.hidden", "-3"]),
    (["model.activation=rel"], ["model.activation", "relu"]),
    (["device=cuda"], ["device = 'cuda'", "no CUDA device", "cpu"]),
    (["device=gpu"], ["device = 'gpu'", "cpu"]),
    (["dtype=float16"], ["dtype", "float32"]),
    (["split.test=1.5"], ["split.test", "below 1"]),
    (["split.test=0.6", "split.validation=0.6"], ["split.validation", "nothing to train on"]),
    (["split=kfold", "split.k=5", "split.fold=5"], ["split.fold = 5", "0 to 4"]),
    (["data=diabetes", "loss=cross_entropy"], ["cross_entropy", "diabetes", "squared_error"]),
    (["data=diabetes", "model=logistic"], ["logistic", "diabetes"]),
    (["regularizer.dropout=1"], ["regularizer.dropout = 1", "below 1"]),
    (["seed=-1"], ["seed = -1"]),
]


@pytest.mark.parametrize("overrides, phrases", WRONG, ids=lambda v: " ".join(v))
def test_wrong_input_is_one_sentence_and_leaves_nothing(tmp_path, monkeypatch, capsys, overrides, phrases):
    from nnlab.cli import main

    monkeypatch.chdir(tmp_path)
    assert main(["train", *overrides]) == 2
    stderr = capsys.readouterr().err
    assert stderr.startswith("nnlab train: ") and stderr.count("\n") == 1
    assert "Traceback" not in stderr
    for word in phrases:
        assert word in stderr
    assert not list(tmp_path.iterdir())


def test_a_run_that_diverges_says_so_and_exits_with_1(tmp_path):
    process = forked(tmp_path, "train", "data=diabetes", "optimizer=sgd", "optimizer.lr=1e9", "epochs=9")
    assert process.returncode == 1, process.stdout + process.stderr
    assert "diverged" in process.stdout


def test_what_a_default_run_does_not_import(tmp_path):
    code = (
        "import sys; from nnlab.cli import main; main(['train', 'epochs=1']); "
        "heavy = 'sklearn', 'scipy', 'pandas', 'optuna', 'torch._dynamo', 'matplotlib', "
        "'tensorboard.summary.writer.event_file_writer'; print([m for m in heavy if m in sys.modules])"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    line = [sys.executable, "-c", code]
    process = subprocess.run(line, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert process.stdout.splitlines()[-1] == "[]", process.stdout + process.stderr

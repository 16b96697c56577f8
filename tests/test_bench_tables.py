"""The comparison on public tables, on the one that is always there: it gives scores, ranks and seconds."""

import importlib.util
import os
import sys
from pathlib import Path

import numpy as np
import pytest

SCRIPT = Path(__file__).parent.parent / "scripts" / "bench_tables.py"


@pytest.fixture
def bench(monkeypatch):
    threads = {
        name: os.environ.get(name) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    }
    cores = os.sched_getaffinity(0)
    spec = importlib.util.spec_from_file_location("bench_tables", SCRIPT)
    module = sys.modules["bench_tables"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module
    os.sched_setaffinity(0, cores)
    for name, value in threads.items():
        os.environ.pop(name) if value is None else os.environ.__setitem__(name, value)
    del sys.modules["bench_tables"]


def test_a_table_is_compared(bench, monkeypatch, capsys):
    words = "--tables breast_cancer --rows 150 --seeds 2 --rivals nnlab-mlp linear baseline"
    core = min(os.sched_getaffinity(0))
    monkeypatch.setattr("sys.argv", ["bench_tables.py", *words.split(), "--core", str(core)])
    bench.main()
    lines = [line for line in capsys.readouterr().out.splitlines() if line]
    assert lines[0] == "breast_cancer: 150 x 30, binary, 2 different targets"
    errors = {line.split()[0]: float(line.split()[2]) for line in lines[1:4]}
    assert errors["nnlab-mlp"] < 0.2 < errors["baseline"] and errors["linear"] < 0.2
    assert any(line.startswith("| nnlab-mlp | 10 |") for line in lines)  # 5 folds x 2 seeds


def test_each_example_is_tested_once_and_classes_are_spread(bench):
    y = bench.pd.Series(["a"] * 60 + ["b"] * 40)
    folds = bench.outer_folds(y)
    assert sorted(np.concatenate([fold.test for fold in folds])) == list(range(100))
    for fold in folds:
        parts = fold.train, fold.validation, fold.test
        assert sorted(np.concatenate(parts)) == list(range(100)) and [*map(len, parts)] == [60, 20, 20]
        assert [int((y[part] == "b").sum()) for part in parts] == [24, 8, 8]


def test_scores(bench):
    y = np.array(["a", "b", "b", "a"])
    p = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4], [0.5, 0.5]])
    scored = bench.scores("binary", p, y, y)
    assert scored["error"] == 0.25
    assert scored["loss"] == pytest.approx(-np.mean(np.log([0.9, 0.8, 0.4, 0.5])))
    numbers = np.array([1.0, 2.0, 3.0, 6.0])
    assert bench.scores("numbers", numbers + 1, numbers, numbers)["error"] == pytest.approx(1 / numbers.std())

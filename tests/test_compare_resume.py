"""An interrupted comparison goes on with `nnlab train resume=`, and ends with its table."""

import json
import os
import signal
import time
from pathlib import Path

from in_process import said
from processes import Started, forked
from test_compare import SMALL, comparison, refused

LONG = ("data=iris", "model.hidden=[4]", "epochs=100000", "checkpoint.epochs=20", "threads=1")


def test_ctrl_c_keeps_what_is_finished_and_says_how_to_go_on(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    started = Started(tmp_path, "compare", *LONG, "seeds=2", "optimizer.lr=0.1,0.01", "hydra.run.dir=x")
    _wait_for(tmp_path / "x/checkpoint.safetensors", started)
    assert json.loads(Path("x/compare.json").read_text())["comparisons"] == {}
    os.kill(started.pid, signal.SIGINT)
    ended = started.ended()
    assert ended.returncode == 130 and "to go on: nnlab train resume=x" in ended.stderr
    assert "nnlab train resume=x goes on" in refused("x")
    assert "nnlab train resume=x goes on" in refused("x", "seeds=+1")
    files = Path("x").glob("*/metrics.jsonl")
    epochs = max(json.loads(line)["epoch"] for file in files for line in file.read_text().splitlines())
    text = said("train", "resume=x", f"epochs={epochs + 5}")
    assert "the best first" not in text  # of the ranking
    assert {arm.n for arm in comparison("x", "iris", "test_error").arms} == {2}
    assert "nothing to go on with" in said("train", "resume=x")


def test_more_seeds_that_were_interrupted_go_on_too(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    said("compare", *SMALL, "seeds=2", "optimizer=sgd,adam", "hydra.run.dir=x")
    said("compare", "x", "seeds=+2")
    for name in ("0_optimizer=sgd", "1_optimizer=adam"):  # as if killed before the first checkpoint
        Path("x/seeds2-3", name, "summary.json").unlink()
    before = Path("x/seeds2-3/0_optimizer=sgd/rows.json").read_bytes()
    assert "nnlab train resume=x/seeds2-3 goes on" in refused("x")
    assert "nnlab train resume=x/seeds2-3 goes on" in refused("x", "seeds=+2")
    text = said("train", "resume=x/seeds2-3")
    assert "the best first" not in text
    assert {arm.n for arm in comparison("x", "iris", "test_error").arms} == {4}
    assert Path("x/seeds2-3/0_optimizer=sgd/rows.json").read_bytes() == before


def test_another_process_has_the_folder_of_more_seeds(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    said("compare", *SMALL, "seeds=2", "optimizer=sgd,adam", "hydra.run.dir=x")
    Path("x/seeds2-3").mkdir()
    assert "is there already" in refused("x", "seeds=+2")
    assert forked(tmp_path, "compare", "x", "seeds=+1").returncode == 0


def _wait_for(file: Path, started: Started) -> None:
    until = time.monotonic() + 60
    while not file.exists():
        assert started.poll() is None and time.monotonic() < until, started.ended().stderr
        time.sleep(0.02)

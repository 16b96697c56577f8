"""A sweep killed with SIGKILL at random moments and resumed each time gives the uninterrupted results."""

import contextlib
import os
import random
import re
import shutil
import signal
import time
from collections import Counter

import processes
import pytest
from processes import is_alive, is_locked
from searches import (
    SAMPLED,
    SPACE,
    journal_trials,
    reproducible_content,
    resume,
    resume_error,
    sweep,
    sweep_json,
    trials_csv,
)


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def server():
    return processes.server()


def killed_until_it_ends(server, folder, overrides, moments: random.Random, kills: int, life: float):
    """kill -9 at random moments of its life, each followed by resume; then to its end. How many kills hit."""
    hits, lines_before = 0, []
    for _ in range(kills):
        is_begun = (folder / "study.journal").exists()
        if not is_begun:
            shutil.rmtree(folder, ignore_errors=True)
        pid = server.start(
            "sweep", *([f"resume={folder}"] if is_begun else [*overrides, f"hydra.run.dir={folder}"])
        )
        waits = time.monotonic() + 20
        while not is_locked(folder / ".lock") and time.monotonic() < waits and is_alive(pid):
            time.sleep(0.005)  # its life begins when it has the folder
        time.sleep(moments.uniform(0, life))
        with contextlib.suppress(ProcessLookupError):  # it may have ended
            os.kill(pid, signal.SIGKILL)
        hits += server.wait() == -9
        if (folder / "study.journal").exists():
            lines = (folder / "study.journal").read_bytes().split(b"\n")[:-1]  # whole ones
            assert lines[: len(lines_before)] == lines_before  # what was finished is as it was
            lines_before = lines
    server.start("sweep", f"resume={folder}")
    assert server.wait() == 0
    assert server.read_stderr() == ""  # workers of a killed process say nothing
    assert (folder / "study.journal").read_bytes().split(b"\n")[: len(lines_before)] == lines_before
    return hits


SLOWLY = (*SPACE[:3], "data=iris", "report=false", "epochs=30", "batch=4", "seeds=3")  # a second or two


@pytest.mark.parametrize("name, trials, kills", [("tpe", 16, 3), ("cmaes", 12, 2)])
def test_killed_again_and_again(name, trials, kills, tmp_path, server):
    overrides = (*SLOWLY, f"trials={trials}", *SAMPLED[name], "pruner=halving")
    uninterrupted = sweep(tmp_path / "whole" / "s", *overrides)
    life = 3 * sweep_json(uninterrupted)["seconds"]["training"] / kills
    folder = tmp_path / "s"
    hits = killed_until_it_ends(server, folder, overrides, random.Random(name), kills, life)
    assert hits >= kills // 2
    numbers = [op["intermediate_values"] for op in journal_trials(folder)]
    assert len(numbers) == trials  # none repeated, none lost
    assert Counter(r["trial"] for r in trials_csv(folder)) == Counter(map(str, range(trials)))
    assert reproducible_content(folder) == reproducible_content(uninterrupted)
    assert not [p for p in folder.rglob("*") if re.match(r"\.[a-z]+\.", p.name)]  # nothing half written


def test_interrupted_by_hand_it_says_how_to_go_on(tmp_path, server):
    overrides = (*SLOWLY, "trials=16", *SAMPLED["random"])
    uninterrupted, folder = sweep(tmp_path / "whole" / "s", *overrides), tmp_path / "s"
    pid = server.start("sweep", *overrides, f"hydra.run.dir={folder}")
    while not (folder / "trials" / "03").exists():
        assert is_alive(pid)
        time.sleep(0.005)
    os.kill(pid, signal.SIGINT)
    assert server.wait() == 130
    message = f"every finished batch is kept; to go on: nnlab sweep resume={folder}"
    assert server.read_stderr() == f"nnlab sweep: interrupted: {message}\n"
    assert 4 <= len(journal_trials(folder)) < 16
    (folder / "trials" / ".04").mkdir()  # as of one that was killed
    resume(folder)
    assert reproducible_content(folder) == reproducible_content(uninterrupted)
    assert {f.name for f in (folder / "trials").iterdir()} == {"summary"} | {f"{n:02d}" for n in range(16)}


def test_a_folder_that_a_sweep_writes_to_is_refused(tmp_path, server):
    folder = tmp_path / "s"
    pid = server.start("sweep", *SLOWLY, "trials=400", f"hydra.run.dir={folder}")
    while not (folder / "study.journal").exists():
        assert is_alive(pid)
        time.sleep(0.02)
    assert "is being written to by another nnlab sweep" in resume_error(folder)
    sweep(tmp_path / "around", f"refine={folder}", code=2)
    assert not (tmp_path / "around").exists()
    assert is_alive(pid)
    os.kill(pid, signal.SIGKILL)
    server.wait()
    resume(folder, "trials=4")  # the lock went with the process

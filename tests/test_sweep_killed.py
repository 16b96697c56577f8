"""kill -9 at random moments of a sweep, each followed by resume."""

import contextlib
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from searches import (
    SAMPLED,
    SPACE,
    journal_trials,
    process_arguments,
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


SERVER = """
import json, os, sys
import hydra, optuna, sklearn.datasets, torch
import nnlab.commands.sweep_command, nnlab.training.fit, nnlab.search.sweep
from nnlab.cli import main
for line in sys.stdin:
    child = os.fork()
    if not child:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        os.dup2(os.open("stderr", os.O_WRONLY | os.O_CREAT | os.O_APPEND), 2)
        os._exit(main(json.loads(line)))
    print(child, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


class Server:
    """Runs nnlab, each time in a process of its own that has imported all it needs: it saves two seconds."""

    def __init__(self, folder: Path):
        self.stderr = folder / "stderr"
        _, environment = process_arguments()
        line = [sys.executable, "-c", SERVER]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        self.server = subprocess.Popen(line, env=environment, cwd=folder, text=True, **pipes)

    def start(self, *argv) -> int:
        """The process's id."""
        print(json.dumps(argv), file=self.server.stdin, flush=True)
        return int(self.server.stdout.readline())

    def wait(self) -> int:
        """The exit code of what was started; -9 if it was killed."""
        return int(self.server.stdout.readline())

    def said(self) -> str:
        """What was said on stderr since this was last asked."""
        text = self.stderr.read_text() if self.stderr.exists() else ""
        self.stderr.unlink(missing_ok=True)
        return text


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    found = Server(tmp_path_factory.mktemp("server"))
    yield found
    found.server.kill()
    found.server.communicate()


def killed_until_it_ends(server, folder, words, moments: random.Random, kills: int, life: float):
    """kill -9 at random moments of its life, each followed by resume; then to its end. How many kills hit."""
    hits, kept = 0, []
    for _ in range(kills):
        again = (folder / "study.journal").exists()
        if not again:
            shutil.rmtree(folder, ignore_errors=True)
        pid = server.start("sweep", *([f"resume={folder}"] if again else [*words, f"hydra.run.dir={folder}"]))
        waits = time.monotonic() + 20
        while not _is_locked(folder) and time.monotonic() < waits and _lives(pid):
            time.sleep(0.005)  # its life begins when it has the folder
        time.sleep(moments.uniform(0, life))
        with contextlib.suppress(ProcessLookupError):  # it may have ended
            os.kill(pid, signal.SIGKILL)
        hits += server.wait() == -9
        if (folder / "study.journal").exists():
            lines = (folder / "study.journal").read_bytes().split(b"\n")[:-1]  # whole ones
            assert lines[: len(kept)] == kept  # what was finished is as it was
            kept = lines
    server.start("sweep", f"resume={folder}")
    assert server.wait() == 0
    assert server.said() == ""  # workers of a killed process say nothing
    assert (folder / "study.journal").read_bytes().split(b"\n")[: len(kept)] == kept
    return hits


def _lives(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def _is_locked(folder) -> bool:
    import fcntl

    if not (folder / ".lock").exists():
        return False
    with open(folder / ".lock", "a") as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return True
    return False


SLOWLY = (*SPACE[:3], "data=iris", "report=false", "epochs=40", "batch=4", "seeds=4")  # a second or two


@pytest.mark.parametrize("name, trials, kills", [("tpe", 32, 8), ("cmaes", 16, 2), ("qmc", 16, 2)])
def test_killed_again_and_again(name, trials, kills, tmp_path, server):
    words = (*SLOWLY, f"trials={trials}", *SAMPLED[name], "pruner=halving")
    one = sweep(tmp_path / "whole" / "s", *words)
    life = 3 * sweep_json(one)["seconds"]["training"] / kills
    folder = tmp_path / "s"
    hits = killed_until_it_ends(server, folder, words, random.Random(name), kills, life)
    assert hits >= kills // 2
    numbers = [op["intermediate_values"] for op in journal_trials(folder)]
    assert len(numbers) == trials  # none repeated, none lost
    assert Counter(r["trial"] for r in trials_csv(folder)) == Counter(map(str, range(trials)))
    assert reproducible_content(folder) == reproducible_content(one)
    assert not [p for p in folder.rglob("*") if re.match(r"\.[a-z]+\.", p.name)]  # nothing half written


def test_interrupted_by_hand_it_says_how_to_go_on(tmp_path, server):
    words = (*SLOWLY, "trials=16", *SAMPLED["random"])
    one, folder = sweep(tmp_path / "whole" / "s", *words), tmp_path / "s"
    pid = server.start("sweep", *words, f"hydra.run.dir={folder}")
    while not (folder / "trials" / "03").exists():
        assert _lives(pid)
        time.sleep(0.005)
    os.kill(pid, signal.SIGINT)
    assert server.wait() == 130
    kept = f"every finished batch is kept; to go on: nnlab sweep resume={folder}"
    assert server.said() == f"nnlab sweep: interrupted: {kept}\n"
    assert 4 <= len(journal_trials(folder)) < 16
    (folder / "trials" / ".04").mkdir()  # as of one that was killed
    resume(folder)
    assert reproducible_content(folder) == reproducible_content(one)
    assert {f.name for f in (folder / "trials").iterdir()} == {"summary"} | {f"{n:02d}" for n in range(16)}


def test_a_folder_that_a_sweep_writes_to_is_refused(tmp_path):
    folder = tmp_path / "s"
    line, environment = process_arguments("sweep", *SLOWLY, "trials=400", f"hydra.run.dir={folder}")
    running = subprocess.Popen(line, env=environment, cwd=tmp_path, stdout=subprocess.DEVNULL)
    try:
        while not (folder / "study.journal").exists():
            assert running.poll() is None
            time.sleep(0.02)
        assert "is being written to by another nnlab sweep" in resume_error(folder)
        sweep(tmp_path / "around", f"refine={folder}", code=2)
        assert not (tmp_path / "around").exists()
        assert running.poll() is None
    finally:
        running.kill()
        running.wait()
    resume(folder, "trials=4")  # the lock went with the process

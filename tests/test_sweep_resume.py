"""A sweep that is killed, at whatever moment, goes on as if it had not been; what lasts is plain data."""

import contextlib
import itertools
import json
import os
import random
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
import yaml
from searches import (
    IRIS,
    about,
    curves,
    json_lines,
    lasting,
    process,
    resume,
    sweep,
    told,
    trials_csv,
)

from nnlab.cli import main
from nnlab.search.ledger import Ledger
from nnlab.search.samplers import SAMPLERS

LR = "optimizer.lr=tag(log,interval(1e-4,1e-1))"
L2 = "regularizer.l2=interval(0,0.01)"
SPACE = (
    LR, L2, "model.hidden=choice([4],[6])", "stopping=patience", "stopping.patience=int(interval(2,9))",
)  # fmt: skip
USUAL = (*IRIS, *SPACE, "trials=12", "batch=4")


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def refused(folder, *words) -> str:
    said = resume(folder, *words, code=2)
    assert said.startswith("nnlab sweep: ") and said.count("\n") == 1, said
    return said


# ---- in this process: the folder as a killed process may have left it


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Words -> the folder of the sweep that nobody interrupted, made once."""
    made = {}

    def folder(*words):
        if words not in made:
            made[words] = sweep(tmp_path_factory.mktemp("whole") / "s", *words)
        return made[words]

    return folder


def killed(whole: Path, folder: Path, trials: int, tail: bytes = b"") -> Path:
    """The whole sweep's folder as it was when so many trials had been told, and a bit of the next line."""
    shutil.copytree(whole, folder)
    for name in ("best", "trials"):
        shutil.rmtree(folder / name)
    lines = (folder / "study.journal").read_bytes().splitlines(keepends=True)
    (folder / "study.journal").write_bytes(b"".join(lines[: 2 + trials]) + tail)
    of_trials = (folder / "trials.csv").read_text().splitlines(keepends=True)
    (folder / "trials.csv").write_text("".join(of_trials[: 1 + trials]))
    return folder


SAMPLED = {
    name: (f"sampler={name}", *(["sampler.points=2"] if name == "grid" else []),
           *(["sampler.startup=3"] if name in ("tpe", "gp") else []),
           *(["sampler.population=4"] if name == "cmaes" else []))
    for name in SAMPLERS
}  # fmt: skip


@pytest.mark.parametrize(
    "name, trials",
    [*itertools.product(SAMPLERS, [3, 8]), ("tpe", 0), ("cmaes", 12), ("qmc", 12)],
)
def test_a_resumed_sweep_is_one_that_was_not_interrupted(name, trials, whole, tmp_path):
    one = whole(*USUAL, *SAMPLED[name])
    folder = killed(one, tmp_path / "s", trials, b'{"op_code":4,"worker')
    before = (folder / "study.journal").read_bytes().splitlines()[: 2 + trials]
    resume(folder)
    assert lasting(folder) == lasting(one)
    assert (folder / "study.journal").read_bytes().splitlines()[: 2 + trials] == before
    assert [op["params"] for op in told(folder)] == [op["params"] for op in told(one)]
    assert len(told(folder)) == 12


@pytest.mark.parametrize("lines", [None, 0, 1, 2])
def test_one_that_was_killed_before_its_study_was_complete(lines, whole, tmp_path):
    one = whole(*USUAL, *SAMPLED["random"])
    folder = killed(one, tmp_path / "s", 0)
    for name in ("trials.csv", "curves.jsonl"):
        (folder / name).unlink()
    journal = (folder / "study.journal").read_bytes().splitlines(keepends=True)
    (folder / "study.journal").write_bytes(b"".join(journal[:lines]))
    if lines is None:
        (folder / "study.journal").unlink()
    resume(folder)
    assert lasting(folder) == lasting(one)


@pytest.mark.parametrize("pruner", ["median", "halving", "hyperband"])
@pytest.mark.parametrize("trials", [3, 8])
def test_a_pruned_one_too(pruner, trials, whole, tmp_path):
    words = ("pruner.warmup=2", "pruner.interval=2") if pruner == "median" else ("pruner.min_epochs=1",)
    one = whole(*USUAL, "sampler=tpe", "sampler.startup=3", f"pruner={pruner}", *words, "epochs=5")
    assert "pruned" in (one / "trials.csv").read_text()
    folder = killed(one, tmp_path / "s", trials)
    resume(folder)
    assert lasting(folder) == lasting(one)


@pytest.mark.parametrize("name", ["tpe", "qmc", "cmaes"])
def test_more_trials_are_those_of_a_longer_sweep(name, whole, tmp_path):
    words = (*USUAL, *SAMPLED[name])
    shutil.copytree(whole(*words), tmp_path / "s")
    resume(tmp_path / "s", "trials=18")
    longer = sweep(tmp_path / "longer", *words, "trials=18")
    assert lasting(tmp_path / "s") == lasting(longer)


def test_a_sweep_that_used_up_its_space_has_nothing_to_go_on_with(tmp_path):
    for name in ("random", "qmc", "grid"):
        words = (*IRIS, f"sampler={name}", "optimizer.lr=0.1,0.01,0.001", "trials=9")
        folder = sweep(tmp_path / name, *words)
        before = lasting(folder)
        resume(folder)
        resume(folder, "trials=20")
        assert lasting(folder) == before and len(told(folder)) == 3


def test_a_folder_without_its_report_and_best_gets_them_again(whole, tmp_path):
    one = whole(*USUAL, *SAMPLED["random"])
    folder = killed(one, tmp_path / "s", 12)
    resume(folder)
    assert lasting(folder) == lasting(one) and len(list((folder / "trials").iterdir())) == 13


@pytest.mark.parametrize(
    "words, key",
    [
        (["epochs=4"], "epochs = 4: the sweep to go on with has 3"),
        (["sampler=gp"], "sampler.name = gp"),
        (["sampler.seed=1"], "sampler.seed = 1"),
        (["pruner=halving"], "pruner.name = halving"),
        (["data=wine"], "data.name = wine"),
        (["optimizer=sgd"], "optimizer.name = sgd"),
        (["optimizer.lr=interval(0.1,0.2)"], "space.optimizer.lr = interval(0.1,0.2)"),
        (["optimizer.lr=0.1"], "optimizer.lr = 0.1: the sweep to go on with has 0.003"),
        (["optimizer.beta1=interval(0.1,0.2)"], "space.optimizer.beta1"),
        (["batch=5"], "batch = 5: the sweep to go on with has 4"),
        (["seeds=2"], "seeds = 2"),
        (["objective=val_error"], "objective = val_error"),
        (["storage=sqlite:///x.db"], "storage = sqlite:///x.db"),
    ],
)
def test_another_configuration_is_refused_by_the_name_of_its_key(whole, tmp_path, words, key):
    folder = killed(whole(*USUAL, *SAMPLED["random"]), tmp_path / "s", 4)
    before = {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    said = refused(folder, *words)
    assert key in said and "only trials may change" in said
    assert {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()} == before


def test_a_damaged_folder_is_refused(whole, tmp_path):
    one = whole(*USUAL, *SAMPLED["random"])
    texts = {"sweep.json": ["{", "[]", "{}"], "config.yaml": ["a: [", "[]"],
             "study.journal": ["nonsense\n", "{}\n", ""]}  # fmt: skip
    for number, (name, text) in enumerate((file, text) for file in texts for text in texts[file]):
        folder = killed(one, tmp_path / str(number), 4)
        (folder / name).write_text(text)
        refused(folder)


def test_a_journal_of_another_sweep_is_refused(whole, tmp_path):
    folder = killed(whole(*USUAL, *SAMPLED["random"]), tmp_path / "s", 4)
    text = (folder / "study.journal").read_text()
    (folder / "study.journal").write_text(text.replace(about(folder)["id"], "0" * 16))
    assert "the study 's' there is of another sweep" in refused(folder)
    changed = re.sub(r'("optimizer.lr":)0\.\d+', r"\g<1>0.05", text, count=1)
    (folder / "study.journal").write_text(changed)  # a trial that this sweep would not have chosen
    resume(folder)  # its batch is told whole, and so taken as it is
    assert told(folder)[0]["params"]["optimizer.lr"] == 0.05


def test_a_trial_that_would_now_be_another_is_told(whole, tmp_path):
    folder = killed(whole(*USUAL, *SAMPLED["random"]), tmp_path / "s", 2)
    text = (folder / "study.journal").read_text()
    (folder / "study.journal").write_text(re.sub(r'("optimizer.lr":)0\.\d+', r"\g<1>0.05", text, count=1))
    before = (folder / "study.journal").read_bytes()
    said = resume(folder, code=2).splitlines()[-1]
    assert "trial 0 was" in said and "refine=FOLDER" in said and "Traceback" not in said
    assert (folder / "study.journal").read_bytes() == before


# ---- killed, in earnest


SERVER = """
import json, os, sys
import hydra, optuna, sklearn.datasets, torch
import nnlab.commands.running, nnlab.commands.sweep, nnlab.fitting, nnlab.search.sweep
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
        _, environment = process()
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


@pytest.mark.parametrize("name, trials, kills", [("tpe", 60, 20), ("cmaes", 24, 3), ("qmc", 24, 3)])
def test_killed_again_and_again(name, trials, kills, tmp_path, server):
    words = (*SLOWLY, f"trials={trials}", *SAMPLED[name], "pruner=halving")
    one = sweep(tmp_path / "whole" / "s", *words)
    life = 3 * about(one)["seconds"]["training"] / kills
    folder = tmp_path / "s"
    hits = killed_until_it_ends(server, folder, words, random.Random(name), kills, life)
    assert hits >= kills // 2
    numbers = [op["intermediate_values"] for op in told(folder)]
    assert len(numbers) == trials  # none repeated, none lost
    assert Counter(r["trial"] for r in trials_csv(folder)) == Counter(map(str, range(trials)))
    assert lasting(folder) == lasting(one)
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
    assert server.said() == f"nnlab sweep: interrupted; to go on: nnlab sweep resume={folder}\n"
    assert 4 <= len(told(folder)) < 16
    (folder / "trials" / ".04").mkdir()  # as of one that was killed
    resume(folder)
    assert lasting(folder) == lasting(one)
    assert {f.name for f in (folder / "trials").iterdir()} == {"summary"} | {f"{n:02d}" for n in range(16)}


def test_a_folder_that_a_sweep_writes_to_is_refused(tmp_path):
    folder = tmp_path / "s"
    line, environment = process("sweep", *SLOWLY, "trials=400", f"hydra.run.dir={folder}")
    running = subprocess.Popen(line, env=environment, cwd=tmp_path, stdout=subprocess.DEVNULL)
    try:
        while not (folder / "study.journal").exists():
            assert running.poll() is None
            time.sleep(0.02)
        assert "is being written to by another nnlab sweep" in refused(folder)
        sweep(tmp_path / "around", f"refine={folder}", code=2)
        assert not (tmp_path / "around").exists()
        assert running.poll() is None
    finally:
        running.kill()
        running.wait()
    resume(folder, "trials=4")  # the lock went with the process


# ---- databases, and nothing pickled


def test_sqlite(whole, tmp_path):
    one = whole(*USUAL, *SAMPLED["tpe"])
    url = f"sqlite:///{tmp_path}/sweeps.db"
    folder = sweep(tmp_path / "s", *USUAL, *SAMPLED["tpe"], f"storage={url}", "trials=6")
    resume(folder, "trials=12")
    assert (folder / "trials.csv").read_bytes() == (one / "trials.csv").read_bytes()
    assert not (folder / "study.journal").exists()
    other = sweep(tmp_path / "u", *USUAL, *SAMPLED["random"], f"storage={url}", "study=mine", "trials=2")
    assert about(other)["study"] == "mine" and len(trials_csv(other)) == 2  # beside it


def test_a_strangers_study_in_the_database_is_refused(tmp_path, capsys):
    import optuna

    url = f"sqlite:///{tmp_path}/sweeps.db"
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    optuna.create_study(storage=url, study_name="mine")
    before = sorted(tmp_path.rglob("*"))
    assert main(["sweep", *USUAL, f"storage={url}", "study=mine"]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "has a study 'mine' already" in said and "study=..." in said
    assert sorted(tmp_path.rglob("*")) == before


def is_pickle(data: bytes) -> bool:
    """Whether some part of it looks like a pickle: a protocol's opening, or a hex text of one."""
    return bool(
        re.search(rb"\x80[\x02-\x05][\x8c\x95}\]c(K]|800[2-5](95|8c|7d|5d|63|28)[0-9a-f]{8}|gA[ISFSU]", data)
    )


@pytest.mark.parametrize("name", SAMPLERS)
def test_nothing_that_lasts_is_pickled(name, whole, tmp_path):
    folder = whole(*USUAL, *SAMPLED[name])
    for file in folder.rglob("*"):
        if file.is_file() and file.suffix != ".safetensors" and "events" not in file.name:
            data = file.read_bytes()
            assert not is_pickle(data) and b"cma:" not in data, file
    for op in json_lines(folder / "study.journal"):
        assert op["op_code"] in (0, 2, 4) and not op.get("system_attrs")
        assert set(op.get("user_attrs", {})) <= {"rows", "epochs", "spread", "reason"}


def test_nothing_in_sqlite_is_pickled(tmp_path):
    url = f"sqlite:///{tmp_path}/sweeps.db"
    sweep(tmp_path / "s", *IRIS, LR, L2, *SAMPLED["cmaes"], "trials=8", f"storage={url}")
    with sqlite3.connect(tmp_path / "sweeps.db") as file:
        dump = "\n".join(file.iterdump())
        tables = [name for (name,) in file.execute("select name from sqlite_master where type='table'")]
        counts = {t: file.execute(f"select count(*) from {t}").fetchone()[0] for t in tables}
    file.close()
    assert counts["trials"] == 8 and counts["trial_system_attributes"] == 0
    assert not is_pickle(dump.encode()) and "cma:" not in dump


def test_a_ledger_gives_back_what_was_written(whole):
    folder = whole(*USUAL, *SAMPLED["tpe"])
    found = about(folder)
    trials = Ledger(folder, None, found["study"], found["id"], (1,), True).trials()
    assert [t.number for t in trials] == list(range(12))
    for trial, op, row in zip(trials, told(folder), trials_csv(folder), strict=True):
        assert trial.values == (op["value"],) and trial.epochs == int(row["epochs"])
        assert list(trial.params) == list(yaml.safe_load((folder / "config.yaml").read_text())["space"])
        assert trial.params["model.hidden"] in ("[4]", "[6]") and isinstance(
            trial.params["stopping.patience"], int
        )
        assert len(curves(folder)[trial.number]["val_loss"]) == trial.epochs == len(trial.worth)

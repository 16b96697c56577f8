"""Sweeps of launcher=slurm by the real command line: on a fake Slurm, and by submitit's local and debug."""

import contextlib
import multiprocessing
import os
import signal
import threading
import time
from pathlib import Path

import fake_slurm
import pytest
from in_process import outcome
from processes import is_alive
from searches import IRIS, resume, sweep

# Rungs: stacks wait for each other, on whatever machines they are.
SEARCH = (*IRIS, "epochs=30", "trials=8", "batch=4", "sampler=tpe", "pruner=median", "pruner.warmup=5")
ENDLESS = (*IRIS, "epochs=1000000", "trials=4")
ON_SLURM = ("launcher=slurm", "launcher.jobs=2", "launcher.lease=2")
SECONDS = 90  # of patience, on a busy machine


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    """trials.csv of launcher=local."""
    return (sweep(tmp_path_factory.mktemp("local") / "s", *SEARCH) / "trials.csv").read_bytes()


@pytest.fixture
def cluster(tmp_path, monkeypatch):
    """The fake Slurm's jobs: a folder with a file for each that was submitted."""
    folder = fake_slurm.install(tmp_path / "bin")
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    yield folder / "jobs"
    for job in (folder / "jobs").iterdir():
        with contextlib.suppress(ProcessLookupError):
            os.killpg(int(job.read_text().split()[1]), signal.SIGKILL)


def wait_for(condition):
    until = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.02)


def claims(folder) -> list[Path]:
    """The jobs that are trained now."""
    return list(Path(folder).glob("jobs/claimed/*.*"))


@contextlib.contextmanager
def when_it_trains(folder, action):
    """Do this to the process of a worker, once it trains a job of that sweep."""
    done = threading.Event()

    def watch():
        while not done.wait(0.01):
            if found := claims(folder):
                worker = found[0].name.rpartition(".")[2]
                action(int(worker.split("-")[-2]))
                return

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def workers_in(folder) -> int:
    """How many processes submitit has had started for that sweep."""
    return len(list(folder.glob("jobs/slurm/*/*_log.out")))


def test_slurm_trains_the_same_trials(tmp_path, cluster, expected):
    folder = sweep(tmp_path / "a sweep", *SEARCH, *ON_SLURM)
    assert (folder / "trials.csv").read_bytes() == expected
    assert len(list(cluster.iterdir())) == 2
    logs = [log.read_text() for log in folder.glob("jobs/slurm/*/*_log.*")]
    assert not any("interrupted" in log for log in logs), "workers leave by themselves when a sweep has ended"
    assert sum("of training in" in log for log in logs) == 2


def test_a_killed_worker_of_submitits_local_has_another_in_its_place(tmp_path, expected):
    with when_it_trains(tmp_path / "s", lambda worker: os.kill(worker, signal.SIGKILL)):
        folder = sweep(tmp_path / "s", *SEARCH, *ON_SLURM, "launcher.cluster=local", "launcher.jobs=1")
    assert (folder / "trials.csv").read_bytes() == expected
    assert workers_in(folder) == 2


def test_submitits_debug_trains_in_the_driver(tmp_path, expected):
    folder = sweep(tmp_path / "s", *SEARCH, *ON_SLURM, "launcher.cluster=debug")
    assert (folder / "trials.csv").read_bytes() == expected


def test_what_slurm_refuses_is_one_sentence_and_leaves_nothing(tmp_path, cluster):
    words = (*SEARCH, *ON_SLURM, "launcher.partition=nowhere", f"hydra.run.dir={tmp_path}/s")
    code, _, said = outcome("sweep", *words)
    assert code == 2 and said.count("\n") == 1 and "invalid partition specified: nowhere" in said
    assert not (tmp_path / "s").exists()


def test_ctrl_c_ends_all_workers(tmp_path, cluster):
    with when_it_trains(tmp_path / "s", lambda worker: os.kill(os.getpid(), signal.SIGINT)):
        folder = sweep(tmp_path / "s", *ENDLESS, *ON_SLURM, "launcher.jobs=1", code=130)
    (job,) = cluster.iterdir()
    wait_for(lambda: not is_alive(int(job.read_text().split()[1])))
    assert not claims(folder), "the job waits again"


def test_a_driver_that_was_killed_finds_its_workers_again(tmp_path, cluster, expected):
    folder, one = tmp_path / "s", (*ON_SLURM, "launcher.jobs=1")
    driver = multiprocessing.get_context("fork").Process(target=sweep, args=(folder, *SEARCH, *one))
    driver.start()
    with when_it_trains(folder, lambda worker: driver.kill()):
        driver.join(SECONDS)
    assert driver.exitcode == -signal.SIGKILL
    resume(folder, *one)
    assert (folder / "trials.csv").read_bytes() == expected
    assert len(list(cluster.iterdir())) == 1 == workers_in(folder)

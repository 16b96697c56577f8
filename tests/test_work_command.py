"""`nnlab work FOLDER`: what it takes and refuses, how it ends, and that it trains the same bits."""

import json
import multiprocessing
import os
import signal
import sys
import time
from contextlib import contextmanager
from dataclasses import replace

import pytest
from in_process import outcome

from nnlab import cli
from nnlab.commands.work_folder import sweep_has_ended
from nnlab.experiment import Experiment
from nnlab.jobs import running
from nnlab.jobs.data_file import data_file
from nnlab.jobs.folder_executor import FolderExecutor
from nnlab.jobs.folder_queue import FolderQueue, QueueSettings
from nnlab.jobs.job import Job
from nnlab.jobs.outcome import Outcome
from nnlab.training.data_cache import DataCache
from nnlab.training.fit import Fit

FORK = multiprocessing.get_context("fork")
LEASE, PATIENCE = 0.5, 60.0


@pytest.fixture
def sweep(tmp_path):
    return sweep_folder(tmp_path / "sweep=1, a")


def sweep_folder(folder, launcher="folder", **about):
    """The folder of a sweep that has begun."""
    folder.mkdir()
    (folder / "sweep.json").write_text(json.dumps(about))
    (folder / "config.yaml").write_text(f"launcher:\n  name: {launcher}\n")
    return folder


class Worker:
    """`nnlab work ...` in a process of its own, in another working directory."""

    command = "work"

    def __init__(self, tmp_path, *words):
        self.said = tmp_path / f"said-{time.monotonic_ns()}"
        self.process = FORK.Process(target=self._run, args=(tmp_path, [str(word) for word in words]))
        self.process.start()

    def _run(self, folder, words):
        os.setsid()
        os.chdir(folder)
        handle = os.open(self.said, os.O_WRONLY | os.O_CREAT)
        os.dup2(handle, 1), os.dup2(handle, 2)
        with open(1, "w", closefd=False) as sys.stdout, open(2, "w", closefd=False) as sys.stderr:
            code = cli.main([self.command, *words])
        os._exit(code)

    def ended(self) -> tuple[int, str]:
        """Its exit code, and what it said."""
        self.process.join(PATIENCE)
        assert self.process.exitcode is not None
        return self.process.exitcode, " ".join(self.said.read_text().split())


class Driver(Worker):
    """`nnlab sweep ...`, likewise."""

    command = "sweep"


@contextmanager
def driver(sweep):
    executor = FolderExecutor(sweep, LEASE)
    try:
        yield executor
    finally:
        executor.close()


def real_jobs(count: int) -> tuple[dict[str, bytes], str, bytes]:
    """Jobs by their names, and the key and the content of their data."""
    cache, jobs = DataCache(), {}
    for number in range(count):
        fit = Fit([Experiment(epochs=2, seeds=2, seed=number)], cache, candidates=True)
        key, content = data_file(cache.datasets[fit.experiments[0].data])
        jobs[f"{number:06d}-00-0-abc"] = Job.of_stack(fit, fit.rows, key).to_bytes()
    return jobs, key, content


def eventually(condition) -> None:
    until = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.01)


# ---- words and folders


@pytest.mark.parametrize("words, sentence", [
    ([], "the work of which sweep?"),
    (["missing/folder"], "there is no folder 'missing/folder'"),
    (["swep"], "did you mean 'sweep'?"),
    (["run"], "'run' is the folder of a run, and nnlab work trains for a sweep"),
    (["empty"], "'empty' is not the folder of"),
    (["sweep", "other"], "takes one sweep"),
    (["sweep", "threads=0"], "threads = 0: expected a whole number from 1"),
    (["sweep", "threads=1.5"], "threads = 1.5: expected"),
    (["sweep", "threads=99999999999999999999"], "expected a whole number"),
    (["sweep", "threads="], "expected a whole number"),
    (["sweep", "wait=nan"], "wait = nan: expected seconds above 0"),
    (["sweep", "wait=-1"], "wait = -1: expected seconds"),
    (["sweep", "wait=1h"], "wait = 1h: expected seconds"),
    (["sweep", "wait=1", "wait=2"], "wait= is there twice"),
    (["sweep", "processes=2"], "did you mean threads=2?"),
    (["sweep", "thread=2"], "did you mean 'threads'?"),
    (["sweep", "--threads", "2"], "unknown option --threads"),
    (["sweep", "hydra.run.dir=x"], "has no key 'hydra.run.dir'"),
    (["local"], "launcher=local, which leaves nothing to other machines"),
    (["local"], "nnlab sweep resume=local launcher=folder"),
    (["old"], "launcher=local"),
    (["damaged"], "is not JSON"),
    (["list"], "is not as nnlab writes it"),
])  # fmt: skip
def test_wrong_words_are_a_sentence(words, sentence, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    sweep_folder(tmp_path / "sweep")
    sweep_folder(tmp_path / "local", "local")
    (sweep_folder(tmp_path / "old") / "config.yaml").write_text("trials: 3\n")
    (sweep_folder(tmp_path / "damaged") / "sweep.json").write_text("{")
    (sweep_folder(tmp_path / "list") / "sweep.json").write_text("[]")
    for name in ("run", "empty"):
        (tmp_path / name).mkdir()
    for name in ("config.yaml", "summary.json"):
        (tmp_path / "run" / name).write_text("{}")
    code, out, err = outcome("work", *words)
    assert code == 2 and not out and sentence in " ".join(err.split())
    assert "Traceback" not in err and err.count("nnlab work: ") == 1


def test_a_folder_that_is_not_there_yet_is_waited_for(tmp_path):
    worker = Worker(tmp_path, "shared", "wait=60")
    eventually(lambda: worker.said.exists() and "no such folder yet" in worker.said.read_text())
    about_to_begin = tmp_path / "shared"
    about_to_begin.mkdir()
    (about_to_begin / "config.yaml").write_text("launcher:\n  name: folder\n")
    (about_to_begin / "sweep.json").write_text(json.dumps({"ended": "complete"}))
    code, said = worker.ended()
    assert code == 0 and "the sweep has ended" in said
    code, out, err = outcome("work", str(tmp_path / "never"), "wait=0.3")
    assert code == 2 and "waits 0.30 s" in " ".join(out.split()) and "there is no folder" in err


def test_other_versions_are_refused(sweep):
    queue = FolderQueue(sweep)
    for settings in (QueueSettings(1.0, nnlab="0.0.1"), QueueSettings(1.0, torch="1.0")):
        queue.create(settings)
        queue.driver_beat("open", 1, "id")
        code, out, err = outcome("work", sweep)
        assert code == 2 and "install the same" in err and not out
    assert not queue.beats()


def test_a_sweep_that_has_ended_is_no_work(tmp_path):
    ended = sweep_folder(tmp_path / "ended", "local", ended="complete")
    code, out, err = outcome("work", ended)
    assert code == 0 and "has ended" in out and not err
    shared = sweep_folder(tmp_path / "shared")
    FolderExecutor(shared, LEASE).close()
    began = time.monotonic()
    code, out, err = outcome("work", shared)
    assert code == 0 and "has ended" in out and not err and time.monotonic() - began < 5
    resumed = FolderExecutor(ended, LEASE)  # with more trials, and its sweep.json is still of the end before
    assert not sweep_has_ended(ended, resumed.queue)
    resumed.close()
    assert sweep_has_ended(ended, resumed.queue)


def test_a_folder_of_links_is_refused(sweep, tmp_path):
    FolderExecutor(sweep, LEASE)
    (sweep / "jobs" / "done").rename(tmp_path / "elsewhere")
    (sweep / "jobs" / "done").symlink_to(tmp_path / "elsewhere")
    code, _, err = outcome("work", sweep)
    assert code == 2 and "nothing outside of the sweep's is written to" in err


# ---- training


def test_workers_train_the_bits_of_one_process(sweep, tmp_path):
    """One has begun before the sweep has jobs, one has two processes; both are in another directory."""
    jobs, key, content = real_jobs(5)
    first = Worker(tmp_path, sweep.name, "threads=1")
    with driver(sweep) as executor:
        executor.put_data(key, content)
        for name, job in jobs.items():
            executor.submit(name, job, [key])
        second, finished = Worker(tmp_path, sweep, "threads=2"), {}
        eventually(lambda: len(finished) == 5 or finished.update({f.name: f for f in executor.collect(0.2)}))
        executor.drop(finished)
    for worker in (first, second):
        code, said = worker.ended()
        assert code == 0 and "of training" in said, said
    for name, job in jobs.items():
        trained = Outcome.from_bytes(finished[name].outcome)
        alone = Outcome.from_bytes(running.run(job, lambda key: content))
        assert trained.is_trained and len(trained.records) == 2
        for one, other in zip(trained.records, alone.records, strict=True):
            assert {name: values.tobytes() for name, values in one.metrics.items()} == {
                name: values.tobytes() for name, values in other.metrics.items()
            }


def test_without_a_driver_it_says_how_to_go_on(sweep, tmp_path):
    code, said = Worker(tmp_path, sweep, "wait=0.3").ended()  # there was none
    assert code == 1 and "nothing was heard of the sweep for 0.30 s" in said
    FolderExecutor(sweep, LEASE)  # it was killed
    for launcher in ("folder", "slurm"):
        (sweep / "config.yaml").write_text(f"launcher:\n  name: {launcher}\n")
        code, said = Worker(tmp_path, sweep, "wait=0.3").ended()
        said = said.replace(f"{tmp_path}/", "")
        assert code == 1 and f"nnlab sweep 'resume=sweep=1, a' launcher={launcher}, and nnlab work" in said


def test_a_sweep_without_a_worker_says_how_one_begins(tmp_path):
    words = ("data=iris", "data.limit=60", "epochs=2", "sampler=random", "trials=2", "report=false")
    alone = ("launcher=folder", "launcher.local=false", f"launcher.lease={LEASE}", "hydra.run.dir=s")
    sweep = Driver(tmp_path, *words, *alone)
    eventually(lambda: sweep.said.exists() and "no worker yet" in sweep.said.read_text())
    code, said = Worker(tmp_path, "s", "threads=1").ended()
    assert code == 0, said
    code, said = sweep.ended()
    assert code == 0 and "launcher=folder: no worker yet workers begin by nnlab work s" in said


@pytest.mark.parametrize("number, code", [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGHUP, 129)])
def test_a_signal_gives_its_job_back(number, code, sweep, tmp_path):
    cache = DataCache()
    fit = Fit([Experiment(epochs=100_000)], cache, candidates=True)
    key, content = data_file(cache.datasets[fit.experiments[0].data])
    with driver(sweep) as executor:
        executor.put_data(key, content)
        executor.submit("a", Job.of_stack(fit, fit.rows, key).to_bytes(), [key])
        worker = Worker(tmp_path, sweep, "threads=1")
        eventually(lambda: executor.collect(0) or executor.queue.claims())
        os.killpg(worker.process.pid, number)  # as a terminal and a batch system send it, to all processes
        assert worker.ended()[0] == code and executor.queue.waiting() == ["a"]
        assert not executor.queue.claims() and not executor.queue.beats()


@pytest.mark.parametrize("job, sentence", [
    (b"not a job", "it is not a job"), ("versions", "its numbers might be others"), ("data", "are not here"),
])  # fmt: skip
def test_what_this_machine_cannot_train_waits_for_others(job, sentence, sweep, tmp_path):
    good = Job.from_bytes(*real_jobs(1)[0].values())
    of_others = {
        "versions": replace(good, versions=good.versions | {"torch": "0.1"}),
        "data": replace(good, data="0"),
    }
    with driver(sweep) as executor:
        executor.submit("a", of_others[job].to_bytes() if job in of_others else job)
        code, said = Worker(tmp_path, sweep, "threads=1").ended()
        assert code == 2 and sentence in said and "wait for others" in said, said
        assert executor.queue.waiting() == ["a"]

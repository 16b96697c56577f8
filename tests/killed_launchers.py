"""Sweeps of which driver and workers are killed, stopped and resumed at random moments, by one launcher and
then by another; and what they differ in from one on one machine that was not. scripts/kill_launchers.py goes
on with it for as many as one likes.
"""

import contextlib
import os
import random
import shutil
import signal
import time
from collections import Counter
from pathlib import Path

from processes import Server, is_alive, is_locked
from searches import journal_trials, reproducible_content, trials_csv

LEASE = 0.6  # seconds
TRAINED = (
    "data=iris", "report=false", "epochs=40", "seeds=3", "model.hidden=choice([4],[6])",
    "optimizer.lr=tag(log,interval(1e-4,1e-1))", "regularizer.l2=interval(0,0.01)",
)  # fmt: skip
SHORT = (*TRAINED, "trials=8", "batch=4", "sampler=tpe", "sampler.startup=3", "pruner=halving")
LINES = {  # batches one after another, with rungs; and as many as there is work for
    "tpe-halving": (*TRAINED, "trials=16", "batch=4", "sampler=tpe", "sampler.startup=3", "pruner=halving"),
    "random": (*TRAINED, "trials=24", "batch=4", "sampler=random"),
}
LAUNCHERS = (
    ("launcher=folder", f"launcher.lease={LEASE}"),
    ("launcher=local",),
    ("launcher=folder", f"launcher.lease={LEASE}", "launcher.local=false"),
)


class KilledSweep:
    """A sweep in a folder, its driver and its workers, which are killed or stopped: forks of servers."""

    def __init__(
        self, driver: Server, workers: list[Server], folder: Path, overrides, moments: random.Random
    ):
        self.driver, self.workers, self.folder = driver, workers, folder
        self.overrides, self.moments = overrides, moments
        self.did = Counter()  # what was done to it, how often
        self._drivers, self._launcher = 0, ()  # how many it has had; of the last one
        self._pids: dict[Server, int] = {}  # of those that run
        self._sleeps: dict[Server, float] = {}  # who is stopped, and until when
        self._journal: list[bytes] = []  # its whole lines at the last look

    def suffer(self, times: int, life: float) -> Counter:
        """Kill or stop somebody so often, each time after up to `life` seconds; then train to the end. What
        was done, how often: less if the sweep ends before."""
        actions = (self.kill_driver, self.kill_worker, self.stop_worker, self.stop_driver)
        for _ in range(times):
            self.begin_missing()
            self.wait(self.moments.uniform(0, life))
            if self.driver.has_ended():
                break
            self.moments.choice(actions)()
            self._look_at_journal()
        self.end()
        return self.did

    def end(self) -> None:
        """Let it train to its end; then workers notice by themselves that it is done."""
        while not self.driver.has_ended() or self._sleeps:
            self.begin_missing()
            self.wait(LEASE)
        code, stderr = self.driver.wait(), self.driver.read_stderr()
        assert (code, stderr) == (0, ""), f"the driver ended with {code}: {stderr}"
        self._look_at_journal()
        for worker in self.workers:
            if worker in self._pids:
                assert ends_within(30, worker), f"a worker does not end: {worker.read_stdout()}"
                assert worker.wait() == 0, worker.read_stderr()

    # ---- what is done to it

    def kill_driver(self) -> None:
        self._wake(self.driver)
        self._kill(self.driver, os.kill)
        self.did["driver killed"] += 1

    def kill_worker(self) -> None:
        """With its children, or without: these then are to end by themselves."""
        if worker := self._some_worker():
            self._kill(worker, self.moments.choice((os.kill, os.killpg)))
            self.did["worker killed"] += 1

    def stop_worker(self) -> None:
        """Perhaps for longer than its lease: then others get its jobs, and it brings an outcome all the
        same."""
        if worker := self._some_worker():
            self._stop(worker)
            self.did["worker stopped"] += 1

    def stop_driver(self) -> None:
        self._stop(self.driver)
        self.did["driver stopped"] += 1

    def _some_worker(self) -> Server | None:
        awake = [worker for worker in self.workers if worker in self._pids and worker not in self._sleeps]
        return self.moments.choice(awake) if awake else None

    def _kill(self, server: Server, kill) -> None:
        with contextlib.suppress(ProcessLookupError):
            kill(self._pids.pop(server), signal.SIGKILL)
        code = server.wait()
        assert code in (0, -signal.SIGKILL), server.read_stderr()

    def _stop(self, server: Server) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._pids[server], signal.SIGSTOP)
        self._sleeps.setdefault(server, time.monotonic() + self.moments.uniform(0.5, 3) * LEASE)

    def _wake(self, server: Server) -> None:
        if self._sleeps.pop(server, None) is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._pids[server], signal.SIGCONT)

    # ---- how it goes on

    def wait(self, seconds: float) -> None:
        """So long, or until the driver has ended; who has slept long enough is woken meanwhile."""
        until = time.monotonic() + seconds
        while (now := time.monotonic()) < until:
            for server in [server for server, end in self._sleeps.items() if now >= end]:
                self._wake(server)
            if self.driver.has_ended() and not self._sleeps:
                return
            time.sleep(0.01)

    def begin_missing(self) -> None:
        """Begin, or go on, with the driver if it was killed, by the next launcher; and with every worker that
        this launcher has work for. They end by themselves once another has taken over."""
        if self.driver not in self._pids:
            self._begin_driver()
        for worker in self.workers:
            if worker in self._pids and worker.has_ended():
                del self._pids[worker]
                self._sleeps.pop(worker, None)
                assert worker.wait() == 0, worker.read_stderr()
            if worker not in self._pids and self._has_begun() and self._launcher != ("launcher=local",):
                self._pids[worker] = worker.start("work", self.folder)

    def _begin_driver(self) -> None:
        begun = (self.folder / "study.journal").exists()
        if not begun:
            shutil.rmtree(self.folder, ignore_errors=True)
        words = [f"resume={self.folder}"] if begun else [*self.overrides, f"hydra.run.dir={self.folder}"]
        self._launcher = LAUNCHERS[self._drivers % len(LAUNCHERS)]
        pid = self._pids[self.driver] = self.driver.start("sweep", *words, *self._launcher)
        self._drivers += 1
        waits = time.monotonic() + 30
        while not self._has_begun() and time.monotonic() < waits and is_alive(pid):
            time.sleep(0.005)

    def _has_begun(self) -> bool:
        """Whether the driver has the folder, which workers then find."""
        return (self.folder / "sweep.json").exists() and is_locked(self.folder / ".lock")

    def _look_at_journal(self) -> None:
        """Whatever happened: what was finished is as it was."""
        journal = self.folder / "study.journal"
        if journal.exists():
            lines = journal.read_bytes().split(b"\n")[:-1]
            assert lines[: len(self._journal)] == self._journal
            self._journal = lines


def ends_within(seconds: float, server: Server) -> bool:
    """Whether its process ends by itself so soon."""
    until = time.monotonic() + seconds
    while not server.has_ended() and time.monotonic() < until:
        time.sleep(0.02)
    return server.has_ended()


def differences(folder: Path, uninterrupted: Path) -> list[str]:
    """In what a sweep differs from the one that was not interrupted."""
    ours, theirs = reproducible_content(folder), reproducible_content(uninterrupted)
    found = [f"{name} differs" for name in theirs if ours[name] != theirs[name]]
    rows, trained = trials_csv(folder), journal_trials(folder)
    if len(trained) != len(trials_csv(uninterrupted)):
        found.append(f"{len(trained)} trials in the study")
    if set(Counter(row["trial"] for row in rows).values()) != {1}:
        found.append("a trial has two rows in trials.csv")
    return found

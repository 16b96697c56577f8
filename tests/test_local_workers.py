"""The driver's machine trains too: in forks, or where the driver has used a GPU, in a process of its own."""

import os
import signal
from pathlib import Path

import pytest
import torch
from test_work_command import PATIENCE, eventually, real_jobs, sweep_folder

from nnlab.errors import MachineFault
from nnlab.jobs import running
from nnlab.jobs.folder_executor import FolderExecutor
from nnlab.jobs.outcome import Outcome

LEASE = 1.0


def test_forks_train_the_bits_of_one_process(tmp_path):
    trained(tmp_path, processes=2)


def test_beside_a_gpu_it_is_a_process_of_its_own(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    executor = trained(sweep_folder(tmp_path / "a sweep"), processes=4)
    assert executor.slots() == 1
    assert not executor._local._runner.is_alive()


def trained(sweep: Path, processes: int) -> FolderExecutor:
    """The executor, closed, once it has trained jobs."""
    jobs, key, content = real_jobs(3)
    executor, finished = FolderExecutor(sweep, LEASE, processes), {}
    try:
        executor.put_data(key, content)
        for name, job in jobs.items():
            executor.submit(name, job, [key])
        eventually(lambda: len(finished) == 3 or finished.update({f.name: f for f in executor.collect(0.1)}))
    finally:
        executor.close()
    for name, job in jobs.items():
        one, other = (
            Outcome.from_bytes(outcome).records
            for outcome in (finished[name].outcome, running.run(job, lambda key: content))
        )
        assert [r.metrics["val_loss"].tobytes() for r in one] == [
            r.metrics["val_loss"].tobytes() for r in other
        ]
    return executor


def test_without_them_the_sweep_ends_with_a_sentence(tmp_path):
    executor = FolderExecutor(tmp_path, LEASE, 1)
    try:
        os.kill(executor._local._runner._process.pid, signal.SIGKILL)
        with pytest.raises(MachineFault, match="train on this machine were killed"):
            eventually(lambda: executor.collect(0.1))
    finally:
        executor.close()


def test_what_a_machine_cannot_train_is_the_sentence(tmp_path):
    executor = FolderExecutor(tmp_path, LEASE, 1)
    try:
        executor.submit("a", b"not a job")
        with pytest.raises(MachineFault, match="it is not a job"):
            eventually(lambda: executor.collect(0.1))
    finally:
        executor.close()


def test_they_end_with_a_driver_that_is_killed(tmp_path):
    driver = os.fork()
    if not driver:
        executor = FolderExecutor(tmp_path, LEASE, 2)
        executor.collect(PATIENCE)
        os._exit(1)
    workers = tmp_path / "jobs" / "workers"
    try:
        eventually(lambda: workers.is_dir() and any(workers.iterdir()))
    finally:
        os.kill(driver, signal.SIGKILL)
        os.waitpid(driver, 0)
    eventually(lambda: not any(workers.iterdir()))

"""Driver and workers of a sweep killed and stopped at random moments: its study is that of launcher=local.

A sample; scripts/kill_launchers.py goes on with it.
"""

import random

import pytest
from killed_launchers import SHORT, KilledSweep, differences, ends_within
from processes import Server, server
from searches import sweep


@pytest.fixture(scope="module")
def worker(tmp_path_factory):
    with Server(tmp_path_factory.mktemp("worker")) as started:
        yield started


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    return sweep(tmp_path_factory.mktemp("whole") / "s", *SHORT)


def test_a_driver_and_a_worker_that_are_killed_and_stopped(worker, uninterrupted, tmp_path):
    moments = random.Random(0)
    killed = KilledSweep(server(), [worker], tmp_path / "s", SHORT, moments)
    for happens in (killed.stop_worker, killed.kill_worker, killed.kill_driver):  # then it goes on by local
        killed.begin_missing()
        killed.wait(moments.uniform(0, 0.5))
        happens()
    killed.end()
    assert killed.did.total()  # some moments come after the end: how many depends on the machine
    assert differences(tmp_path / "s", uninterrupted) == []


def test_workers_of_a_killed_driver_end_once_its_sweep_is_done_here(worker, uninterrupted, tmp_path):
    folder = tmp_path / "s"
    killed = KilledSweep(server(), [worker], folder, SHORT, random.Random(1))
    killed.begin_missing()
    killed.kill_driver()
    server().start("sweep", f"resume={folder}", "launcher=local")
    assert server().wait() == 0, server().read_stderr()
    assert ends_within(20, worker) and worker.wait() == 0
    assert differences(folder, uninterrupted) == []

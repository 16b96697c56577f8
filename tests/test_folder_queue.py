"""The queue in a folder: each job is taken once, and none is lost, whoever is killed, stopped or restarted.

Jobs are plain bytes here, and training is a function that echoes them, slowly if they say so.
"""

import multiprocessing
import os
import signal
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

from nnlab.errors import Advice, MachineFault, UserError
from nnlab.jobs import folder_executor, folder_queue, whole_files
from nnlab.jobs.beats import Watch
from nnlab.jobs.folder_executor import MOST_LOST_WORKERS, FolderExecutor
from nnlab.jobs.folder_queue import FolderQueue, QueueSettings, has_ended, processes_in, worker_name
from nnlab.jobs.whole_files import Damaged, read_whole, write_whole
from nnlab.jobs.work_loop import DriverGone, WorkLoop

FORK = multiprocessing.get_context("fork")
LEASE = 0.3
PATIENCE = 60.0  # seconds after which a test gives up


def echo(job: bytes, data, on_epoch) -> bytes:
    """`sleep 0.5 x` takes half a second, `data KEY` gives its data, `die` kills the process."""
    word, _, rest = job.decode().partition(" ")
    if word == "sleep":
        for epoch in range(1, 11):
            time.sleep(float(rest.split()[0]) / 10)
            on_epoch(epoch)
    if word == "data":
        return b"outcome of " + data(rest)
    if word == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    return b"outcome of " + job


def work(sweep: Path, processes: int = 1, train=echo) -> None:
    WorkLoop(FolderQueue(sweep), LEASE, processes, train).run()


@contextmanager
def workers(sweep: Path, count: int, processes: int = 1):
    """So many workers, each a process with a session of its own."""
    started = [FORK.Process(target=work, args=(sweep, processes)) for _ in range(count)]
    for worker in started:
        worker.start()
    try:
        yield started
    finally:
        for worker in started:
            worker.kill()
            worker.join()


@contextmanager
def driver(sweep: Path, lease: float = LEASE):
    executor = FolderExecutor(sweep, lease)
    try:
        yield executor
    finally:
        executor.close()


def collect(executor, count: int) -> dict[str, bytes]:
    """The outcomes of so many jobs."""
    finished, until = {}, time.monotonic() + PATIENCE
    while len(finished) < count:
        assert time.monotonic() < until, f"only {len(finished)} of {count} jobs have come"
        for each in executor.collect(0.2):
            assert not each.fault, each.fault
            assert each.name not in finished
            finished[each.name] = each.outcome
    return finished


def eventually(condition) -> None:
    until = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.01)


def wait_for_claim(executor) -> None:
    eventually(lambda: executor.collect(0) or executor.queue.claims())


def names(count: int) -> list[str]:
    return [f"{number:06d}-00-0-abc" for number in range(count)]


# ---- files


def test_what_is_written_is_read(tmp_path):
    for content in (b"", b"a", bytes(range(256)) * 1000):
        write_whole(tmp_path / "a", content)
        assert read_whole(tmp_path / "a") == content
    assert os.listdir(tmp_path) == ["a"]
    with pytest.raises(FileNotFoundError):
        read_whole(tmp_path / "b")


@pytest.mark.parametrize("tear", [lambda b: b[:-1], lambda b: b[:5], lambda b: b"", lambda b: b + b"x",
                                  lambda b: b[:20] + b"X" + b[21:], lambda b: b"\0" * len(b)])  # fmt: skip
def test_a_torn_file_is_damaged(tmp_path, tear):
    write_whole(tmp_path / "a", b"the whole content")
    (tmp_path / "a").write_bytes(tear((tmp_path / "a").read_bytes()))
    with pytest.raises(Damaged):
        read_whole(tmp_path / "a")


def test_no_link_is_followed(tmp_path):
    write_whole(tmp_path / "mine", b"secret")
    queue = FolderQueue(tmp_path / "sweep")
    queue.create(QueueSettings(LEASE))
    (queue.folder / "driver").symlink_to(tmp_path / "mine")
    (queue.todo / "000000-00-0-abc").symlink_to(tmp_path / "mine")
    (queue.workers / "w").hardlink_to(tmp_path / "mine")
    assert queue.driver_said() == b""
    queue.driver_beat("open", 1, "id")  # replaces the link
    queue.beat("w", 1, 1)
    assert queue.claim("000000-00-0-abc", "w")
    with pytest.raises(Damaged):
        queue.job("000000-00-0-abc", "w")
    queue.finish("000000-00-0-abc", "w", b"outcome")
    assert read_whole(tmp_path / "mine") == b"secret" and queue.claims() == []
    with pytest.raises(Damaged):
        os.mkfifo(tmp_path / "pipe")
        read_whole(tmp_path / "pipe")


@pytest.mark.parametrize("part", ["", *folder_queue.PARTS])
def test_a_folder_that_is_a_link_is_refused(tmp_path, part):
    (tmp_path / "elsewhere").mkdir()
    queue = FolderQueue(tmp_path / "sweep")
    queue.create(QueueSettings(LEASE))
    folder = queue.folder / part if part else queue.folder
    folder.rename(tmp_path / "was")
    folder.symlink_to(tmp_path / "was")
    with pytest.raises(UserError, match="outside"):
        queue.settings()
    with pytest.raises(UserError, match="outside"):
        FolderExecutor(tmp_path / "sweep")


def test_a_file_that_does_not_fit_into_memory_is_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr(whole_files, "available_memory", lambda: 2**27)
    for size in (2**20, 2**26 + 1, 2**35):  # of holes
        with open(tmp_path / "file", "wb") as file:
            file.truncate(size)
        with pytest.raises(Damaged if size < 2**26 else MemoryError) as fault:
            read_whole(tmp_path / "file")
    assert "has 34 GB; this machine has 134 MB left" in str(fault.value)


def test_no_folder_is_made_through_a_link(tmp_path):
    for name in ("elsewhere", "sweep"):
        (tmp_path / name).mkdir()
    (tmp_path / "sweep" / "jobs").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UserError, match="outside"):
        FolderExecutor(tmp_path / "sweep")
    assert not any((tmp_path / "elsewhere").iterdir())


def test_names_that_lead_elsewhere_are_refused(tmp_path):
    queue = FolderQueue(tmp_path)
    queue.create(QueueSettings(LEASE))
    for name in ("../a", "a/b", "", ".a", "A", "a.b"):
        for write in (queue.put, queue.put_data):
            with pytest.raises(ValueError, match="no name"):
                write(name, b"")


def test_a_full_disk_is_a_fault_of_the_machine_that_leaves_nothing(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    with driver(tmp_path) as executor:
        monkeypatch.setattr(whole_files, "_digest", full)  # while the file is open
        with pytest.raises(OSError, match="No space left.*000000-00-0-abc"):
            executor.submit("000000-00-0-abc", b"job")
        assert os.listdir(executor.queue.todo) == []
        monkeypatch.undo()
    queue = FolderQueue(tmp_path)
    queue.put("000000-00-0-abc", b"job")
    queue.driver_beat("open", 1, "id")

    def train(job, data, on_epoch):
        raise OSError(28, "No space left on device", "file")

    with pytest.raises(MachineFault, match="No space left on device: 'file'"):
        work(tmp_path, train=train)
    assert queue.waiting() == ["000000-00-0-abc"] and not queue.claims() and not queue.beats()


@pytest.mark.parametrize("content", [
    b"", b"{", b"[]", b'{"lease": 1}', b'{"lease": "1", "nnlab": "", "torch": ""}',
    b'{"lease": -1, "nnlab": "", "torch": ""}', b'{"lease": 1, "nnlab": 3, "torch": ""}', b"[" * 10_000,
    b'{"lease": 1e99, "nnlab": "", "torch": ""}'])  # fmt: skip
def test_wrong_settings_of_a_queue_are_a_sentence(tmp_path, content):
    queue = FolderQueue(tmp_path)
    assert queue.settings() is None
    queue.create(QueueSettings(2.5, torch="2"))
    assert queue.settings() == QueueSettings(2.5, torch="2")
    write_whole(queue.folder / "queue", content)
    with pytest.raises(UserError):
        queue.settings()


@pytest.mark.parametrize("lease", [0, -1, float("nan"), float("inf"), 1e9, True])
def test_a_lease_is_seconds(lease):
    with pytest.raises(UserError, match="lease"):
        QueueSettings(lease)


def test_beats_of_strangers():
    assert processes_in(b"3 17") == 3 and processes_in(b"99999 1") == folder_queue.MAX_PROCESSES
    for beat in (b"", b"-1 2", b"x", b"9" * 5000, "²".encode(), b"\xff\xfe"):
        assert processes_in(beat) == 0
    assert has_ended(b"ended 3 id") and not has_ended(b"open 3 id") and not has_ended(b"")


def test_workers_of_hosts_of_the_same_name_have_other_names(monkeypatch):
    for host in ("node1", "", "Ünïcode.Host..local", "x" * 300):
        monkeypatch.setattr("socket.gethostname", lambda host=host: host)
        both = {worker_name(), worker_name()}
        assert len(both) == 2 and all(folder_queue.WORKER_NAME.fullmatch(name) for name in both)


# ---- who lives


def test_time_passes_only_while_one_looks():
    now = 0.0
    watch = Watch(longest_gap=1.0, clock=lambda: now)
    watch.look({"a": b"1", "b": b"1"})
    for second in range(1, 5):
        now = float(second)
        watch.look({"a": b"1", "b": str(second).encode()})
    assert watch.silent("a") == 4 and watch.silent("b") == 0
    assert watch.overdue(3.5) == ["a"] and watch.living(3.5) == ["b"]
    now = 1000.0  # whoever looks was asleep, as the others perhaps
    watch.look({"a": b"2", "b": b"4"})
    assert watch.silent("a") == 0 and watch.silent("b") == 1
    watch.look({})
    assert not watch.overdue(0) and not watch.living(9) and watch.silent("a") == 0


# ---- jobs


def test_many_claim_and_each_job_is_taken_once(tmp_path):
    """Real processes try every job, at once, in the same order: the worst case."""
    queue, jobs = FolderQueue(tmp_path), names(300)
    queue.create(QueueSettings(LEASE))
    begin = FORK.Barrier(6)

    def claim(worker: str, pipe) -> None:
        begin.wait()
        pipe.send([name for name in jobs if queue.claim(name, worker)])

    pipes, processes = [], []
    for worker in range(6):
        pipe, end = FORK.Pipe()
        pipes.append(pipe)
        processes.append(FORK.Process(target=claim, args=(f"w{worker}", end)))
    for name in jobs:
        queue.put(name, b"job")
    for process in processes:
        process.start()
    taken = [pipe.recv() for pipe in pipes]
    for process in processes:
        process.join()
    assert sorted(sum(taken, [])) == jobs
    assert sorted(queue.claims()) == sorted((name, f"w{w}") for w, mine in enumerate(taken) for name in mine)


def test_many_workers_train_each_job_once(tmp_path):
    count = tmp_path / "count"

    def counted(job, data, on_epoch):
        with open(count, "a") as file:
            file.write(f"{job.decode()}\n")
        return echo(job, data, on_epoch)

    started = [FORK.Process(target=work, args=(tmp_path, 2, counted)) for _ in range(3)]
    with driver(tmp_path, lease=5.0) as executor:
        for name in names(60):
            executor.submit(name, name.encode())
            executor.submit(name, name.encode())  # the same job, once
        for worker in started:
            worker.start()
        eventually(lambda: executor.slots() == 6)
        outcomes = collect(executor, 60)
        assert outcomes == {name: b"outcome of " + name.encode() for name in names(60)}
        assert executor.seconds["moving"] > 0
        executor.drop(outcomes)
    for worker in started:
        worker.join(PATIENCE)
        assert worker.exitcode == 0
    assert sorted(count.read_text().split()) == names(60)
    queue = FolderQueue(tmp_path)
    left = {part: os.listdir(queue.folder / part) for part in folder_queue.PARTS}
    assert not any(left.values()), left


def test_a_worker_that_was_there_first_waits(tmp_path):
    queue = FolderQueue(tmp_path)
    queue.create(QueueSettings(LEASE))
    with workers(tmp_path, 1):
        eventually(queue.beats)
        with driver(tmp_path) as executor:
            executor.submit("a", b"job")
            assert collect(executor, 1) == {"a": b"outcome of job"}


def test_data_are_loaded_before_the_processes_begin_and_found_later(tmp_path):
    loaded, found = [], []

    def load(key, content):
        loaded.append((key, content))

    def train(job, data, on_epoch):
        return repr(loaded).encode() + data(job.decode())

    with driver(tmp_path) as executor:
        executor.put_data("first", b"1")
        loop = WorkLoop(executor.queue, LEASE, 1, train, load)
        thread = threading.Thread(target=lambda: found.append(loop.run()))
        thread.start()
        executor.submit("a", b"first", ["first"])
        assert collect(executor, 1)["a"] == b"[('first', b'1')]" + b"1"
        executor.put_data("second", b"2")
        executor.submit("b", b"second", ["second"])
        assert collect(executor, 1)["b"] == b"[('first', b'1')]" + b"2"
        executor.drop(["a", "b"])
    thread.join(PATIENCE)
    assert found[0].jobs == 2 and found[0].seconds > 0


def test_a_killed_worker_loses_no_job(tmp_path):
    with driver(tmp_path) as executor, workers(tmp_path, 1, processes=2) as (first,):
        for name in names(4):
            executor.submit(name, b"sleep 0.4 " + name.encode())
        wait_for_claim(executor)
        first.kill()
        with workers(tmp_path, 1, processes=2):
            assert len(collect(executor, 4)) == 4


def test_a_worker_that_was_stopped_and_wakes_up_does_no_harm(tmp_path):
    with driver(tmp_path) as executor, workers(tmp_path, 1) as (asleep,):
        executor.submit("a", b"sleep 0.3 a")
        wait_for_claim(executor)
        ((_, name),) = executor.queue.claims()
        trainers = _children(asleep.pid)
        for pid in (asleep.pid, *trainers):
            os.kill(pid, signal.SIGSTOP)
        assert not executor.collect(2 * LEASE)
        assert executor.queue.waiting() == ["a"] and not executor.queue.claims()
        with workers(tmp_path, 1):
            assert collect(executor, 1) == {"a": b"outcome of sleep 0.3 a"}
            executor.drop(["a"])
        for pid in (asleep.pid, *trainers):
            os.kill(pid, signal.SIGCONT)
        eventually(lambda: name in executor.queue.beats())  # it lives again
        executor.submit("b", b"b")
        assert collect(executor, 1) == {"b": b"outcome of b"}
        executor.collect(0.5)
        assert executor.queue.outcomes() == (["b"], []) and not executor.queue.waiting()


def test_a_worker_that_ends_gives_its_job_back_at_once(tmp_path):
    with driver(tmp_path, lease=60.0) as executor:
        executor.submit("a", b"sleep 30")
        process = FORK.Process(target=_work_until_terminated, args=(tmp_path,))
        process.start()
        wait_for_claim(executor)
        trainers = _children(process.pid)
        os.kill(process.pid, signal.SIGTERM)
        process.join(PATIENCE)
        assert process.exitcode == 7 and executor.queue.waiting() == ["a"]
        assert not executor.queue.beats() and not executor.queue.claims()
        assert not any(os.path.exists(f"/proc/{pid}") for pid in trainers)


def test_a_killed_process_of_a_worker_is_replaced_at_once(tmp_path):
    with driver(tmp_path, lease=60.0) as executor, workers(tmp_path, 1) as (worker,):
        executor.submit("a", b"sleep 0.2 a")
        wait_for_claim(executor)
        (trainer,) = _children(worker.pid)
        os.kill(trainer, signal.SIGKILL)
        assert collect(executor, 1) == {"a": b"outcome of sleep 0.2 a"}
        assert _children(worker.pid) != [trainer]


def test_a_job_that_kills_processes_is_a_fault_and_others_go_on(tmp_path):
    with driver(tmp_path, lease=60.0) as executor, workers(tmp_path, 1):
        executor.submit("a", b"die")
        executor.submit("b", b"b")
        finished = {}
        until = time.monotonic() + PATIENCE
        while len(finished) < 2 and time.monotonic() < until:
            finished |= {each.name: each for each in executor.collect(0.5)}
        assert "killed" in finished["a"].fault and not finished["a"].outcome
        assert finished["b"].outcome == b"outcome of b" and not finished["b"].fault


def test_a_job_that_kills_whole_workers_is_a_fault(tmp_path):
    with driver(tmp_path, lease=0.03) as executor:
        executor.submit("a", b"job")
        for worker in range(MOST_LOST_WORKERS):
            assert executor.queue.claim("a", f"w{worker}")
            eventually(lambda: executor.collect(0.02) or not executor.queue.claims())
        assert executor._jobs == {} and not executor.queue.waiting()


def test_a_driver_that_restarts_uses_what_was_trained_meanwhile(tmp_path):
    """The first one is killed: it closes nothing."""
    first = FolderExecutor(tmp_path, LEASE)
    for name in ("done", "claimed", "lost", "waits"):
        first.submit(name, name.encode())
    queue = first.queue
    assert queue.claim("done", "w") and queue.claim("claimed", "w") and queue.claim("lost", "dead")
    queue.finish("done", "w", b"trained before")
    with driver(tmp_path) as second:
        assert not queue.waiting()  # of which it may ask for others
        for name in ("done", "claimed", "lost", "waits"):
            second.submit(name, name.encode())
        assert queue.waiting() == ["waits"]
        queue.beat("w", 1, 1)
        queue.finish("claimed", "w", b"trained meanwhile")
        finished = {each.name: each.outcome for each in second.collect(1)}
        assert finished == {"done": b"trained before", "claimed": b"trained meanwhile"}
        with workers(tmp_path, 1):
            assert {*collect(second, 2)} == {"lost", "waits"}


def test_what_is_lost_or_torn_is_put_there_again(tmp_path):
    with driver(tmp_path) as executor:
        queue = executor.queue
        for name in ("lost", "torn", "half", "link"):
            executor.submit(name, name.encode())
        queue.withdraw("lost")
        (queue.todo / "torn").write_bytes(b"to")
        queue.withdraw("half")
        (queue.done / "half").write_bytes(b"ha")
        queue.withdraw("link")
        (queue.todo / "link").symlink_to("/etc/passwd")
        for folder in (queue.todo, queue.claimed, queue.done, queue.workers, queue.data_folder):
            (folder / "README.txt").write_text("somebody else's")
            (folder / "Folder").mkdir()
        with workers(tmp_path, 2):
            assert {*collect(executor, 4)} == {"lost", "torn", "half", "link"}
        assert (queue.todo / "Folder").is_dir()


def test_dropped_jobs_leave_nothing(tmp_path):
    with driver(tmp_path) as executor:
        queue = executor.queue
        for name in ("waits", "trains", "done", "other"):
            executor.submit(name, b"job")
        assert queue.claim("trains", "w") and queue.claim("done", "w")
        queue.finish("done", "w", b"outcome")
        executor.drop(["waits", "trains", "done"])
        assert not executor.collect(0.01)
        queue.finish("trains", "w", b"too late")
        assert not executor.collect(0.01)
        assert queue.outcomes() == ([], []) and queue.waiting() == ["other"]
        executor.submit("waits", b"job")  # wanted again
        assert queue.waiting() == ["other", "waits"]


def test_workers_end_with_the_sweep_and_without_a_driver(tmp_path):
    with driver(tmp_path) as executor:
        executor.submit("a", b"sleep 60")
        with workers(tmp_path, 1) as (busy,):
            wait_for_claim(executor)
            executor.drop(["a"])
            executor.close()
            executor.close()
            busy.join(PATIENCE)
            assert busy.exitcode == 0
    began = time.monotonic()
    work(tmp_path)  # it has ended already
    assert time.monotonic() - began < 1
    FolderExecutor(tmp_path, LEASE)  # a driver that was killed
    with pytest.raises(DriverGone):
        WorkLoop(FolderQueue(tmp_path), LEASE, 1, echo, patience=0.3).run()
    assert not FolderQueue(tmp_path).beats()


def test_a_worker_of_the_driver_s_own_waits_for_as_long_as_it_lives(tmp_path):
    FolderExecutor(tmp_path, LEASE)  # which says nothing more, as one that was stopped
    lifeline, other_end = FORK.Pipe()
    end = threading.Timer(1.2, other_end.close)
    end.start()
    assert WorkLoop(FolderQueue(tmp_path), LEASE, 1, echo, patience=0.2, lifeline=lifeline).run().jobs == 0
    end.join()
    lifeline.close()


def test_a_driver_that_is_interrupted_finds_what_was_trained_meanwhile(tmp_path):
    FolderQueue(tmp_path).create(QueueSettings(LEASE))
    with workers(tmp_path, 1) as (worker,):
        with driver(tmp_path) as executor:
            executor.submit("a", b"sleep 0.5 a")
            executor.submit("b", b"b")
            wait_for_claim(executor)
        assert executor.queue.waiting() == []  # nobody begins another
        eventually(lambda: executor.queue.outcomes() == (["a"], []))
        assert worker.is_alive()
        with driver(tmp_path) as second:
            second.submit("a", b"sleep 0.5 a")
            second.submit("b", b"b")
            assert {*collect(second, 2)} == {"a", "b"}
            second.drop(["a", "b"])
        worker.join(PATIENCE)
        assert worker.exitcode == 0


def test_outcomes_that_were_collected_and_not_written_down_are_there_for_the_next_driver(tmp_path):
    """A disk that is full, or a Ctrl-C, between the last outcome of a batch and its trials in the ledger."""
    with driver(tmp_path) as first:
        first.submit("a", b"a")
        assert first.queue.claim("a", "w")
        first.queue.finish("a", "w", b"trained before")
        assert collect(first, 1)
    assert not has_ended(first.queue.driver_said())
    with driver(tmp_path) as second:
        second.submit("a", b"a")
        assert collect(second, 1) == {"a": b"trained before"}
        second.drop(["a"])
    assert has_ended(second.queue.driver_said()) and second.queue.outcomes() == ([], [])


def test_a_fault_is_not_that_of_the_next_driver(tmp_path):
    with driver(tmp_path) as first:
        first.submit("a", b"a")
        first.submit("b", b"b")
        assert first.queue.claim("a", "w")
        first.queue.fail("a", "w", "no memory")
        assert [each.fault for each in first.collect(1)] == ["no memory"]
    with driver(tmp_path) as second, workers(tmp_path, 1):
        for name in ("a", "b"):
            second.submit(name, name.encode())
        assert {*collect(second, 2)} == {"a", "b"}


def test_an_error_of_nnlab_is_not_hidden(tmp_path):
    def train(job, data, on_epoch):
        raise ZeroDivisionError("a bug")

    with driver(tmp_path) as executor:
        executor.submit("a", b"job")
        with pytest.raises(RuntimeError, match="a bug"):
            work(tmp_path, train=train)
        assert executor.queue.waiting() == ["a"]


def test_an_idle_worker_reads_little(tmp_path, monkeypatch):
    """Many workers that have nothing to do must leave the folder in peace."""
    queue = FolderQueue(tmp_path)
    queue.create(QueueSettings(LEASE))
    queue.driver_beat("open", 1, "id")
    reads, lists = [], []
    loop = WorkLoop(queue, 10.0, 4, echo, patience=1.5)
    said, waiting = queue.driver_said, queue.waiting
    monkeypatch.setattr(queue, "driver_said", lambda: reads.append(1) or said())
    monkeypatch.setattr(queue, "waiting", lambda: lists.append(1) or waiting())
    with pytest.raises(DriverGone):
        loop.run()
    assert len(reads) < 20 and len(lists) == 1


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _work_until_terminated(sweep: Path) -> None:
    from nnlab import interruption

    with interruption.raise_on_signals():
        try:
            work(sweep)
        except KeyboardInterrupt:
            os._exit(7)


def test_that_nobody_takes_a_job_is_said_once(tmp_path, monkeypatch):
    monkeypatch.setattr(folder_executor, "ALONE_SECONDS", 0.1)
    executor = FolderExecutor(tmp_path, LEASE, advice="no worker is there")
    executor.collect(0.4)  # it has no job yet
    executor.submit("a", b"a")
    with pytest.warns(Advice, match="no worker is there") as said:
        executor.collect(0.5)
        executor.collect(0.5)
    assert len(said) == 1 and executor.slots() == 1 and not executor.processes()
    executor.close()


def test_jobs_that_have_workers_wait_without_a_word(tmp_path, monkeypatch):
    monkeypatch.setattr(folder_executor, "ALONE_SECONDS", 0.2)
    executor = FolderExecutor(tmp_path, LEASE, advice="no worker is there")
    with workers(tmp_path, 1):
        eventually(executor.processes)
        executor.submit("a", b"sleep 0.6 a")
        collect(executor, 1)  # an advice would be an error
    executor.close()

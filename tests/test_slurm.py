"""launcher=slurm: who is started when, what Slurm is told and says, and sweeps equal to launcher=local's."""

import os
import re
import sys
import time
from types import SimpleNamespace

import fake_slurm
import pytest

from nnlab.errors import Advice, MachineFault, UserError
from nnlab.jobs import slurm, slurm_workers
from nnlab.jobs.launchers import Slurm
from nnlab.jobs.slurm import LONGEST_PAUSE, MOST_LOST, Keeper, SlurmExecutor
from nnlab.jobs.slurm_workers import WORKERS, SlurmWorkers
from nnlab.jobs.submissions import Submissions

# ---- who is started when


class Workers:
    """Of a Slurm that starts all at once; `refusal` is what it raises instead."""

    look_seconds = 15.0

    def __init__(self, running=0):
        self.running, self.starts, self.refusal, self.is_away = running, [], None, False
        self.queued = self.unheard = ""

    def living(self):
        return None if self.is_away else self.running

    def start(self, number):
        if self.refusal:
            raise self.refusal
        self.starts.append(number)
        self.running += number

    def last_words(self):
        return "nnlab work: no such folder"


@pytest.fixture
def clock(monkeypatch):
    """The keeper's; `clock.now` can be set."""
    clock = SimpleNamespace(now=1000.0)
    monkeypatch.setattr(slurm, "monotonic", lambda: clock.now)
    return clock


def kept(clock, workers, jobs, seconds, number=3, keeper=None):
    """A keeper that tends for so many seconds, with so many jobs unfinished."""
    keeper = keeper or Keeper(workers, number)
    for _ in range(int(seconds)):
        keeper.tend(jobs)
        clock.now += 1
    return keeper


def test_there_are_as_many_workers_as_there_is_work_for(clock):
    for jobs, number, processes, expected in ((0, 3, 1, []), (2, 3, 1, [2]), (9, 3, 1, [3]), (9, 3, 4, [3])):
        workers = Workers()
        keeper = Keeper(workers, number, processes)
        kept(clock, workers, jobs, 100, keeper=keeper)
        assert workers.starts == expected
    workers = Workers()
    kept(clock, workers, 5, 100, keeper=Keeper(workers, 3, 4))
    assert workers.starts == [2]  # of four processes each, five jobs occupy two


def test_a_worker_that_has_ended_has_another_in_its_place_while_jobs_wait(clock):
    workers = Workers()
    keeper = kept(clock, workers, 9, 100)
    workers.running = 1
    kept(clock, workers, 9, 100, keeper=keeper)
    assert workers.starts == [3, 2]
    workers.running = 0
    kept(clock, workers, 0, 100, keeper=keeper)
    assert workers.starts == [3, 2]


def test_workers_of_the_driver_before_are_not_doubled(clock):
    workers = Workers(running=3)
    keeper = kept(clock, workers, 9, 100)
    assert not workers.starts
    workers.running = 2
    kept(clock, workers, 9, 100, keeper=keeper)
    assert workers.starts == [1]


def test_nobody_is_started_while_slurm_does_not_say_who_lives(clock):
    workers = Workers()
    keeper = kept(clock, workers, 9, 20)
    workers.is_away, workers.running = True, 0
    kept(clock, workers, 9, 500, keeper=keeper)
    assert workers.starts == [3]
    workers.is_away = False
    kept(clock, workers, 9, 20, keeper=keeper)
    assert workers.starts == [3, 3]


def test_workers_that_wait_for_a_node_are_spoken_of_once(clock):
    workers = Workers()
    keeper = kept(clock, workers, 9, 50)
    workers.queued = "Priority"
    with pytest.warns(Advice, match="3 workers wait for a node; Slurm's reason: Priority") as said:
        kept(clock, workers, 9, 500, keeper=keeper)
    assert len(said) == 1


def test_workers_that_only_die_end_the_sweep_with_what_the_last_one_said(clock):
    workers = Workers()
    keeper, began = Keeper(workers, 3), clock.now
    with pytest.raises(MachineFault, match="15 workers .* the last one said: nnlab work: no such folder"):
        while clock.now < began + 3600:
            keeper.tend(9)
            workers.running = 0
            clock.now += 1
    assert workers.starts == [3] * (MOST_LOST + 1)
    assert clock.now - began < 10 * 60


def test_workers_that_die_while_others_finish_jobs_are_started_ever_more_rarely(clock):
    workers = Workers()
    keeper, times = Keeper(workers, 1), []
    for _ in range(3000):
        keeper.job_finished()
        before = len(workers.starts)
        keeper.tend(9)
        times += [clock.now] * (len(workers.starts) - before)
        workers.running = 0
        clock.now += 1
    pauses = [b - a for a, b in zip(times, times[1:], strict=False)]
    assert pauses == sorted(pauses) and LONGEST_PAUSE <= pauses[-1] <= LONGEST_PAUSE + 15
    # One that lives for long is replaced at once.
    workers.running = 1
    kept(clock, workers, 9, 3600, keeper=keeper)
    workers.running, number = 0, len(workers.starts)
    kept(clock, workers, 9, 16, keeper=keeper)
    assert len(workers.starts) == number + 1


def test_a_refusal_ends_a_sweep_that_has_no_worker_yet_and_no_other(clock):
    workers = Workers()
    workers.refusal = UserError("no such partition")
    with pytest.raises(UserError, match="no such partition"):
        kept(clock, workers, 9, 1)
    workers.refusal = None
    keeper = kept(clock, workers, 9, 20)
    workers.refusal, workers.running = UserError("job limit"), 2
    kept(clock, workers, 9, 40, keeper=keeper)
    workers.refusal = None
    kept(clock, workers, 9, 100, keeper=keeper)
    assert workers.starts == [3, 1]


# ---- what Slurm is told, and says


@pytest.fixture
def commands(tmp_path, monkeypatch):
    """The fake Slurm's."""
    folder = fake_slurm.install(tmp_path / "bin")
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return folder


def submitted(folder) -> dict[str, str]:
    """The options of the one script that was submitted."""
    (script,) = folder.glob("jobs/slurm/*/*_submission.sh")
    return dict(re.findall(r"^#SBATCH --([a-z-]+)=(.*)", script.read_text(), re.MULTILINE))


def test_sbatch_gets_what_the_launcher_says(tmp_path, commands):
    sweep = tmp_path / "a sweep"
    launcher = Slurm(jobs=2, partition="small", account="us", qos="low", constraint="a100|h100", cpus=3,
                     gpus=1, memory=1.5, minutes=7)  # fmt: skip
    Submissions(sweep, launcher, "slurm", "nnlab-abc").submit(os.getpid, 2)
    options = submitted(sweep)
    expected = {
        "job-name": "nnlab-abc", "array": "0-1%2", "partition": "small", "account": "us", "qos": "low",
        "constraint": "'a100|h100'", "cpus-per-task": "3", "gpus-per-node": "1", "mem": "1536MB", "time": "7",
        "nodes": "1", "ntasks-per-node": "1", "signal": "TERM@90",
    }  # fmt: skip
    assert {key: options.get(key) for key in expected} == expected


def test_what_is_not_said_is_the_clusters(tmp_path, commands):
    Submissions(tmp_path / "s", Slurm(), "slurm").submit(os.getpid, 1)
    unsaid = {"partition", "account", "qos", "constraint", "mem", "gpus-per-node"}
    assert not unsaid & submitted(tmp_path / "s").keys()


def test_a_driver_that_is_a_job_itself_does_not_pass_its_own_numbers_on(tmp_path, commands, monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    monkeypatch.setenv("SLURM_NTASKS", "64")
    monkeypatch.setenv("SBATCH_MARK", "1")
    (commands / "sbatch").write_text(f"#!/bin/sh\nenv > {tmp_path}/env\necho Submitted batch job 8\n")
    Submissions(tmp_path / "s", Slurm(), "slurm").submit(os.getpid, 1)
    passed = (tmp_path / "env").read_text()
    assert "SLURM_" not in passed and "PYTHONSAFEPATH=1" in passed
    assert os.environ["SLURM_NTASKS"] == "64" and "PYTHONSAFEPATH" not in os.environ


REFUSALS = [
    ("sbatch: error: QOSMaxSubmitJobPerUserLimit\nsbatch: error: Batch job submission failed: Job violates "
     "accounting/QOS policy", UserError, "QOSMaxSubmitJobPerUserLimit; Batch job submission failed: Job"),
    ("sbatch: error: Batch job submission failed: Unable to contact slurm controller (connect failure)",
     MachineFault, "Slurm cannot be reached: .*connect failure"),
    ("sbatch: error: Batch job submission failed: Socket timed out on send/recv operation", MachineFault,
     "Socket timed out"),
    ("", UserError, "sbatch said: nothing"),
]  # fmt: skip


@pytest.mark.parametrize("words, kind, sentence", REFUSALS)
def test_slurms_words_are_in_the_sentence(tmp_path, commands, capfd, words, kind, sentence):
    (commands / "sbatch").write_text(f"#!/bin/sh\necho '{words}' >&2\nexit 1\n")
    with pytest.raises(kind, match=sentence):
        Submissions(tmp_path / "s", Slurm(), "slurm").submit(os.getpid, 3)
    assert capfd.readouterr() == ("", "")


def test_a_partition_that_is_not_there(tmp_path, commands):
    workers = SlurmWorkers(tmp_path / "s", Slurm(partition="nowhere"))
    with pytest.raises(UserError, match="invalid partition specified: nowhere; .*Invalid partition name"):
        workers.start(2)


def test_a_machine_without_slurm(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match="there is no sbatch on this machine: .* a login node"):
        SlurmWorkers(tmp_path, Slurm())


def test_without_submitit(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "submitit", None)
    with pytest.raises(UserError, match=r"pip install 'nnlab\[slurm\]'"):
        WORKERS["local"](tmp_path, Slurm())


@pytest.mark.parametrize("name", ["a\ntouch x\n", "lr=50%j"])
def test_no_folder_becomes_a_line_of_the_script(tmp_path, name):
    with pytest.raises(UserError, match="does not take as it is"):
        Submissions(tmp_path / name, Slurm(), "local")
    assert not (tmp_path / name).exists()


@pytest.mark.parametrize("place", ["jobs", "jobs/slurm"])
def test_no_link_is_followed(tmp_path, place):
    (tmp_path / "elsewhere").mkdir()
    link = tmp_path / "s" / place
    link.parent.mkdir(parents=True)
    link.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UserError, match="is not a folder"):
        Submissions(tmp_path / "s", Slurm(), "local")


def test_squeue_says_who_lives_and_why_none_has_begun(tmp_path, commands):
    workers = SlurmWorkers(tmp_path / "s", Slurm())
    for states, living, queued in (
        (["PENDING|Priority", "PENDING|ReqNodeNotAvail, (of 2|3)"], 2, "Priority, ReqNodeNotAvail, (of 2|3)"),
        (["PENDING|Priority", "RUNNING|None", "COMPLETING|None"], 2, ""),
        (["CONFIGURING|None"], 1, ""),
        (["COMPLETING|None", "FAILED|NonZeroExitCode"], 0, ""),
    ):
        (commands / "squeue").write_text("#!/bin/sh\ncat <<END\n" + "\n".join(states) + "\nEND\n")
        assert (workers.living(), workers.queued) == (living, queued)


def test_squeue_that_fails_says_nothing(tmp_path, commands):
    workers = SlurmWorkers(tmp_path / "s", Slurm())
    assert workers.living() == 0
    (commands / "squeue").write_text("#!/bin/sh\nexit 1\n")
    assert workers.living() is None and not workers.unheard


UNREACHABLE = {
    "refused": ("echo 'squeue: fatal: Could not establish a configuration source' >&2; exit 1",
                "squeue said: Could not establish a configuration source"),
    "hanging": ("exec sleep 30", "squeue said: nothing for 0 s"),
}  # fmt: skip


@pytest.mark.parametrize("case", UNREACHABLE)
def test_a_slurm_that_does_not_answer_ends_the_sweep_at_once(case, tmp_path, commands, monkeypatch):
    does, sentence = UNREACHABLE[case]
    monkeypatch.setattr(slurm_workers, "FIRST_SECONDS", 0.3)
    for command in ("squeue", "scancel", "sbatch"):
        (commands / command).write_text(f"#!/bin/sh\n{does}\n")
    began = time.monotonic()
    with pytest.raises(MachineFault, match=f"Slurm cannot be reached: {sentence}"):
        SlurmExecutor(tmp_path / "s", Slurm())
    assert time.monotonic() - began < 10

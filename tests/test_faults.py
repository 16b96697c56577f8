"""Ctrl-C, kills and full disks during a command: one sentence, no traceback, finished results are kept."""

import errno
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import torch
from processes import Started, forked

import nnlab
from nnlab import interruption
from nnlab.cli import main
from nnlab.commands import early_end, training_session
from nnlab.errors import MachineFault, describe_machine_fault
from nnlab.records.run_folder import RESERVED_FILE
from nnlab.records.stored_run import StoredRun
from nnlab.runtime import machine
from nnlab.training.checkpointing import CheckpointTimer
from nnlab.training.memory import memory_needed

LINE = [sys.executable, "-m", "nnlab"]
LONG = ("data=iris", "model.hidden=[4]", "epochs=1000000", "split.stratify=false")


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def started(tmp_path, *arguments, **options) -> Started:
    """The command in a process group of its own, once it writes records."""
    process = Started(tmp_path, *arguments, **options)
    end = time.monotonic() + 60
    while not _all_begun(tmp_path, arguments) and process.poll() is None:
        assert time.monotonic() < end, "it does not begin"
        time.sleep(0.02)
    time.sleep(0.1)
    return process


def _all_begun(tmp_path, arguments) -> bool:
    """Whether every stack has ended an epoch: of two, each has one of the last two rows."""
    seeds = next((int(word.partition("=")[2]) for word in arguments if word.startswith("seeds=")), 1)
    text = "".join(file.read_text() for file in tmp_path.rglob("metrics.jsonl"))
    return all(f'"row": {row},' in text for row in range(max(0, seeds - 2), seeds))


def ended(process: Started) -> tuple[int, str]:
    end = process.ended()
    assert "Traceback" not in end.stderr and "Exception ignored" not in end.stderr, end.stderr
    return end.returncode, end.stderr


@pytest.mark.parametrize("group", [True, False])
@pytest.mark.parametrize("seeds", [1, 70])
def test_an_interrupted_run_has_its_best_weights(seeds, group, tmp_path):
    process = started(tmp_path, "train", *LONG, f"seeds={seeds}", "hydra.run.dir=r")
    (os.killpg if group else os.kill)(process.pid, signal.SIGINT)
    code, stderr = ended(process)
    assert code == 130 and "'r' has the curves and the best weights so far" in stderr
    rows = json.loads((tmp_path / "r/rows.json").read_text())
    assert len(rows) == seeds == len(StoredRun(tmp_path / "r").weights)
    assert {row["status"] for row in rows} == {"interrupted"} and not any(row["test"] for row in rows)
    lines = [json.loads(line) for line in (tmp_path / "r/metrics.jsonl").read_text().splitlines()]
    for row in rows:  # the weights are those of the best epoch that the curves have
        losses_of_row = [line["val_loss"] for line in lines if line["row"] == row["row"]]
        assert (
            row["best"]["val_loss"] == min(losses_of_row)
            and row["best_epoch"] == losses_of_row.index(min(losses_of_row)) + 1
        )
    assert not (tmp_path / "r" / RESERVED_FILE).exists() and not (tmp_path / "r/summary.json").exists()


def test_its_weights_are_those_of_the_same_run_ended_there(tmp_path):
    process = started(tmp_path, "train", *LONG, "hydra.run.dir=r")
    os.kill(process.pid, signal.SIGINT)
    assert ended(process)[0] == 130
    (row,) = json.loads((tmp_path / "r/rows.json").read_text())
    assert main(["train", *LONG[:2], LONG[3], f"epochs={row['epochs']}", "hydra.run.dir=whole"]) == 0
    one, other = (StoredRun(tmp_path / name).weights[0] for name in ("r", "whole"))
    assert all(np.array_equal(one[name], other[name]) for name in other)


@pytest.mark.parametrize("arguments", [("train", *LONG, "seeds=70"), ("check", "data=digits", "only=rates")])
def test_twice_is_at_once(arguments, tmp_path):
    process = started(tmp_path, *arguments) if arguments[0] == "train" else _check(tmp_path, arguments)
    for _ in range(4):
        with suppress(ProcessLookupError):  # it may have ended at the second
            os.killpg(process.pid, signal.SIGINT)
        time.sleep(0.02)
    code, stderr = ended(process)
    assert code == 130 and stderr.strip().splitlines()[-1].startswith(f"nnlab {arguments[0]}: ")


def _check(tmp_path, arguments):
    process = Started(tmp_path, *arguments, "check.steps=100000")
    while not list(tmp_path.rglob("command.txt")) and process.poll() is None:
        time.sleep(0.02)
    return process


def test_runs_of_m_that_had_ended_are_complete(tmp_path):
    arguments = (*LONG[:2], LONG[3], "epochs=3,1000000", "hydra.sweep.dir=all")
    process = started(tmp_path, "train", "-m", *arguments)
    os.killpg(process.pid, signal.SIGINT)
    code, stderr = ended(process)
    assert code == 130 and "1 of 2 runs in 'all' are complete" in stderr
    short, long = sorted(path for path in (tmp_path / "all").iterdir() if path.is_dir())
    assert (short / "summary.json").exists() and not (long / "summary.json").exists()
    assert StoredRun(short).weights and StoredRun(long).weights


def test_a_killed_worker_is_a_sentence_and_the_others_rows_are_kept(tmp_path):
    process = started(tmp_path, "train", *LONG, "seeds=70", "hydra.run.dir=r", "threads=2")
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    assert len(children) == 2
    os.kill(int(children[0]), signal.SIGKILL)
    code, stderr = ended(process)
    assert code == 1 and "a worker process was killed" in stderr and "35 of its 70 rows" in stderr
    assert len(StoredRun(tmp_path / "r").weights) == 35


def test_a_full_file_system_costs_the_curves_and_not_the_weights(tmp_path):
    process = started(tmp_path, "train", *LONG, "hydra.run.dir=r", file_size=150_000)
    code, stderr = ended(process)
    assert code == 1 and "File too large" in stderr and "the best weights so far" in stderr
    assert len(StoredRun(tmp_path / "r").weights) == 1


def test_no_room_for_the_weights_is_known_before_training(tmp_path, capsys, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", full)
    assert main(["train", *LONG, "hydra.run.dir=r"]) == 1
    stderr = capsys.readouterr().err
    assert stderr.count("\n") == 1 and "No space left on device: 'r'" in stderr


class Broken:
    """A run whose files cannot be written any more, after so many records."""

    def __init__(self, fit, error, after=3):
        self.fit, self.error, self.left = fit, error, after
        self.closed, self.rows, self.kept = False, fit.rows, None
        self.folder = type("Folder", (), {"path": Path("there"), "closed": False})
        self.folder_lost = False

    def read(self, record):
        self.left -= 1
        if self.left == 0:
            raise self.error

    def save_partial(self):
        self.kept = [result.row for result in self.fit.results if result.best_epoch]
        return len(self.kept)


class NoCheckpoints:
    """In the place of a `Checkpointer`."""

    def __init__(self):
        self.timer = CheckpointTimer(None)

    def write(self, state):
        pass

    def how_to_resume(self):
        return "to go on: see"


ERRORS = (
    OSError(errno.ENOSPC, "No space left on device", "there/metrics.jsonl"),
    OSError(errno.EROFS, "Read-only file system"), OSError(errno.EMFILE, "Too many open files"),
    FileNotFoundError(2, "No such file or directory", "there"), BrokenPipeError(32, "Broken pipe"),
    MemoryError(), MachineFault("a worker process was killed"),
    RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes"),
)  # fmt: skip


@pytest.mark.parametrize("error", ERRORS, ids=lambda e: type(e).__name__ + str(getattr(e, "errno", "")))
@pytest.mark.parametrize("seeds", [2, 70])
def test_any_fault_ends_the_epoch_and_keeps_every_row(error, seeds):
    data = nnlab.Iris()
    fit = nnlab.fit(nnlab.Experiment(data=data, epochs=50, seeds=seeds, model=nnlab.MLP(hidden=(4,))))
    broken = Broken(fit, error)
    with pytest.raises(early_end.EndedEarly) as ending:
        training_session.train(fit, [broken], broken.read, NoCheckpoints())
    message = str(ending.value)
    assert ending.value.code == 1 and describe_machine_fault(error) in message and "\n" not in message
    assert sorted(broken.kept) == list(range(seeds)) and not interruption.stop_requested()
    assert max(result.epochs for result in fit.results) < 50


def test_a_fault_of_nnlabs_own_stays_a_traceback():
    fit = nnlab.fit(nnlab.Experiment(data=nnlab.Iris(), epochs=5))
    broken = Broken(fit, ValueError("a bug"))
    with pytest.raises(ValueError, match="a bug"):
        training_session.train(fit, [broken], broken.read, NoCheckpoints())
    assert describe_machine_fault(RuntimeError("a bug")) is None and not interruption.stop_requested()


@pytest.mark.parametrize("delay", [0.2, 0.6, 1.0])
def test_an_interrupt_while_it_is_imported_or_composed(delay, tmp_path):
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    line = [*LINE, "train", "-m", *LONG[:2], "epochs=20", "seed=0,1,2", "picture=true"]
    process = subprocess.Popen(
        line, cwd=tmp_path, env=environment, start_new_session=True, stderr=subprocess.PIPE, text=True,
        stdout=subprocess.DEVNULL,
    )  # fmt: skip
    began = time.monotonic()
    while "nnlab" not in Path(f"/proc/{process.pid}/maps").read_text() and time.monotonic() < began + delay:
        time.sleep(0.02)
    for _ in range(3):
        os.killpg(process.pid, signal.SIGINT)
        time.sleep(0.01)
    _, stderr = process.communicate(timeout=60)
    code = process.returncode
    # Before nnlab's first line, Python itself has the word.
    assert code == 130 and stderr.count("\n") == 1 and stderr.startswith("nnlab train: interrupted")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("seeds, group", [(1, False), (70, True)])
def test_a_batch_system_or_a_lost_terminal_is_as_a_ctrl_c(number, seeds, group, tmp_path):
    process = started(tmp_path, "train", *LONG, f"seeds={seeds}", "hydra.run.dir=r")
    (os.killpg if group else os.kill)(process.pid, number)
    code, stderr = ended(process)
    assert code == 128 + number and "'r' has the curves and the best weights so far" in stderr
    assert len(StoredRun(tmp_path / "r").weights) == seeds and not (tmp_path / "r" / RESERVED_FILE).exists()


def test_what_is_ignored_stays_so(tmp_path):
    process = started(tmp_path, "train", *LONG, "hydra.run.dir=r", ignored=[signal.SIGHUP])  # nohup
    os.kill(process.pid, signal.SIGHUP)
    time.sleep(0.3)
    assert process.poll() is None
    os.kill(process.pid, signal.SIGINT)
    assert ended(process)[0] == 130


def test_workers_end_in_the_background_of_a_shell(tmp_path):
    """Where SIGINT is ignored, by all processes, and SIGTERM reaches the first alone."""
    process = started(tmp_path, "train", *LONG, "seeds=70", "hydra.run.dir=r", ignored=[signal.SIGINT])
    os.kill(process.pid, signal.SIGTERM)
    code, stderr = ended(process)
    assert code == 128 + signal.SIGTERM and "of 70 of its 70 rows" in stderr


@pytest.mark.parametrize("fate", ["removed", "made again", "a link elsewhere"])
def test_a_folder_that_is_lost_while_it_trains(fate, tmp_path):
    process = started(tmp_path, "train", *LONG, "hydra.run.dir=r")
    (tmp_path / "r").rename(tmp_path / "moved")
    if fate != "a link elsewhere":
        shutil.rmtree(tmp_path / "moved")
    (tmp_path / "victim").mkdir()
    if fate == "a link elsewhere":
        (tmp_path / "r").symlink_to(tmp_path / "victim")
    if fate == "made again":
        (tmp_path / "r").mkdir()
    code, stderr = ended(process)
    assert code == 1 and "'r' was removed or replaced; 'r-2' has the curves and the best weights" in stderr
    assert StoredRun(tmp_path / "r-2").weights and not list((tmp_path / "victim").iterdir())
    lines = (tmp_path / "r-2/metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["epoch"] for line in lines] == list(range(1, len(lines) + 1)) and len(lines) > 2


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()])
@pytest.mark.parametrize("multirun", [False, True])
def test_what_comes_after_training_names_what_is_whole(multirun, error, capsys, monkeypatch):
    def draw(*_):
        raise error

    monkeypatch.setattr("nnlab.records.picture.draw", draw)
    arguments = ["-m", "seed=0,1", "hydra.sweep.dir=all"] if multirun else ["hydra.run.dir=all/r"]
    code = main(["train", *LONG[:2], "epochs=2", "picture=true", *arguments])
    stderr = capsys.readouterr().err
    assert code == (1 if isinstance(error, OSError) else 130) and stderr.count("\n") == 1
    at_once = multirun and code == 130  # while others train: as the second Ctrl-C
    assert (
        "no weights in 'all/1_seed=1'" if at_once else "has the curves, the weights and the summary"
    ) in stderr
    first = min(path for path in Path("all").iterdir() if path.is_dir())
    assert (
        (str(first) in stderr) != at_once and StoredRun(first).weights and (first / "summary.json").exists()
    )


@pytest.mark.parametrize("arguments", [("train",), ("train", "-m", "seed=0,1"), ("check",),
                                   ("sweep", "optimizer.lr=interval(0.001,0.1)")])  # fmt: skip
@pytest.mark.parametrize("target", ["omegaconf.OmegaConf.save", "nnlab.records.files._sync_folder"])
def test_a_full_disk_at_the_beginning_leaves_nothing(target, arguments, capsys, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(target, full)
    where = ("hydra.sweep.dir=all",) if "-m" in arguments else ("hydra.run.dir=all/r",)
    assert main([*arguments, *LONG[:2], "epochs=1", *where]) == 1
    stderr = capsys.readouterr().err
    assert stderr.count("\n") == 1 and "No space left on device" in stderr and "all" in stderr
    assert not list(Path().glob("all/*"))


def test_only_the_machine_is_a_fault(capsys):
    Path("file").touch()
    for place in ("file/r", "a" * 300):
        assert main(["train", *LONG[:2], "epochs=1", f"hydra.run.dir={place}"]) == 2
        assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize("line", ["train data=iris epochs=x", "nonsense", "board nowhere", "--nonsense"])
def test_wrong_input_is_2_wherever_it_is_said(line, tmp_path):
    assert forked(tmp_path, *line.split(), stderr="/dev/full").returncode == 2


CLOSED = {"full": ({"stdout": "/dev/full"}, "> /dev/full"), "stdout": ({"stdout": None}, ">&-"),
          "stderr": ({"stderr": None}, "2>&-")}  # fmt: skip


@pytest.mark.parametrize(
    "arguments", [("train", *LONG[:2], "epochs=2"), ("check", "only=start"), ("--help",), ("board", "--help")]
)
@pytest.mark.parametrize("closed", CLOSED)
def test_streams_that_are_full_or_closed(arguments, closed, tmp_path):
    streams, shell = CLOSED[closed]
    if "--help" in arguments:  # which begins at once: as a shell starts it
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
        line = f"{shlex.join([*LINE, *arguments])} {shell}"
        process = subprocess.run(
            line, shell=True, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60
        )
    else:
        process = forked(tmp_path, *arguments, **streams)
    assert "Traceback" not in process.stderr and process.returncode == (1 if closed == "full" else 0), (
        process.stderr
    )
    assert closed != "full" or "No space left on device" in process.stderr
    assert closed != "full" or arguments[0] != "train" or "'outputs/" in process.stderr


# Memory


@pytest.mark.parametrize("command", [("train",), ("train", "-m", "seed=0,1"), ("sweep",), ("check",)])
def test_what_cannot_fit_is_counted_beforehand(command, capsys, tmp_path):
    assert main([*command, "data=iris", "model.hidden=[1000000,1000000]"]) == 2
    stderr = capsys.readouterr().err
    assert stderr.count("\n") == 1 and "TB of memory" in stderr and not list(tmp_path.iterdir())


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_count_is_that_of_the_process(tmp_path):
    """Of a table of 6,000 x 400 as float64 the plan says what the process takes, within a quarter."""
    random = np.random.default_rng(0)
    np.savez(tmp_path / "t.npz", X=random.normal(size=(6000, 400)), y=random.integers(0, 2, 6000))
    arguments = "data=npz data.path=t.npz epochs=1 trials=4 batch=4 report=false threads=1".split()
    code = (
        # VmHWM: ru_maxrss would begin at what the process that started it, pytest, had taken.
        "import sys, re; from nnlab.cli import main; sys.argv[0] = 'nnlab'; main(sys.argv[1:]); "
        "status = open('/proc/self/status').read(); "
        "print('peak', int(re.search(r'VmHWM:\\s+(\\d+)', status)[1]) * 1024)"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    process = subprocess.run(
        [sys.executable, "-c", code, "sweep", *arguments], cwd=tmp_path, env=environment, capture_output=True,
        text=True, timeout=100, check=True,
    )  # fmt: skip
    plan_words = next(line for line in process.stdout.splitlines() if "memory" in line).split()
    planned = float(plan_words[1]) * {"MB,": 1e6, "GB,": 1e9}[plan_words[2]]
    peak = float(process.stdout.split()[-1])
    assert 0.75 < planned / peak < 1.25, (planned, peak)


def test_what_is_answered_to_a_test_set_is_counted():
    """Of 200 seeds on 3,000 examples of 50 classes, of which 2,000 are a test set: 2 x 160 MB."""
    random = np.random.default_rng(0)
    x, y = random.normal(size=(3000, 3)), np.arange(3000) % 50
    data = nnlab.Arrays(x[:1000], y[:1000], x[1000:], y[1000:], task="classification")
    e = nnlab.Experiment(data=data, seeds=200)

    def needed(**options):
        fit = nnlab.Fit([e], **options)
        return memory_needed([fit.rows], fit.datasets, 1)

    answered = 200 * 2000 * 50 * 8
    kept = needed(predictions=True) - needed(predictions=False)
    assert kept == answered and needed(predictions=False) > 2 * answered


def test_limits_of_the_process_and_its_group(tmp_path, monkeypatch):
    root, inside = tmp_path / "cgroup", tmp_path / "cgroup/a/b"
    inside.mkdir(parents=True)
    (tmp_path / "of").write_text("0::/a/b\n")
    for folder, most, used in ((inside, "max", 5), (inside.parent, "1000", 400)):
        (folder / "memory.max").write_text(most)
        (folder / "memory.current").write_text(str(used))
    assert machine._cgroup_available(root, tmp_path / "of") == 600
    (root / "memory/c").mkdir(parents=True)
    (tmp_path / "of").write_text("4:cpu,memory:/c\n")
    (root / "memory/c/memory.limit_in_bytes").write_text("900")
    (root / "memory/c/memory.usage_in_bytes").write_text("100")
    assert machine._cgroup_available(root, tmp_path / "of") == 800
    assert machine._cgroup_available(root, tmp_path / "none") is None
    monkeypatch.setattr(machine, "_cgroup_available", lambda: 7)
    assert machine.available_memory() == 7


def test_a_limit_of_address_space_is_looked_at():
    import resource

    before = resource.getrlimit(resource.RLIMIT_AS)
    taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (taken + 2**30, before[1]))
    try:
        assert 0 < machine.available_memory() <= 2**30
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


def test_torch_says_that_there_is_no_memory():
    for count in (2**45, 2**60):
        with pytest.raises(RuntimeError) as error:
            torch.empty(count, dtype=torch.float64)
        assert "not enough memory" in describe_machine_fault(error.value)


# Links


@pytest.mark.parametrize("arguments", [("train",), ("train", "-m", "seed=0,1"), ("check", "only=start")])
def test_a_linked_place_is_named(arguments, tmp_path, capsys):
    Path("elsewhere").mkdir()
    Path("outputs").symlink_to("elsewhere")
    assert main([*arguments, *LONG[:2], "epochs=1"]) == 0
    goes = f"what is written there goes to '{tmp_path / 'elsewhere'}'"
    advice = f"nnlab {arguments[0]}: advice: 'outputs' is a link: {goes}"
    assert advice in capsys.readouterr().err

"""Runs of `nnlab train` that are killed at random moments and resumed, and what they differ in from one that
was not. scripts/kill_train.py goes on with it for as many kills as one likes.
"""

import contextlib
import json
import os
import random
import shutil
import signal
import time
from collections import defaultdict
from pathlib import Path

from processes import Server, is_alive, is_locked
from tensorboard.backend.event_processing.event_file_loader import RawEventFileLoader
from tensorboard.compat.proto.event_pb2 import Event

OFTEN = "checkpoint.minutes=0.002"  # a checkpoint every 0.12 s
NOISY = (
    "regularizer=[l1,l2,dropout,dropconnect,max_norm]", "regularizer.input_dropout=0.1",
    "regularizer.label_smoothing=0.1", "data.label_noise=0.1", "histograms=1", "batch_size=16",
    "record=[effective_step,update_norm,weight_norm]",
)  # fmt: skip
# What draws numbers, what remembers epochs, what stops rows; one run and several, one stack and several.
LINES = {
    "seeds": (*NOISY, "seeds=3", "threads=1", "picture=true"),
    "folds, refit": (
        *NOISY[:5], NOISY[-1], "split=kfold", "split.k=3", "schedule=halve_and_go_back", "optimizer=momentum",
        "optimizer.lr=0.5", "stopping=patience", "stopping.patience=4", "refit=true", "threads=2",
    ),
    "several runs": ("-m", "optimizer=sgd,adam", "model.hidden=[32],[16,16]", "seeds=2", "threads=2", *NOISY),
}  # fmt: skip


def kill_and_resume(
    server: Server, folder: Path, overrides, moments: random.Random, kills: int, life: float
) -> None:
    """So many kill -9 at random moments of its first `life` seconds, each then resumed; at last to its end.

    A run that ends before its kill begins anew, with half the life: a quick machine may end it much sooner.
    """
    begin, count = first_command(folder, overrides), 0
    line = begin
    while count < kills:
        was_killed = _kill_within(server, folder, line, moments.uniform(0, life))
        count += was_killed
        if was_killed and can_resume(folder):
            line = ("train", f"resume={folder}")
        else:  # nothing had been begun, or all had ended
            line, life = begin, life if was_killed else life / 2
            shutil.rmtree(folder, ignore_errors=True)
    server.start(*line)
    assert server.wait() == 0, server.read_stderr()


def _kill_within(server: Server, folder: Path, line: tuple, seconds: float) -> bool:
    """Start a run and kill it so long after it begins to train; whether it had not ended before."""
    pid, waits = server.start(*line), time.monotonic() + 60
    while not _trains(folder) and time.monotonic() < waits and is_alive(pid):
        time.sleep(0.005)
    time.sleep(seconds)
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    code = server.wait()
    assert code in (0, -signal.SIGKILL), server.read_stderr()
    return code != 0


def can_resume(folder: Path) -> bool:
    return (folder / "config.yaml").exists() or (folder / "runs.json").exists()


def first_command(folder: Path, overrides) -> tuple:
    where = "hydra.sweep.dir" if "-m" in overrides else "hydra.run.dir"
    return "train", *overrides, f"{where}={folder}"


def _trains(folder: Path) -> bool:
    return any(map(is_locked, folder.rglob(".reserved")))


def differing_files(first: Path, second: Path) -> list[str]:
    """The files in which two folders of runs differ, but for the clock and the order of lines."""
    names = [
        {path.relative_to(folder) for path in folder.rglob("*") if _is_compared(path)}
        for folder in (first, second)
    ]
    differ = [f"{name} is in one of them" for name in names[0] ^ names[1]]
    differ += [str(name) for name in names[0] & names[1] if content(first / name) != content(second / name)]
    events = [curves(folder) for folder in (first, second)]
    return differ + [f"events of {name}" for name in events[0] if events[0][name] != events[1].get(name)]


def _is_compared(path: Path) -> bool:
    is_own = path.name not in ("command.txt", "runs.json", "speed.json") and ".hydra" not in path.parts
    return path.is_file() and is_own and not path.name.startswith("events.out")


def content(path: Path):
    if path.name == "metrics.jsonl":
        return sorted(path.read_text().splitlines())
    if path.name == "config.yaml":
        return [line for line in path.read_text().splitlines() if "minutes" not in line]
    if path.name == "summary.json":
        return {key: value for key, value in json.loads(path.read_text()).items() if key != "seconds"}
    return path.read_bytes()


def curves(folder: Path) -> dict[str, list]:
    """What the event files below each folder say: sorted, since stacks may come in another order."""
    values = defaultdict(list)
    for file in folder.rglob("events.out.tfevents.*"):
        for data in RawEventFileLoader(str(file)).Load():
            event = Event.FromString(data)
            for value in event.summary.value:
                if not value.tag.startswith("_hparams_"):  # they say when it began
                    values[str(file.parent.relative_to(folder))].append(
                        (event.step, value.SerializeToString())
                    )
    return {folder_name: sorted(events) for folder_name, events in values.items()}

"""What workers of Ray run in tests/test_ray.py, and a driver that has them run it; it prints JSON."""

import importlib
import json
import os
import signal
import sys
import time
import types
from pathlib import Path

from nnlab.errors import MachineFault, UserError
from nnlab.jobs import ray_cluster, ray_executor
from nnlab.jobs.ray_executor import RayExecutor


def echo(job: bytes, references: dict, threads: int) -> bytes:
    """Each line of the job is a word and what it is about; the outcome is the data, or what a word says."""
    import ray

    said = b"".join(ray.get(reference) for reference in references.values())
    for word, _, what in (line.partition(" ") for line in job.decode().splitlines()):
        if word == "note":  # that it was run
            with open(what, "a") as file:
                file.write("run\n")
        elif word == "die" and not Path(what).exists():  # in its first life
            Path(what).touch()
            os.kill(os.getpid(), signal.SIGKILL)
        elif word == "sleep":
            time.sleep(float(what))
        elif word == "import":
            said += str(importlib.import_module(what).__file__).encode()
        elif word == "raise":
            raise ZeroDivisionError(what)
    return said


def die(job: bytes, references: dict, threads: int) -> bytes:
    os.kill(os.getpid(), signal.SIGKILL)
    return b""


def visible(job: bytes, references: dict, threads: int) -> bytes:
    return os.environ["CUDA_VISIBLE_DEVICES"].encode()


def collected(executor: RayExecutor, number: int) -> dict[str, object]:
    """So many outcomes, or the faults in their place."""
    found, ends = {}, time.monotonic() + 60
    while len(found) < number and time.monotonic() < ends:
        found |= {each.name: each.fault or each.outcome.decode() for each in executor.collect(0.5)}
    return found


def sentence(kind: type[Exception], function, *args, **settings) -> str:
    try:
        function(*args, **settings)
    except kind as e:
        return str(e)
    return ""


def lost(executor: RayExecutor) -> dict[str, str]:
    """What is said when the nodes that had room are gone, and when the head is: as if after a long time."""
    ray_executor.NODE_SECONDS = ray_cluster.HEADLESS_SECONDS = ray_cluster.LOOK_SECONDS = 0
    executor.submit("waits", b"sleep 60", [])
    executor.cpus = 9
    without_room = sentence(MachineFault, collected, executor, 1)
    executor._cluster._head = "127.0.0.1:1"
    return {"room": without_room, "head": sentence(MachineFault, executor.slots)}


def main() -> None:
    """In a folder of its own, as the current one, beside a cluster of two cores."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    note, said = Path("note").absolute(), {}
    executor = RayExecutor(retries=1, run=echo)
    said["handler"] = signal.getsignal(signal.SIGTERM) == signal.SIG_IGN
    said["slots"] = executor.slots()
    executor.put_data("d1", b"data 1")
    executor.put_data("d2", b" and 2")
    executor.submit("a", f"note {note}".encode(), ["d1", "d2"])
    executor.submit("a", f"note {note}".encode(), ["d1", "d2"])
    executor.submit("b", b"import colorsys", [])
    said["outcomes"] = collected(executor, 2)
    said["runs"] = note.read_text().split()
    note.unlink()
    executor.submit("lost", f"note {note}\ndie {note}.died".encode(), ["d1"])
    said["retried"] = collected(executor, 1)
    said["lives"] = note.read_text().split()
    executor.submit("unwanted", b"sleep 60", [])
    executor.submit("wanted", b"", ["d1"])
    executor.drop(["unwanted", "never submitted"])
    said["after drop"] = collected(executor, 1), executor.collect(0.1)
    executor.submit("raises", b"raise by zero", [])
    said["raised"] = sentence(RuntimeError, collected, executor, 1)
    mortal = RayExecutor(retries=0, run=die)  # in the same session of Ray
    mortal.submit("m", b"", [])
    said["fault"] = collected(mortal, 1)
    mortal.close()
    sys.modules["elsewhere"] = elsewhere = types.ModuleType("elsewhere")
    exec("def missing(job, references, threads): pass", elsewhere.__dict__)
    stranger = RayExecutor(run=elsewhere.missing)
    stranger.submit("s", b"", [])
    said["missing"] = sentence(UserError, collected, stranger, 1)
    said["cpus"] = sentence(UserError, RayExecutor, cpus=3)
    said["gpus"] = sentence(UserError, RayExecutor, gpus=2)
    owner = RayExecutor(gpus=1, run=visible)
    owner.submit("g", b"", [])
    said["gpu"] = collected(owner, 1)
    said["moving"] = executor.seconds["moving"] > 0
    said |= lost(executor)
    executor.close()
    executor.close()
    print(json.dumps(said))

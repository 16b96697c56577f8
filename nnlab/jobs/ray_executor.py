"""Jobs as tasks of Ray Core, which retries what was lost with its worker or its node.

Only bytes cross: a task is a function of this module, by its name, a job, and references to data in Ray's
object store. A worker keeps its data between tasks (nnlab/jobs/running.py).
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Sequence

from nnlab import __version__
from nnlab.errors import MachineFault, UserError
from nnlab.jobs.executor import Finished
from nnlab.jobs.ray_cluster import RayCluster

# In what Ray says of a task whose function cannot be imported.
MISSING_MODULE = re.compile(
    r"ip=(?P<node>[^,)]+).*?\b(?:ModuleNotFound|Import)Error: (?P<what>[^\n]*)", re.DOTALL
)
NODE_SECONDS = 60  # to wait for a node with room for a job, once there is none any more


def train(job: bytes, references: dict, threads: int) -> bytes:
    """What a worker of Ray runs: the outcome of a job. `references`: key -> where the store has the data."""
    import ray

    from nnlab.jobs.running import run

    def data(key: str) -> bytes:
        try:
            return ray.get(references[key])
        except ray.exceptions.RayError as e:
            raise MachineFault(f"the data of a job were lost: {_first_line(e)}") from e

    return run(job, data, threads=threads)


class RayExecutor:
    """An `Executor` whose jobs are tasks of a Ray cluster, each on so many `cpus` and `gpus`.

    Lost with its worker or node, a job is trained again, at most `retries` times. See `RayCluster` for
    `address`. Raises `UserError` if no node has room for a job.
    """

    def __init__(
        self, address: str | None = None, cpus: float = 1.0, gpus: float = 0.0, retries: int = 3, run=train
    ):
        if not cpus and not gpus:
            raise UserError(
                "launcher.cpus = 0: a job that needs no GPU (launcher.gpus) needs a share of a CPU"
            )
        self.cpus, self.gpus = cpus, gpus
        self.seconds = {"moving": 0.0}
        self._cluster = RayCluster(address)
        self._ray = self._cluster.ray
        self._data: dict[str, object] = {}  # key -> reference
        self._tasks: dict[str, object] = {}  # name of a job that has not been collected -> reference
        self._threads = max(1, int(cpus))
        self._without_room: float | None = None  # since when no node has room for a job
        try:
            self._refuse_without_room()
            options = {"num_cpus": cpus, "num_gpus": gpus, "max_retries": retries}
            self._task = self._ray.remote(**options)(run)
        except BaseException:
            self.close()
            raise

    def _refuse_without_room(self) -> None:
        if any(self._cluster.rooms(self.cpus, self.gpus)):
            return
        wanted = f"launcher.cpus = {self.cpus:g}, launcher.gpus = {self.gpus:g}"
        sentence = f"{wanted}: no node of the Ray cluster has both"
        for key, need, resource in (("gpus", self.gpus, "GPU"), ("cpus", self.cpus, "CPU")):
            most = max((node.get(resource, 0) for node in self._cluster.nodes()), default=0)
            if need > most:
                what = f"no node of the Ray cluster has more {resource}s than {most:g}"
                sentence = f"launcher.{key} = {need:g}: {what}"
        raise UserError(sentence)

    def slots(self) -> int:
        return max(1, sum(self._cluster.rooms(self.cpus, self.gpus)))

    def put_data(self, key: str, content: bytes) -> None:
        if key not in self._data:
            start = time.perf_counter()
            self._data[key] = self._ray.put(content)
            self._moved(start)

    def submit(self, name: str, job: bytes, data: Sequence[str]) -> None:
        if name not in self._tasks:
            start = time.perf_counter()
            references = {key: self._data[key] for key in data}
            self._tasks[name] = self._task.options(name=name).remote(job, references, self._threads)
            self._moved(start)

    def collect(self, seconds: float) -> list[Finished]:
        if not self._tasks:
            return []
        names = {reference: name for name, reference in self._tasks.items()}
        self._ray.wait(list(names), num_returns=1, timeout=seconds)
        ready, _ = self._ray.wait(list(names), num_returns=len(names), timeout=0)
        if not ready:
            self._wait_for_room()
        start = time.perf_counter()
        finished = [self._finished(names[reference]) for reference in ready]
        self._moved(start)
        return finished

    def _finished(self, name: str) -> Finished:
        errors = self._ray.exceptions
        try:
            return Finished(name, self._ray.get(self._tasks.pop(name)))
        except errors.RayTaskError as e:
            raise _failure(e) from e
        except errors.RayError as e:
            return Finished(name, fault=f"Ray lost a job: {_first_line(e)}")

    def _wait_for_room(self) -> None:
        """Raise `MachineFault` if for too long no node has had room for a job, were it idle."""
        if any(self._cluster.rooms(self.cpus, self.gpus)):
            self._without_room = None
            return
        self._without_room = self._without_room or time.monotonic()
        if time.monotonic() - self._without_room > NODE_SECONDS:
            raise MachineFault(f"for {NODE_SECONDS} s no node of the Ray cluster has had room for a job")

    def drop(self, names: Iterable[str]) -> None:
        for name in names:
            if reference := self._tasks.pop(name, None):
                self._ray.cancel(reference)

    def close(self) -> None:
        self.drop(list(self._tasks))  # otherwise Ray tells of each one that ends with the connection
        self._data = {}
        self._cluster.close()

    def _moved(self, since: float) -> None:
        self.seconds["moving"] += time.perf_counter() - since


def _failure(error: Exception) -> Exception:
    """What the driver raises when a task did."""
    missing = MISSING_MODULE.search(str(error))
    if missing and (isinstance(error.cause, ImportError) or "failed to import on the worker" in str(error)):
        node = f"the node {missing['node']} of the Ray cluster cannot import nnlab"
        return UserError(f"{node}: {missing['what']}; it needs nnlab {__version__}, as this machine has")
    return RuntimeError(f"a worker of Ray failed:\n{error}")


def _first_line(error: Exception) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)

"""The connection to a Ray cluster: at an address, one begun on this machine, or one that is started."""

from __future__ import annotations

import contextlib
import logging
import math
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from nnlab.errors import MachineFault, UserError

ADDRESS = re.compile(r"(\[[0-9a-fA-F:]+\]|[^\s:/@]+):[0-9]{1,5}")
ADDRESS_VARIABLE = "RAY_ADDRESS"
ANSWER_SECONDS = 5  # within which the address of a cluster answers
LOOK_SECONDS = 3  # between two looks at the cluster's nodes
# For which a cluster may be without its head. After a minute Ray itself ends this process, without a word.
HEADLESS_SECONDS = 30
# Ray's core ends a process that cannot join, without a word or after two minutes: so another one tries first.
TRIAL = "import sys, ray; ray.init(sys.argv[1], log_to_driver=False, logging_level='CRITICAL')"
TRIAL_SECONDS = 20

SILENT = "it does not answer as the head of a Ray cluster, whose port is 6379 if none was chosen"
REASONS = {
    "AuthToken": "it wants a token: set RAY_AUTH_MODE=token, and RAY_AUTH_TOKEN unless it is in ~/.ray",
    "Failed to connect to socket": "it is not one of its nodes; ray start --address=... makes it one",
    "Failed to connect to GCS": SILENT,
    "Failed to get cluster ID": SILENT,
}


def import_ray():
    """Ray, which takes a second to import. Raises `UserError` if it is not installed."""
    try:
        import ray
    except ImportError as e:
        raise UserError("launcher=ray needs Ray: pip install 'nnlab[ray]'") from e
    return ray


class RayCluster:
    """The Ray cluster at `address`; without one that of RAY_ADDRESS, or one that `ray start` began on this
    machine, else one that is started here and ends with `close`.

    A session of Ray that this process has already is used, and stays. Raises `UserError` if this machine
    cannot join a cluster at the address, and `MachineFault` if Ray does not start.
    """

    def __init__(self, address: str | None = None):
        self.ray = import_ray()
        self._is_own = not self.ray.is_initialized()
        if self._is_own:
            self._connect(address)
        self._head = self.ray.get_runtime_context().gcs_address
        self._nodes: list[dict] = []
        self._looked = self._headed = -math.inf  # when nodes were asked for, and when the head answered

    def _connect(self, address: str | None) -> None:
        source = "launcher.address" if address else ADDRESS_VARIABLE
        address = address or os.environ.get(ADDRESS_VARIABLE)
        if address:
            _refuse_strange(address, source)
            self._init(address=address)
        elif _is_begun_here(self.ray):
            self._init()
        else:
            self._init(address="local", num_cpus=len(os.sched_getaffinity(0)), include_dashboard=False)

    def _init(self, **settings) -> None:
        # Otherwise Ray tells of each worker and node that is lost, between the lines of the sweep.
        self.ray._private.worker._worker_logs_enabled = False
        try:
            with _undisturbed(self.ray):
                self.ray.init(**settings, log_to_driver=False, logging_level=logging.CRITICAL)
        except BaseException as e:
            self.close()
            if not isinstance(e, Exception):
                raise
            raise MachineFault(f"Ray cannot be started on this machine: {_reason(str(e))}") from e

    def nodes(self) -> list[dict]:
        """The resources of each node that lives, as known now. Raises `MachineFault` if the cluster has been
        without its head for too long."""
        now = time.monotonic()
        if now - self._looked >= LOOK_SECONDS:
            self._looked = now
            # Ray would wait, for a head too that never comes back.
            if not _unreachable(self._head):
                self._headed = time.monotonic()
                self._nodes = [node["Resources"] for node in self.ray.nodes() if node["Alive"]]
            elif now - self._headed > HEADLESS_SECONDS:
                raise MachineFault(f"the head of the Ray cluster, {self._head}, does not answer any more")
        return self._nodes

    def rooms(self, cpus: float, gpus: float) -> list[int]:
        """How many jobs that need so much can run at once on each node, when nothing else does."""
        needs = [("CPU", cpus), ("GPU", gpus)]
        return [min(int(node.get(name, 0) / need) for name, need in needs if need) for node in self.nodes()]

    def close(self) -> None:
        """Leave the cluster, whose tasks for this process end; one that was started here ends itself."""
        if self._is_own:
            self.ray.shutdown()
            self.ray._private.worker._worker_logs_enabled = True


def _refuse_strange(address: str, source: str) -> None:
    """Raise `UserError` if there is no Ray cluster that this machine can join."""
    if not ADDRESS.fullmatch(address):
        raise UserError(
            f"{source} = {address}: expected HOST:PORT of a Ray cluster that this machine belongs to"
        )
    if reason := _unreachable(address):
        raise UserError(f"{source} = {address}: no Ray cluster answers there: {reason}")
    line = [sys.executable, "-P", "-c", TRIAL, address]
    try:
        subprocess.run(line, cwd="/", capture_output=True, timeout=TRIAL_SECONDS, check=True)
    except subprocess.SubprocessError as e:
        reason = _reason((e.stderr or b"").decode(errors="replace"))
        raise UserError(f"{source} = {address}: this machine cannot join it: {reason}") from e


def _unreachable(address: str) -> str:
    """Why nobody answers at HOST:PORT; empty if somebody does."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), ANSWER_SECONDS).close()
    except (OSError, OverflowError) as e:
        return getattr(e, "strerror", None) or str(e)
    return ""


def _reason(message: str) -> str:
    """The reason in what Ray says when it fails, with tracebacks of Python and of C++."""
    for words, reason in REASONS.items():
        if words in message:
            return reason
    lines = [line.strip() for line in message.splitlines() if line.strip()]
    return next((line for line in reversed(lines) if "Error: " in line), lines[0] if lines else SILENT)


def _is_begun_here(ray) -> bool:
    """Whether the cluster that `ray start` began on this machine last is alive.

    The file of its address is where everybody may write, and what a cluster answers is unpickled: so it must
    be this user's own.
    """
    file = Path(ray._common.utils.get_ray_address_file(None))
    try:
        return file.stat().st_uid in (0, os.getuid()) and not _unreachable(file.read_text().strip())
    except (OSError, ValueError):
        return False


@contextlib.contextmanager
def _undisturbed(ray) -> Iterator[None]:
    """Within, `ray.init` leaves the handler of SIGTERM, and where workers import from, as they are.

    They would look for modules in the current directory of the driver first, whatever lies there.
    """
    functions = ray._private.utils
    own = functions.set_sigterm_handler
    functions.set_sigterm_handler = lambda handler: None
    try:
        with contextlib.chdir("/"):
            yield
    finally:
        functions.set_sigterm_handler = own

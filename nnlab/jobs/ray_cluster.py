"""The connection to a Ray cluster: at an address, one begun on this machine, or one that is started."""

from __future__ import annotations

import contextlib
import logging
import math
import os
import re
import signal
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from nnlab.errors import MachineFault, UserError

ADDRESS = re.compile(r"(?P<host>[^\s:/@]+|\[[0-9a-fA-F:]+\]):(?P<port>[0-9]{1,5})")
ADDRESS_VARIABLE = "RAY_ADDRESS"
ANSWER_SECONDS = 5  # within which the address of a cluster answers
LOOK_SECONDS = 3  # between two looks at the cluster's nodes
# For which a cluster may be without its head. After a minute Ray itself ends this process, without a word.
HEADLESS_SECONDS = 30
# What a client of HTTP/2 says first, with no settings of its own. A server answers with its settings.
HTTP2_GREETING = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
FRAME_HEAD_BYTES, SETTINGS_FRAME = 9, 4  # the latter is the fourth byte


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

    A session of Ray that this process has already is used, and stays. Raises `UserError` if no cluster is
    at the address, and `MachineFault` if none can be started.
    """

    def __init__(self, address: str | None = None):
        self.ray = import_ray()
        self._is_own = not self.ray.is_initialized()
        if self._is_own:
            self._connect(address)
        self._head = self.ray.get_runtime_context().gcs_address
        self._nodes: list[dict] = []
        self._looked = self._headed = -math.inf  # when nodes were asked for, and when the head answered
        self._is_lost = False

    def _connect(self, address: str | None) -> None:
        source = "launcher.address" if address else ADDRESS_VARIABLE
        address = address or os.environ.get(ADDRESS_VARIABLE)
        if address:
            _refuse_unreachable(address, source)
            self._init(UserError, f"{source} = {address}: this machine cannot join it", address=address)
        elif here := _address_of_this_machine(self.ray):
            self._init(MachineFault, f"the Ray cluster of this machine, {here}, cannot be joined")
        else:
            own = {"address": "local", "num_cpus": len(os.sched_getaffinity(0)), "include_dashboard": False}
            self._init(MachineFault, "Ray cannot be started on this machine", **own)

    def _init(self, kind: type[Exception], complaint: str, **settings) -> None:
        """Begin a session of Ray; raises the complaint, with a reason, if that fails."""
        # Otherwise Ray tells of each worker and node that is lost, between the lines of the sweep.
        self.ray._private.worker._worker_logs_enabled = False
        try:
            with _undisturbed():
                self.ray.init(**settings, log_to_driver=False, logging_level=logging.CRITICAL)
        except (Exception, SystemExit) as e:  # SystemExit is how the core of Ray gives up
            self.close()
            reason = " ".join(str(e.__cause__ or e).split()) if isinstance(e, Exception) else "it is silent"
            raise kind(f"{complaint}: {reason}") from e

    def nodes(self) -> list[dict]:
        """The resources of each node that lives, as known now. Raises `MachineFault` if the cluster has been
        without its head for too long."""
        now = time.monotonic()
        if now - self._looked >= LOOK_SECONDS:
            self._looked = now
            # Ray would wait, for a head too that never comes back.
            if _answers(self._head):
                self._headed = time.monotonic()
                self._nodes = [node["Resources"] for node in self.ray.nodes() if node["Alive"]]
            elif now - self._headed > HEADLESS_SECONDS:
                self._is_lost = True
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


def _refuse_unreachable(address: str, source: str) -> None:
    """Raise `UserError` if nothing that may be Ray answers: Ray itself tries for two minutes."""
    match = ADDRESS.fullmatch(address)
    if not match:
        raise UserError(
            f"{source} = {address}: expected HOST:PORT of a Ray cluster that this machine belongs to"
        )
    try:
        is_ray = _speaks_http2(match["host"].strip("[]"), int(match["port"]))
    except (OSError, OverflowError) as e:
        reason = getattr(e, "strerror", None) or str(e)
        raise UserError(f"{source} = {address}: no Ray cluster answers there: {reason}") from e
    if not is_ray:
        raise UserError(f"{source} = {address}: what answers there is not a Ray cluster")


def _answers(address: str) -> bool:
    match = ADDRESS.fullmatch(address)
    try:
        return _speaks_http2(match["host"].strip("[]"), int(match["port"]))
    except OSError:
        return False


def _speaks_http2(host: str, port: int) -> bool:
    """Whether a server of gRPC may be there, as Ray's is."""
    with socket.create_connection((host, port), ANSWER_SECONDS) as connection:
        if os.environ.get("RAY_USE_TLS", "0").lower() in ("1", "true"):
            return True
        connection.sendall(HTTP2_GREETING)
        with contextlib.suppress(TimeoutError, ConnectionError):
            answer = connection.recv(FRAME_HEAD_BYTES)
            return len(answer) > 3 and answer[3] == SETTINGS_FRAME
    return False


def _address_of_this_machine(ray) -> str | None:
    """Of the cluster that `ray start` began here last, if it lives.

    Its file is where everybody may write. What a cluster answers is unpickled: so it must be this user's own.
    """
    file = Path(ray._common.utils.get_ray_address_file(None))
    try:
        if file.stat().st_uid not in (0, os.getuid()):
            return None
        address = file.read_text().strip()
        _refuse_unreachable(address, str(file))
        return address
    except (OSError, UserError):
        return None


@contextlib.contextmanager
def _undisturbed() -> Iterator[None]:
    """Keep what `ray.init` changes: the handler of SIGTERM, and where workers import from.

    They look for modules in the current directory of the driver first, whatever lies there.
    """
    in_main_thread = threading.current_thread() is threading.main_thread()
    handler = signal.getsignal(signal.SIGTERM)
    try:
        with contextlib.chdir("/"):
            yield
    finally:
        if in_main_thread:
            signal.signal(signal.SIGTERM, handler)

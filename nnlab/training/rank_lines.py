"""The lines between rank 0 and each of the others. They carry what a collective call cannot: messages of one
rank, at any moment, and the end of one, at once.

Rank 0 listens; its address, and the key that a rank has to show, go to the others by `Ranks.broadcast_bytes`.
"""

from __future__ import annotations

import contextlib
import hmac
import json
import os
import secrets
import socket
from multiprocessing.connection import Connection

from nnlab.errors import MachineFault
from nnlab.runtime.ranks import Ranks
from nnlab.training.rank_messages import Line

MEET_SECONDS = 60.0  # for every rank to show its key, once all have found each other
KEY_BYTES, RANK_BYTES = 32, 8
# Of a machine that is lost nothing comes, not even an end: it is asked for a sign after so many seconds of
# silence, then in intervals, and given up after so many of them.
IDLE_SECONDS, INTERVAL_SECONDS, SILENT_INTERVALS = 10, 5, 3


def lines_to_others(ranks: Ranks) -> list[Line]:
    """On rank 0: a line to each of the others, in their order. Raises `MachineFault`."""
    key = secrets.token_bytes(KEY_BYTES)
    host = "127.0.0.1" if ranks.local_size == ranks.size else ""
    with socket.create_server((host, 0), backlog=ranks.size) as server:
        address = [host or os.environ["MASTER_ADDR"], server.getsockname()[1]]
        ranks.broadcast_bytes(json.dumps([*address, key.hex()]).encode())
        server.settimeout(MEET_SECONDS)
        lines: dict[int, Line] = {}
        while len(lines) < ranks.size - 1:
            try:
                connection = _kept_alive(server.accept()[0])
            except TimeoutError as error:
                missing = next(rank for rank in range(1, ranks.size) if rank not in lines)
                raise MachineFault(f"rank {missing} of {ranks.size} did not find rank 0") from error
            rank = _shown_rank(connection, key)
            if rank is None or not 0 < rank < ranks.size or rank in lines:
                connection.close()  # somebody else
            else:
                lines[rank] = Line(connection, rank, ranks.size)
    return [lines[rank] for rank in range(1, ranks.size)]


def line_to_first(ranks: Ranks) -> Line:
    """On another rank: its line to rank 0. Raises `MachineFault`."""
    host, port, key = json.loads(ranks.broadcast_bytes())
    try:
        connection = _kept_alive(socket.create_connection((host, port), MEET_SECONDS))
        connection.send_bytes(bytes.fromhex(key) + ranks.rank.to_bytes(RANK_BYTES, "big"))
    except OSError as error:
        reason = error.strerror or error
        raise MachineFault(
            f"rank {ranks.rank} of {ranks.size} cannot reach rank 0, {host}:{port}: {reason}"
        ) from error
    return Line(connection, 0, ranks.size)


def _shown_rank(connection: Connection, key: bytes) -> int | None:
    """The rank that whoever has called says it is; None if it does not know the key."""
    with contextlib.suppress(OSError, EOFError):
        if connection.poll(MEET_SECONDS):
            shown = connection.recv_bytes(KEY_BYTES + RANK_BYTES)
            if hmac.compare_digest(shown[:KEY_BYTES], key):
                return int.from_bytes(shown[KEY_BYTES:], "big")
    return None


def _kept_alive(end: socket.socket) -> Connection:
    """The socket as a connection, of which the loss of the other machine is noticed."""
    end.settimeout(None)
    end.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    options = {
        "TCP_KEEPIDLE": IDLE_SECONDS,
        "TCP_KEEPINTVL": INTERVAL_SECONDS,
        "TCP_KEEPCNT": SILENT_INTERVALS,
    }
    for name, value in options.items():
        if hasattr(socket, name):  # not on every system
            end.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
    return Connection(end.detach())

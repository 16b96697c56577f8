"""Runs a function on several ranks: forks of this process with the environment that torchrun gives."""

import multiprocessing
import os
import signal
import socket
import traceback

import torch

SECONDS = 60  # after which a rank that says nothing has failed


def run_ranks(size: int, function, *args) -> list:
    """What `function(*args)` returns on each rank; None of a rank that was killed. Fails with the
    traceback of the first that fails."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    fork = multiprocessing.get_context("fork")
    pipes, processes = [], []
    try:
        for rank in range(size):
            parent_end, child_end = fork.Pipe(duplex=False)
            processes.append(fork.Process(target=_work, args=(rank, size, port, child_end, function, args)))
            processes[-1].start()
            child_end.close()
            pipes.append(parent_end)
        outcomes = [_receive(pipe) for pipe in pipes]
    finally:
        for process in processes:
            process.kill()
            process.join()
        for pipe in pipes:
            pipe.close()
    for failure, _ in outcomes:
        assert not failure, failure
    return [value for _, value in outcomes]


def _receive(pipe):
    try:
        return pipe.recv() if pipe.poll(SECONDS) else ("a rank said nothing in time", None)
    except EOFError:
        return "", None


def _work(rank, size, port, pipe, function, args):
    names = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")
    os.environ |= dict(zip(names, map(str, (rank, size, rank, "127.0.0.1", port)), strict=True))
    torch.set_num_threads(1)  # a fork cannot use the threads that its parent had started
    try:
        value = "", function(*args)
    except BaseException:
        value = traceback.format_exc(), None
    pipe.send(value)
    signal.pause()  # until all have said something: rank 0 has the store that the others ask

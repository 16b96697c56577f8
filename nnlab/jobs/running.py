"""`run`: what a worker does with a job, in whatever process and on whatever machine it is."""

from __future__ import annotations

import os
import platform
import time
import traceback
import warnings
from collections import OrderedDict
from collections.abc import Callable

import numpy as np

from nnlab.data.dataset import Dataset
from nnlab.errors import Advice, UserError, describe_machine_fault
from nnlab.jobs.data_file import ARRAYS, from_bytes, in_place_key, is_sent
from nnlab.jobs.job import Job
from nnlab.jobs.outcome import MOST_TEXT_CHARACTERS, Outcome
from nnlab.training.data_cache import DataCache
from nnlab.training.snapshot import Snapshot
from nnlab.training.training import Training

KEPT_DATA, KEPT_BYTES = 4, 2**30  # data sets that a process keeps between jobs, at most; the last one always

# The data sets that the last jobs of this process had, by their keys. A cache and no state: a job
# gives the same bits without it.
_caches: OrderedDict[str, DataCache] = OrderedDict()


def run(
    job: bytes, data: Callable[[str], bytes], on_epoch: Callable[[int], None] = lambda epoch: None,
    threads: int = 1,
) -> bytes:  # fmt: skip
    """Train a `Job`; its `Outcome`, which also says what has gone wrong. Raises only `KeyboardInterrupt`.

    data      gives the bytes of the data of a key; called if this process has not got them
    on_epoch  is called after each epoch, with its number
    threads   on which to compute: they change no bit
    """
    start = time.perf_counter()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Advice)  # the driver has given it
            outcome = _trained(Job.from_bytes(job), data, on_epoch, threads, start)
    except UserError as e:
        outcome = Outcome(refused=str(e), worker=_own_name())
    except Exception as e:
        fault = describe_machine_fault(e)
        error = "" if fault else traceback.format_exc()[-MOST_TEXT_CHARACTERS:]
        outcome = Outcome(fault=fault or "", error=error, worker=_own_name())
    return outcome.to_bytes()


def _trained(job: Job, data, on_epoch, threads: int, start: float) -> Outcome:
    cache, e = _cache_of(job, data), job.experiments[0]
    rows = job.stack(cache.datasets[e.data], cache.folds(e))
    cache.keep_only(rows)
    training = Training(rows, cache.examples(rows[0]), threads, job.fused)
    if job.state:
        _restore(training, job.state)
    training.end_rows(job.prune, "pruned")
    records = []
    while len(training) and training.epochs != job.until:
        record, _ = training.epoch()
        records.append(record)
        on_epoch(record.epoch)
    state = _timeless(training.state()) if len(training) else None
    return Outcome(tuple(records), state, time.perf_counter() - start, _own_name())


def _restore(training: Training, state: Snapshot) -> None:
    """Put the training where the state has it. Raises `UserError` for the state of another."""
    try:
        training.restore(state)
    except ValueError as e:
        raise UserError(f"the job begins with {e}") from e


def _timeless(state: Snapshot) -> Snapshot:
    """A state without the time that it took: the job that goes on from it has the same bytes each time."""
    return Snapshot(state.arrays, state.values | {"seconds": 0.0})


def keep_data(key: str, content: bytes) -> None:
    """Have the data of a key ready, as a process does whose forks are to share them. Raises `UserError`."""
    cache = _caches[key] = DataCache()
    cache.datasets[None] = from_bytes(content, key)  # of whatever settings: see `_cache_of`


def _cache_of(job: Job, data: Callable[[str], bytes]) -> DataCache:
    """The cache that has the data of the job. Raises `UserError` if they are not to be had."""
    cache, own = _caches.pop(job.data, None) or DataCache(), job.experiments[0].data
    if own not in cache.datasets:
        # With other settings they may be there: the same examples, normalised otherwise.
        loaded = next(iter(cache.datasets.values()), None)
        cache.datasets[own] = loaded or _load(job, data)
    _caches[job.data] = cache
    while len(_caches) > KEPT_DATA or len(_caches) > 1 and sum(map(_bytes, _caches.values())) > KEPT_BYTES:
        _caches.popitem(last=False)
    return cache


def _bytes(cache: DataCache) -> int:
    """Of the data set that a cache has in memory."""
    dataset = next(iter(cache.datasets.values()))
    arrays = (getattr(dataset, name) for name in ARRAYS)
    return sum(array.nbytes for array in arrays if isinstance(array, np.ndarray))


def _load(job: Job, data: Callable[[str], bytes]) -> Dataset:
    if not is_sent(job.data):
        dataset = job.experiments[0].load()
        if in_place_key(dataset) != job.data:
            raise UserError(
                f"the data of the job are others than those that {job.experiments[0].data} reads here"
            )
        return dataset
    try:
        content = data(job.data)
    except (OSError, LookupError) as e:
        raise UserError(f"the data {job.data:.80} are not here: {e}") from e
    return from_bytes(content, job.data)


def _own_name() -> str:
    return f"{platform.node()}, process {os.getpid()}"

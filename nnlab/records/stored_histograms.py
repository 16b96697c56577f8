"""Reads the histograms of a run back from its event files, which may be a stranger's, damaged or large."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from google.protobuf.message import DecodeError
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.tensor_pb2 import TensorProto
from tensorboard.compat.proto.types_pb2 import DT_DOUBLE

from nnlab.errors import UserError, shortened
from nnlab.records.epoch_histograms import EpochHistograms
from nnlab.records.events import masked_checksum
from nnlab.records.files import EVENT_FILE_PREFIX
from nnlab.untrusted import plain_file, unlinked_file

HISTOGRAM_GROUPS = ("parameters", "activations")  # the first words of the tags that a run writes
MOST_FILE_BYTES = 2**28
MOST_RECORD_BYTES = 2**24  # a picture has some 100 kB
MOST_BINS = 1000
EPOCHS_READ = 60  # at most, evenly spaced: no picture shows more


def read_histograms(folder: Path, epochs_read: int = EPOCHS_READ) -> dict[str, EpochHistograms]:
    """The histograms in the event files of a folder, by tag: `parameters/hidden1.weight`,
    `activations/relu1`. Of more than `epochs_read` epochs so many are read, the first and the last among
    them; of an epoch that is there twice, the later one.

    A half record at the end, which a killed process may have left, is skipped. Raises `UserError` for a
    damaged file.
    """
    places: dict[int, list[tuple[Path, int, int]]] = {}  # epoch -> where its histograms are
    for file in sorted(folder.glob(f"{EVENT_FILE_PREFIX}*")):
        for start, size, event in _events(unlinked_file(file)):
            if any(_is_histogram(value) for value in event.summary.value):
                places.setdefault(event.step, []).append((file, start, size))
    epochs = sorted(places)
    if len(epochs) > epochs_read:
        epochs = [epochs[i] for i in np.linspace(0, len(epochs) - 1, epochs_read).round().astype(int)]
    by_tag: dict[str, dict[int, np.ndarray]] = {}
    for epoch in epochs:
        for file, start, size in places[epoch]:
            for value in _event_at(file, start, size).summary.value:
                if _is_histogram(value):
                    where = f"'{file}': {shortened(value.tag)} of epoch {epoch}"
                    by_tag.setdefault(value.tag, {})[epoch] = _bins(value.tensor, where)
    return {tag: _joined(bins, f"'{folder}': {shortened(tag)}") for tag, bins in by_tag.items()}


def _is_histogram(value) -> bool:
    return value.metadata.plugin_data.plugin_name == "histograms" and value.tag.startswith(
        tuple(f"{group}/" for group in HISTOGRAM_GROUPS)
    )


def _events(path: Path) -> Iterator[tuple[int, int, Event]]:
    """(offset of its record, bytes, event) of a file; the checksums of their content are not compared."""
    with plain_file(path) as file:
        file_bytes = os.fstat(file.fileno()).st_size
        if file_bytes > MOST_FILE_BYTES:
            raise UserError(f"'{path}' has {file_bytes:,} bytes; allowed are {MOST_FILE_BYTES:,}")
        while len(header := file.read(12)) == 12:
            start, (length, checksum) = file.tell() - 12, struct.unpack("<QI", header)
            if checksum != masked_checksum(header[:8]) or length > MOST_RECORD_BYTES:
                raise _damaged(path, start)
            data = file.read(length + 4)
            if len(data) < length + 4:
                return
            yield start, length, _parsed(data[:-4], path, start)


def _event_at(path: Path, start: int, size: int) -> Event:
    """The event of a record that `_events` has yielded, if its content has its checksum."""
    with plain_file(path) as file:
        file.seek(start + 12)
        data, checksum = file.read(size), file.read(4)
    if checksum != struct.pack("<I", masked_checksum(data)):
        raise _damaged(path, start)
    return _parsed(data, path, start)


def _parsed(data: bytes, path: Path, start: int) -> Event:
    try:
        return Event.FromString(data)
    except DecodeError:
        raise _damaged(path, start) from None


def _damaged(path: Path, start: int) -> UserError:
    return UserError(f"'{path}' is damaged: at byte {start:,} there is no record of TensorBoard's")


def _bins(tensor: TensorProto, where: str) -> np.ndarray:
    """(bins, 3) of a histogram: the lower edge, the upper edge and the count of each bin."""
    values, shape = np.array(tensor.double_val), [dim.size for dim in tensor.tensor_shape.dim]
    if tensor.dtype != DT_DOUBLE or shape != [len(values) // 3, 3] or not 0 < len(values) <= 3 * MOST_BINS:
        raise UserError(f"{where} is not a histogram of 1 to {MOST_BINS:,} bins")
    bins = values.reshape(shape)
    lower, upper, counts = bins.T
    if not np.isfinite(bins).all() or (counts < 0).any():
        raise UserError(f"{where} has counts or edges that are not numbers from 0")
    if (lower >= upper).any() or (lower[1:] != upper[:-1]).any():
        raise UserError(f"{where} has bins that do not follow one another")
    return bins


def _joined(bins_of_epoch: dict[int, np.ndarray], where: str) -> EpochHistograms:
    if len({len(bins) for bins in bins_of_epoch.values()}) > 1:
        raise UserError(f"{where} has more bins in one epoch than in another")
    bins = np.stack([*bins_of_epoch.values()])
    edges = np.concatenate([bins[:, :, 0], bins[:, -1:, 1]], axis=1)
    return EpochHistograms(np.array([*bins_of_epoch]), bins[:, :, 2], edges)

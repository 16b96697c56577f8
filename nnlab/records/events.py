"""Writes TensorBoard event files: scalars, text, histograms, images, graphs and hyperparameters.

The messages are TensorBoard's own protocol buffers; the frame around each is written here (a length and two
checksums, as in TensorFlow's record_writer.cc). TensorBoard's own writer costs more than a small run:
importing it takes 0.15 to 0.3 s, and if its thread dies, what it has not written is lost.
"""

from __future__ import annotations

import os
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata
from tensorboard.compat.proto.types_pb2 import DT_DOUBLE, DT_FLOAT, DT_STRING
from tensorboard.plugins.hparams import api_pb2
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData, SessionEndInfo, SessionStartInfo

from nnlab.interruption import signals_deferred
from nnlab.records.files import EVENT_FILE_PREFIX, open_cut, synced_size
from nnlab.records.hparam_columns import BOOL_TYPE, NUMBER_TYPE, STRING_TYPE, column_type, to_column_type

FLUSH_SECONDS = 2.0
COLUMN_TYPES = {
    BOOL_TYPE: api_pb2.DATA_TYPE_BOOL,
    NUMBER_TYPE: api_pb2.DATA_TYPE_FLOAT64,
    STRING_TYPE: api_pb2.DATA_TYPE_STRING,
}


@contextmanager
def event_file(folder) -> Iterator[EventFile]:
    """A new event file for a block that writes it quickly: it is closed, and a Ctrl-C waits, until then."""
    with signals_deferred():
        file = EventFile(folder)
        try:
            yield file
        finally:
            file.close()


class EventFile:
    """One event file, open for writing; flushed by the first write 2 s after the last flush.

    Of a run that is resumed, `size` says how much of the file `name` belongs to it: the rest is cut off.
    """

    def __init__(self, folder, name: str | None = None, size: int = 0):
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        now = self._flushed = time.time()
        if name is not None:
            self.path = folder / name
            self._file = open_cut(self.path, size)
            return
        suffix = f"{socket.gethostname()}.{os.getpid()}.{time.time_ns()}"
        self.path = folder / f"{EVENT_FILE_PREFIX}{int(now):010d}.{suffix}"
        self._file = open(self.path, "wb")
        try:
            self._write(file_version="brain.Event:2")
            self._file.flush()  # TensorBoard shows a run as soon as its file has a version
        except BaseException:
            self._file.close()
            raise

    def scalars(self, step: int, values: dict[str, float]) -> None:
        """Write one number per tag."""
        values = [Summary.Value(tag=tag, simple_value=value) for tag, value in values.items()]
        self._write(step=step, summary=Summary(value=values))

    def text(self, tag: str, text: str, step: int = 0) -> None:
        """Write Markdown for the Text tab."""
        self._write_plugin_data("text", tag, b"", {"dtype": DT_STRING, "string_val": [text.encode()]}, step)

    def graph(self, graph_def) -> None:
        """Write the graph for the Graphs tab, a `GraphDef`."""
        self._write(graph_def=graph_def.SerializeToString())

    def histograms(self, step: int, histograms: dict[str, tuple]) -> None:
        """Write for each tag the `counts` (bins,) between `edges` (bins + 1,)."""
        for tag, (counts, edges) in histograms.items():
            bins = [*zip(edges[:-1], edges[1:], counts, strict=True)]
            shape = {"dim": [{"size": len(bins)}, {"size": 3}]}
            elements = [float(number) for bin in bins for number in bin]
            tensor = {"dtype": DT_DOUBLE, "tensor_shape": shape, "double_val": elements}
            self._write_plugin_data(
                "histograms", tag, b"", tensor, step
            )  # empty content: version 0 of its format

    def image(self, step: int, tag: str, png: bytes) -> None:
        """Write a picture."""
        size = [b"%d" % side for side in struct.unpack(">II", png[16:24])]  # width, height: PNG's header
        shape = {"dim": [{"size": 3}]}
        tensor = {"dtype": DT_STRING, "tensor_shape": shape, "string_val": [*size, png]}
        self._write_plugin_data("images", tag, b"", tensor, step)

    def start_session(self, hparams: dict) -> None:
        """Write the hyperparameters; None is left out."""
        info = SessionStartInfo(start_time_secs=time.time())
        for name, value in hparams.items():
            value = to_column_type(name, value)
            if isinstance(value, bool):
                info.hparams[name].bool_value = value
            elif isinstance(value, float):
                info.hparams[name].number_value = value
            elif value is not None:
                info.hparams[name].string_value = value
        self._write_hparams("session_start_info", info)

    def experiment(self, hparams: dict, metrics: list[str], differ=()) -> None:
        """Write the columns of the HParams tab, and in which of them runs `differ`.

        Without them the tab has a column for every scalar tag.
        """
        info = api_pb2.Experiment(time_created_secs=time.time())
        for name, value in hparams.items():
            column = COLUMN_TYPES[column_type(name, value)]
            info.hparam_infos.add(name=name, type=column, differs=name in differ)
        for tag in metrics:
            info.metric_infos.add(name=api_pb2.MetricName(tag=tag))
        self._write_hparams("experiment", info)

    def end_session(self, succeeded: bool) -> None:
        """Write how the session ended."""
        status = api_pb2.STATUS_SUCCESS if succeeded else api_pb2.STATUS_FAILURE
        self._write_hparams("session_end_info", SessionEndInfo(status=status, end_time_secs=time.time()))

    def sync(self) -> int:
        """Have all that was written on the disk; how many bytes these are."""
        return synced_size(self._file)

    def close(self) -> None:
        """Close the file, and so flush it."""
        self._file.close()

    def _write_hparams(self, field: str, info) -> None:
        content = HParamsPluginData(version=0, **{field: info}).SerializeToString()
        tensor = {"dtype": DT_FLOAT, "float_val": [0.0]}
        self._write_plugin_data("hparams", f"_hparams_/{field}", content, tensor)

    def _write_plugin_data(self, plugin: str, tag: str, content: bytes, tensor: dict, step: int = 0) -> None:
        data = SummaryMetadata.PluginData(plugin_name=plugin, content=content)
        value = Summary.Value(tag=tag, metadata=SummaryMetadata(plugin_data=data), tensor=tensor)
        self._write(step=step, summary=Summary(value=[value]))
        self._file.flush()

    def _write(self, **event) -> None:
        now = time.time()
        self._file.write(tfrecord(Event(wall_time=now, **event).SerializeToString()))
        if now - self._flushed >= FLUSH_SECONDS:
            self._file.flush()
            self._flushed = now


def tfrecord(data: bytes) -> bytes:
    """A record in TFRecord format: length, its checksum, the data, its checksum."""
    length = struct.pack("<Q", len(data))
    return (
        length + struct.pack("<I", masked_checksum(length)) + data + struct.pack("<I", masked_checksum(data))
    )


def masked_checksum(data: bytes) -> int:
    """CRC-32C, rotated right by 15 bits, plus a constant."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = CRC_TABLE[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def _crc_of_byte(crc: int) -> int:
    for _ in range(8):
        crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc


CRC_TABLE = [_crc_of_byte(byte) for byte in range(256)]

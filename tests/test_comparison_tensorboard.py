"""A comparison in TensorBoard, as TensorBoard's own reader has it."""

import struct
import zlib

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from nnlab.records.comparison_tensorboard import (
    COMPARISON_RUN,
    PICTURE_TAG,
    TEXT_TAG,
    write_comparison_events,
)
from nnlab.records.events import EventFile


def png_of(width: int, height: int) -> bytes:
    header = struct.pack(">II", width, height) + b"\x08\x00\x00\x00\x00"
    return (
        b"\x89PNG\r\n\x1a\n"
        + struct.pack(">I", 13)
        + b"IHDR"
        + header
        + zlib.crc32(header).to_bytes(4, "big")
    )


def test_its_text_and_picture_of_so_many_seeds(tmp_path):
    EventFile(tmp_path / "0_optimizer=sgd").close()
    lines = ["", "  optimizer=adam  2.14%", "  <b>no markup</b>"]
    for seeds in (10, 15):
        assert write_comparison_events(tmp_path, lines, png_of(1200, 300 + seeds), seeds)
    read = EventAccumulator(str(tmp_path / COMPARISON_RUN)).Reload()
    assert {*read.Tags()["tensors"]} == {TEXT_TAG, PICTURE_TAG}
    texts, pictures = read.Tensors(TEXT_TAG), read.Tensors(PICTURE_TAG)
    assert [event.step for event in texts] == [event.step for event in pictures] == [10, 15]
    (text,) = texts[-1].tensor_proto.string_val
    assert text.decode().splitlines() == [f"    {line}" for line in lines]
    width, height, png = pictures[-1].tensor_proto.string_val
    assert (width, height) == (b"1200", b"315") and png == png_of(1200, 315)


def test_where_no_run_has_events_there_is_nothing(tmp_path):
    (tmp_path / "0_optimizer=sgd").mkdir()
    assert not write_comparison_events(tmp_path, ["x"], png_of(1, 1), 10)
    assert not (tmp_path / COMPARISON_RUN).exists()

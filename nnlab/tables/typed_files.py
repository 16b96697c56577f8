"""Reads Parquet and Arrow files (Feather): columns have types, and a stranger's sizes may be absurd."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet

from nnlab.data.files import CONTENT_MEMORY_SHARE, refuse_too_large
from nnlab.errors import UserError
from nnlab.runtime.machine import available_memory, in_bytes

ROWS_OF_A_BATCH = 2**16
LONGEST_TEXT_IN_HEADER, MOST_ITEMS_IN_HEADER = 2**24, 2**20  # of Parquet's metadata: of bytes, of anything


def parquet_batches(path: Path, file, whole: bool) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
    """The schema of a Parquet file, and its row groups piece by piece."""
    parquet = pa.parquet.ParquetFile(
        pa.PythonFile(file, "r"),
        pre_buffer=False,
        thrift_string_size_limit=LONGEST_TEXT_IN_HEADER,
        thrift_container_size_limit=MOST_ITEMS_IN_HEADER,
    )
    metadata = parquet.metadata
    groups = [metadata.row_group(i) for i in range(metadata.num_row_groups)]
    sizes = [max(0, group.total_byte_size) for group in groups]
    refuse_too_large(path, sum(sizes) if whole else max(sizes, default=0), available_memory())
    batches = parquet.iter_batches(batch_size=ROWS_OF_A_BATCH, use_threads=True)
    return parquet.schema_arrow, _checked(path, _validated(batches), whole)


def arrow_batches(
    path: Path, file, streamed: bool, whole: bool
) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
    """The schema of an Arrow file or stream, and its batches."""
    source = pa.PythonFile(file, "r")
    if streamed:
        reader = pa.ipc.open_stream(source)
        return reader.schema, _checked(path, _validated(reader), whole)
    reader = pa.ipc.open_file(source)
    batches = (reader.get_batch(i) for i in range(reader.num_record_batches))
    return reader.schema, _checked(path, _validated(batches), whole)


def _validated(batches) -> Iterator[pa.RecordBatch]:
    """The batches, whose text is UTF-8 and whose offsets lie within it."""
    for batch in batches:
        batch.validate(full=True)
        yield batch


def _checked(path: Path, batches, whole: bool) -> Iterator[pa.RecordBatch]:
    """The batches, until memory runs low: a small file may hold any number of equal values."""
    free_at_start, count = available_memory(), 0
    for batch in batches:
        if not batch.num_rows:
            continue
        count += batch.num_rows
        free = available_memory() if whole else None
        if free is not None and free < (1 - CONTENT_MEMORY_SHARE) * free_at_start:
            raise UserError(
                f"{path} does not fit into memory: after {count:,} rows {in_bytes(max(0, free))} are left of "
                f"{in_bytes(free_at_start)}, too few to train"
            )
        yield batch

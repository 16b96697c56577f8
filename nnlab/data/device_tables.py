"""Tables on a device, (d, N) with an example per column: how they are made, laid out and gathered."""

from __future__ import annotations

import numpy as np
import torch

from nnlab.data.mapped import MappedTable
from nnlab.data.normalization import center_of, centered, column_blocks
from nnlab.data.streamed_statistics import BLOCK_ELEMENTS, streamed_center
from nnlab.runtime.devices import free_memory
from nnlab.runtime.layout import aligned

FILE_MEMORY_SHARE = 1 / 4  # of the free memory: a larger table in a file stays there
EXAMPLES_PER_BLOCK = 2**12  # copied or normalised at once
# A larger table is stored example by example: gathering its columns would miss the processor's cache.
EXAMPLE_MAJOR_ELEMENTS = 2**22


def table_on_device(
    table: np.ndarray, method: str, template: torch.Tensor
) -> tuple[torch.Tensor, np.ndarray]:
    """A table (N, d) as (d, N) on the device, minus its center (d,) by the method; and the center."""
    out = empty_table(table.shape[1], len(table), template)
    center = np.zeros(len(out))
    if method == "none":
        for start in range(0, len(table), EXAMPLES_PER_BLOCK):
            block = slice(start, start + EXAMPLES_PER_BLOCK)
            out[:, block] = torch.from_numpy(table[block].copy()).T  # torch warns of read-only arrays
        return out, center
    for columns, block in column_blocks(table):
        center[columns] = center_of(block, method)
        out[columns] = centered(block, center[columns], template)
    return out, center


class FileTable:
    """A table (d, N) whose examples stay in the file of a `MappedTable`, minus its center (d,)."""

    def __init__(self, x: MappedTable, method: str, groups: int, template: torch.Tensor):
        self.x, self.method, self.template = x, method, template
        self.center = streamed_center(x, method, groups)
        self.shape = x.shape[1], x.shape[0]

    def gather(self, examples: np.ndarray) -> torch.Tensor:
        """(d, n): the columns of these examples, laid out as those of a table in memory are."""
        block = self.x[examples]
        if self.method == "none":
            table = torch.from_numpy(block).to(self.template).T
        else:
            table = centered(block.astype(np.float64), self.center, self.template)
        return table if is_large(*self.shape) else table.contiguous()

    def in_memory(self) -> torch.Tensor:
        """All of it, on the device."""
        out = empty_table(*self.shape, self.template)
        size = max(1, BLOCK_ELEMENTS // self.shape[0])
        for start in range(0, self.shape[1], size):
            stop = min(start + size, self.shape[1])
            out[:, start:stop] = self.gather(np.arange(start, stop))
        return out

    def element_size(self) -> int:
        return self.template.element_size()


def stays_in_file(x, element_size: int, where: torch.device) -> bool:
    """Whether the table of examples x on that device would take too large a share of its free memory."""
    free = free_memory(where)
    size = x.shape[0] * x.shape[1] * element_size
    return isinstance(x, MappedTable) and free is not None and size > FILE_MEMORY_SHARE * free


def raw_table_on_device(table: np.ndarray, center: np.ndarray, template: torch.Tensor) -> torch.Tensor:
    """A raw table (N, d_raw) as (d_raw, N) on the device, minus center (d_raw,)."""
    out = empty_table(table.shape[1], len(table), template)
    for columns, block in column_blocks(table):
        out[columns] = centered(block, center[columns], template)
    return out


def empty_table(width: int, count: int, template: torch.Tensor) -> torch.Tensor:
    """Memory for a table (width, count): a large one is stored example by example."""
    by_example = is_large(width, count)
    shape = (count, width) if by_example else (width, count)
    out = torch.empty(shape, dtype=template.dtype, device=template.device)
    return out.T if by_example else out


def is_large(width: int, count: int) -> bool:
    """Whether a table (width, count) is stored example by example."""
    return width * count > EXAMPLE_MAJOR_ELEMENTS


def class_indices(y: np.ndarray, template: torch.Tensor) -> torch.Tensor:
    """Class indices (N,) as (1, N) on the device."""
    return torch.from_numpy(y.astype(np.int64)[None]).to(template.device)


def is_example_major(table: torch.Tensor) -> bool:
    """Whether a (d, n) table is stored example by example, not feature by feature."""
    return table.stride(0) == 1 and table.stride(1) > 1


def gather_examples(table: torch.Tensor | FileTable, index: torch.Tensor) -> torch.Tensor:
    """The columns `index` of a (d, N) table, in the same memory layout."""
    if isinstance(table, FileTable):
        return table.gather(index.cpu().numpy())
    return table.T.index_select(0, index).T if is_example_major(table) else table.index_select(1, index)


def stack_rows(rows: list[torch.Tensor]) -> torch.Tensor:
    """K rows (1, n, B) as (K, n, B), each aligned as a single row is."""
    out = aligned(len(rows), tuple(rows[0].shape[1:]), rows[0])
    for out_row, row in zip(out, rows, strict=True):
        out_row.copy_(row[0])
    return out


def concatenate_tables(tables: tuple[torch.Tensor, ...]) -> torch.Tensor:
    """F tables (n, N) as (F N, n)."""
    return torch.cat([table.T for table in tables]).contiguous()


def copy_row(batch: torch.Tensor) -> torch.Tensor:
    """A copy of (n, B) as (1, n, B)."""
    out = aligned(1, tuple(batch.shape), batch)
    out[0] = batch
    return out

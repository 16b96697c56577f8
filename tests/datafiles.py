"""Writes small IDX, CSV and npz files for the tests of data sets."""

import gzip
import struct

import numpy as np


def idx_bytes(array, type_code=8) -> bytes:
    """An array of bytes in the IDX format, whose code for unsigned bytes is 8."""
    array = np.asarray(array, np.uint8)
    return (
        bytes([0, 0, type_code, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()
    )


def idx_arrays(seed=0, train=60, test=20, side=4):
    """name of an IDX file -> array: random images, labels 0, 1, 2 in turn."""
    random = np.random.default_rng(seed)
    arrays = {}
    for subset, n in (("train", train), ("t10k", test)):
        arrays[f"{subset}-images-idx3-ubyte"] = random.integers(256, size=(n, side, side))
        arrays[f"{subset}-labels-idx1-ubyte"] = np.arange(n) % 3
    return arrays


def write_idx(folder, arrays=None, gzipped=False):
    """An IDX file for each array, by default the four of MNIST; returns the settings of the data set."""
    for name, array in (arrays or idx_arrays()).items():
        content = idx_bytes(array)
        name, content = (f"{name}.gz", gzip.compress(content)) if gzipped else (name, content)
        (folder / name).write_bytes(content)
    return {"path": str(folder)}


def write_csv(folder):
    random = np.random.default_rng(0)
    lines = [f"{a:.3f},{b:.3f},{'yes' if a > b else 'no'}" for a, b in random.random((60, 2))]
    (folder / "table.csv").write_text("\n".join(["a,b,left", *lines, ""]))
    return {"path": str(folder / "table.csv"), "target": "left"}


def write_npz(folder):
    x = np.random.default_rng(0).random((60, 3))
    np.savez(folder / "arrays.npz", X=x, y=x.sum(1))
    return {"path": str(folder / "arrays.npz")}


def write_table(folder):
    """Rows with a number that has holes, a category and a date."""
    random = np.random.default_rng(0)
    days = 1 + 11 * np.arange(60) % 28  # not in their order
    lines = [
        f"{'' if a < 0.1 else round(a, 2)},{'gold' if b > 0.5 else 'silver'},2024-01-{day:02},{a > b}"
        for day, (a, b) in zip(days, random.random((60, 2)), strict=True)
    ]
    (folder / "mixed.csv").write_text("\n".join(["a,plan,when,left", *lines, ""]))
    return {"path": str(folder / "mixed.csv"), "target": "left"}


def write_npy(folder):
    random = np.random.default_rng(0)
    np.save(folder / "inputs.npy", random.random((60, 4, 4), dtype=np.float32))
    np.save(folder / "targets.npy", np.arange(60) % 3)
    return {"path": str(folder / "inputs.npy"), "target": str(folder / "targets.npy")}


def write_images(folder):
    """Twenty grey pictures of each of three classes."""
    from PIL import Image

    random = np.random.default_rng(0)
    for number in range(60):
        path = folder / "pictures" / "abc"[number % 3] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(random.integers(256, size=(4, 4), dtype=np.uint8)).save(path)
    return {"path": str(folder / "pictures")}


WRITERS = {
    "idx": write_idx,
    "csv": write_csv,
    "npz": write_npz,
    "table": write_table,
    "npy": write_npy,
    "images": write_images,
}

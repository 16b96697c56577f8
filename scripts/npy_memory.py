"""Trains on a .npy file of images that is larger than a share of the memory, and says what memory that took.

    python scripts/npy_memory.py [--examples 1000000]

The file is (examples, 32, 32, 3) bytes in a temporary folder, 3 GB by default; a copy in float32 would
take four times that. `nnlab train` runs on it in another process, of which the largest RssAnon is printed:
memory that is not the file's own pages, which the system may take back at any time.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

IMAGES_PER_BLOCK = 20_000


def write(folder: Path, count: int) -> None:
    """Images whose brightness says their class, 0 or 1."""
    random, y = np.random.default_rng(0), np.arange(count) % 2
    x = np.lib.format.open_memmap(folder / "x.npy", "w+", np.uint8, (count, 32, 32, 3))
    for start in range(0, count, IMAGES_PER_BLOCK):
        block = random.integers(0, 128, (min(IMAGES_PER_BLOCK, count - start), 32, 32, 3), dtype=np.uint8)
        x[start : start + len(block)] = block + 100 * y[start : start + len(block), None, None, None].astype(
            "u1"
        )
    x.flush()
    np.save(folder / "y.npy", y)


def largest_memory(process: subprocess.Popen) -> int:
    """The largest RssAnon of a process, in bytes, until it ends."""
    largest = 0
    while process.poll() is None:
        try:
            lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
        except OSError:
            break
        largest = max(
            [largest, *(int(line.split()[1]) * 1024 for line in lines if line.startswith("RssAnon"))]
        )
        time.sleep(0.05)
    return largest


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--examples", type=int, default=1_000_000)
    count = parser.parse_args().examples
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write(folder, count)
        print(f"{(folder / 'x.npy').stat().st_size / 1e9:.2f} GB in x.npy")
        words = (
            f"data=npy data.path={folder}/x.npy data.target={folder}/y.npy model.hidden=[16] epochs=1".split()
        )
        line = [
            sys.executable,
            "-m",
            "nnlab",
            "train",
            *words,
            "batch_size=256",
            f"hydra.run.dir={folder}/run",
        ]
        begin = time.monotonic()
        process = subprocess.Popen(line)
        largest = largest_memory(process)
        print(f"exit code {process.wait()}, {time.monotonic() - begin:.0f} s, {largest / 1e9:.2f} GB at most")


if __name__ == "__main__":
    main()

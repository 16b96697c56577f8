"""Pictures of runs that have ended without one: a single row is not worth a second of every command, which
drawing takes, but whoever opens `nnlab board` waits for TensorBoard anyway."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import numpy as np

from nnlab.records.files import replacing

MOST, LARGEST = 20, 2**25  # runs that are drawn, the newest; bytes of a file that is read
PICTURE = "curves.png"


class LatePictures:
    """Draws `curves.png` for those of the `runs` that lack it, in a thread, until it is left.

    with LatePictures(runs):
        ...
    """

    def __init__(self, runs: list[Path]):
        self.runs, self.drawn = [run for run in runs if _lacks(run)][:MOST], 0
        self._leaving = threading.Event()
        self._thread = threading.Thread(target=self._draw, daemon=True)

    def __enter__(self):
        if self.runs:
            self._thread.start()
        return self

    def __exit__(self, *_):
        self.leave()
        self.finish()

    def leave(self) -> None:
        """Begin no other picture; one that is begun is finished, so that no file is left half written."""
        self._leaving.set()

    def finish(self) -> None:
        """Wait until the pictures are there."""
        if self.runs:
            self._thread.join()

    def _draw(self) -> None:
        for run in self.runs:
            if self._leaving.is_set():
                return
            try:
                draw(run)
                self.drawn += 1
            except Exception:  # of somebody else's folder, a full disk: no picture is worth a word
                continue


def draw(run: Path) -> None:
    """Write the picture of a run that has ended, from what its folder says."""
    from nnlab.records import picture

    summary, rows = json.loads(_text(run / "summary.json")), json.loads(_text(run / "rows.json"))
    curves = _curves(_text(run / "metrics.jsonl"), rows)
    _, _, target = str(summary.get("loss_is", "")).partition(" of the ")
    title = str(summary.get("title", run.name))
    png = picture.draw(curves, title, str(summary.get("task", "classification")), target)
    with replacing(run / PICTURE) as aside:
        aside.write_bytes(png)


def _lacks(run: Path) -> bool:
    """Whether it has ended without a picture, and nobody said picture=false."""
    try:
        there = (run / "summary.json").is_file() and not (run / PICTURE).is_symlink()
        return (
            there and not (run / PICTURE).exists() and "\npicture: false\n" not in _text(run / "config.yaml")
        )
    except (OSError, ValueError):
        return False


def _text(file: Path) -> str:
    if not file.is_file() or file.stat().st_size > LARGEST:
        raise ValueError(f"{file} is no file of a run, or is too large")
    return file.read_text(encoding="utf-8")


def _curves(text: str, rows: list[dict]):
    """The curves in metrics.jsonl, of rows as rows.json has them."""
    from nnlab.records.picture import Curves

    lines = [line for line in map(json.loads, text.splitlines()) if not line.get("refit")]
    if max(line["row"] for line in lines) >= len(rows) or max(line["epoch"] for line in lines) > len(lines):
        raise ValueError("the lines are not those of a run")
    epochs: dict[int, list[dict]] = {}
    for line in lines:
        epochs.setdefault(line["epoch"], []).append(line)
    curves = Curves(len(rows))
    for epoch, each in sorted(epochs.items()):
        metrics = {name: np.array([line[name] for line in each], float) for name in each[0]
                   if name not in ("epoch", "row")}  # fmt: skip
        curves.add(epoch, np.array([line["row"] for line in each]), metrics)
    curves.best_epoch[:] = [row["best_epoch"] for row in rows]
    return curves

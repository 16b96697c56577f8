"""Pictures of runs that have ended without one: a single row is not worth a second of every command, which
drawing takes, but whoever opens `nnlab board` waits for TensorBoard anyway."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np

from nnlab.errors import UserError
from nnlab.records.curves import Curves
from nnlab.records.files import replacing
from nnlab.records.stored_run import StoredRun

RUNS_AT_MOST = 20  # runs that are drawn, the newest
PICTURE_FILE = "curves.png"


class LatePictures:
    """Draws `curves.png` for those of the `runs` that lack it, in a thread, until it is left.

    with LatePictures(runs):
        ...
    """

    def __init__(self, runs: list[Path]):
        self.runs, self.drawn = [run for run in runs if _lacks(run)][:RUNS_AT_MOST], 0
        self._leaving = threading.Event()
        # A daemon, so that a second Ctrl-C need not wait for the picture that is begun.
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
    from nnlab.records import picture  # matplotlib, for which nobody who only looks should wait

    stored = StoredRun(run)
    _, _, target = str(stored.summary.get("loss_is", "")).partition(" of the ")
    title = str(stored.summary.get("title", run.name))
    task = str(stored.summary.get("task", "classification"))
    png = picture.draw(_curves(stored), title, task, target)
    with replacing(run / PICTURE_FILE) as aside:
        aside.write_bytes(png)


def _lacks(run: Path) -> bool:
    """Whether it has ended without a picture, and nobody said picture=false."""
    try:
        stored, there = StoredRun(run), run / PICTURE_FILE
        return stored.ended and not there.exists() and not there.is_symlink() and stored.settings["picture"]
    except (UserError, KeyError, OSError):
        return False


def _curves(run: StoredRun):
    curves, names = Curves(len(run.rows)), run.metrics
    values = {name: run.curves(name) for name in names}
    for epoch in range(values["train_loss"].shape[1]):
        trained = np.flatnonzero(np.isfinite(values["lr"][:, epoch]))
        curves.add(epoch + 1, trained, {name: v[trained, epoch] for name, v in values.items()})
    curves.best_epoch[:] = [row["best_epoch"] for row in run.rows]
    return curves

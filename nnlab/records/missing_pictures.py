"""Draws the missing curves.png of finished runs, in the background of `nnlab board`.

Drawing takes a second, too long at the end of a short run; whoever opens `nnlab board` waits for TensorBoard
anyway.
"""

from __future__ import annotations

import threading
from pathlib import Path

from nnlab.errors import UserError
from nnlab.records.curves import stored_curves
from nnlab.records.files import atomic_write
from nnlab.records.stored_run import StoredRun

RUNS_AT_MOST = 20  # the newest
PICTURE_FILE = "curves.png"


class MissingPictures:
    """Draws `curves.png` for those of the `runs` that lack it, in a background thread.

    with MissingPictures(runs):
        ...
    """

    def __init__(self, runs: list[Path]):
        self.runs, self.drawn = [run for run in runs if _needs_picture(run)][:RUNS_AT_MOST], 0
        self._stopping = threading.Event()
        # A daemon, so that a second Ctrl-C need not wait for the picture in progress.
        self._thread = threading.Thread(target=self._draw, daemon=True)

    def __enter__(self):
        if self.runs:
            self._thread.start()
        return self

    def __exit__(self, *_):
        self.stop()
        self.wait()

    def stop(self) -> None:
        """Start no other picture; the one in progress is finished."""
        self._stopping.set()

    def wait(self) -> None:
        """Wait until the pictures are written."""
        if self.runs:
            self._thread.join()

    def _draw(self) -> None:
        for run in self.runs:
            if self._stopping.is_set():
                return
            try:
                draw(run)
                self.drawn += 1
            except Exception:  # a stranger's folder, a full disk: pictures are optional
                continue


def draw(run: Path) -> None:
    """Write the picture of a finished run from its folder."""
    from nnlab.records import picture  # imports matplotlib

    stored = StoredRun(run)
    _, _, target = str(stored.summary.get("loss_is", "")).partition(" of the ")
    title = str(stored.summary.get("title", run.name))
    task = str(stored.summary.get("task", "classification"))
    png = picture.draw(stored_curves(stored), title, task, target)
    with atomic_write(run / PICTURE_FILE) as temporary:
        temporary.write_bytes(png)


def _needs_picture(run: Path) -> bool:
    """Whether the run has ended without a picture, and was not started with picture=false."""
    try:
        stored, picture_file = StoredRun(run), run / PICTURE_FILE
        return (
            stored.ended
            and not picture_file.exists()
            and not picture_file.is_symlink()
            and stored.settings["picture"]
        )
    except (UserError, KeyError, OSError):
        return False

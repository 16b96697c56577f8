"""Writes the checkpoints of `nnlab train`: the state of the fit, and how much of each run file led to it."""

from __future__ import annotations

from pathlib import Path

from nnlab.commands.command_settings import CheckpointSettings
from nnlab.commands.recorders import Recorders
from nnlab.records.checkpoint import CHECKPOINT_FILE, Checkpoint, write_checkpoint
from nnlab.records.text import shell_line
from nnlab.training.checkpointing import CheckpointTimer
from nnlab.training.fit import Fit
from nnlab.training.fit_state import FitState


class Checkpointer:
    """Writes the checkpoints of a fit into `folder`: that of its run, or of all runs of -m."""

    def __init__(self, folder: Path, fit: Fit, recorders: Recorders, settings: list[CheckpointSettings]):
        self.folder, self.fit, self.recorders = folder, fit, recorders
        minutes = [each.minutes for each in settings if each.minutes is not None]
        epochs = [each.epochs for each in settings if each.epochs is not None]
        self.timer = CheckpointTimer(min(minutes, default=None), min(epochs, default=None))
        self.is_written = (folder / CHECKPOINT_FILE).exists()  # of a fit that is resumed

    def write(self, state: FitState) -> None:
        """Write the state, and how much of each file has led to it. Raises `OSError`."""
        writers = self.recorders.writers
        names = [self._name(writer.folder.path) for writer in writers]
        # What a run that is closed has written will not be cut off.
        sizes = [{} if writer.closed else writer.sync() for writer in writers]
        files = dict(zip(names, sizes, strict=True))
        write_checkpoint(self.folder, Checkpoint(state, files, self.fit.cache.fingerprints()))
        self.is_written = True
        self.timer.restart(state.epoch)

    def remove(self) -> None:
        """Remove the checkpoint of a fit that has ended."""
        (self.folder / CHECKPOINT_FILE).unlink(missing_ok=True)

    @property
    def resume_line(self) -> str:
        """The command that goes on with the fit."""
        return shell_line(["nnlab", "train", f"resume={self.folder}"])

    def how_to_resume(self) -> str:
        return (
            f"to go on: {self.resume_line}" if self.is_written else f"to begin it again: {self.resume_line}"
        )

    def _name(self, run: Path) -> str:
        return "" if run == self.folder else run.relative_to(self.folder).as_posix()

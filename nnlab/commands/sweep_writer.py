"""Writes a sweep to disk: the ledger of its trials, the files of its folder, its TensorBoard curves."""

from __future__ import annotations

from pathlib import Path

from nnlab.commands import folders, graph_file
from nnlab.commands.prepared_sweep import PreparedSweep
from nnlab.commands.process import process_age
from nnlab.records.stored_sweep import read_curves
from nnlab.records.sweep_folder import TRIALS_FILE, SweepFolder
from nnlab.records.sweep_tensorboard import SweepTensorBoard
from nnlab.search.ledger import JOURNAL_FILE, Ledger
from nnlab.search.sweep import TrialsFinished


class SweepWriter:
    """Writes the events of a sweep into its folder, a new one or that of the resumed sweep.

    It is made before the sweep is iterated over: it gives the sweep its ledger, with the trials that exist
    already.
    """

    def __init__(self, folder: SweepFolder, job: PreparedSweep):
        request, sweep = job.request, job.sweep
        self._folder, self._sweep, self.path = folder, sweep, folder.path
        self._about = request.sweep_json
        if not request.resume_folder:
            folders.write_hydra_files(folder.path, request.definition.run.config)
            self._about = folder.start(
                request.settings, request.definition.run.command, _resume_info(folder.path.name, job)
            )
        sweep.continue_from(_open_ledger(folder.path, job, self._about))
        self._about = self._about | {"count": sweep.count}
        folder.write_about(self._about)
        self.keys = list(sweep.space.domains)
        self._objectives = sweep.search.objectives
        self._board = SweepTensorBoard(folder.path, sweep.search, self.keys, sweep.count, job.task)
        folder.write_trials(sweep.trials, self.keys, self._objectives)
        self.curves = read_curves(folder.path)

    def record(self, event: TrialsFinished) -> None:
        """Write finished trials: first their curves, then, once the ledger has them, their table rows."""
        if event.written:
            self._folder.append_trials(event.trials, self.keys, self._objectives)
            self._board.trials_finished(event.trials, self.curves)
            return
        # A trial that a kill left without a table row is trained again; lost curves would stay lost.
        trained = [trial.number for trial in event.trials if trial.epochs]
        fresh = {number: event.batch.mean_curves(number) for number in trained}
        self._folder.append_curves(fresh)
        self.curves |= fresh

    def close_board(self) -> None:
        self._board.close(self._sweep.trials, self.curves)

    def close(self, outcome: dict, counts: dict, importances: dict, hopeless: str) -> None:
        """Write what came of it into sweep.json: `outcome` has the best trial, if there is one; `hopeless`
        says why the sweep stopped early, else ""."""
        ended = "complete"
        if self._sweep.count < self._sweep.requested:
            ended = "the space has no further trial"
        seconds = self._sweep.seconds
        elsewhere = {"waiting": seconds.waiting, "moving": seconds.moving, "workers": seconds.workers}
        self._folder.write_about(
            self._about
            | {"trials": counts, "ended": hopeless or ended, "best": None, "test": {}}
            | outcome
            | {
                "importances": importances,
                "seconds": {
                    "total": process_age(),
                    "training": seconds.training,
                    "search": seconds.search,
                    **(elsewhere if seconds.workers else {}),
                },
            }
        )


def _resume_info(folder: str, job: PreparedSweep) -> dict:
    """The entries of sweep.json that `resume=` needs."""
    request, sweep, config_dir = job.request, job.sweep, job.request.line.config_dir
    study = request.settings["study"]
    return {
        "words": list(request.line.overrides),
        "batch": sweep.batch_size,
        "rules": sweep.rules,
        "data": sweep.cache.fingerprints(),
        "decayed_once": request.definition.trials.decayed_once,
        "graph_files": graph_file.files_read(),
        "config_dir": config_dir and str(Path(config_dir).absolute()),
        "study": folder if study == "auto" else study,
    }


def _open_ledger(path: Path, job: PreparedSweep, about: dict) -> Ledger:
    request, signs = job.request, job.sweep.search.signs
    begun = request.resume_folder is not None and ((path / TRIALS_FILE).exists() or not request.may_create)
    if not begun:  # perhaps killed while it created its study
        (path / JOURNAL_FILE).unlink(missing_ok=True)
    return Ledger(path, request.database, about["study"], about["id"], signs, begun)

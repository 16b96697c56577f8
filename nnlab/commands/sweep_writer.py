"""Who keeps a sweep: the ledger of its trials, the files of its folder, its curves on TensorBoard."""

from __future__ import annotations

from pathlib import Path

from nnlab.commands import folders
from nnlab.commands.prepared_sweep import PreparedSweep
from nnlab.commands.process import process_age
from nnlab.commands.winner import Winner
from nnlab.records.stored_sweep import read_curves
from nnlab.records.sweep_board import SweepBoard
from nnlab.records.sweep_folder import TRIALS_FILE, SweepFolder
from nnlab.search.ledger import JOURNAL_FILE, Ledger
from nnlab.search.sweep import TrialsFinished


class SweepWriter:
    """Writes what a sweep yields into its folder, new or that of the sweep to go on with.

    Made before the sweep is iterated over: it gives the sweep its ledger, and with it the trials that are
    there already.
    """

    def __init__(self, folder: SweepFolder, job: PreparedSweep):
        asked, sweep = job.asked, job.sweep
        self._folder, self._sweep, self.path = folder, sweep, folder.path
        self._about = asked.about
        if not asked.resumed:
            folders.write_hydra_files(folder.path, asked.words.run.config)
            self._about = folder.start(asked.settings, asked.words.run.command, _known(folder.path.name, job))
        sweep.continue_from(_ledger(folder.path, job, self._about))
        self._about = self._about | {"count": sweep.count}
        folder.about(self._about)
        self.keys = list(sweep.space.domains)
        self._objectives = sweep.search.objectives
        self._board = SweepBoard(folder.path, sweep.search, self.keys, sweep.count, job.task)
        folder.trials(sweep.trials, self.keys, self._objectives)
        self.curves = read_curves(folder.path)

    def record(self, event: TrialsFinished) -> None:
        """What came of trials: their curves, before the ledger has them; then their lines."""
        if event.written:
            self._folder.append_trials(event.trials, self.keys, self._objectives)
            self._board.trials_finished(event.trials, self.curves)
            return
        # After a kill a trial without a line is trained again; one without curves would stay without.
        fresh = {
            trial.number: event.batch.mean_curves(trial.number) for trial in event.trials if trial.epochs
        }
        self._folder.curves(fresh)
        self.curves |= fresh

    def close_board(self) -> None:
        self._board.close(self._sweep.trials, self.curves)

    def close(self, winner: Winner | None, counts: dict, importances: dict, hopeless: str) -> None:
        """Write into sweep.json what came of it. `hopeless` says why it stopped before its end, if it did."""
        ended = "complete"
        if self._sweep.count < self._sweep.requested:
            ended = "the space has no further trial"
        seconds = self._sweep.seconds
        self._folder.about(
            self._about
            | {"trials": counts, "ended": hopeless or ended, "best": None, "test": {}}
            | (winner.as_json() if winner else {})
            | {
                "importances": importances,
                "seconds": {
                    "total": process_age(),
                    "training": seconds.training,
                    "search": seconds.search,
                },
            }
        )


def _known(folder: str, job: PreparedSweep) -> dict:
    """What `resume=` needs to know of a sweep that begins."""
    asked, sweep, config_dir = job.asked, job.sweep, job.asked.line.config_dir
    study = asked.settings["study"]
    return {
        "words": list(asked.line.overrides),
        "batch": sweep.batch_size,
        "rules": sweep.rules,
        "data": sweep.cache.fingerprints(),
        "decayed_once": asked.words.trials.decayed_once,
        "config_dir": config_dir and str(Path(config_dir).absolute()),
        "study": folder if study == "auto" else study,
    }


def _ledger(path: Path, job: PreparedSweep, about: dict) -> Ledger:
    asked, signs = job.asked, job.sweep.search.signs
    begun = asked.resumed is not None and ((path / TRIALS_FILE).exists() or not asked.may_create)
    if not begun:  # perhaps killed while it made its study
        (path / JOURNAL_FILE).unlink(missing_ok=True)
    return Ledger(path, asked.database, about["study"], about["id"], signs, begun)

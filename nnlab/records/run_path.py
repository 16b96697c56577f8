"""Which run a path means: a run's folder, a sweep's, whose winner it is, or another, of which the runs are
named. Nothing is read but names."""

from __future__ import annotations

import os
from itertools import islice
from pathlib import Path

from nnlab.errors import UserError, nearest
from nnlab.records.run_folder import CHECKPOINT_FILE, METRICS_FILE, WEIGHTS_FILE
from nnlab.records.sweep_folder import SWEEP_FILE
from nnlab.records.text import shell_word

BEST_FOLDER = "best"  # of a sweep: its winner's run
FOLDERS_SEARCHED, RUNS_LISTED = 1000, 4
RUN_LEVELS = ("*", "*/*", "*/*/*")  # below outputs: a command, a run, a run of -m


def find_run(path: str | os.PathLike) -> Path:
    """The folder of the run. Raises `UserError`, with the runs that there are, if the path is of none."""
    folder = Path(path).expanduser()
    if folder.is_file():
        if _is_run(folder.parent):  # a file of the run
            return folder.parent
        raise UserError(f"'{path}' is a file, and not the folder of a run{_runs_here()}")
    if not folder.is_dir():
        raise UserError(f"there is no folder '{path}'{_near(folder) or _runs_here()}")
    if os.path.lexists(folder / SWEEP_FILE):
        if not _is_run(folder / BEST_FOLDER):
            raise UserError(
                f"'{path}' is the folder of a sweep without a winner yet: it has no {BEST_FOLDER}; to go on "
                f"with it, nnlab sweep resume={shell_word(str(path))}"
            )
        return folder / BEST_FOLDER
    if _is_run(folder):
        if not os.path.lexists(folder / WEIGHTS_FILE):
            raise UserError(
                f"'{path}': the run has no weights yet: it was interrupted, or still trains{_resume(folder)}"
            )
        return folder
    if runs := _runs_below(folder):
        raise UserError(f"'{path}' is a folder of {_several(runs)}: say which one, {_listed(runs)}")
    raise UserError(f"'{path}' is not the folder of a run: it has no {WEIGHTS_FILE}{_runs_here()}")


def _resume(folder: Path) -> str:
    if not os.path.lexists(folder / CHECKPOINT_FILE):
        return ""
    return f"; to go on with it, nnlab train resume={shell_word(str(folder))}"


def _is_run(folder: Path) -> bool:
    names = (WEIGHTS_FILE, METRICS_FILE, "summary.json")
    return any(os.path.lexists(folder / name) for name in names) and (folder / "config.yaml").is_file()


def _runs_below(folder: Path) -> list[Path]:
    """The folders of runs in it, the newest first."""
    for level in RUN_LEVELS:
        runs = [entry for entry in islice(folder.glob(level), FOLDERS_SEARCHED) if _is_run(entry)]
        if runs:
            return sorted(runs, key=lambda entry: entry.stat().st_mtime, reverse=True)
    return []


def _several(runs: list[Path]) -> str:
    return f"{len(runs)} run{'s' * (len(runs) > 1)}"


def _listed(runs: list[Path]) -> str:
    listed = ", ".join(f"'{run}'" for run in runs[:RUNS_LISTED])
    return f"{listed} and {len(runs) - RUNS_LISTED} more" if len(runs) > RUNS_LISTED else listed


def newest_run() -> Path | None:
    """The newest run below outputs/train, if there is one."""
    return next(iter(_runs_below(Path("outputs/train"))), None)


def _runs_here() -> str:
    newest = newest_run()
    return f"; the newest run here is '{newest}'" if newest else "; nnlab train makes runs, in outputs/train"


def _near(folder: Path) -> str:
    """The folder beside it of a similar name, if there is one."""
    try:
        names = [entry.name for entry in islice(folder.parent.iterdir(), FOLDERS_SEARCHED) if entry.is_dir()]
    except OSError:
        return ""
    hint = nearest(folder.name, names)
    if "mean" not in hint:
        begun = [name for name in names if folder.name and name.startswith(folder.name)]
        return f"; did you mean '{folder.with_name(begun[0])}'?" if len(begun) == 1 else ""
    return hint

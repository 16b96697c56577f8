"""Which run a path means: a run's folder, a sweep's, whose winner it is, or another, of which the runs are
named; or which job of any command. Nothing is read but names."""

from __future__ import annotations

import contextlib
import os
from datetime import datetime
from itertools import islice
from pathlib import Path

from nnlab.data.spec import SPEC_FILE
from nnlab.errors import UserError, list_names, nearest
from nnlab.records.comparison_file import COMPARE_FILE
from nnlab.records.multirun_file import RUNS_FILE
from nnlab.records.run_folder import METRICS_FILE, WEIGHTS_FILE
from nnlab.records.sweep_folder import SWEEP_FILE
from nnlab.records.text import shell_word

CHECK_FILE, COMPARISON_FILE = "check.json", "comparison.json"  # of a check; of all runs of -m, at their end
BEST_FOLDER = "best"  # of a sweep: its winner's run
FOLDERS_SEARCHED, RUNS_LISTED = 1000, 4
MOST_FOLDERS_ABOVE = 3  # between a run and the folder of all runs of -m
JOB_WORDS = {
    "run": "run", "runs": "folder of runs", "comparison": "comparison", "sweep": "sweep", "check": "check",
}  # fmt: skip
# Written as a job begins, and hardly ever again.
FIRST_FILES = ("config.yaml", "command.txt")
DATE_FORMAT, DATE_CHARACTERS = "%Y-%m-%d_%H-%M-%S", 19  # that a folder's name begins with
RUN_LEVELS = ("*", "*/*", "*/*/*")  # below outputs: a command, a run, a run of -m


def find_run(path: str | os.PathLike) -> Path:
    """The folder of the run. Raises `UserError`, with the runs that there are, if the path is of none."""
    folder = Path(path).expanduser()
    if folder.is_file():
        if _is_run(folder.parent):  # a file of the run
            return folder.parent
        raise UserError(f"'{path}' is a file, and not the folder of a run{_runs_here()}")
    if not folder.is_dir():
        raise UserError(f"there is no folder '{path}'{nearest_folder(folder) or _runs_here()}")
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
    if hint := describe_runs_below(folder):
        raise UserError(f"'{path}' is {hint}")
    raise UserError(f"'{path}' is not the folder of a run: it has no {WEIGHTS_FILE}{_runs_here()}")


def find_job(path: str | os.PathLike) -> tuple[str, Path]:
    """What a folder is of, and the folder: `run`, `runs` of -m, `comparison`, `sweep` or `check`, whether
    it has ended or not. Raises `UserError`, with the newest job, if the path is of none."""
    folder = Path(path).expanduser()
    if folder.is_file() and _kind_of_job(folder.parent):
        folder = folder.parent
    if not folder.is_dir():
        if folder.is_file():
            raise UserError(f"'{path}' is a file, and not the folder of a run{_jobs_here()}")
        raise UserError(f"there is no folder '{path}'{nearest_folder(folder) or _jobs_here()}")
    if kind := _kind_of_job(folder):
        return kind, folder
    if hint := describe_runs_below(folder):
        raise UserError(f"'{path}' is {hint}")
    checks = [f"'{file.parent}'" for file in islice(sorted(folder.glob(f"*/{CHECK_FILE}")), FOLDERS_SEARCHED)]
    if checks:
        raise UserError(f"'{path}' is a folder of checks: say which one, {list_names(checks, RUNS_LISTED)}")
    if os.path.lexists(folder / SPEC_FILE):
        raise UserError(f"'{path}': the run has nothing to report yet: no epoch has ended{_resume(folder)}")
    kinds = "a run, a comparison, a sweep or a check"
    raise UserError(f"'{path}' is not the folder of {kinds}{_jobs_here()}")


def _kind_of_job(folder: Path) -> str:
    is_run = _is_run(folder)
    files = {SWEEP_FILE: "sweep", CHECK_FILE: "check"}
    files |= {} if is_run else {COMPARE_FILE: "comparison"}  # a run that was compared has one too
    files |= {RUNS_FILE: "runs", COMPARISON_FILE: "runs"}
    named = (kind for name, kind in files.items() if os.path.lexists(folder / name))
    return next(named, "run" if is_run else "")


def describe_runs_below(folder: Path) -> str:
    """`a folder of 2 runs: say which one, ...` where there are runs in it; else empty."""
    runs = _runs_below(folder)
    if len(runs) == 1:
        return f"not the folder of a run; did you mean '{runs[0]}', the only one in it?"
    which = list_names([f"'{run}'" for run in runs], RUNS_LISTED)  # whole, to be copied
    return f"a folder of {len(runs):,} runs: say which one, {which}" if runs else ""


def _resume(folder: Path) -> str:
    """How to go on with a run, with or without a checkpoint: of -m, in the folder of all runs."""
    nearby = (folder, *islice(folder.parents, MOST_FOLDERS_ABOVE))
    whole = next((above for above in nearby if os.path.lexists(above / RUNS_FILE)), folder)
    return f"; to go on with it, nnlab train resume={shell_word(str(whole))}"


def _is_run(folder: Path) -> bool:
    names = (WEIGHTS_FILE, METRICS_FILE, "summary.json")
    return any(os.path.lexists(folder / name) for name in names) and (folder / "config.yaml").is_file()


def _has_winner(folder: Path) -> bool:
    return os.path.lexists(folder / SWEEP_FILE) and _is_run(folder / BEST_FOLDER)


def _runs_below(folder: Path) -> list[Path]:
    """The folders of runs in it, and of sweeps with a winner, the newest first."""
    for level in RUN_LEVELS:
        entries = islice(folder.glob(level), FOLDERS_SEARCHED)
        runs = [entry for entry in entries if _is_run(entry) or _has_winner(entry)]
        if runs:
            return sorted(runs, key=began, reverse=True)
    return []


def newest_run() -> Path | None:
    """The run below outputs/train that began last, alone or in a folder of -m, if there is one."""
    above = [folder for level in RUN_LEVELS[:2] for folder in _newest_names(Path("outputs/train"), level)]
    return max(filter(_is_run, above), key=began, default=None)


def newest_job() -> tuple[str, Path] | None:
    """What `find_job` says of the job below outputs that began last: of a run, all runs of -m, a comparison,
    a sweep or a check."""
    commands = [Path("outputs") / name for name in ("train", "compare", "sweep", "check")]
    folders = [folder for command in commands for folder in _newest_names(command, "*")]
    jobs = [(kind, folder) for folder in folders if (kind := _kind_of_job(folder))]
    return max(jobs, key=lambda job: began(job[1]), default=None)


def _newest_names(folder: Path, level: str) -> list[Path]:
    """Some of many folders: those whose names, which begin with a date, come last."""
    return sorted(folder.glob(level), reverse=True)[:FOLDERS_SEARCHED]


def began(folder: Path) -> tuple[float, float]:
    """When a job began: by its folder's name or that of all runs of -m, else by the first files in it. A
    page or picture that is written later changes the folder's own time, and a copy that of its files."""
    files = [folder / name for name in FIRST_FILES]
    times = [os.lstat(file).st_mtime for file in files if os.path.lexists(file)]
    first = min(times) if times else folder.stat().st_mtime
    for name in (folder.name, folder.absolute().parent.name):
        with contextlib.suppress(ValueError, OverflowError):
            return datetime.strptime(name[:DATE_CHARACTERS], DATE_FORMAT).timestamp(), first
    return first, first


def _jobs_here() -> str:
    """The newest job, to be named where the user's is none."""
    newest = newest_job()
    if newest is None:
        return "; nnlab train makes runs, in outputs/train"
    return f"; the newest {JOB_WORDS[newest[0]]} here is '{newest[1]}'"


def _runs_here() -> str:
    newest = newest_run()
    return f"; the newest run here is '{newest}'" if newest else "; nnlab train makes runs, in outputs/train"


def nearest_folder(folder: Path) -> str:
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

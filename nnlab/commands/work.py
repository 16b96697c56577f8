"""`nnlab work FOLDER`: trains jobs of a sweep of launcher=folder, on this machine, until it has ended."""

import argparse
import math
import os
from pathlib import Path

from nnlab import interruption
from nnlab.allowed import LARGEST_COUNT
from nnlab.commands.work_folder import refuse_other_versions, sweep_has_ended, sweep_in, tell
from nnlab.errors import UserError, describe_machine_fault, nearest, say
from nnlab.jobs.folder_queue import MAX_PROCESSES, FolderQueue

DEFAULTS = {"threads": "auto", "wait": "600"}
SYNONYMS = {
    "processes": "threads",
    "jobs": "threads",
    "cores": "threads",
    "timeout": "wait",
    "seconds": "wait",
}


def main(argv: list[str]) -> int:
    """Train; returns 0 once the sweep has ended, 2 for wrong input, 1 for a fault or a sweep that is gone."""
    try:
        folder, settings = _folder_and_settings(_parser().parse_args(argv).words)
        threads, wait = _threads(settings["threads"]), _seconds(settings["wait"])
        with interruption.raise_on_signals():
            return _work(sweep_in(folder, wait), threads, wait)
    except UserError as e:
        if os.environ.get("NNLAB_TRACEBACK", "0") not in ("", "0"):
            raise
        say("work", str(e))
        return 2
    except KeyboardInterrupt:
        say("work", "interrupted: what it was training waits for other workers")
        return interruption.exit_code()
    except Exception as e:
        sentence = describe_machine_fault(e)
        if sentence is None:
            raise
        say("work", sentence)
        return 1


def _work(sweep: Path, threads: int | None, wait: float) -> int:
    queue = FolderQueue(sweep)
    if sweep_has_ended(sweep, queue):
        tell(f"{sweep}: the sweep has ended, there is nothing to train")
        return 0
    if settings := queue.settings():
        refuse_other_versions(settings)
    # Importing torch takes seconds, and so it is imported late: wrong words have been refused before.
    from nnlab.commands import work_command

    return work_command.run(sweep, queue, threads, wait)


def _folder_and_settings(words: list[str]) -> tuple[str, dict[str, str]]:
    """The folder, and the value of each key. Raises `UserError`."""
    folders, given = [], {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals or os.path.lexists(word) or "/" in key:  # folders are named after overrides
            folders.append(word)
        elif key not in DEFAULTS:
            meant = f"; did you mean {SYNONYMS[key]}={value}?" if key in SYNONYMS else nearest(key, DEFAULTS)
            raise UserError(f"{word}: nnlab work has no key '{key}'{meant}")
        elif key in given:
            raise UserError(f"{key}= is there twice")
        else:
            given[key] = value
    if not folders:
        raise UserError(
            "the work of which sweep? Write nnlab work FOLDER, that of nnlab sweep launcher=folder, such as "
            "outputs/sweep/..."
        )
    if len(folders) > 1:
        raise UserError(f"'{folders[1]}': nnlab work takes one sweep; a path with spaces needs quotes")
    return folders[0], DEFAULTS | given


def _threads(text: str) -> int | None:
    """How many processes; None for as many as cores."""
    if text == "auto":
        return None
    if not text.isdecimal() or not 1 <= int(text[:9]) <= MAX_PROCESSES:
        raise UserError(f"threads = {text}: expected a whole number from 1 to {MAX_PROCESSES:,}, or auto")
    return int(text)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds <= LARGEST_COUNT:
        raise UserError(f"wait = {text}: expected seconds above 0")
    return seconds


def _parser() -> argparse.ArgumentParser:
    def refuse(message: str):
        raise UserError(
            message.replace("unrecognized arguments: ", "unknown option ")
            + "; nnlab work takes a folder, threads=N and wait=SECONDS"
        )

    parser = argparse.ArgumentParser(
        prog="nnlab work",
        usage="nnlab work [-h] FOLDER [threads=N] [wait=SECONDS]",
        description="Train jobs of a sweep that is under way, on this machine: nnlab sweep ... "
        "launcher=folder puts them into its folder, and every nnlab work that sees the folder takes some. "
        "The study is the same, trial by trial, whoever trains. It ends with the sweep, with exit code 0; "
        "with Ctrl-C at any time, and then its jobs wait for others.",
        epilog="threads=auto: one process for each core, or one for a GPU. wait=600: so many seconds it "
        "waits for a sweep of which it hears nothing, or for its folder to be there.",
        allow_abbrev=False,
    )
    parser.error = refuse
    parser.print_help = lambda: print(parser.format_help(), end="")  # argparse's own hides a full disk
    parser.add_argument("words", nargs="*", metavar="FOLDER", help="of a sweep of launcher=folder")
    return parser

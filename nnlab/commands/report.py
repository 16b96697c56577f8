"""`nnlab report`: a run, all runs of -m, a comparison, a sweep or a check as one HTML page."""

import argparse
import os

from nnlab.errors import UserError, describe_machine_fault, say
from nnlab.records.run_path import JOB_WORDS, find_job, newest_job
from nnlab.records.text import shell_word

OUTPUT_WORDS = ("output", "out", "to", "file")  # of which the first is the key


def main(argv: list[str]) -> int:
    """Write a page for each folder; returns 2 for wrong input, 1 where the machine fails."""
    try:
        args = _parser().parse_args(argv)
        folders, output = _folders_and_output(args.words)
        jobs = [find_job(folder) for folder in folders]
        # Importing torch takes seconds, and so it is imported late: wrong words have been refused before.
        from nnlab.commands import report_command

        return report_command.run(jobs, output)
    except UserError as e:
        if os.environ.get("NNLAB_TRACEBACK", "0") not in ("", "0"):
            raise
        say("report", str(e))
        return 2
    except Exception as e:
        sentence = describe_machine_fault(e)
        if sentence is None:
            raise
        say("report", sentence)
        return 1


def _folders_and_output(words: list[str]) -> tuple[list[str], str | None]:
    """The folders, and the file that `output=` names. Raises `UserError`."""
    folders, output = [], None
    for word in words:
        key, equals, value = word.partition("=")
        if not equals or os.path.lexists(word) or "/" in key:  # folders are named after overrides
            folders.append(word)
        elif key != OUTPUT_WORDS[0]:
            meant = f"; did you mean output={shell_word(value)}?" if key in OUTPUT_WORDS else ""
            raise UserError(f"{word}: expected folders, or output=FILE{meant or ', where the page goes'}")
        elif output is not None:
            raise UserError("output= is there twice: a page has one file")
        else:
            output = value
    if not folders:
        kind, newest = newest_job() or ("", "FOLDER")
        which = f", the newest {JOB_WORDS[kind]}" if kind else ""
        raise UserError(
            f"which run, comparison, sweep or check? Write nnlab report {shell_word(str(newest))}{which}"
        )
    if output is not None and len(folders) > 1:
        raise UserError(f"output = '{output}': {len(folders)} folders have a page each; give one folder")
    return folders, output


def _parser() -> argparse.ArgumentParser:
    def refuse(message: str):
        raise UserError(message.replace("unrecognized arguments: ", "unknown option ") + _suggestion(message))

    parser = argparse.ArgumentParser(
        prog="nnlab report",
        usage="nnlab report [-h] FOLDER ... [output=FILE]",
        description="Write a run, all runs of -m, a comparison, a sweep or a check as one HTML page, which "
        "needs no network: results with their intervals, curves, mistakes, the boxes of the model, and the "
        "command that repeats it. A job that was interrupted has a page of what there is.",
        epilog="The page is report.html in the folder; output=FILE names another file, which must be new. "
        "Of several folders each has its own.",
        allow_abbrev=False,
    )
    parser.error = refuse
    parser.print_help = lambda: print(parser.format_help(), end="")  # argparse's own hides a full disk
    of_what = "of a run, a comparison, a sweep, a check, or all runs of -m"
    parser.add_argument("words", nargs="*", metavar="FOLDER", help=of_what)
    return parser


def _suggestion(message: str) -> str:
    """What is meant by an option: there is none but --help."""
    words = message.partition("--")[2].replace("=", " ").split()
    if words and words[0] in OUTPUT_WORDS:
        return f"; did you mean output={shell_word(words[1] if len(words) > 1 else 'FILE')}?"
    return "; nnlab report takes folders and output=FILE"

"""`nnlab compare`: arms on the same seeds and splits, trained now or read from folders, compared in pairs."""

from __future__ import annotations

from nnlab.commands import compare_folder_words, compare_words, hydra_entry
from nnlab.commands.command_line import CommandLine
from nnlab.commands.messages import advice_on_stderr, one_sentence_errors


def main(argv: list[str]) -> int:
    if compare_folder_words.names_folders(argv):
        return hydra_entry.guarded("compare", lambda: compare_folders(argv))
    return hydra_entry.run_guarded("compare", argv, act, compare_words.drop_arms)


def act(line: CommandLine) -> int:
    """Train the arms and compare them; returns 1 if every row of some arm diverged."""
    with one_sentence_errors(), advice_on_stderr("compare"):
        plan = compare_words.read(line)
    # Importing torch takes seconds: wrong input has been refused before.
    from nnlab.commands import compare_command

    return compare_command.run(plan)


def compare_folders(argv: list[str]) -> int:
    """Compare the runs in the folders that the words name, perhaps after training more seeds of them."""
    with one_sentence_errors(), advice_on_stderr("compare"):
        request = compare_folder_words.read_folders(argv)
    from nnlab.commands import compare_folders

    return compare_folders.run(request)

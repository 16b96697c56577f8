"""`nnlab compare FOLDER`, where the arms of a comparison are still being tuned: its sweeps go on, each from
its last finished batch; then the arms are trained and compared, as they would have been."""

from __future__ import annotations

from pathlib import Path

from nnlab.commands import compare_command, compare_words, config_checks
from nnlab.commands.command_line import CommandLine, key_of
from nnlab.commands.messages import advice_on_stderr, one_sentence_errors
from nnlab.commands.once import one_command
from nnlab.errors import UserError
from nnlab.records.stored_sweep import LOCK_FILE
from nnlab.records.tuning_file import read_tuning
from nnlab.untrusted import entries_below, refuse_link


def go_on(folder: Path) -> int:
    """Tune what is left, then train and compare; returns 1 if every row of some arm diverged."""
    # The words may be a stranger's: they choose no folder, and read nothing of the environment.
    with config_checks.environment_named_in(()), one_command():
        with one_sentence_errors(), advice_on_stderr("compare"):
            _refuse_links(folder)
            stored = read_tuning(folder)
            words = tuple(word for word in stored.words if key_of(word).partition(".")[0] != "hydra")
            plan = compare_words.read(CommandLine("compare", words, config_dir=stored.config_dir))
            if plan.tuning is None:
                raise UserError(f"'{folder}': its words, {' '.join(words):.200}, do not tune the arms")
        return compare_command.run(plan, folder)


def _refuse_links(folder: Path) -> None:
    for entry, status in entries_below(folder):
        if entry.name != LOCK_FILE and not entry.is_dir():  # which a killed Optuna leaves
            refuse_link(entry, status)

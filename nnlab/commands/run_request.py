"""What `nnlab predict`, `evaluate` and `export` are asked for: a run, examples. It imports no torch."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Generic, TypeVar

from hydra.core.hydra_config import HydraConfig

from nnlab.commands import folders
from nnlab.commands.composing import ComposedRun
from nnlab.commands.messages import one_sentence_errors
from nnlab.commands.run_words import BARE_KEYS
from nnlab.errors import UserError
from nnlab.hyperparameters import Component
from nnlab.records.run_folder import TEST_PREDICTIONS_FILE, write_start_files
from nnlab.records.run_path import find_run, newest_run
from nnlab.records.text import shell_line, shell_word

S = TypeVar("S", bound=Component)


@dataclass(frozen=True)
class RunRequest(Generic[S]):
    """The settings of the command, the folder of the run, and where results go."""

    command: str
    settings: S  # if it has data, they are not None
    run: Path
    composed: ComposedRun

    @property
    def is_folder_named(self) -> bool:
        """Whether the user says into which folder the results go."""
        return "hydra.run.dir" in self.composed.hydra_keys

    @property
    def line(self) -> str:
        """The shell line that repeats it."""
        settings = self.settings
        changed = {
            f.name: getattr(settings, f.name)
            for f in fields(settings)
            if f.name not in BARE_KEYS and getattr(settings, f.name) != f.default
        }
        further = [f"{key}={value}" for key, value in changed.items()]
        bare = [getattr(settings, key) for key in BARE_KEYS if key in vars(settings)]
        return shell_line(["nnlab", self.command, *bare, *further])

    @contextmanager
    def results_folder(self) -> Iterator[Path]:
        """A new folder for the results, which is gone again, with those above it, if anything goes wrong. It
        is called by the time alone, unless the user named it."""
        HydraConfig.instance().set_config(self.composed.config)
        with one_sentence_errors():
            parents = Path(self.composed.config.hydra.run.dir).parents
            new_parents = [parent for parent in parents if not parent.exists()]
            folder = folders.make_run_folder(self.composed.config, [], self.is_folder_named)
        try:
            folders.write_hydra_files(folder, self.composed.config)
            write_start_files(folder, self.composed.settings, self.line)
            yield folder
        except BaseException:
            folders.remove_unstarted(folder)
            for parent in new_parents:
                with suppress(OSError):  # somebody else has put something there
                    parent.rmdir()
            raise


def run_request(command: str, composed: ComposedRun, settings_class: type[S]) -> RunRequest[S]:
    """The request of a command line. Raises `UserError`."""
    settings = settings_class(**{f.name: composed.settings[f.name] for f in fields(settings_class)})
    takes_data = "data" in composed.settings
    if not settings.run:
        newest = newest_run()
        example = f"nnlab {command} {shell_word(str(newest or 'RUN'))}"
        example += f" {settings.data or 'DATA'}" if takes_data else ""
        raise UserError(f"which run? Write {example}" + ", the newest one" * bool(newest))
    if takes_data and not settings.data:
        what = "new examples" if command == "predict" else "labelled examples"
        test_predictions = find_run(settings.run) / TEST_PREDICTIONS_FILE
        hint = (
            f"; what it predicted for its own test set is in '{test_predictions}'"
            if test_predictions.is_file()
            else ""
        )
        line = f"nnlab {command} {shell_word(settings.run)} FILE"
        raise UserError(f"which examples? Write {line}, a file of {what}{hint}")
    return RunRequest(command, settings, find_run(settings.run), composed)

"""A command's messages on stderr: an error as one sentence, advice as one line."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterable, Iterator

from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from nnlab.commands import config_files, hydra_errors
from nnlab.errors import Advice, UserError, is_machine_error, say


@contextlib.contextmanager
def one_sentence_errors() -> Iterator[None]:
    """Turn errors of reading and composing configurations into a `UserError` of one sentence."""
    try:
        yield
    except (UserError, BrokenPipeError):
        raise
    except OSError as e:
        if is_machine_error(e):
            raise
        raise UserError(hydra_errors.sentence(e)) from e
    except (HydraException, OmegaConfBaseException, YAMLError, ValueError) as e:
        raise UserError(hydra_errors.sentence(e)) from e
    except RecursionError as e:
        raise UserError(config_files.circular_defaults() or hydra_errors.TOO_DEEP_MESSAGE) from e


@contextlib.contextmanager
def advice_on_stderr(command: str) -> Iterator[None]:
    """Print an `Advice` warning as one line on stderr, once; other warnings are shown as usual."""
    with warnings.catch_warnings():
        show_other_warning = warnings.showwarning

        def show(message, category, *location):
            if not issubclass(category, Advice):
                return show_other_warning(message, category, *location)
            print_advice(command, [message])

        warnings.showwarning = show
        yield


def print_advice(command: str, notes: Iterable[object]) -> None:
    """Print each note as one line on stderr, duplicates once."""
    for note in dict.fromkeys(notes):
        say(command, f"advice: {note}")

"""What a command says beside its results: one sentence on stderr for an error, one line for advice."""

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
def one_sentence() -> Iterator[None]:
    """Errors of reading and composing configurations become a `UserError` of one sentence."""
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
        raise UserError(config_files.circle() or hydra_errors.TOO_DEEP) from e


@contextlib.contextmanager
def advice(command: str) -> Iterator[None]:
    """Advice is one line on stderr, once; other warnings stay as they are."""
    with warnings.catch_warnings():
        others = warnings.showwarning

        def show(message, category, *place):
            if not issubclass(category, Advice):
                return others(message, category, *place)
            advise(command, [message])

        warnings.showwarning = show
        yield


def advise(command: str, notes: Iterable[object]) -> None:
    """A line on stderr for each note, each once."""
    for note in dict.fromkeys(notes):
        say(command, f"advice: {note}")

"""The end of a command at a Ctrl-C or a machine fault: one sentence, which says what is saved."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from nnlab import interruption
from nnlab.errors import describe_machine_fault


class EndedEarly(Exception):
    """Training ended early: the sentence says why and what is saved, `code` is the exit code."""

    def __init__(self, sentence: str, code: int):
        super().__init__(sentence)
        self.code = code


@contextmanager
def reporting_what_is_saved(describe: Callable[[], str]) -> Iterator[None]:
    """Turn a Ctrl-C or a machine fault in the block into `EndedEarly`; `describe()` says what is saved."""
    with interruption.raise_on_signals():
        try:
            yield
        except EndedEarly:
            raise
        except BaseException as e:
            # A library that is being imported makes another exception of a Ctrl-C.
            if is_interruption(e):
                raise EndedEarly(f"interrupted: {describe()}", interruption.exit_code()) from e
            reason = describe_machine_fault(e)
            if not reason:
                raise
            raise EndedEarly(f"{reason}: {describe()}", 1) from e


def is_interruption(error: BaseException) -> bool:
    """Whether a signal caused the error."""
    if isinstance(error, KeyboardInterrupt):
        return True
    return interruption.was_interrupted() and not describe_machine_fault(error)

"""Orderly end of training at a Ctrl-C or a machine fault: saves the best weights so far and says where."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from nnlab import interruption
from nnlab.commands.folders import remove_unstarted
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


def describe_saved(writers: list, folders: list[Path]) -> str:
    """Save the weights of unfinished runs, and say what is in the folders.

    Where not all runs have begun, none has trained: their folders are removed.
    """
    if len(writers) < len(folders):
        for folder in folders:
            remove_unstarted(folder)
        return "nothing was begun"
    return _describe_all(writers)


def train(fit, writers: list, handle: Callable) -> None:
    """Train `fit` and pass each record to `handle`; `writers` are the runs that are written.

    At a first Ctrl-C or a machine fault, the epoch is finished. Then the best weights so far of unfinished
    runs are saved, and `EndedEarly` is raised.
    """
    records, epoch = iter(fit), 0
    reason, code = "", 1
    with interruption.stop_at_epoch_end():
        try:
            for record in records:
                epoch = max(epoch, record.epoch)
                handle(record)
            if interruption.stop_requested():
                reason, code = "interrupted", interruption.exit_code()
        except KeyboardInterrupt:
            # A second Ctrl-C: do not wait for the end of the epoch.
            saved = _stopped_at_once(writers)
            raise EndedEarly(f"stopped at once (epoch {epoch}): {saved}", interruption.exit_code()) from None
        except Exception as e:
            reason = describe_machine_fault(e) or ""
            if not reason:
                raise
            _finish_epoch(records)
    if reason:
        raise EndedEarly(f"{reason} (epoch {epoch}): {_describe_all(writers)}", code)


def _stopped_at_once(writers: list) -> str:
    """What is saved after a second Ctrl-C, which does not wait for the weights."""
    without_weights = ", ".join(f"'{run.folder.path}'" for run in writers if not run.folder.closed)
    return f"no weights in {without_weights}" if without_weights else _describe_all(writers)


def _finish_epoch(records) -> None:
    """Let every row finish the current epoch, and drop its records."""
    interruption.request_stop()
    try:
        for _ in records:
            pass
    except Exception as e:
        if not describe_machine_fault(e):
            raise


def _describe_all(writers: list) -> str:
    """Save the weights of unfinished runs, and say what is in the folders."""
    unfinished = [_save_and_describe(run) for run in writers if not run.closed]
    if len(writers) == 1:
        return unfinished[0] if unfinished else f"'{writers[0].folder.path}' is complete"
    parent, complete = writers[0].folder.path.parent, len(writers) - len(unfinished)
    sentence = f"{complete} of {len(writers)} runs in '{parent}' are complete"
    if unfinished:
        sentence += f"; {unfinished[0]}"
    if len(unfinished) > 1:
        sentence += ", and so on"
    return sentence


def _save_and_describe(writer) -> str:
    """Save the best weights of an unfinished run, and say what its folder contains."""
    original_path = writer.folder.path
    if writer.folder.closed:
        return f"'{original_path}' has the curves, the weights and the summary"
    try:
        saved_rows, row_count = writer.save_partial(), len(writer.rows)
    except OSError as e:
        reason = describe_machine_fault(e)
        return f"'{original_path}' has the curves, and its weights cannot be written ({reason})"
    saved = "the curves; no epoch ended well"
    if saved_rows:
        saved = "the curves and the best weights so far"
        if row_count > 1:
            saved += f" of {saved_rows} of its {row_count} rows"
    moved = f"'{original_path}' was removed or replaced; " * writer.folder_lost
    return f"{moved}'{writer.folder.path}' has {saved}"

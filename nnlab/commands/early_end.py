"""Training that ends early, by Ctrl-C or a fault of the machine: what there is of it is kept, and named."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from nnlab import interruption
from nnlab.commands.folders import withdraw
from nnlab.errors import fault


class EndedEarly(Exception):
    """One sentence: why, and what there is; and the exit code."""

    def __init__(self, sentence: str, code: int):
        super().__init__(sentence)
        self.code = code


@contextmanager
def naming(kept: Callable[[], str]) -> Iterator[None]:
    """A Ctrl-C or a fault within becomes one sentence, which says what there is: `kept()`."""
    with interruption.raising():
        try:
            yield
        except EndedEarly:
            raise
        except BaseException as e:
            # A library that is being imported makes another exception of a Ctrl-C.
            if interrupted(e):
                raise EndedEarly(f"interrupted: {kept()}", interruption.code()) from e
            why = fault(e)
            if not why:
                raise
            raise EndedEarly(f"{why}: {kept()}", 1) from e


def interrupted(error: BaseException) -> bool:
    """Whether a signal is why."""
    return isinstance(error, KeyboardInterrupt) or (interruption.happened() and not fault(error))


def kept_of(runs: list, places: list[Path]) -> str:
    """What there is in the `places` of these runs, once the weights of those under way are written.

    Where not all have begun, none has trained: nothing is left of them.
    """
    if len(runs) < len(places):
        for place in places:
            withdraw(place)
        return "nothing was begun"
    return _kept(runs)


def train(fit, runs: list, read: Callable) -> None:
    """Iterate over `fit` and `read` its records, of which the `runs` write.

    A first Ctrl-C, or a fault of the machine wherever it is met, lets the epoch come to its end. Then the
    best weights so far of runs that have not ended are written, and `EndedEarly` is raised.
    """
    records, epoch = iter(fit), 0
    why, code = "", 1
    with interruption.between_epochs():
        try:
            for record in records:
                epoch = max(epoch, record.epoch)
                read(record)
            if interruption.asked():
                why, code = "interrupted", interruption.code()
        except KeyboardInterrupt:
            # A second Ctrl-C: do not wait for the end of the epoch.
            left = _stopped_at_once(runs)
            raise EndedEarly(f"stopped at once (epoch {epoch}): {left}", interruption.code()) from None
        except Exception as e:
            why = fault(e) or ""
            if not why:
                raise
            _come_to_an_end(records)
    if why:
        raise EndedEarly(f"{why} (epoch {epoch}): {_kept(runs)}", code)


def _stopped_at_once(runs: list) -> str:
    without = ", ".join(f"'{run.folder.path}'" for run in runs if not run.folder.closed)
    return f"no weights in {without}" if without else _kept(runs)


def _come_to_an_end(records) -> None:
    """Let every row end with the epoch under way; its records are not read any more."""
    interruption.ask()
    try:
        for _ in records:
            pass
    except Exception as e:
        if not fault(e):
            raise


def _kept(runs: list) -> str:
    """What is in the folders, once the weights are there."""
    begun = [_kept_of(run) for run in runs if not run.closed]
    if len(runs) == 1:
        return begun[0] if begun else f"'{runs[0].folder.path}' is complete"
    where, whole = runs[0].folder.path.parent, len(runs) - len(begun)
    kept = f"{whole} of {len(runs)} runs in '{where}' are complete"
    if begun:
        kept += f"; {begun[0]}"
    if len(begun) > 1:
        kept += ", and so on"
    return kept


def _kept_of(run) -> str:
    """Write what there is of one run; what that is."""
    was = run.folder.path
    if run.folder.closed:
        return f"'{was}' has the curves, the weights and the summary"
    try:
        rows, count = run.keep(), len(run.rows)
    except OSError as e:
        return f"'{was}' has the curves, and its weights cannot be written ({fault(e)})"
    kept = "the curves; no epoch ended well"
    if rows:
        kept = "the curves and the best weights so far"
        if count > 1:
            kept += f" of {rows} of its {count} rows"
    lost = f"'{was}' was removed or replaced; " * run.lost
    return f"{lost}'{run.folder.path}' has {kept}"

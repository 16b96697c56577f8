"""The live view of a run on a terminal. Only here is rich, and only after a moment of training."""

from __future__ import annotations

import numpy as np
from rich.console import Console as Screen
from rich.live import Live
from rich.text import Text

from nnlab.errors import visible
from nnlab.means import mean_of_finite
from nnlab.records.text import duration, error_name, label, number


def start(draw, stream) -> Live:
    """Start the view that `draw(screen)` renders; it is also drawn anew once a second between refreshes."""
    screen = Screen(file=stream)
    live = Live(
        get_renderable=lambda: draw(screen),
        console=screen,
        refresh_per_second=1,
        transient=True,
    )
    live.start(refresh=True)
    return live


def view(console, screen: Screen) -> Text:
    """The bar, the last epoch's losses and errors, the best so far, and what became of the rows.

    One Text, laid out by hand: rich's tables take several times as long to draw.
    """
    p = console.progress
    now = p.now()
    text = Text("\n")
    words = f"{p.share():.0%}"
    if console.together:
        words = f"epoch {p.epoch} of {p.epochs}"
    bar(text, p.share(), words, p.seconds_left(), screen)
    text.append(f"\n\n{'loss':>24}{error_name(console.task):>12}\n", "dim")
    text.append(f"  {'training':<12}{_pair(console, now['train_loss'], now['train_error'])}\n")
    if console.validates:
        text.append(f"  {'validation':<12}{_pair(console, now['val_loss'], now['val_error'])}\n")
    # copies, for the clock's thread may look while the training thread writes
    best = [b for row, b in p.best.copy().items() if p.ended.get(row) != "diverged"]
    if best:
        loss, error, epoch = np.array(best).T
        text.append(f"  {'best':<12}")
        text.append(_pair(console, mean_of_finite(loss), mean_of_finite(error)), "green")
        text.append(f"   at epoch {np.median(epoch):.0f}", "dim")
        text.append(" (median)" if p.rows > 1 else "", "dim")
    if p.rows > 1:
        _rows(text, p)
    return text


def _pair(console, loss: float, error: float) -> str:
    return f"{number(loss):>10}{console.error(error):>12}"


def runs_view(console, screen: Screen) -> Text:
    """The bar, and the best of the runs so far."""
    p, beside, text = console.progress, console.beside, Text("\n")
    bar(text, p.share(), f"{beside.ended(p)} runs ended", p.seconds_left(), screen)
    if beside.metric:
        text.append(f"\n\n  least {label(beside.metric, console.task)} so far  ", "dim")
        text.append(beside.best(p, console.task), "green")
    return text


def bar(text: Text, share: float, words: str, seconds: float, screen: Screen) -> None:
    """A bar of which `share` is done, with words and the time left."""
    left = f"{seconds:.0f} s" if seconds < 59.5 else duration(seconds)
    words = f"  {words}  {left:>8} left"
    cells = max(min(screen.width, 80) - len(words), 5)
    done = min(int(share * cells), cells)
    over, to_come = "#-" if screen.options.ascii_only else "━─"
    text.append(over * done, "cyan")
    text.append(to_come * (cells - done), "bright_black")
    text.append(words)


def _rows(text: Text, p) -> None:
    diverged = list(p.ended.values()).count("diverged")
    text.append(f"\n\n  means of {p.rows} rows: {p.training()} training")
    others = len(p.ended) - diverged
    text.append(f", {others} ended" if others else "")
    text.append(f", {diverged} diverged" if diverged else "", "red")


def sweep_view(console, screen: Screen) -> Text:
    """The bar, the batch in training, the trials that finished, and the best of them."""
    text = Text("\n")
    finished = len(console.trials)
    bar(text, console.share(), f"trial {finished} of {console.count}", console.seconds_left(), screen)
    if console.batch is not None:
        text.append(f"\n\n  training    {console.in_training()}")
    counts = ", ".join(f"{count} {state}" for state, count in console.counts().items() if count)
    text.append(f"\n  finished    {counts or 'none yet'}")
    best = visible(console.best_line())
    if best:
        text.append(f"\n  best        {best[: screen.width - 16]}", "green")
    return text

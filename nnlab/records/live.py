"""The live views of runs and sweeps on a terminal, rendered with rich.

Only this module imports rich, and it is imported only when a live view starts.
"""

from __future__ import annotations

import numpy as np
from rich.console import Console as Screen
from rich.live import Live
from rich.text import Text

from nnlab.errors import visible
from nnlab.means import mean_of_finite
from nnlab.records.rate_text import format_rate
from nnlab.records.text import error_name, format_duration, format_number, metric_formatter, short_label


def start_live(draw, stream) -> Live:
    """Start the live view that `draw(screen)` renders; it is redrawn at least once a second."""
    screen = Screen(file=stream)
    live = Live(
        get_renderable=lambda: draw(screen),
        console=screen,
        refresh_per_second=1,
        transient=True,
    )
    live.start(refresh=True)
    return live


def run_view(console, screen: Screen) -> Text:
    """The progress bar, the latest losses and errors, the best so far, and how many rows ended.

    One Text, laid out by hand: rich's tables take several times as long to draw.
    """
    p = console.progress
    now = p.latest_means()
    text = Text("\n")
    caption = f"{p.fraction_done():.0%}"
    if console.single_stack:
        caption = f"epoch {p.epoch} of {p.epochs}"
    append_bar(text, p.fraction_done(), caption, p.seconds_left(), screen)
    text.append(f"\n\n{'loss':>24}{error_name(console.task):>12}\n", "dim")
    text.append(f"  {'training':<12}{_pair(console, now['train_loss'], now['train_error'])}\n")
    if console.validates:
        text.append(f"  {'validation':<12}{_pair(console, now['val_loss'], now['val_error'])}")
        if console.metric:
            value = metric_formatter(console.metric, console.task)(now[console.metric])
            text.append(f"   {short_label(console.metric)} {value}")
        text.append("\n")
    # a copy, since rich's thread may read while the training thread writes
    best = [b for row, b in p.best.copy().items() if p.ended.get(row) != "diverged"]
    if best:
        loss, error, epoch = np.array(best).T
        text.append(f"  {'best':<12}")
        text.append(_pair(console, mean_of_finite(loss), mean_of_finite(error)), "green")
        text.append(f"   at epoch {np.median(epoch):.0f}", "dim")
        text.append(" (median)" if p.rows > 1 else "", "dim")
    if console.rate:
        text.append(f"\n  {'rate':<12}{format_rate(now['lr']):>10}")
    if p.rows > 1:
        _rows(text, p)
    return text


def _pair(console, loss: float, error: float) -> str:
    return f"{format_number(loss):>10}{console.error(error):>12}"


def runs_view(console, screen: Screen) -> Text:
    """The progress bar of several runs, and the best of them so far."""
    p, parallel, text = console.progress, console.parallel, Text("\n")
    append_bar(text, p.fraction_done(), f"{parallel.ended(p)} runs ended", p.seconds_left(), screen)
    if parallel.metric:
        text.append(f"\n\n  {parallel.describe(console.task)} so far  ", "dim")
        text.append(parallel.best(p, console.task), "green")
    return text


def append_bar(text: Text, share: float, caption: str, seconds: float, screen: Screen) -> None:
    """Append a progress bar of which `share` is done, its caption and the time left."""
    time_left = f"{seconds:.0f} s" if seconds < 59.5 else format_duration(seconds)
    caption = f"  {caption}  {time_left:>8} left"
    cells = max(min(screen.width, 80) - len(caption), 5)
    done = min(int(share * cells), cells)
    done_character, remaining_character = "#-" if screen.options.ascii_only else "━─"
    text.append(done_character * done, "cyan")
    text.append(remaining_character * (cells - done), "bright_black")
    text.append(caption)


def _rows(text: Text, p) -> None:
    diverged = list(p.ended.values()).count("diverged")
    text.append(f"\n\n  means of {p.rows} rows: {p.training_count()} training")
    other_ended = len(p.ended) - diverged
    text.append(f", {other_ended} ended" if other_ended else "")
    text.append(f", {diverged} diverged" if diverged else "", "red")


def sweep_view(console, screen: Screen) -> Text:
    """The progress bar of a sweep, the batch in training, the finished trials, and the best of them."""
    text = Text("\n")
    finished = len(console.trials)
    append_bar(
        text, console.fraction_done(), f"trial {finished} of {console.count}", console.seconds_left(), screen
    )
    if console.batch is not None:
        text.append(f"\n\n  training    {console.describe_training()}")
    counts = ", ".join(f"{count} {state}" for state, count in console.counts().items() if count)
    text.append(f"\n  finished    {counts or 'none yet'}")
    best = visible(console.describe_best())
    if best:
        text.append(f"\n  best        {best[: screen.width - 16]}", "green")
    return text

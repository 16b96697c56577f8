"""`nnlab compare ... plan=true`: which arms would be trained, how many rows, and how long that would take."""

from __future__ import annotations

from collections.abc import Sequence

from nnlab.commands.compare_arms import Arrangement
from nnlab.commands.train_command import joint_fit
from nnlab.commands.tuned_arms import PreparedTuning
from nnlab.records.terminal import Terminal
from nnlab.records.text import format_duration
from nnlab.runtime.machine import in_bytes, resident_memory
from nnlab.search.plan import training_seconds
from nnlab.training.fit import Fit
from nnlab.training.memory import memory_needed


def show(arms: Arrangement, fits: Sequence[Fit], tuning: PreparedTuning | None) -> None:
    """Print the plan: first of the sweeps, if arms are tuned, then of what is compared."""
    terminal = Terminal()
    if tuning:
        title, *space = tuning.lines()
        terminal.title(title)
        for line in [*space, *tuning.plans(), ""]:
            terminal.line(line)
    fit = joint_fit([*fits])
    stacks = fit.stacks()
    terminal.title(
        f"{len(arms.words)} arms on {', '.join(arms.data)}: {len(fit.rows)} rows in {len(stacks)} stacks"
    )
    for name in arms.words:
        terminal.line(f"  {name}")
    memory = resident_memory() + memory_needed(stacks, fit.datasets, fit.processes)
    terminal.line(f"  memory {in_bytes(memory)}, time about {format_duration(training_seconds(fit))}")

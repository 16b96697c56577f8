"""Writes search.png: the searches of several samplers in one plane, or a search and its refinement."""

from __future__ import annotations

from pathlib import Path

from nnlab.commands.command_line import CommandLine
from nnlab.commands.pictures import costing_nothing, say_pictures
from nnlab.commands.prepared_sweep import PreparedSweep
from nnlab.records.files import atomic_write
from nnlab.records.terminal import Terminal
from nnlab.records.text import metric_label
from nnlab.search.space import Space
from nnlab.search.trial import Trial

PICTURE_FILE = "search.png"


def show_searches(
    searched: dict[str, list[Trial]], space: Space, job: PreparedSweep, folder: Path, caption: str = ""
) -> None:
    """Draw these trials into `folder`, and say where. Their objective is that of the job."""
    with costing_nothing("sweep", PICTURE_FILE):
        say_pictures([_draw(searched, space, job, folder)], [caption], Terminal())


def _draw(searched: dict[str, list[Trial]], space: Space, job: PreparedSweep, folder: Path) -> Path:
    from nnlab.pictures import search  # imports matplotlib

    searches = [search.Searched(name, trials) for name, trials in searched.items()]
    objective = metric_label(job.sweep.search.objectives[0], job.task)
    with atomic_write(folder / PICTURE_FILE) as file:
        file.write_bytes(search.draw(searches, space, objective, job.sweep.search.signs[0]))
    return folder / PICTURE_FILE


def draw_both(refined: CommandLine, job: PreparedSweep, folder: Path) -> None:
    """Draw the search in the refine= of a line and the job's own, if both had the same objective."""
    from nnlab.commands.refinement import earlier_search

    space, trials, earlier = earlier_search(refined)
    now = job.sweep.search
    if earlier.objectives[0] != now.objectives[0] or not {*job.sweep.space.always} >= {*space.always}:
        return
    searched = {earlier.sampler.name: trials, f"{now.sampler.name}, refined": job.sweep.trials}
    show_searches(searched, space, job, folder)

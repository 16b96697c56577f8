"""Execution of `nnlab reproduce`: trains the cells of a table as one population, and judges them.

This module imports torch, so reproduce.py imports it only after the words have been read.
"""

from __future__ import annotations

import re
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

from omegaconf import open_dict, read_write

from nnlab.commands import resumed_train, train_command
from nnlab.commands.command_line import CommandLine
from nnlab.commands.composing import ComposedRun
from nnlab.commands.early_end import EndedEarly
from nnlab.commands.folders import remove_unstarted
from nnlab.commands.messages import advice_on_stderr, one_sentence_errors, print_advice
from nnlab.commands.reproduce_request import ReproduceRequest
from nnlab.commands.run_folders import PreparedRun, make_multirun_folder
from nnlab.commands.word_lists import composed_runs_of
from nnlab.errors import UserError, visible
from nnlab.records.files import atomic_write
from nnlab.records.terminal import Terminal
from nnlab.records.text import shell_line
from nnlab.records.text_columns import labelled_lines
from nnlab.reproduction.measured import with_measured
from nnlab.reproduction.published import REPRODUCTION_FILE, key_of
from nnlab.reproduction.reproduction import (
    Plan,
    Reproduction,
    read_reproduction,
    write_reproduction,
)
from nnlab.reproduction.table_file import read_table
from nnlab.reproduction.text import closing_lines, markdown, screen_lines
from nnlab.runtime.machine import in_bytes, processor_name
from nnlab.training.data_cache import DataCache
from nnlab.training.memory import memory_needed
from nnlab.training.placement import GPU_START_SECONDS, duration_text, estimate_work

FOLDER = "outputs/reproduce/${now:%Y-%m-%d_%H-%M-%S}_"  # and the table's name
MARKDOWN_FILE = "reproduction.md"
FILES_KEY = "data.path"


def run(request: ReproduceRequest) -> int:
    """Train the cells and judge them, or show the plan; returns 1 if every row of some cell diverged."""
    with one_sentence_errors():
        plan = plan_of(request)
        runs = compose(plan, request)
    print_advice("reproduce", dict.fromkeys(note for each in runs for note in each.notes()))
    if request.settings.plan:
        return show_plan(plan, runs)
    before = processor_seconds()
    prepared = train_command.begin_runs(runs, partial(_make_folder, runs, plan.table.name))
    folder = prepared[0].multirun_folder
    reproduction = Reproduction(plan, request.text, processor_name())
    try:
        write_reproduction(folder, reproduction)
    except OSError:
        remove_unstarted(folder)
        raise
    with saying_how_to_go_on(folder):
        exit_code = train_and_draw(prepared, folder)
    return conclude(reproduction, folder, processor_seconds() - before) and exit_code


def go_on(folder: Path) -> int:
    """Train what is left of a reproduction, if anything is, and judge it."""
    with one_sentence_errors():
        if not (folder / REPRODUCTION_FILE).is_file():
            raise UserError(f"'{folder}' is not the folder of a reproduction: it has no {REPRODUCTION_FILE}")
        reproduction = read_reproduction(folder / REPRODUCTION_FILE)
        unfinished = resumed_train.read_unfinished(folder)
    exit_code = 0
    if len(unfinished.ended) < len(unfinished.runs):
        reproduction = replace(reproduction, seconds=None)
        with saying_how_to_go_on(folder):
            exit_code = resumed_train.train_rest(unfinished, [], train_and_draw)
    return conclude(reproduction, folder, reproduction.seconds) and exit_code


def plan_of(request: ReproduceRequest) -> Plan:
    table = read_table(request.settings.table)
    version = request.settings.version
    patterns = request.cells or table.versions[version].cells
    return Plan(table, version, request.given, tuple(table.picked(patterns)))


def compose(plan: Plan, request: ReproduceRequest) -> list[ComposedRun]:
    """The runs of the cells. Raises `UserError` for one that needs files which nobody named."""
    if "data=idx" in plan.words(plan.cells[0]) and not any(key_of(w) == FILES_KEY for w in plan.given):
        raise UserError(
            f"{plan.table.name} {plan.version} trains on MNIST: write {FILES_KEY}=FOLDER, a folder with its "
            f"four files, train-images-idx3-ubyte and so on"
        )
    places = [re.sub(r"^hydra\.run\.", "hydra.sweep.", word) for word in request.places]
    train = CommandLine("train", config_dir=request.line.config_dir)
    return composed_runs_of(train, [[*words, *places] for words in plan.runs])


def _make_folder(runs: list[ComposedRun], name: str) -> Path:
    """The folder of all runs, called after the table unless the user named it."""
    hydra = runs[0].config.hydra
    if "hydra.sweep.dir" not in runs[0].hydra_keys:
        with open_dict(hydra), read_write(hydra):
            hydra.sweep.dir = FOLDER + re.sub(r"[^\w-]+", "-", name)
    return make_multirun_folder(runs)


def conclude(reproduction: Reproduction, folder: Path, seconds: float | None) -> int:
    """Judge the runs in the folder: into reproduction.json, reproduction.md and onto the screen. Returns 1 if
    every seed of some cell diverged; of a cell that has the best of several runs, some of them may."""
    measured = with_measured(reproduction, folder, seconds)
    write_reproduction(folder, measured)
    with atomic_write(folder / MARKDOWN_FILE) as temporary:
        temporary.write_text(visible(markdown(measured)), encoding="utf-8")  # the table may be a stranger's
    screen = Terminal()
    screen.line("")
    for line in [*screen_lines(measured), *closing_lines(measured, folder)]:
        screen.line(line)
    return int(any(measured.ours(cell).mean is None for cell in measured.values))


def train_and_draw(
    runs: list[PreparedRun], folder: Path, resumed: train_command.Resumed | None = None
) -> int:
    """Train the runs, or go on with them, and draw the pictures that they ask for; returns the exit code."""
    exit_code = train_command.train_runs(runs, folder, resumed)
    train_command.draw_pictures(runs, folder)
    return exit_code


@contextmanager
def saying_how_to_go_on(folder: Path) -> Iterator[None]:
    """Where training ends early, say that `nnlab reproduce FOLDER` goes on with it and judges it."""
    try:
        yield
    except EndedEarly as e:
        again = shell_line(["nnlab", "reproduce", str(folder)])
        raise EndedEarly(f"{e}; {again} does so too, and judges the cells", e.code) from e


def show_plan(plan: Plan, runs: list[ComposedRun]) -> int:
    """What would be trained, and what it costs; 0."""
    with advice_on_stderr("reproduce"), one_sentence_errors():
        cache = DataCache()
        fits = [train_command.prepare(run.settings, cache) for run in runs]
        fit = train_command.joint_fit(fits)
    works = [estimate_work(f.rows, f.datasets) for f in fits]
    seconds = [work.cpu_seconds(threads=1) for work in works]
    on_gpu = GPU_START_SECONDS + estimate_work(fit.rows, fit.datasets).gpu_seconds("float32")
    screen = Terminal()
    counts = f"{len(plan.cells)} cells, {len(runs)} runs: {len(fit.rows)} rows in {len(fit.stacks())} stacks"
    screen.line(f"{plan.table.name}: {plan.label}")
    screen.line(f"  {counts}")
    memory = in_bytes(memory_needed(fit.stacks(), fit.datasets, fit.processes))
    times = f"{duration_text(sum(seconds))} of one core, or {duration_text(on_gpu)} of a large GPU"
    screen.line(f"  memory {memory}, time about {times}")
    shared = [word for word in plan.runs[0] if all(word in words for words in plan.runs)]
    for line in ["", *labelled_lines("all cells", " ".join(shared)), ""]:
        screen.line(line)
    for words, some in zip(plan.runs, seconds, strict=True):
        cells = [cell for cell in plan.cells if words in plan.runs_of(cell)]
        differing = " ".join(word for word in words if word not in shared)
        for line in labelled_lines(", ".join(cells), f"about {duration_text(some)}: {differing}"):
            screen.line(line)
    return 0


def processor_seconds() -> float:
    """Of this process and of those that it waited for."""
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)

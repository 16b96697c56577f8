"""`show=[...]`: pictures of a command's runs, drawn when all have ended, and the lines that name them."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from nnlab.commands import early_end
from nnlab.commands.command_settings import recording
from nnlab.commands.messages import print_advice
from nnlab.data.spec import DataSpec
from nnlab.errors import Advice, UserError, describe_machine_fault, visible
from nnlab.experiment import Experiment
from nnlab.pictures import picture
from nnlab.records.captions import with_changes
from nnlab.records.files import atomic_write, refuse_links
from nnlab.records.terminal import Terminal
from nnlab.records.text_columns import labelled_lines
from nnlab.training.data_cache import DataCache

PICTURE_KEYS = ("show", "caption")
USUAL_PICTURES = ("curves.png", "comparison.png")  # of which a caption is, if the runs have no others


def refuse_pictures(settings: dict, experiment: Experiment, spec: DataSpec) -> None:
    """Raise `UserError` where a picture that the settings ask for cannot be drawn of such a run."""
    for name in recording(settings).pictures:
        picture(name).refuse(experiment, spec)


def lack_pictures(settings: Iterable[dict], folder: Path) -> bool:
    """Whether a picture that any of these settings asks for is not in the folder."""
    names = {name for one in settings for name in recording(one).pictures}
    return not all((folder / f"{name}.png").exists() for name in names)


def refuse_picture_words(command: str, overrides: list[str]) -> None:
    """Raise `UserError` where the line of a command that trains no run asks for pictures of one. An
    experiment's file may: it is for all commands."""
    for word in overrides:
        if word.lstrip("+").partition("=")[0] in PICTURE_KEYS:
            raise UserError(
                f"{word}: nnlab train ends with pictures of its runs; nnlab {command} draws its own"
            )


class EndedRun(NamedTuple):
    """A run whose pictures are to be drawn."""

    folder: Path
    settings: dict
    command: str


def show_pictures(
    command: str, runs: dict[str, EndedRun], folder: Path, cache: DataCache | None = None
) -> None:
    """Draw what the runs, by their names, ask for into `folder`, and say what to look at."""
    wanted = {name: recording(run.settings) for name, run in runs.items()}
    drawn: dict[str, Path] = {}
    for picture_name in dict.fromkeys(one for shown in wanted.values() for one in shown.pictures):
        folders = {
            name: runs[name].folder for name, shown in wanted.items() if picture_name in shown.pictures
        }
        with costing_nothing(command, f"show = '{picture_name}'"):
            drawn[picture_name] = _draw(picture_name, folders, folder, cache)
    commands = [run.command for run in runs.values()]
    captions = [with_changes(shown.caption, commands) for shown in wanted.values()]
    if not any(shown.pictures for shown in wanted.values()) and any(captions):
        drawn = {file: folder / file for file in USUAL_PICTURES if (folder / file).is_file()}
    if drawn:
        say_pictures([*drawn.values()], captions, Terminal())


@contextmanager
def costing_nothing(command: str, what: str) -> Iterator[None]:
    """Draw `what` in the block: if that fails, it is one line on stderr, and nothing that has been trained is
    lost."""
    try:
        with warnings.catch_warnings(action="ignore", category=Advice):  # the run has given it
            yield
    except Exception as e:
        if early_end.is_interruption(e):
            raise
        print_advice(command, [f"{what}: there is no picture: {_reason(e)}"])


def _draw(name: str, folders: dict[str, Path], folder: Path, cache: DataCache | None) -> Path:
    """Draw one picture into `folder`, and into its TensorBoard events."""
    from nnlab.pictures.base import shown_runs
    from nnlab.records.events import event_file  # imports tensorboard

    runs = shown_runs(folders, cache)
    png, file = picture(name).draw(runs), folder / f"{name}.png"
    refuse_links(file)
    with atomic_write(file) as temporary:
        temporary.write_bytes(png)
    with event_file(folder) as events:
        events.image(max(row["epochs"] for row in runs[0].stored.rows), name, png)
    return file


def say_pictures(drawn: list[Path], captions: list[str], terminal: Terminal) -> None:
    """Print where the pictures are, and what to look at."""
    captions = [visible(" ".join(caption.split())) for caption in captions]
    lines = [line for file in drawn for line in labelled_lines("picture", file)]
    lines += [
        line
        for caption in dict.fromkeys(filter(None, captions))
        for line in labelled_lines("look at", caption)
    ]
    for line in ["", *lines]:
        terminal.line(line)


def _reason(error: Exception) -> str:
    if isinstance(error, UserError):
        return str(error)
    return describe_machine_fault(error) or f"{type(error).__name__}: {error}"

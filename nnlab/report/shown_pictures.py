"""The pictures that a job drew (`show`), and what to look at in them (`caption`)."""

from __future__ import annotations

import re
from pathlib import Path

from nnlab.errors import UserError, quote_names
from nnlab.records.captions import with_changes
from nnlab.records.stored_run import StoredRun
from nnlab.report.page import Section
from nnlab.report.parts import Image, Part, Text
from nnlab.report.run_facts import or_none
from nnlab.report.stored_png import stored_png

NAME_PATTERN = re.compile(r"[a-z][a-z0-9_]{0,40}")  # of a picture, which is the name of its file too
MOST_PICTURES, MOST_RUNS = 20, 50  # of a page; whose settings are read
CAPTION_HEADING = "What to look at"  # of a caption without pictures


def pictures_section(stored: StoredRun) -> Section | None:
    """The pictures in the folder of a run; None if the job asked for none."""
    return pictures_of(stored.path, [stored])


def pictures_of(folder: Path, runs: list[StoredRun]) -> Section | None:
    """The pictures in a folder that these runs, one or all of -m, ask for; a caption may be there alone."""
    names, caption = [], runs[0].settings.get("caption") or ""
    for run in runs[:MOST_RUNS]:
        of_run = run.settings.get("show") or []
        names += of_run if isinstance(of_run, list) else [of_run]  # show=boundary
    if not isinstance(caption, str):
        raise UserError("config.yaml: caption is not text")
    if not names and not caption:
        return None
    commands = [command for run in runs if (command := or_none(getattr, run, "command"))]
    caption = with_changes(" ".join(caption.split()), commands)
    missing, body = [], [Text(caption)] * bool(caption)
    images: list[Part] = []
    for name in [*dict.fromkeys(map(str, names))][:MOST_PICTURES]:
        png = stored_png(folder / f"{name}.png") if NAME_PATTERN.fullmatch(name) else None
        if png is None:
            missing.append(name)
        else:
            images.append(Image(png, f"picture {name}"))
    note = f"The folder has no picture {quote_names(missing)}." if missing else ""
    return Section("Pictures" if names else CAPTION_HEADING, [*body, *images], note)

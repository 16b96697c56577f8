"""A comparison in TensorBoard, beside the runs of its arms: the run `comparison`, a text and a picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from nnlab.records.events import event_file
from nnlab.records.files import EVENT_FILE_PREFIX

COMPARISON_RUN = "comparison"
TEXT_TAG, PICTURE_TAG = "which is better", "compare"


def write_comparison_events(folder: Path, lines: Sequence[str], png: bytes, units: int) -> bool:
    """Add the lines of the screen and compare.png, as of so many seeds or splits: TensorBoard's slider goes
    back to those of fewer.

    Whether they were written: not where the runs of the arms have no events, since nobody wants them there.
    """
    if not any(True for _ in folder.glob(f"*/{EVENT_FILE_PREFIX}*")):
        return False
    text = "\n".join(f"    {line}" for line in lines)  # Markdown shows indented lines as they are
    with event_file(folder / COMPARISON_RUN) as file:
        file.text(TEXT_TAG, text, units)
        file.image(units, PICTURE_TAG, png)
    return True

"""Exporting what `nnlab export` asks for: a file of a run's rows, and a model card beside it.

Everything here may import torch: export.py imports it once the words are known to be right.
"""

from __future__ import annotations

from pathlib import Path

from nnlab import interruption
from nnlab.commands.command_settings import ExportSettings
from nnlab.commands.messages import advice_on_stderr
from nnlab.commands.new_file import naming_output, new_file
from nnlab.commands.process import freeze_imports
from nnlab.commands.run_request import RunRequest
from nnlab.prediction.export import make_export
from nnlab.prediction.export_names import FILE_NAMES, FORMAT_OF_ENDING
from nnlab.prediction.export_text import export_lines
from nnlab.prediction.loading import load
from nnlab.prediction.model_card import CARD_FILE, model_card
from nnlab.prediction.screen_lines import model_line
from nnlab.records.files import atomic_write
from nnlab.records.stored_run import StoredRun
from nnlab.records.terminal import Terminal


def run(request: RunRequest[ExportSettings]) -> int:
    """Export, and say where the file is and how it is used; 0."""
    settings, screen = request.settings, Terminal()
    with advice_on_stderr("export"), interruption.raise_on_signals():
        stored = StoredRun(request.run)
        model = load(stored)
        freeze_imports()
        exported = make_export(model, settings.format, settings.row, settings.dtype)
        screen.title(model_line(model, settings.row))
        if settings.output is not None:
            file, card = new_file("output", settings.output, [*FORMAT_OF_ENDING]), None
            _write(file, exported.content)
        else:
            text = model_card(model, stored, settings.row, exported, request.line)
            with request.results_folder() as folder:
                file, card = folder / FILE_NAMES[settings.format], folder / CARD_FILE
                _write(file, exported.content)
                _write(card, text.encode())
    for line in export_lines(exported, file, card, model.spec, request.run):
        screen.line(line)
    return 0


def _write(path: Path, content: bytes) -> None:
    with naming_output(path), atomic_write(path) as temporary:
        temporary.write_bytes(content)

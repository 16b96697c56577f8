"""`model.file=net.yaml`: a graph's boxes, read where a command composes its settings.

From here on the boxes are settings like all others: a run folder has them, and whatever reads one (predict,
resume, the trials of a sweep) needs no file. A command reads a file once, so that all of its runs and trials
have the same boxes; a sweep keeps them in its sweep.json, and goes on with these.
"""

from __future__ import annotations

from omegaconf import DictConfig, OmegaConf, open_dict

from nnlab.allowed import yaml_text
from nnlab.commands import once
from nnlab.errors import UserError
from nnlab.graph_file import read_boxes

FILE_KEY = "model.file"


def files_read() -> dict[str, dict]:
    """The boxes of every file that this command has read, by its name."""
    return once.kept("boxes of graph files")


def use_stored(files) -> None:
    """Take the boxes of these files, a sweep's, instead of reading them again. Raises `UserError`."""
    if not isinstance(files, dict) or not all(isinstance(boxes, dict) for boxes in files.values()):
        raise UserError("sweep.json: graph_files is not boxes by the names of their files")
    files_read().update(files)


def boxes_in(file) -> dict:
    """The boxes of a file that `model.file` names. Raises `UserError`."""
    if not isinstance(file, str):
        raise UserError(f"model.file = {yaml_text(file)}: expected the name of a file")
    files = files_read()
    if file not in files:
        files[file] = read_boxes(file)
    return files[file]


def put_boxes(config: DictConfig) -> None:
    """Put the boxes of the file that `model.file` names into the configuration, if it names one.

    Further overrides may change them, and add to them: `model.boxes.hidden.units=128`.
    """
    model = config.get("model")
    if not OmegaConf.is_dict(model) or model.get("name") != "graph" or model.get("file") is None:
        return
    with open_dict(model):
        model.boxes = boxes_in(model.file)
        OmegaConf.set_struct(model.boxes, False)

"""Reads the file of `model=graph model.file=net.yaml`: plain values, for nnlab/models/graph_lines.py."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from nnlab.errors import UserError, shortened
from nnlab.untrusted import read_yaml

BOXES_KEY = "boxes"
EXAMPLE = "boxes: {hidden: {box: affine, units: 64}, act: {box: relu}, out: {box: affine, units: outputs}}"


def read_boxes(path: str | Path) -> dict:
    """The boxes of a file by their names. Raises `UserError` if it cannot be read, or says anything else."""
    path = Path(path).expanduser()
    tree = read_yaml(path, by_hand=True)
    if not isinstance(tree, dict):
        found = "is empty" if tree is None else f"has no keys, but {shortened(str(tree))}"
        raise UserError(f"'{path}' {found}: expected {EXAMPLE}")
    for key in tree:
        if key != BOXES_KEY:
            raise UserError(f"'{path}': unknown key '{shortened(key)}'; a graph's file is {EXAMPLE}")
    if any("${" in text for text in _texts(tree)):  # it would be read as the value of another setting
        raise UserError(f"'{path}' refers to something by ${{...}}: a graph's file has plain values only")
    if not isinstance(tree[BOXES_KEY], dict) or not tree[BOXES_KEY]:
        raise UserError(f"'{path}': expected boxes by their names, {EXAMPLE}")
    return tree[BOXES_KEY]


def _texts(tree) -> Iterator[str]:
    """Every text in it, keys too."""
    if isinstance(tree, str):
        yield tree
    elif isinstance(tree, dict):
        tree = [*tree, *tree.values()]
    for child in tree if isinstance(tree, list) else ():
        yield from _texts(child)

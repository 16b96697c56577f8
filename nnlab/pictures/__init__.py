"""Pictures of trained runs, by their names in `show=[...]`. Each is a class in a module of its own, which is
imported when it is drawn: it needs matplotlib, half a second."""

from __future__ import annotations

from pkgutil import resolve_name
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nnlab.pictures.base import Picture

PICTURES = {
    "activations": "nnlab.pictures.activations:Activations",
    "batches": "nnlab.pictures.batches:BatchSizes",
    "boundary": "nnlab.pictures.boundary:Boundary",
    "curves": "nnlab.pictures.curves:LearningCurves",
    "error_over_size": "nnlab.pictures.error_over_size:ErrorOverSize",
    "fit": "nnlab.pictures.fit:FittedCurve",
    "masks": "nnlab.pictures.masks:Masks",
    "penalty": "nnlab.pictures.penalty:Penalty",
    "weights": "nnlab.pictures.weights:Weights",
    "paths": "nnlab.pictures.paths:Paths",
    "steps": "nnlab.pictures.steps:Steps",
}


def picture(name: str) -> Picture:
    """The picture of that name."""
    return resolve_name(PICTURES[name])()

"""Settings of the commands that belong neither to an experiment nor to a search."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Literal

from nnlab.hyperparameters import Component, static


@dataclass(frozen=True)
class TrainSettings(Component):
    """Those of `nnlab train`, which every command has."""

    picture: bool | Literal["auto"] = static("auto")
    predictions: bool | Literal["auto"] = static("auto")


@dataclass(frozen=True)
class SweepSettings(Component):
    """Those of `nnlab sweep`."""

    storage: str | None = static(None)
    study: str = static("auto")
    resume: str | None = static(None)
    refine: str | None = static(None)
    plan: bool = static(False)
    report: bool = static(True)


def recording(settings: dict) -> TrainSettings:
    """What `settings` of a command say is to be recorded. Raises `UserError`."""
    names = [field.name for field in fields(TrainSettings)]
    return TrainSettings(**{name: settings[name] for name in names if name in settings})

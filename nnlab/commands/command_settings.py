"""Settings of the commands that belong neither to an experiment nor to a search."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import ClassVar, Literal

from nnlab.allowed import LARGEST_COUNT, MAX_ROWS
from nnlab.choices import short_repr
from nnlab.errors import UserError
from nnlab.hyperparameters import Component, make_part, static
from nnlab.pictures import PICTURES
from nnlab.records.measures import MEASURES


@dataclass(frozen=True)
class TrainSettings(Component):
    """Those of `nnlab train`, which every command has."""

    picture: bool | Literal["auto"] = static("auto")
    predictions: bool | Literal["auto"] = static("auto")
    show: str | tuple[str, ...] = static((), choices=tuple(PICTURES))
    caption: str = static("")
    resume: str | None = static(None)

    @property
    def pictures(self) -> tuple[str, ...]:
        """`show`, also where it is one name; each once."""
        return tuple(dict.fromkeys((self.show,) if isinstance(self.show, str) else self.show))


@dataclass(frozen=True)
class CheckpointSettings(Component):
    """When `nnlab train` writes a checkpoint."""

    group: ClassVar[str] = "checkpoint"
    minutes: float | None = static(5.0, above=0)
    epochs: int | None = static(None, low=1, high=LARGEST_COUNT)


@dataclass(frozen=True)
class SweepSettings(Component):
    """Those of `nnlab sweep`."""

    storage: str | None = static(None)
    study: str = static("auto")
    resume: str | None = static(None)
    refine: str | None = static(None)
    plan: bool = static(False)
    report: bool = static(True)


@dataclass(frozen=True)
class GraphSettings(Component):
    """Those of `nnlab graph`; false is 0 gradients, true is 1."""

    gradient: bool | int = static(False, low=1, high=2)


@dataclass(frozen=True)
class ReproduceSettings(Component):
    """Those of `nnlab reproduce`."""

    table: str | None = static(None)
    version: str | None = static(None, choices=("quick", "full"))
    cells: str | None = static(None)
    plan: bool = static(False)
    resume: str | None = static(None)


@dataclass(frozen=True)
class CompareSettings(Component):
    """Those of `nnlab compare`."""

    measure: str = static("auto", choices=MEASURES)
    target: float | None = static(None)
    tune: int | None = static(None, low=1, high=1_000_000)
    plan: bool = static(False)

    @property
    def trained_measure(self) -> str:
        """The measure that rows must have when they are trained: steps to a target are counted later."""
        return "auto" if self.measure == "steps" and self.target is not None else self.measure


PREDICTIONS_ENDINGS = (".csv",)  # of the file that nnlab predict writes


@dataclass(frozen=True)
class PredictSettings(Component):
    """Those of `nnlab predict`."""

    run: str | None = static(None)
    data: str | None = static(None)
    output: str | None = static(None)
    row: int | None = static(None, low=0, high=MAX_ROWS)
    coverage: float | None = static(None, low=0.5, below=1)
    device: str = static("cpu")


@dataclass(frozen=True)
class EvaluateSettings(Component):
    """Those of `nnlab evaluate`."""

    run: str | None = static(None)
    data: str | None = static(None)
    target: str | int | None = static(None)
    row: int | None = static(None, low=0, high=MAX_ROWS)
    device: str = static("cpu")


@dataclass(frozen=True)
class ExportSettings(Component):
    """Those of `nnlab export`."""

    run: str | None = static(None)
    format: str = static("onnx", choices=("onnx", "torch"))
    output: str | None = static(None)
    row: int | None = static(None, low=0, high=MAX_ROWS)
    dtype: str = static("auto", choices=("auto", "float32", "float64"))


def recording(settings: dict) -> TrainSettings:
    """What `settings` of a command say is to be recorded. Raises `UserError`."""
    names = [field.name for field in fields(TrainSettings)]
    return TrainSettings(**{name: settings[name] for name in names if name in settings})


def checkpoint_settings(settings: dict) -> CheckpointSettings:
    """What `settings` of a command say of checkpoints. Raises `UserError`."""
    return make_part(CheckpointSettings, settings.get("checkpoint", {}), "checkpoint")


def refuse_resume(settings: dict) -> None:
    """Raise `UserError` where a configuration file, or another command's line, says `resume`."""
    if settings.get("resume") is not None:
        raise UserError(
            f"resume = {short_repr(settings['resume'])}: only the command line of nnlab train says "
            f"what goes on: nnlab train resume=FOLDER"
        )


def recorded_settings(settings: dict) -> dict:
    """What config.yaml of a run has: all `settings` but that it is resumed, which is not one of the run."""
    return {key: value for key, value in settings.items() if key != "resume"}

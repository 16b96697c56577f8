"""A trained model as one file that runs without nnlab: ONNX, or a program of torch.export."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from nnlab.arguments import typed
from nnlab.errors import UserError, advise, shortened
from nnlab.prediction.export_check import Agreement, agreement
from nnlab.prediction.export_names import FORMAT_OF_ENDING
from nnlab.prediction.model import TrainedModel
from nnlab.prediction.onnx_file import (
    INSTALL,
    notes_of,
    onnx_bytes,
    onnxruntime_version,
    require_onnx,
    runtime_outputs,
)
from nnlab.prediction.portable import PortableModel
from nnlab.prediction.torch_file import exported_program, program_outputs, torch_bytes
from nnlab.records.files import atomic_write

MOST_SCALES = 1e4  # from zero: farther out, float32 rounds an input to a thousandth of its scale


@dataclass(frozen=True)
class Export:
    """What is written, and what is known of it.

    dtype      of the inputs
    has_classes  whether it is a classification
    runtime    who computed the file for the check: `onnxruntime 1.32.0`; empty if it is not installed
    agreement  with the model; None where it was not checked
    """

    format: str
    dtype: str
    content: bytes = field(repr=False)
    has_classes: bool
    runtime: str
    agreement: Agreement | None


@typed
def export(
    model: TrainedModel,
    path: str | os.PathLike,
    row: int | None = None,
    dtype: Literal["auto", "float32", "float64"] = "auto",
) -> Export:
    """Write a model to a file that predicts without nnlab: `model.onnx`, or `model.pt2` for torch.export.

        nnlab.export(nnlab.load("outputs/train/RUN"), "model.onnx")

    See `make_export`; what it gives says how near the file's predictions are to the model's. A file that is
    there already is replaced.
    """
    format = FORMAT_OF_ENDING.get(Path(path).suffix.lower())
    if format is None:
        raise UserError(f"path = '{path}': expected a name that ends in {' or '.join(FORMAT_OF_ENDING)}")
    made = make_export(model, format, row, dtype)
    try:
        with atomic_write(Path(path)) as temporary:
            temporary.write_bytes(made.content)
    except OSError as e:
        raise UserError(f"'{path}' cannot be written: {e.strerror}") from e
    return made


def make_export(
    model: TrainedModel, format: str = "onnx", row: int | None = None, dtype: str = "auto"
) -> Export:
    """The model as the content of a file, checked against the model.

    Without `row`, the rows that did not diverge are averaged in the file. `dtype` is that of the inputs, by
    default the run's. Raises `UserError` for a part that cannot be exported, and where a file does not
    predict what the model does.
    """
    dtype = model.experiment.dtype if dtype == "auto" else dtype
    rows = model.rows_for(row)
    if format == "onnx":
        require_onnx()
    portable = PortableModel(model, rows, dtype)
    portable.refuse_missing_rules()
    _advise_on_digits(portable)
    notes = notes_of(model.spec, {"rows": json.dumps([one.number for one in rows])})
    content, runtime, outputs = (_onnx if format == "onnx" else _torch)(portable, notes)
    agreed = agreement(model, row, outputs, dtype) if outputs else None
    if agreed and not agreed.is_close and not _far_columns(portable):
        raise UserError(
            f"the {format} file would not predict what the model does: {agreed.examples:,} examples differ "
            f"by {agreed.mean:.2g} in the mean; is a method onnx of a part of yours wrong?"
        )
    return Export(format, dtype, content, bool(model.spec.classes), runtime, agreed)


def _onnx(portable: PortableModel, notes: dict[str, str]):
    content, version = onnx_bytes(portable, notes), onnxruntime_version()
    if not version:
        advise(f"the file was not checked, since onnxruntime is not installed: {INSTALL}")
        return content, "", None
    return content, f"onnxruntime {version}", runtime_outputs(content)


def _torch(portable: PortableModel, notes: dict[str, str]):
    program = exported_program(portable)
    content = torch_bytes(program, json.dumps(notes, ensure_ascii=False))
    return content, f"torch {torch.__version__}", program_outputs(program)


def _far_columns(portable: PortableModel) -> list[int]:
    """The inputs of which float32 keeps too few digits, the worst first."""
    if portable.dtype != "float32":
        return []
    scales = np.max([np.abs(r.normalizer["center"]) / r.normalizer["scale"] for r in portable.rows], axis=0)
    return [int(i) for i in np.argsort(-scales) if scales[i] > MOST_SCALES]


def _advise_on_digits(portable: PortableModel) -> None:
    for i in _far_columns(portable)[:1]:
        features, normalizer = portable.model.spec.features, portable.rows[0].normalizer
        name = f"the column '{shortened(features[i])}'" if features else f"input {i}"
        advise(
            f"{name} lies around {normalizer['center'][i]:.3g}, and float32 has few digits of differences "
            f"like {normalizer['scale'][i]:.3g}: write dtype=float64"
        )

"""A trained model as an ONNX file, and what onnxruntime computes by it."""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib import metadata

import numpy as np

from nnlab import __version__
from nnlab.data.spec import DataSpec
from nnlab.errors import UserError
from nnlab.prediction.onnx_operators import IR_VERSION, OPSET, OnnxOperators, Value
from nnlab.prediction.portable import PortableModel

INPUT, BATCH = "input", "batch"  # names in the file: of the input, and of its free dimension
LARGEST_FILE = 2**31 - 2**20  # bytes, of protobuf, with room for names
INSTALL = "pip install onnx onnxruntime"


def require_onnx() -> None:
    """Raise `UserError` where the library is not installed."""
    try:
        import onnx  # noqa: F401
    except ImportError as e:
        raise UserError(f"format=onnx needs the library onnx: {INSTALL}; format=torch does without") from e


def onnx_bytes(portable: PortableModel, notes: dict[str, str]) -> bytes:
    """The file, with the notes as its metadata. Raises `UserError`."""
    from onnx import checker, helper

    refuse_large(portable)
    op, spec = OnnxOperators(), portable.model.spec
    op.names |= {INPUT, "prediction", "probabilities"}
    outputs = portable.outputs(op, Value(INPUT, portable.dtype))
    shapes = {"prediction": [BATCH], "probabilities": [BATCH, spec.outputs]}
    if not spec.classes and spec.outputs > 1:
        shapes["prediction"] = [BATCH, spec.outputs]
    for name, value in outputs.items():
        op.nodes.append(helper.make_node("Identity", [value.name], [name]))
    graph = helper.make_graph(
        op.nodes, "nnlab",
        [_described(INPUT, portable.dtype, [BATCH, *spec.raw_shape])],
        [_described(name, value.dtype, shapes[name]) for name, value in outputs.items()],
        op.initializers,
    )  # fmt: skip
    opsets = [helper.make_opsetid("", OPSET)]
    proto = helper.make_model(
        graph,
        opset_imports=opsets,
        ir_version=IR_VERSION,
        producer_name="nnlab",
        producer_version=__version__,
    )
    helper.set_model_props(proto, notes)
    checker.check_model(proto, full_check=True)
    return proto.SerializeToString()


def onnxruntime_version() -> str:
    """Its version; empty where it is not installed."""
    try:
        return metadata.version("onnxruntime")
    except metadata.PackageNotFoundError:
        return ""


def runtime_outputs(model: bytes) -> Callable[[np.ndarray], dict[str, np.ndarray]]:
    """The file as a function of inputs, by onnxruntime."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors, which are raised too
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return lambda x: dict(zip(names, session.run(names, {INPUT: x}), strict=True))


def refuse_large(portable: PortableModel) -> None:
    """Raise `UserError` for more than an ONNX file holds."""
    size = sum(array.nbytes for row in portable.rows for array in row.weights.values())
    if size > LARGEST_FILE:
        raise UserError(
            f"the weights of {len(portable.rows)} rows have {size / 1e9:.1f} GB, and an ONNX file holds at "
            f"most 2: export one row, row=0, or write format=torch"
        )


def notes_of(spec: DataSpec, about: dict[str, str]) -> dict[str, str]:
    """What a file says of itself: text by name, lists as JSON."""
    lists = {"features": spec.features, "targets": spec.targets, "classes": spec.classes}
    notes = {"nnlab": __version__, "task": spec.task, "shape": json.dumps(spec.raw_shape), **about}
    if spec.classes:
        notes["labels"] = spec.labels
    if spec.columns:
        lists["inputs"] = spec.encoding.raw
        lists["columns"] = [column.to_json() for column in spec.columns]
    return notes | {key: json.dumps(names, ensure_ascii=False) for key, names in lists.items() if names}


def _described(name: str, dtype: str, shape: list):
    from onnx import helper

    return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(np.dtype(dtype)), shape)

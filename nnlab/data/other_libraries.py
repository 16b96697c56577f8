"""Converts data frames, tensors and lists to numpy arrays without importing their libraries.

pandas and polars offer `to_numpy`, torch offers `detach`, and all others `__array__` or are lists.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction
from types import ModuleType

import numpy as np

from nnlab.choices import short_repr
from nnlab.data.labels import NUMERIC_DTYPE_KINDS
from nnlab.errors import UserError

EXPECTED_NUMBER = (
    "a number (for categories, make columns of 0 and 1, as pandas.get_dummies does with dtype=int)"
)
TEXT_DTYPE_KINDS = "USTa"  # numpy's letters for text and bytes


def to_numpy(
    value, name: str, expected: str = EXPECTED_NUMBER, missing: bool = False
) -> tuple[np.ndarray, tuple[str, ...]]:
    """A copy of `value` as an array, and the names of its columns, or of a series, if it has any.

    The array has finite real numbers of a dtype that torch knows, or text; with `missing` also NaN. `name` is
    the argument's name in the `UserError` for anything else, and `expected` what it says should be in place
    of text.
    """
    if hasattr(value, "toarray"):
        raise UserError(f"{name} is a sparse matrix: write {name}.toarray()")
    if not _is_array(value):
        raise UserError(
            f"{name} = {short_repr(value)}: expected an array, a table or a list, one item an example"
        )
    names = _column_names(value)
    try:
        values = np.asarray(_unwrap(value))
    except Exception as e:  # another library may raise anything
        if "inhomogeneous" in str(e):
            raise UserError(f"{name} is ragged: its rows differ in length") from e
        raise UserError(f"{name} cannot be read as an array: {' '.join(str(e).split())}") from e
    if not values.size:
        raise UserError(f"{name} has the shape {values.shape}: there are no examples in it")
    if values.dtype.kind == "U" and isinstance(value, list | tuple):
        _refuse_nan(value, name)  # which numpy has turned into the text "nan"
    values = _to_native(values, name, names, expected)
    if isinstance(value, np.ma.MaskedArray) and np.ma.getmaskarray(value).any():
        raise UserError(f"{_location(name, np.argwhere(np.ma.getmaskarray(value))[0], names)} is masked")
    if values.dtype.kind == "f":
        is_wrong = np.isinf(values) if missing else ~np.isfinite(values)
        for index in np.argwhere(is_wrong)[:1]:
            wrong = values[tuple(index)]
            fault = "is missing (nan)" if np.isnan(wrong) else f"is {wrong:g}"
            raise UserError(f"{_location(name, index, names)} {fault}; expected a finite number")
    return np.array(values, order="C"), names


def decode_bytes(values: np.ndarray) -> np.ndarray:
    """Bytes as text: UTF-8, or else one character per byte, so that different bytes stay different."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return np.char.decode(values, "utf-8")
        except UnicodeDecodeError:
            return np.char.decode(values, "latin-1")


def is_valid_text(values: np.ndarray) -> bool:
    """Whether all code points of a text array are valid: below 0x110000, and no lone surrogates."""
    order = values.dtype.byteorder
    code_points = np.frombuffer(
        np.ascontiguousarray(values).tobytes(), np.dtype(np.uint32).newbyteorder(order)
    )
    return not ((code_points > 0x10FFFF) | ((code_points >= 0xD800) & (code_points <= 0xDFFF))).any()


def refuse_different_indexes(x, y, x_name: str, y_name: str) -> None:
    """Raise `UserError` if x and y are pandas objects of equal length with different indexes."""
    first, second = (getattr(value, "index", None) for value in (x, y))
    if hasattr(first, "equals") and hasattr(second, "equals") and len(first) == len(second):
        if not first.equals(second):
            raise UserError(
                f"the rows of {x_name} and {y_name} have different indexes: write "
                f"{y_name}.loc[{x_name}.index] to pair them by index, or {y_name}.to_numpy() to pair them by "
                f"position"
            )


def _refuse_nan(value, name: str) -> None:
    for index, v in enumerate(value):
        if isinstance(v, float) and v != v:
            raise UserError(f"{name}[{index}] is missing; expected text, like the others")


def refuse_text(
    values: np.ndarray, name: str, names: tuple[str, ...], expected: str = EXPECTED_NUMBER
) -> None:
    """Raise `UserError` unless it is an array of numbers."""
    if values.dtype.kind not in NUMERIC_DTYPE_KINDS:
        where = _location(name, (0,) * values.ndim, names)
        raise UserError(f"{where} is {str(values.flat[0])!r}; expected {expected}")


def _column_names(value) -> tuple[str, ...]:
    columns = getattr(value, "columns", None)
    if columns is not None and not callable(columns):
        return tuple(str(name) for name in columns)
    if not hasattr(value, "to_numpy"):  # no series: many things have a name
        return ()
    name = getattr(value, "name", None)
    return (str(name),) if isinstance(name, str | int) and name != "" else ()


def _is_array(value) -> bool:
    if isinstance(value, type | ModuleType):
        return False
    if hasattr(value, "shape"):
        return isinstance(value.shape, Sequence) and len(value.shape) > 0
    return isinstance(value, Sequence) and not isinstance(value, str | bytes) or hasattr(value, "to_numpy")


def _unwrap(value):
    if hasattr(value, "detach"):  # a tensor, perhaps on a GPU
        value = value.detach().cpu()
        if str(value.dtype) == "torch.bfloat16":  # which numpy does not have
            value = value.float()
        return value.numpy()
    if hasattr(value, "to_numpy"):
        return value.to_numpy()
    return value


def _to_native(values: np.ndarray, name: str, names: tuple[str, ...], expected: str) -> np.ndarray:
    """The values in a dtype that torch knows, or as text."""
    kind = values.dtype.kind
    if kind == "O":
        return _from_objects(values, name, names, expected)
    if kind == "S":
        return decode_bytes(values)
    if kind == "T":
        return _to_native(values.astype(object), name, names, expected)
    if kind == "U" and not is_valid_text(values):
        raise UserError(f"{name} holds text with codes that are not characters")
    if kind not in NUMERIC_DTYPE_KINDS + "U":
        raise UserError(f"{name} has the dtype {values.dtype}, expected real numbers or text")
    if kind == "f" and values.dtype.itemsize not in (4, 8):
        # float16 loses nothing in float32; a long double is rounded.
        return values.astype(np.float32 if values.dtype.itemsize < 4 else np.float64)
    return values.astype(values.dtype.newbyteorder("="), copy=False)


def _from_objects(
    values: np.ndarray, name: str, names: tuple[str, ...], expected_for_text: str
) -> np.ndarray:
    """An array of Python objects as text or numbers; raises `UserError` for a mixture."""
    text = np.array([isinstance(v, str) for v in values.flat]).reshape(values.shape)
    if text.all():
        return _to_native(values.astype(str), name, names, expected_for_text)
    if values.ndim == 1 and text.any():
        # A column of targets with some text is a column of labels, one of which is not text.
        index = tuple(np.argwhere(~text)[0])
        raise _object_error(values[index], _location(name, index, names), "text, like the others")
    numbers, kinds = np.empty(values.shape), set()
    for index, v in np.ndenumerate(values):
        kinds.add(_object_kind(v))
        if kinds & {"text", "missing", "other"}:
            expected = expected_for_text if isinstance(v, str) else "a number"
            raise _object_error(v, _location(name, index, names), expected)
        try:
            numbers[index] = float(v)
        except (OverflowError, ValueError) as e:
            where = _location(name, index, names)
            raise UserError(
                f"{where} is {short_repr(v)}, which a float cannot hold; expected a number below 1.8e308"
            ) from e
    if kinds == {"boolean"}:
        return numbers.astype(bool)
    if kinds == {"integer"}:
        return numbers.astype(np.int64)
    return numbers


def _object_error(v, where: str, expected: str) -> UserError:
    fault = "is missing" if _object_kind(v) == "missing" else f"is {short_repr(v)}"
    return UserError(f"{where} {fault}; expected {expected}")


def _object_kind(v) -> str:
    """What an object in a table is: missing, text, boolean, integer, real, or other."""
    if v is None or type(v).__name__ in ("NAType", "NaTType") or isinstance(v, float) and v != v:
        return "missing"
    if isinstance(v, str):
        return "text"
    if isinstance(v, bool | np.bool_):
        return "boolean"
    if isinstance(v, int | np.integer):
        return "integer" if abs(v) < 2**63 else "real"  # larger ones are not int64
    if isinstance(v, float | np.floating | Decimal | Fraction):
        return "real"
    return "other"


def _location(name: str, index, columns: tuple[str, ...]) -> str:
    """The position of an element for an error: `x[3], column 'age',`."""
    index = tuple(int(i) for i in index)
    if len(index) == 2 and columns:
        return f"{name}[{index[0]}], column {columns[index[1]]!r},"
    return f"{name}[{', '.join(map(str, index))}]"

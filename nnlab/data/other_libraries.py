"""Tables and tensors of other libraries as numpy arrays; none of those libraries is imported.

pandas and polars say `to_numpy`, torch says `detach`, all others `__array__` or are lists.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction
from types import ModuleType

import numpy as np

from nnlab.choices import shown
from nnlab.errors import UserError

NUMBER = "a number (of categories make columns of 0 and 1, as pandas.get_dummies does)"
TEXT, NUMBERS = "USTa", "biuf"  # numpy's letters


def array_of(given, what: str) -> tuple[np.ndarray, tuple[str, ...]]:
    """`given` as an array, and the names of its columns if it has some, of a series its own. Raises
    `UserError` with `what` in it.

    Numbers are real, of a usual width and finite; text is text. Nothing is shared with what was given.
    """
    if hasattr(given, "toarray"):
        raise UserError(f"{what} is a sparse matrix: write {what}.toarray()")
    if not _is_array(given):
        raise UserError(f"{what} = {shown(given)}: expected an array, a table or a list, one item an example")
    names = _names(given)
    try:
        values = np.asarray(_read(given))
    except Exception as e:  # whatever another library raises, it is no array
        if "inhomogeneous" in str(e):
            raise UserError(f"{what} is ragged: its rows differ in length") from e
        raise UserError(f"{what} cannot be read as an array: {' '.join(str(e).split())}") from e
    if not values.size:
        raise UserError(f"{what} has the shape {values.shape}: there are no examples in it")
    if values.dtype.kind == "U" and isinstance(given, list | tuple):
        _refuse_nan(given, what)  # numpy has made a label of it
    values = _plain(values, what, names)
    if isinstance(given, np.ma.MaskedArray) and np.ma.getmaskarray(given).any():
        raise UserError(f"{_place(what, np.argwhere(np.ma.getmaskarray(given))[0], names)} is masked")
    if values.dtype.kind == "f":
        for place in np.argwhere(~np.isfinite(values))[:1]:
            wrong = values[tuple(place)]
            is_ = "is missing (nan)" if wrong != wrong else f"is {wrong:g}"
            raise UserError(f"{_place(what, place, names)} {is_}; expected a finite number")
    return np.array(values, order="C"), names


def decoded(values: np.ndarray) -> np.ndarray:
    """Bytes as text: in UTF-8, or by one character a byte where they are not, so that none are merged."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return np.char.decode(values, "utf-8")
        except UnicodeDecodeError:
            return np.char.decode(values, "latin-1")


def is_text(values: np.ndarray) -> bool:
    """Whether the codes of an array of text are characters: below 0x110000, no half of a surrogate pair."""
    order = values.dtype.byteorder
    codes = np.frombuffer(np.ascontiguousarray(values).tobytes(), np.dtype(np.uint32).newbyteorder(order))
    return not ((codes > 0x10FFFF) | ((codes >= 0xD800) & (codes <= 0xDFFF))).any()


def refuse_other_rows(x, y, of_x: str, of_y: str) -> None:
    """Raises `UserError` for a table and a series whose rows are named, and not in the same order."""
    first, second = (getattr(given, "index", None) for given in (x, y))
    if hasattr(first, "equals") and hasattr(second, "equals") and len(first) == len(second):
        if not first.equals(second):
            raise UserError(
                f"the rows of {of_x} and {of_y} have different indexes: write {of_y}.loc[{of_x}.index] to "
                f"pair them by index, or {of_y}.to_numpy() to pair them by position"
            )


def _refuse_nan(given, what: str) -> None:
    for place, v in enumerate(given):
        if isinstance(v, float) and v != v:
            raise UserError(f"{what}[{place}] is missing; expected text, as others are")


def refuse_text(values: np.ndarray, what: str, names: tuple[str, ...]) -> None:
    """Raises `UserError` if it is no array of numbers."""
    if values.dtype.kind not in NUMBERS:
        raise UserError(
            f"{_place(what, (0,) * values.ndim, names)} is {str(values.flat[0])!r}; expected {NUMBER}"
        )


def _names(given) -> tuple[str, ...]:
    columns = getattr(given, "columns", None)
    if columns is not None and not callable(columns):
        return tuple(str(name) for name in columns)
    name = getattr(given, "name", None) if hasattr(given, "to_numpy") else None  # a series has one
    return (str(name),) if isinstance(name, str | int) and name != "" else ()


def _is_array(given) -> bool:
    if isinstance(given, type | ModuleType):
        return False
    if hasattr(given, "shape"):
        return isinstance(given.shape, Sequence) and len(given.shape) > 0
    return isinstance(given, Sequence) and not isinstance(given, str | bytes) or hasattr(given, "to_numpy")


def _read(given):
    if hasattr(given, "detach"):  # a tensor, perhaps on a GPU, perhaps in bfloat16, which numpy does not have
        given = given.detach().cpu()
        return (given.float() if str(given.dtype) == "torch.bfloat16" else given).numpy()
    return given.to_numpy() if hasattr(given, "to_numpy") else given


def _plain(values: np.ndarray, what: str, names: tuple[str, ...]) -> np.ndarray:
    """As numbers that torch has, or as text."""
    kind = values.dtype.kind
    if kind == "O":
        return _of_objects(values, what, names)
    if kind == "S":
        return decoded(values)
    if kind == "T":
        return _plain(values.astype(object), what, names)
    if kind == "U" and not is_text(values):
        raise UserError(f"{what} holds text with codes that are no characters")
    if kind not in NUMBERS + "U":
        raise UserError(f"{what} has the dtype {values.dtype}, expected real numbers or text")
    if kind == "f" and values.dtype.itemsize not in (4, 8):
        return values.astype(np.float32 if values.dtype.itemsize < 4 else np.float64)
    return values.astype(values.dtype.newbyteorder("="), copy=False)


def _of_objects(values: np.ndarray, what: str, names: tuple[str, ...]) -> np.ndarray:
    """Python's objects, each of them text or each a number."""
    text = np.array([isinstance(v, str) for v in values.flat]).reshape(values.shape)
    if text.all():
        return _plain(values.astype(str), what, names)
    column_of_text = values.ndim == 1 and text.any()
    numbers, kinds = np.empty(values.shape), set()
    for place, v in np.ndenumerate(values):
        kinds.add(_kind(v))
        if column_of_text != isinstance(v, str) or kinds & {"missing", "other"}:
            reason = "is missing" if _kind(v) == "missing" else f"is {shown(v)}"
            expected = (
                "text, as others are" if column_of_text else NUMBER if isinstance(v, str) else "a number"
            )
            raise UserError(f"{_place(what, place, names)} {reason}; expected {expected}")
        try:
            numbers[place] = 0 if column_of_text else float(v)
        except (OverflowError, ValueError) as e:
            said = f"{_place(what, place, names)} is {shown(v)}, which no float is"
            raise UserError(f"{said}; expected a number below 1.8e308") from e
    return (
        numbers.astype(bool)
        if kinds == {"truth"}
        else numbers.astype(np.int64)
        if kinds == {"whole"}
        else numbers
    )


def _kind(v) -> str:
    """What an object is, of what a table may hold."""
    if v is None or type(v).__name__ in ("NAType", "NaTType") or isinstance(v, float) and v != v:
        return "missing"
    if isinstance(v, str):
        return "text"
    if isinstance(v, bool | np.bool_):
        return "truth"
    if isinstance(v, int | np.integer):
        return "whole" if abs(v) < 2**63 else "real"
    return "real" if isinstance(v, float | np.floating | Decimal | Fraction) else "other"


def _place(what: str, place, names: tuple[str, ...]) -> str:
    """`x[3], column 'age',`: where something wrong is."""
    place = tuple(int(i) for i in place)
    if len(place) == 2 and names:
        return f"{what}[{place[0]}], column {names[place[1]]!r},"
    return f"{what}[{', '.join(map(str, place))}]"

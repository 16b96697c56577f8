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
from nnlab.data.labels import NUMBER_KINDS
from nnlab.errors import UserError

NUMBER_WANTED = (
    "a number (for categories, make columns of 0 and 1, as pandas.get_dummies does with dtype=int)"
)
TEXT_KINDS = "USTa"  # numpy's letters for text and bytes


def array_of(given, what: str) -> tuple[np.ndarray, tuple[str, ...]]:
    """`given` as an array of its own memory, and the names of its columns, or of a series, if it has any.

    The array has finite real numbers of a usual width, or text. Raises `UserError`, which calls it `what`.
    """
    if hasattr(given, "toarray"):
        raise UserError(f"{what} is a sparse matrix: write {what}.toarray()")
    if not _is_array(given):
        raise UserError(f"{what} = {shown(given)}: expected an array, a table or a list, one item an example")
    names = _names(given)
    try:
        values = np.asarray(_read(given))
    except Exception as e:  # another library may raise anything
        if "inhomogeneous" in str(e):
            raise UserError(f"{what} is ragged: its rows differ in length") from e
        raise UserError(f"{what} cannot be read as an array: {' '.join(str(e).split())}") from e
    if not values.size:
        raise UserError(f"{what} has the shape {values.shape}: there are no examples in it")
    if values.dtype.kind == "U" and isinstance(given, list | tuple):
        _refuse_nan(given, what)  # numpy has made the text "nan" of it
    values = _plain(values, what, names)
    if isinstance(given, np.ma.MaskedArray) and np.ma.getmaskarray(given).any():
        raise UserError(f"{_place(what, np.argwhere(np.ma.getmaskarray(given))[0], names)} is masked")
    if values.dtype.kind == "f":
        for place in np.argwhere(~np.isfinite(values))[:1]:
            wrong = values[tuple(place)]
            fault = "is missing (nan)" if np.isnan(wrong) else f"is {wrong:g}"
            raise UserError(f"{_place(what, place, names)} {fault}; expected a finite number")
    return np.array(values, order="C"), names


def decoded(values: np.ndarray) -> np.ndarray:
    """Bytes as text: UTF-8, or else one character for each byte, so that different bytes stay different."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return np.char.decode(values, "utf-8")
        except UnicodeDecodeError:
            return np.char.decode(values, "latin-1")


def is_text(values: np.ndarray) -> bool:
    """Whether the codes of an array of text are characters: below 0x110000, and not half a surrogate pair."""
    order = values.dtype.byteorder
    codes = np.frombuffer(np.ascontiguousarray(values).tobytes(), np.dtype(np.uint32).newbyteorder(order))
    return not ((codes > 0x10FFFF) | ((codes >= 0xD800) & (codes <= 0xDFFF))).any()


def refuse_other_rows(x, y, of_x: str, of_y: str) -> None:
    """Raise `UserError` for a table and a series whose rows have names, but not in the same order."""
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
            raise UserError(f"{what}[{place}] is missing; expected text, like the others")


def refuse_text(values: np.ndarray, what: str, names: tuple[str, ...]) -> None:
    """Raise `UserError` unless it is an array of numbers."""
    if values.dtype.kind not in NUMBER_KINDS:
        raise UserError(
            f"{_place(what, (0,) * values.ndim, names)} is {str(values.flat[0])!r}; expected {NUMBER_WANTED}"
        )


def _names(given) -> tuple[str, ...]:
    columns = getattr(given, "columns", None)
    if columns is not None and not callable(columns):
        return tuple(str(name) for name in columns)
    if not hasattr(given, "to_numpy"):  # no series: many things have a name
        return ()
    name = getattr(given, "name", None)
    return (str(name),) if isinstance(name, str | int) and name != "" else ()


def _is_array(given) -> bool:
    if isinstance(given, type | ModuleType):
        return False
    if hasattr(given, "shape"):
        return isinstance(given.shape, Sequence) and len(given.shape) > 0
    return isinstance(given, Sequence) and not isinstance(given, str | bytes) or hasattr(given, "to_numpy")


def _read(given):
    if hasattr(given, "detach"):  # a tensor, perhaps on a GPU
        given = given.detach().cpu()
        if str(given.dtype) == "torch.bfloat16":  # which numpy does not have
            given = given.float()
        return given.numpy()
    if hasattr(given, "to_numpy"):
        return given.to_numpy()
    return given


def _plain(values: np.ndarray, what: str, names: tuple[str, ...]) -> np.ndarray:
    """The same as numbers of a dtype that torch knows, or as text."""
    kind = values.dtype.kind
    if kind == "O":
        return _of_objects(values, what, names)
    if kind == "S":
        return decoded(values)
    if kind == "T":
        return _plain(values.astype(object), what, names)
    if kind == "U" and not is_text(values):
        raise UserError(f"{what} holds text with codes that are not characters")
    if kind not in NUMBER_KINDS + "U":
        raise UserError(f"{what} has the dtype {values.dtype}, expected real numbers or text")
    if kind == "f" and values.dtype.itemsize not in (4, 8):
        # float16 loses nothing in float32; a long double is rounded.
        return values.astype(np.float32 if values.dtype.itemsize < 4 else np.float64)
    return values.astype(values.dtype.newbyteorder("="), copy=False)


def _of_objects(values: np.ndarray, what: str, names: tuple[str, ...]) -> np.ndarray:
    """Python objects that are all text, or all numbers."""
    text = np.array([isinstance(v, str) for v in values.flat]).reshape(values.shape)
    if text.all():
        return _plain(values.astype(str), what, names)
    if values.ndim == 1 and text.any():
        # A column of targets with some text: labels, of which one is not text.
        place = tuple(np.argwhere(~text)[0])
        raise _wrong_object(values[place], _place(what, place, names), "text, like the others")
    numbers, kinds = np.empty(values.shape), set()
    for place, v in np.ndenumerate(values):
        kinds.add(_kind(v))
        if kinds & {"text", "missing", "other"}:
            wanted = NUMBER_WANTED if isinstance(v, str) else "a number"
            raise _wrong_object(v, _place(what, place, names), wanted)
        try:
            numbers[place] = float(v)
        except (OverflowError, ValueError) as e:
            where = _place(what, place, names)
            raise UserError(
                f"{where} is {shown(v)}, which a float cannot hold; expected a number below 1.8e308"
            ) from e
    if kinds == {"truth"}:
        return numbers.astype(bool)
    if kinds == {"whole"}:
        return numbers.astype(np.int64)
    return numbers


def _wrong_object(v, where: str, wanted: str) -> UserError:
    fault = "is missing" if _kind(v) == "missing" else f"is {shown(v)}"
    return UserError(f"{where} {fault}; expected {wanted}")


def _kind(v) -> str:
    """What an object in a table is: missing, text, truth, whole, real, or other."""
    if v is None or type(v).__name__ in ("NAType", "NaTType") or isinstance(v, float) and v != v:
        return "missing"
    if isinstance(v, str):
        return "text"
    if isinstance(v, bool | np.bool_):
        return "truth"
    if isinstance(v, int | np.integer):
        return "whole" if abs(v) < 2**63 else "real"  # larger ones are not int64
    if isinstance(v, float | np.floating | Decimal | Fraction):
        return "real"
    return "other"


def _place(what: str, place, names: tuple[str, ...]) -> str:
    """`x[3], column 'age',`: where something wrong is."""
    place = tuple(int(i) for i in place)
    if len(place) == 2 and names:
        return f"{what}[{place[0]}], column {names[place[1]]!r},"
    return f"{what}[{', '.join(map(str, place))}]"

"""The arguments of `fit` and `check`: experiments, and perhaps the arrays that are to be their data."""

from __future__ import annotations

from dataclasses import fields, replace

from nnlab.choices import short_repr
from nnlab.data.dataset import Data
from nnlab.data.in_memory import Arrays
from nnlab.errors import UserError
from nnlab.experiment import Experiment


def given_arrays(*arrays) -> tuple:
    """The keyword arguments among these arrays that the caller gave."""
    return tuple(array for array in arrays if array is not None)


def experiments_on_arrays(args: tuple, x_test=None, y_test=None) -> list[Experiment]:
    """The experiments that come first in `args`, with the arrays x and y as their data if these follow."""
    first = args[0] if args and isinstance(args[0], (list, tuple)) else ()
    if first and all(isinstance(e, Experiment) for e in first):
        args = (*first, *args[1:])
    count = next((i for i, e in enumerate(args) if not isinstance(e, Experiment)), len(args))
    experiments, arrays = list(args[:count]) or [Experiment()], args[count:]
    if len(arrays) not in (0, 2) or not arrays and (x_test is not None or y_test is not None):
        got = ", ".join(short_repr(value) for value in arrays) or "no arrays but x_test or y_test"
        raise UserError(f"expected experiments, and after them nothing or two arrays, x and y; got {got}")
    if not arrays:
        return experiments
    settings = [{f.name: getattr(e.data, f.name) for f in fields(Data)} for e in experiments]
    data = {tuple(s.items()): Arrays(*arrays, x_test, y_test, **s) for s in settings}
    return [replace(e, data=data[tuple(s.items())]) for e, s in zip(experiments, settings, strict=True)]

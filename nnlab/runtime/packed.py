"""Named arrays and JSON values as bytes: safetensors, in which the JSON is one more array, `json`.

So states and jobs travel: as values, of which nothing can be executed. Equal ones give equal bytes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

import numpy as np

from nnlab.errors import UserError

HEADER_NAME = "json"  # the name of the array that holds the JSON text
ARRAYS_KEY = "arrays"  # of the JSON: the names of the arrays, in order


def pack(arrays: Mapping[str, np.ndarray], values: Mapping) -> bytes:
    """The bytes of named arrays, and of values that JSON can say; `unpack` is the inverse."""
    from safetensors.numpy import save as to_bytes

    return to_bytes(with_header(arrays, values))


def with_header(arrays: Mapping[str, np.ndarray], values: Mapping) -> dict[str, np.ndarray]:
    """The arrays as safetensors writes them, the values among them."""
    # NaN is a value here, and Python reads it again. Not as metadata: those have a limit of 100 MB. With the
    # names of the arrays, since safetensors keeps them in another order.
    text = json.dumps({**values, ARRAYS_KEY: [*arrays]}).encode()
    contiguous = {name: np.asarray(array, order="C") for name, array in arrays.items()}
    return {HEADER_NAME: np.frombuffer(text, np.uint8), **contiguous}


def unpack(content: bytes) -> tuple[dict[str, np.ndarray], dict]:
    """The arrays and the values. A stranger may have written them: raises `UserError`, which says why."""
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        arrays = load(content)
        values = json.loads(arrays.pop(HEADER_NAME).tobytes())
        names = values.pop(ARRAYS_KEY)
        is_complete = isinstance(names, list) and len(names) == len(arrays) and {*names} == {*arrays}
    except (
        SafetensorError,
        ValueError,
        KeyError,
        RecursionError,
        MemoryError,
        TypeError,
        AttributeError,
    ) as e:
        raise UserError(" ".join(str(e).split())[:200] or type(e).__name__) from e
    if not is_complete:
        raise UserError("it has other arrays than it says")
    return {name: arrays[name] for name in names}, values

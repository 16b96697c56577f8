"""A `Dataset` as bytes, with all that training reads of it, under a key that is a hash of these bytes.

Tables in .npy files that may be larger than memory are not sent: a worker reads them where they lie, and
their key is a hash of what is there.
"""

from __future__ import annotations

import hashlib
import json

import numpy as np

from nnlab.data.dataset import Dataset
from nnlab.data.encoders import wrong_raw_value
from nnlab.data.example_arrays import EXAMPLE_ARRAYS, refuse_wrong_arrays
from nnlab.data.mapped import MappedTable
from nnlab.data.spec import DataSpec
from nnlab.errors import UserError
from nnlab.runtime.packed import pack, unpack

KIND = "data"
# Without the keys by which a table identifies its examples to people: nobody trains on those.
ARRAYS = ("x", "y", "test", "noisy", "numbers", *EXAMPLE_ARRAYS)
DTYPE_KINDS = "biuf"
IN_PLACE = "place-"  # the beginning of the key of data that are read where they lie
KEY_BYTES = 16


def is_sent(key: str) -> bool:
    """Whether the data of this key come as bytes; else they are read where they lie."""
    return not key.startswith(IN_PLACE)


def data_file(dataset: Dataset) -> tuple[str, bytes]:
    """The key of the data, and their bytes; none, if they are not sent. Equal data have equal keys.

    Raises `UserError` for arrays of a kind that no file has.
    """
    if isinstance(dataset.x, MappedTable):
        return in_place_key(dataset), b""
    content = to_bytes(dataset)
    return hash_key(content), content


def in_place_key(dataset: Dataset) -> str:
    """The key of data that are read where they lie: of their values, and of what they are taken for."""
    described = f"{dataset.fingerprint()} {json.dumps(dataset.spec.to_json())}"
    return f"{IN_PLACE}{hash_key(described.encode())}"


def hash_key(content: bytes) -> str:
    """The key of data that are sent."""
    return hashlib.blake2b(content, digest_size=KEY_BYTES).hexdigest()


def to_bytes(dataset: Dataset) -> bytes:
    """The bytes of the data; `from_bytes` is the inverse."""
    arrays = {name: getattr(dataset, name) for name in ARRAYS}
    arrays = {name: array for name, array in arrays.items() if array is not None}
    for name, array in arrays.items():
        if array.dtype.kind not in DTYPE_KINDS or array.dtype.itemsize > 8 or not array.dtype.isnative:
            raise UserError(f"{name} has the dtype {array.dtype.str}, which no data file has")
    # A sum over a table depends in its last bits on the order of the numbers in memory.
    turned = [name for name, array in arrays.items() if _is_turned(array)]
    values = {"kind": KIND, "spec": dataset.spec.to_json(), "turned": turned}
    return pack(arrays | {name: arrays[name].T for name in turned}, values)


def from_bytes(content: bytes, key: str) -> Dataset:
    """The data of that key. Raises `UserError` for bytes of other data, or that nobody would have written."""
    try:
        if hash_key(content) != key:
            raise UserError("its content is not that of its key")
        arrays, values = unpack(content)
        if {*values} != {"kind", "spec", "turned"} or values["kind"] != KIND:
            raise UserError("it has other keys")
        if not {"x", "y"} <= {*arrays} <= {*ARRAYS}:
            raise UserError(f"it has other arrays: {', '.join(arrays)[:80]}")
        turned = values["turned"]
        if not isinstance(turned, list) or any(name not in ("x", "y", "noisy") for name in turned):
            raise UserError("arrays that are turned are not in it")
        arrays |= {name: arrays[name].T for name in turned}
        dataset = _dataset(arrays, DataSpec.from_json(values["spec"], "spec"))
        _refuse_unfit(dataset)
        return dataset
    except UserError as e:
        raise UserError(f"the data {key:.80} cannot be read: {e}") from e


def _dataset(arrays: dict[str, np.ndarray], spec: DataSpec) -> Dataset:
    described = {"classes": spec.classes, "labels": spec.labels, "target_names": spec.targets}
    if spec.columns:  # which say what the inputs are
        dataset = Dataset(**arrays, **described, columns=spec.columns)
    else:
        dataset = Dataset(**arrays, **described, features=spec.features, shape=spec.shape)
    if dataset.spec != spec:
        raise UserError("its arrays are not what it says they are")
    return dataset


def _refuse_unfit(dataset: Dataset) -> None:
    """Raise `UserError` for arrays that do not fit each other."""
    for name in ARRAYS:
        array = getattr(dataset, name)
        if array is not None and array.dtype.kind not in DTYPE_KINDS:
            raise UserError(f"{name} has the dtype {array.dtype}")
    refuse_wrong_arrays(dataset)
    n, classes = len(dataset.x), len(dataset.classes)
    limits = {"test": n, "numbers": None} | ({"y": classes, "noisy": classes} if classes else {})
    for name, limit in limits.items():
        array = getattr(dataset, name)
        if array is not None and not _are_numbers_below(array, limit):
            raise UserError(f"{name} has numbers that are not allowed")
    if dataset.noisy is not None and dataset.noisy.shape != dataset.y.shape:
        raise UserError("noisy has another shape than y")
    if dataset.numbers is not None and len(dataset.numbers) != n:
        raise UserError("numbers are not those of its examples")
    if dataset.test is not None and (np.diff(dataset.test) <= 0).any():
        raise UserError("test is not sorted")
    if dataset.columns and (wrong := wrong_raw_value(dataset.x, dataset.spec.encoding)):
        raise UserError("x[{}]{}".format(*wrong))


def _are_numbers_below(array: np.ndarray, limit: int | None) -> bool:
    """Whether it is a list of whole numbers from 0 on."""
    is_list = array.ndim == 1 and array.dtype.kind in "iu"
    return is_list and (not array.size or array.min() >= 0 and (limit is None or array.max() < limit))


def _is_turned(array: np.ndarray) -> bool:
    """Whether the columns of a table, not its rows, lie together in memory, as those of a data frame do."""
    return array.ndim == 2 and abs(array.strides[0]) < abs(array.strides[1])

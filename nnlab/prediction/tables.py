"""Opens new examples of any kind that nnlab reads: text tables, .npz, IDX files, images, nnlab's own data."""

from __future__ import annotations

import glob
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np

from nnlab.data.csv_rows import allow_long_cells
from nnlab.data.files import file_kind, open_text, read_errors_as_user_errors
from nnlab.data.npz_members import open_npz
from nnlab.data.sources import SOURCES, Data
from nnlab.data.spec import DataSpec
from nnlab.errors import UserError, shortened
from nnlab.prediction.array_examples import dataset_examples, idx_examples, is_idx, npy_examples, npz_examples
from nnlab.prediction.blocks import InputsAsTargets, NewExamples
from nnlab.prediction.csv_examples import CsvExamples
from nnlab.prediction.image_examples import image_examples, is_of_images
from nnlab.suggestions import UNSUPPORTED_EXTENSIONS, dataset_for_file, hint

BUILT_IN = {name: source for name, source in SOURCES.items() if not getattr(source, "needs", ())}


@contextmanager
def open_examples(
    data: str, spec: DataSpec, training_data: Data, labelled: bool = False, target: str | int | None = None
) -> Iterator[NewExamples]:
    """The examples of a file, a folder, or a data set of nnlab's own by its name; `labelled` ones with their
    targets, of which `target` names the column; those of a run that reconstructs are their inputs. Raises
    `UserError`."""
    if labelled and training_data.reconstruct:
        if target is not None:
            raise UserError(f"target = {target!r}: of data.reconstruct=true the targets are the inputs")
        with open_examples(data, spec, training_data) as examples:
            yield InputsAsTargets(examples)
        return
    path = Path(data).expanduser()
    if data in BUILT_IN and not path.exists():
        dataset = training_data if training_data.name == data else BUILT_IN[data]()
        yield dataset_examples(data, replace(dataset, limit=None, label_noise=0.0).load(), spec, labelled)
        return
    if not path.exists() and path.parent == Path() and not path.suffix and hint(data, BUILT_IN, "data"):
        raise UserError(f"there is no file {shortened(data)}{hint(data, BUILT_IN, 'data')}")
    if spec.columns and glob.has_magic(data) and not path.exists():
        yield _table_examples(data, spec, training_data, labelled, target)
        return
    kind = file_kind(path)
    if is_of_images(path, kind, spec):
        with read_errors_as_user_errors(path):
            yield image_examples(path, spec, training_data, labelled)
    elif kind == "folder" or is_idx(path):
        with read_errors_as_user_errors(path):
            yield idx_examples(path, spec, labelled)
    elif kind != "file":
        raise UserError(f"'{shortened(data)}' is a {kind}; expected a file of examples")
    elif spec.columns:
        yield _table_examples(str(path), spec, training_data, labelled, target)
    elif dataset_for_file(path.name) == "npy":
        yield npy_examples(path, spec, labelled, target)
    elif dataset_for_file(path.name) == "npz":
        with open_npz(path) as arrays:
            yield npz_examples(path, arrays, spec, labelled)
    elif path.name.lower().endswith(UNSUPPORTED_EXTENSIONS):
        raise UserError(f"'{shortened(data)}' cannot be read: save it as CSV, or by numpy.savez as .npz")
    else:
        with open_text(path) as file, allow_long_cells():
            yield CsvExamples(path, file, spec, labelled, target)


def read_inputs(data: str, spec: DataSpec, training_data: Data) -> np.ndarray:
    """The inputs of all examples in a file, (n, ...), as arrays of examples have them."""
    with open_examples(data, spec, training_data) as examples:
        return np.concatenate([block.x for block in examples.blocks()])


def _table_examples(*arguments) -> NewExamples:
    from nnlab.prediction.table_examples import TableExamples  # imports pyarrow

    return TableExamples(*arguments)

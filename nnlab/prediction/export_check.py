"""Whether an exported file predicts what its model does, on examples of the run's data or on random ones."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from nnlab.errors import Advice, UserError, shortened
from nnlab.prediction.model import TrainedModel
from nnlab.prediction.tables import open_examples

MOST_EXAMPLES, RANDOM_EXAMPLES, BATCH = 10_000, 256, 500
MISSING_SHARE = 0.1  # of the numbers in random examples of a table
# Rounding hits few examples; where the mean is this far away, the file computes something else.
LARGEST_MEAN_DIFFERENCE = 0.01  # of a probability, or of the target's scale


@dataclass(frozen=True)
class Agreement:
    """How far the file's predictions are from the model's.

    data           where the examples are from; empty if they were drawn at random
    largest, mean  absolute differences: of probabilities, or of predicted numbers in scales of the target
    in_units       the largest one in the target's unit; of a classification that of probabilities again
    other_classes  examples of which the predicted class is another one
    """

    examples: int
    data: str
    largest: float
    mean: float
    in_units: float
    other_classes: int

    @property
    def is_close(self) -> bool:
        return self.mean <= LARGEST_MEAN_DIFFERENCE


def agreement(
    model: TrainedModel, row: int | None, outputs: Callable[[np.ndarray], dict[str, np.ndarray]], dtype: str
) -> Agreement | None:
    """Compare `outputs`, of inputs of that type, with the model; None where it has no finite predictions."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Advice)
        for name, examples in _examples(model, row):
            try:
                return _compared(model, row, outputs, dtype, name, examples())
            except UserError:  # the run's data have moved, have changed, or lie too far out
                continue
    return None


def _examples(model: TrainedModel, row: int | None) -> Iterator[tuple[str, Callable[[], np.ndarray]]]:
    data = model.experiment.data
    path = getattr(data, "path", None) or data.name
    yield shortened(str(path)), lambda: _own(model, str(path))
    yield "", lambda: _random(model, row)


def _own(model: TrainedModel, data: str) -> np.ndarray:
    with open_examples(data, model.spec, model.experiment.data) as examples:
        for block in examples.blocks():
            x = model.raw(block.x[:MOST_EXAMPLES])
            return x.reshape(len(x), -1).astype(np.float64)
    raise UserError(f"'{data}' has no examples")


def _random(model: TrainedModel, row: int | None) -> np.ndarray:
    """Examples around the training data, a tenth of them far out."""
    normalizer, random = model.rows_for(row)[0].normalizer, np.random.default_rng(0)
    encoding = model.spec.encoding
    z = random.normal(size=(RANDOM_EXAMPLES, encoding.numbers))
    z[: RANDOM_EXAMPLES // 10] *= 10
    numbers = normalizer["mean"][: encoding.numbers] + normalizer["scale"][: encoding.numbers] * z
    if not model.spec.columns:
        return numbers
    x = np.zeros((RANDOM_EXAMPLES, encoding.raw_width))
    x[:, list(encoding.number_positions)] = np.where(random.random(z.shape) < MISSING_SHARE, np.nan, numbers)
    for column, position in zip(encoding.code_columns, encoding.code_positions, strict=True):
        x[:, position] = random.integers(column.codes, size=RANDOM_EXAMPLES)
    x[:, list(encoding.plain_positions)] = random.integers(2, size=(len(x), len(encoding.plain_positions)))
    return x


def _compared(model, row, outputs, dtype, name, x) -> Agreement:
    classes, expected = model.answers(x, row)
    differences, other_classes = np.zeros(expected.shape), 0
    for start in range(0, len(x), BATCH):
        some = slice(start, start + BATCH)
        answers = outputs(np.ascontiguousarray(x[some].reshape(-1, *model.spec.raw_shape).astype(dtype)))
        values = answers["probabilities" if model.spec.classes else "prediction"]
        differences[some] = np.abs(values.reshape(len(values), -1) - expected[some])
        if classes is not None:
            other_classes += int((answers["prediction"] != classes[some]).sum())
    differences = np.nan_to_num(differences, nan=np.inf)
    scale = 1.0 if model.spec.classes else model.rows_for(row)[0].normalizer["target_scale"]
    relative = differences / scale
    return Agreement(
        len(x), name, float(relative.max()), float(relative.mean()), float(differences.max()), other_classes
    )

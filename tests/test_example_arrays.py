"""Weights, groups, times and parts of a split: what a data set knows of each example beside x and y."""

from dataclasses import dataclass, field, replace
from typing import ClassVar

import numpy as np
import pytest

import nnlab
from nnlab.data.example_arrays import EXAMPLE_ARRAYS
from nnlab.errors import UserError

N = 12
PLAIN = nnlab.Dataset(np.random.default_rng(0).normal(size=(N, 2)), np.arange(N) % 2, ("a", "b"))
ARRAYS = {
    "weights": np.linspace(0, 2, N),
    "groups": np.arange(N) // 3,
    "times": np.arange(N)[::-1].astype(float),
    "parts": np.arange(N) % 3,
}


@dataclass(frozen=True)
class Given(nnlab.Data):
    """Data as they are given."""

    name: ClassVar[str] = "given"
    dataset: nnlab.Dataset = field(default=PLAIN, compare=False)

    def read(self):
        return self.dataset


@pytest.mark.parametrize("name", EXAMPLE_ARRAYS)
def test_they_go_with_their_examples(name):
    dataset, some = replace(PLAIN, **{name: ARRAYS[name]}), np.array([1, 4, 5, 10])
    assert np.array_equal(getattr(dataset.select(some), name), ARRAYS[name][some])
    limited = Given(dataset, limit=6).load()
    assert np.array_equal(getattr(limited, name), ARRAYS[name][limited.numbers])


def test_they_are_part_of_the_fingerprint():
    same = np.zeros(N, np.int64)
    datasets = [PLAIN, *(replace(PLAIN, **{name: same}) for name in EXAMPLE_ARRAYS)]
    assert len({dataset.fingerprint() for dataset in datasets}) == len(datasets)


WRONG = {
    "too short": ("weights", np.ones(N - 1), r"weights has the shape \(11,\), expected \(12,\)"),
    "text": ("groups", np.full(N, "a"), "groups has the dtype <U1, expected numbers"),
    "not whole": ("groups", np.ones(N), "groups has the dtype float64, expected whole numbers"),
    "missing": ("times", np.where(np.arange(N) == 3, np.nan, 1), r"times\[3\] is nan, expected a finite"),
    "below 0": ("weights", np.where(np.arange(N) == 2, -1.0, 1), r"weights\[2\] is -1, expected a number at"),
    "nothing": ("weights", np.zeros(N), "weights are 0 for all examples"),
    "no such part": ("parts", np.where(np.arange(N) == 5, 3, 0), r"parts\[5\] is 3; allowed: 0 \(train\), 1"),
}


@pytest.mark.parametrize("split", [nnlab.NoSplit(), nnlab.Holdout(), nnlab.KFold(k=2)])
@pytest.mark.parametrize("dataset, sentence", [
    (PLAIN.select(np.arange(0)), "there are no examples"),
    (replace(PLAIN, test=np.arange(N)), "no example trains: all validate or test"),
])  # fmt: skip
def test_without_an_example_to_train_on_data_are_refused(dataset, sentence, split):
    with pytest.raises(UserError, match=f"data 'given': {sentence}"):
        nnlab.fit(nnlab.Experiment(data=Given(dataset), split=split, metric="last"))


def test_a_single_example_is_not_divided_into_folds():
    dataset = Given(replace(PLAIN, test=np.arange(1, N))).load()
    with pytest.raises(UserError, match="only 1 example to divide into folds; add examples, or take"):
        nnlab.KFold(k=2, stratify=False).folds(dataset)


@pytest.mark.parametrize("name, values, sentence", WRONG.values(), ids=WRONG)
def test_wrong_ones_are_refused(name, values, sentence):
    with pytest.raises(UserError, match=f"data 'given': {sentence}"):
        Given(replace(PLAIN, **{name: values})).load()

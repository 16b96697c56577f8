"""What the verdicts of a comparison are said to cover: of every kind of split, and of files of anybody."""

import json

import numpy as np
import pytest
from test_records import over_repeats

from nnlab.records.summary import summarize
from nnlab.records.verdict_scope import is_by_time, scope
from nnlab.statistics.comparison import Comparison, compare_arms
from nnlab.statistics.scores import Scores

DRAWN, NOT_VALIDATED = {"train": 60, "validation": 20, "test": 20}, {"train": 80, "validation": 0, "test": 20}
REMEDY = ": split.repeats=10 would"
SEEDS, FOLDS = (f"other seeds on this one {w}, not new data" for w in ("split", "division into folds"))
ONE_TEST, NEW = "other training sets, this one test set, not new data", "new splits of new data like these"
# (seeds, repeats, folds), what is known of the results, overlap, measure -> what it covers
CASES = {
    "one split": ((5, 1, 1), {}, 0.0, "test_error", SEEDS + REMEDY),
    "one split, by validation": ((5, 1, 1), {"fixed_test": True}, 0.0, "val_loss", SEEDS + REMEDY),
    "one split, a test set of the data": ((5, 1, 1), {"fixed_test": True}, 0.0, "test_error", SEEDS),
    "no split": ((5, 1, 1), {"examples": NOT_VALIDATED}, 0.0, "train_loss", SEEDS),
    "steps": ((5, 1, 1), {}, 0.0, "steps", SEEDS + REMEDY),
    "a curve": ((5, 1, 1), {"fixed_test": True}, 0.0, "best:val_loss", SEEDS + REMEDY),
    "folds": ((5, 1, 3), {}, 0.0, "val_error", FOLDS + REMEDY),
    "folds of one seed": ((1, 1, 3), {}, 0.25, "val_error", NEW),
    "folds of one seed, tested": ((1, 1, 3), {}, 0.25, "test_error", ONE_TEST + REMEDY),
    "repeats": ((1, 4, 1), {}, 0.25, "test_error", NEW),
    "repeats, a test set of the data": ((1, 4, 1), {"fixed_test": True}, 0.0, "test_error", ONE_TEST),
    "an unknown overlap": ((1, 4, 1), {"examples": {}}, None, "val_loss", ""),
}  # fmt: skip


@pytest.mark.parametrize("shape, known, overlap, measure, said", CASES.values(), ids=CASES)
def test_what_is_covered(shape, known, overlap, measure, said):
    seeds, repeats, folds = shape
    _, _, results = over_repeats(repeats, seeds, folds, **{"examples": DRAWN, **known})
    rng = np.random.default_rng(0)
    table = Scores({name: rng.normal(size=shape) for name in "ab"}, overlap=overlap)
    intervals = summarize(results)["intervals"]
    assert scope(measure, table, intervals) == said
    assert REMEDY not in scope(measure, table, intervals, by_time=True)


def test_a_file_of_anybody():
    table = Scores({"a": np.zeros((5, 1, 1)), "b": np.ones((5, 1, 1))})
    for intervals in (None, [], {"test": 3}, {"test": {}}, {"test": {"about": ["x" * 10**6]}}):
        assert len(scope("test_error", table, intervals)) < 300
    assert is_by_time({"data": {"time": "day"}}) and not is_by_time({"data": {"time": None}})
    assert not is_by_time({"data": 3}) and not is_by_time({})


def test_it_is_in_the_file_and_old_files_have_none():
    comparison = compare_arms(Scores({"a": np.zeros((5, 1, 1)), "b": np.ones((5, 1, 1))}, about=SEEDS))
    tree = json.loads(json.dumps(comparison.to_json()))
    assert tree["about"] == SEEDS and Comparison.from_json(tree) == comparison
    del tree["about"]
    assert Comparison.from_json(tree).about == ""

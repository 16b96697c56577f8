"""What curves give as quantities of a comparison, and steps to a target, which some rows never reach."""

import contextlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from in_process import said
from scipy import stats

from nnlab.records.compared_quantity import ComparedQuantity
from nnlab.records.pair_sentences import PairSentences
from nnlab.records.stored_run import StoredRun
from nnlab.statistics.comparison import Comparison, compare_arms
from nnlab.statistics.scores import Scores

TARGET = 0.15


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Two arms, of which one seldom reaches the target."""
    here = tmp_path_factory.mktemp("courses")
    with contextlib.chdir(here):
        words = ("data=iris", "epochs=12", "seeds=8", "optimizer=sgd,adam", "optimizer.lr=0.02")
        said("compare", *words, f"target={TARGET}", "measure=steps", "hydra.run.dir=C")
    return here / "C"


def comparisons(folder) -> dict[str, Comparison]:
    (of_data,) = json.loads((folder / "compare.json").read_text())["comparisons"].values()
    return {name: Comparison.from_json(tree) for name, tree in of_data.items()}


def run_of(folder, arm) -> StoredRun:
    (name,) = json.loads((folder / "compare.json").read_text())["runs"][f"optimizer={arm}"]["iris"]
    return StoredRun(folder / name)


def arm_of(comparison, arm):
    return next(each for each in comparison.arms if each.name == f"optimizer={arm}")


@pytest.mark.parametrize("arm", ["sgd", "adam"])
def test_quantities_of_a_curve_are_those_of_metrics_jsonl(arm, folder):
    lines = [
        json.loads(each) for each in (run_of(folder, arm).path / "metrics.jsonl").read_text().splitlines()
    ]
    curves = np.array([[x["val_error"] for x in lines if x["row"] == row] for row in range(8)])
    compared = comparisons(folder)
    for name, values in {"final": curves[:, -1], "best": curves.min(1), "area": curves.mean(1)}.items():
        stored = arm_of(compared[f"{name}:val_error"], arm)
        assert (stored.mean, stored.n) == (pytest.approx(values.mean()), 8)
    reached = curves <= TARGET
    steps = 2 * (1 + reached.argmax(1)[reached.any(1)])  # of 90 examples in batches of 64
    stored = arm_of(compared["steps"], arm)
    assert (stored.n, stored.diverged) == (len(steps), 8 - len(steps))
    assert stored.mean == pytest.approx(steps.mean()) and stored.low is None


def test_who_never_reaches_the_target_is_worse_than_any_number(folder):
    compared = comparisons(folder)
    assert [*compared][0] == "steps"
    (pair,) = compared["steps"].pairs
    assert (pair.a, pair.decided_by, pair.p, pair.low) == ("optimizer=adam", "wilcoxon", None, None)
    assert pair.p_holm == pair.p_wilcoxon and pair.verdict == "diverged"
    text = said("compare", str(folder))
    assert "did not reach the target in" in " ".join(text.split()) and "by ranks" in text


def test_another_target_is_read_from_the_curves_and_is_not_kept(folder):
    before = (folder / "compare.json").read_bytes()
    text = said("compare", str(folder), "target=0.4")
    assert text != said("compare", str(folder), f"target={TARGET}")
    assert (folder / "compare.json").read_bytes() == before
    copied = folder.parent / "copied"
    shutil.copytree(folder, copied)
    file = json.loads(before) | {"target": 0.4}
    (copied / "compare.json").write_text(json.dumps(file))
    assert said("compare", str(copied)).partition("  comparison")[0] == text.partition("  comparison")[0]
    assert arm_of(comparisons(copied)["steps"], "sgd").n > arm_of(comparisons(folder)["steps"], "sgd").n
    said("report", str(folder))


WRONG_WORDS = {
    "data=iris optimizer=sgd,adam measure=steps": "Write target=0.1",
    "data=iris optimizer=sgd,adam target=low": "target = 'low'",
    "data=iris optimizer=sgd,adam target=inf": "target = inf",
    "C target=low": "expected a number",
    "C target=nan": "expected a number",
}


@pytest.mark.parametrize("words", WRONG_WORDS)
def test_wrong_words_are_one_sentence(words, folder, monkeypatch):
    monkeypatch.chdir(folder.parent)
    sentence = said("compare", *words.split(), code=2)
    assert WRONG_WORDS[words] in sentence and sentence.count("\n") == 1


# ---- By ranks

NEVER = np.inf
RANKED = {
    "never against always": ([NEVER] * 8, [10.0 * k for k in range(1, 9)], "diverged"),
    "later in every seed": ([20.0 + k for k in range(8)], [10.0 + k / 2 for k in range(8)], "better"),
    "never in both": ([NEVER] * 8, [NEVER] * 8, "identical"),
    "one never": ([NEVER, 11.0, 9.0, 12.0], [10.0, 10.0, 10.0, 10.0], "undecided"),
    "slower, but always": ([10.0] * 6 + [NEVER] * 2, [900.0] * 8, "undecided"),
}


@pytest.mark.parametrize("case", RANKED)
def test_steps_are_decided_by_ranks(case):
    slow, quick, verdict = RANKED[case]
    table = {"slow": np.array(slow), "quick": np.array(quick)}
    scores = Scores({arm: each[:, None, None] for arm, each in table.items()}, by_ranks=True)
    comparison = compare_arms(scores)
    (pair,) = comparison.pairs
    assert pair.verdict == verdict
    assert (pair.p, pair.low, pair.bootstrap_low) == (None, None, None)
    if verdict in ("better", "diverged"):
        assert pair.a == "quick"
    json.dumps(comparison.to_json(), allow_nan=False)
    assert PairSentences(comparison, ComparedQuantity("steps")).sentence(pair)


@pytest.mark.parametrize("seed", range(5))
def test_p_is_wilcoxons_of_scipy(seed):
    """Infinite differences have the largest ranks, as any large number has."""
    rng = np.random.default_rng(seed)
    a, b = rng.integers(1, 30, (2, 9)) * 7.0 + rng.random((2, 9))
    a[rng.integers(9)] = np.inf
    (pair,) = compare_arms(Scores({"a": a[:, None, None], "b": b[:, None, None]}, by_ranks=True)).pairs
    differences = np.where(np.isfinite(a), a - b, 1e9)
    assert pair.p_holm == pytest.approx(stats.wilcoxon(differences, method="exact").pvalue)


def test_losses_of_different_kinds_have_no_curve_in_common(tmp_path, monkeypatch):
    """RMSE is the same for all, and the curve of test_rmse; their losses are not."""
    monkeypatch.chdir(tmp_path)
    words = ("data=diabetes", "epochs=3", "seeds=2", "loss=squared_error,absolute_error")
    text = said("compare", *words, "target=1000", "hydra.run.dir=R")
    assert "validation RMSE" in text
    names = {name for of_data in json.loads(Path("R/compare.json").read_text())["comparisons"].values()
             for name in of_data}  # fmt: skip
    assert {"steps", "final:val_error", "best:val_error"} <= names
    assert not [name for name in names if name.endswith("_loss")]
    for folder in Path("R").glob("[01]_*"):
        file = folder / "metrics.jsonl"
        file.write_text(file.read_text().replace('"val_error"', '"val_other"'))
    said("compare", "R")
    (of_data,) = json.loads(Path("R/compare.json").read_text())["comparisons"].values()
    assert not [name for name in of_data if name.endswith("_loss") or name == "steps"]

"""Leaks that `nnlab check only=data` reports: row numbers or the target itself among the inputs."""

import json
import warnings

import numpy as np
import pytest

import nnlab
from nnlab.checks import leaks
from nnlab.checks.subject import Subject
from nnlab.cli import main
from nnlab.data.identifiers import find_identifiers

N = 60
RANDOM = np.random.default_rng(0)
KEPT = np.sort(RANDOM.choice(80, N, replace=False)).astype(float)  # what is left of 80 rows

NUMBERED = {
    "from 0": ("a", np.arange(N)),
    "from 1": ("a", np.arange(1, N + 1)),
    "backwards": ("a", np.arange(N)[::-1]),
    "rows left out": ("a", KEPT),
    "rows left out, nameless": ("column 0", RANDOM.permutation(500)[:N]),
    "by tens": ("a", 10 * np.arange(N)),
    "pandas' index": ("Unnamed: 0", RANDOM.permutation(N) + 5000),
    "keys": ("PassengerId", RANDOM.choice(10**6, N, replace=False)),
    "keys of several words": ("customer id", RANDOM.choice(10**6, N, replace=False)),
    "seconds": ("when", 1_700_000_000 + np.cumsum(RANDOM.integers(1, 4000, N))),
    "milliseconds": ("when", 1_700_000_000_000 + np.cumsum(RANDOM.integers(1, 10**6, N))),
    "shuffled, from anywhere": ("t", 1000 + RANDOM.permutation(N)),
    "shuffled": ("a", RANDOM.permutation(N)),
    "backwards from -1": ("a", -1 - np.arange(N)),
    "the first twice": ("a", np.maximum(np.arange(N) - 1, 0)),
    "shuffled seconds": ("timestamp", 1_700_000_000 + RANDOM.permutation(4000 * N)[:N]),
    "seconds and a half": ("t", 1_700_000_000.5 + np.cumsum(RANDOM.integers(1, 4000, N))),
    "shuffled dates": (
        "b",
        np.array([20260100 + 100 * (i // 28) + 1 + i % 28 for i in RANDOM.permutation(N)]),
    ),
    **{
        name: (name, 101 + RANDOM.permutation(N))
        for name in (
            "patient",
            "subject",
            "Sample",
            "serial",
            "rownum",
            "recordid",
            "userid",
            "order no",
            "LineNumber",
            "Objekt-Nr",
            "lfd.Nr.",
            "Kundennummer",
            "numéro",
        )
    },
    "dates": ("day", np.array([20260100 + 100 * (i // 28) + 1 + i % 28 for i in range(N)])),
}

HEALTHY = {
    "years": ("year", 1950 + np.arange(N)),
    "years, several rows each": ("year", np.repeat(1990 + np.arange(N // 4), 4)),
    "a sorted measurement": ("income", np.sort(RANDOM.lognormal(10, 1, N)).round()),
    "a sorted measurement with fractions": ("height", np.sort(RANDOM.normal(170, 9, N))),
    "a grid": ("x", np.linspace(-1, 1, N)),
    "a grid of whole numbers": ("x", np.repeat(np.arange(10), N // 10)),
    "counts": ("count", RANDOM.poisson(30, N)),
    "large counts": ("population", RANDOM.choice(10**6, N, replace=False)),
    "a code with few values": ("country_id", RANDOM.integers(0, 9, N)),
    "a key that rows share": ("id", np.repeat(np.arange(N // 3), 3)),
    "a constant": ("id", np.full(N, 7)),
    "doses": ("dose", 2 * np.arange(N)),
    "atomic numbers": ("atomic_number", 1 + np.arange(N)),
    "ranks": ("rank", 1 + RANDOM.permutation(N)),
    "prices": ("price_index", RANDOM.choice(10**4, N, replace=False)),
    "white blood cells": ("wbc no", RANDOM.choice(10**4, N, replace=False)),
    "hours": ("hour", np.arange(N) % 24),
    "whether": ("valid", RANDOM.integers(0, 2, N)),  # ends with "id"
}


def table(name, column):
    return np.c_[RANDOM.standard_normal((N, 2)), column], ("b", "c", name)


@pytest.mark.parametrize("kind", NUMBERED)
def test_what_numbers_the_rows_is_found(kind):
    assert list(find_identifiers(*table(*NUMBERED[kind]))) == [2]


@pytest.mark.parametrize("kind", HEALTHY)
def test_what_only_looks_like_it_is_not(kind):
    assert find_identifiers(*table(*HEALTHY[kind])) == {}


# ---- in a file that is sorted by class, whatever the numbers are

BY_CLASS = np.repeat([2, 0, 1], N // 3)
ROW = np.arange(N)
IN_ORDER = {
    "fractions": ROW / N,
    "halves": ROW + 0.5,
    "two rows each": ROW // 2,
    "tenths": 0.1 * ROW,
    "backwards": -ROW - 1.0,
    "gaps": np.cumsum(RANDOM.integers(1, 9, N)),
    "squares": ROW**2.0,
    "keys that rise": np.sort(RANDOM.choice(900_000, N, replace=False) + 100_000),
    "years": 1950 + ROW,
    "two rows exchanged": np.r_[ROW[:30], 31, 30, ROW[32:]],
}


@pytest.mark.parametrize("kind", IN_ORDER)
@pytest.mark.parametrize("name", ["t", "place", ""])
def test_a_column_that_follows_the_rows_is_found_where_the_classes_do(kind, name):
    x, names = table(name, IN_ORDER[kind])
    assert list(find_identifiers(x, names, BY_CLASS)) == [2]
    assert list(find_identifiers(x, names, np.tile(BY_CLASS[::2], 2))) == [
        2
    ]  # two files, one after the other
    assert list(find_identifiers(x, names, np.repeat([2.0, 0.5], N // 2)[:, None])) == [
        2
    ]  # classes as numbers


@pytest.mark.parametrize("kind", IN_ORDER)
def test_sorted_by_a_target_that_is_a_number_only_a_name_tells_it_from_a_cause(kind):
    y = np.sort(RANDOM.lognormal(size=(N, 1)), axis=0)
    for name, expected in (("t", [2]), ("dose", [])):
        assert list(find_identifiers(*table(name, IN_ORDER[kind]), y)) == expected


def test_numbers_given_in_a_sorted_file_that_was_shuffled_afterwards():
    order = RANDOM.permutation(N)
    assert list(find_identifiers(*table("t", 1000 + order), BY_CLASS[order])) == [2]
    assert find_identifiers(*table("rank", 1 + order), RANDOM.permutation(BY_CLASS)) == {}


@pytest.mark.parametrize("kind", HEALTHY)
def test_where_the_classes_are_mixed_nothing_is_said(kind):
    for seed in range(20):
        assert find_identifiers(*table(*HEALTHY[kind]), np.random.default_rng(seed).integers(0, 3, N)) == {}


@pytest.mark.parametrize("slope", [0.05, 0.2])
def test_a_dose_that_decides_the_class_is_no_row_number(slope):
    for seed in range(20):
        random = np.random.default_rng(seed)
        y = (random.random(N) < 1 / (1 + np.exp(-slope * (ROW - N / 2)))).astype(int)
        assert find_identifiers(*table("dose", 2 * ROW), y) == {}, seed


def test_a_good_input_of_a_file_sorted_by_class_is_none():
    x, names = table("length", BY_CLASS + 0.1 * RANDOM.standard_normal(N))
    assert find_identifiers(x, names, BY_CLASS) == {}
    assert (
        find_identifiers(*table("stage", np.array([4, 9, 6])[BY_CLASS]), BY_CLASS) == {}
    )  # a copy of the target


def test_numbers_in_a_file_without_names_are_no_keys():
    counts, x = RANDOM.choice(10**6, N, replace=False), RANDOM.standard_normal((N, 2))
    assert find_identifiers(np.c_[x, counts], ()) == {}
    assert list(find_identifiers(np.c_[x, np.sort(counts)], (), BY_CLASS)) == [2]


def test_the_only_input_is_what_the_target_depends_on():
    assert find_identifiers(np.arange(N)[:, None], ("",)) == {}


@pytest.mark.parametrize("data", [nnlab.Digits(), nnlab.Wine(), nnlab.Iris(), nnlab.Diabetes(),
                                  nnlab.BreastCancer(), nnlab.Moons()], ids=lambda d: d.name)  # fmt: skip
def test_of_the_shipped_sets_nothing_is_said(data):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        subject = Subject(nnlab.Experiment(data=data))
    assert leaks.check(subject) == []


# ---- the target in disguise

CLASS = RANDOM.integers(0, 3, 300)
X = RANDOM.standard_normal((300, 3))
NUMBER = np.exp(X[:, :1] + RANDOM.standard_normal((300, 1)))

LEAKS = {
    "a copy": (CLASS, CLASS),
    "other numbers": (np.array([7.0, -2.0, 5.0])[CLASS], CLASS),
    "one of a one-hot code": (CLASS == 1, CLASS),
    "a copy with a little noise": (CLASS + 0.005 * RANDOM.standard_normal(300), CLASS),
    "a copy with a slip": (np.where(np.arange(300) == 17, 2 - CLASS, CLASS), CLASS),
    "the number itself": (NUMBER[:, 0], NUMBER),
    "on another scale": (-3 * np.log(NUMBER[:, 0]), NUMBER),
    "rounded": (NUMBER[:, 0].round(4), NUMBER),
}
NO_LEAKS = {
    "a good input": (CLASS + 0.3 * RANDOM.standard_normal(300), CLASS),
    "half of a copy": (np.where(np.arange(300) % 5, CLASS, 0), CLASS),
    "a rare flag": (np.arange(300) == 5, CLASS),
    "something else": (RANDOM.integers(0, 2, 300), CLASS),
    "strongly correlated": (NUMBER[:, 0] + 0.05 * RANDOM.standard_normal(300), NUMBER),
}


def of(column, target):
    x = np.c_[X, column].astype(float)
    return leaks.class_indicators(x, target) if target.ndim == 1 else leaks.monotone_columns(x, target)


@pytest.mark.parametrize("kind", LEAKS)
def test_the_target_in_disguise_is_found(kind):
    assert list(of(*LEAKS[kind])) == [3]


@pytest.mark.parametrize("kind", NO_LEAKS)
def test_a_good_input_is_no_leak(kind):
    assert of(*NO_LEAKS[kind]) == {}


# ---- as a user sees it


def sorted_by_class(first):
    lines = [f"{first(i)},{RANDOM.normal():.4f},{'abc'[i // 50]}\n" for i in range(150)]
    return "".join(lines)


@pytest.mark.parametrize("header, first, cause, phrase", [
    (",x,y\n", lambda i: i, "row_number", "the input 'column 0' counts the rows"),
    ("id,x,y\n", lambda i: 1000 + i, "row_number", "the input 'id' counts the rows"),
    ("stage,x,y\n", lambda i: (4, 9, 6)[i // 50], "leak", "the input 'stage' has one value for each class"),
])  # fmt: skip
def test_a_csv_file(tmp_path, monkeypatch, capsys, header, first, cause, phrase):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "t.csv").write_text(header + sorted_by_class(first))
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        assert main(["check", "only=data", "data=csv", "data.path=t.csv", "data.target=y"]) == 0
    shown, advised = (" ".join(text.split()) for text in capsys.readouterr())
    assert "warn data " + phrase in shown and "take the column out of the file" in shown
    assert ("advice: " + phrase in advised) == (cause == "row_number")
    (verdict,) = json.loads(next(tmp_path.glob("outputs/check/*/check.json")).read_text())
    assert [finding["cause"] for finding in verdict["findings"]] == [cause]


def test_the_columns_of_a_table(tmp_path, monkeypatch, capsys):
    """As `nnlab data` and `nnlab train` judge them, one holed, one a number, one a date."""
    monkeypatch.chdir(tmp_path)
    draw = np.random.default_rng(0)
    gone = draw.random(200) < 0.4
    days = np.datetime64("2024-01-01") + draw.integers(0, 90, 200)
    columns = {
        "x": draw.normal(size=200).round(3), "refund": np.where(gone, draw.random(200).round(3) + 0.1, 0),
        "reason": np.where(gone, draw.choice(["price", "service"], 200), ""),
        "gone on": np.where(gone, days.astype(str), ""), "y": np.where(gone, "left", "stayed"),
    }  # fmt: skip
    lines = [",".join(map(str, row)) for row in zip(*columns.values(), strict=True)]
    (tmp_path / "t.csv").write_text("\n".join([",".join(columns), *lines]))
    words = ["data=table", "data.path=t.csv", "data.target=y"]
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        assert main(["check", "only=data", *words]) == 0
    shown, advised = (" ".join(text.split()) for text in capsys.readouterr())
    assert "each of the columns 'refund', 'reason', 'gone on' alone tells the class of 100%" in shown
    assert "data.drop=['refund','reason','gone on']" in shown and not advised  # once is enough
    assert main(["check", "only=data", *words, "data.drop=['refund','reason','gone on']"]) == 0
    assert "alone tells" not in capsys.readouterr().out


def test_train_advises_on_an_npz_file(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    np.savez("t.npz", X=np.c_[X[:150], np.arange(150)], y=np.repeat([0, 1, 2], 50))
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        assert main(["train", "data=npz", "data.path=t.npz", "epochs=1"]) == 0
    assert "advice: input 3 counts the rows: take the column out of the file" in capsys.readouterr().err

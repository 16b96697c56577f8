"""`nnlab data`: the screen, the doubts, and the words to train, which train when they are pasted."""

import random
import shlex

import numpy as np
import pandas as pd
import pytest
from table_cases import TABLES, Case, count, day, normal, one_of, whole, written

from nnlab import tab
from nnlab.cli import main

pytestmark = pytest.mark.filterwarnings("default::nnlab.Advice")
NOTE = ["he came and saw", "she went to the house of the queen", "they had all of it"]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def screen(capsys, *words):
    """What the command prints."""
    assert main(["data", *words]) == 0, capsys.readouterr().err
    out, err = capsys.readouterr()
    assert not err and max(map(len, out.splitlines())) <= 80
    return out


def words_to_train(out):
    """The shell words below "to train"."""
    return shlex.split(out.partition("to train")[2].replace("\\\n", " "))


def doubts(out):
    return " ".join(out.partition("doubts")[2].partition("to train")[0].split())


@pytest.mark.parametrize("name", TABLES)
@pytest.mark.parametrize("says_target", [True, False])
def test_its_words_train(name, says_target, folder, capsys):
    case = TABLES[name]
    (folder / f"{name}.csv").write_text(case.text(), encoding="utf-8")
    target = [f"target={case.target}"] * says_target
    out = screen(capsys, f"{name}.csv", *target)
    assert len(out.splitlines()) <= 24
    words = words_to_train(out)
    assert words[:4] == ["nnlab", "train", "data=table", f"data.path={name}.csv"]
    assert ("a guess" in " ".join(out.split())) != says_target
    assert main([*words[1:], "epochs=1", "picture=false"]) == 0, capsys.readouterr().err


def test_the_screen(folder, capsys):
    rows = [f"{i},{i / 8 + 0.5 if i % 5 else ''},{['gold', 'iron'][i % 2]},{i % 3 > 0}" for i in range(60)]
    (folder / "t.csv").write_text("\n".join(["id,age,plan,left", *rows, ""]))
    assert screen(capsys, "t.csv", "target=left") == (
        "t.csv: 60 rows, 4 columns\n"
        "\n"
        "  column  type        missing  values                      because\n"
        "  id      identifier           0, 1, 2, ...                counts the rows\n"
        "  age     number      20%      0.625 to 7.88, median 4.25  numbers\n"
        "  plan    category             gold 50%, iron 50%          2 words\n"
        "\n"
        "  target             left, 2 classes: True 66.7%, False 33.3%\n"
        "  doubts             8 rows are copies of another in all inputs and the target\n"
        "\n"
        "  to train           nnlab train data=table data.path=t.csv data.target=left\n"
    )


@pytest.mark.parametrize("cell, shown", [
    (lambda i: f"{(i % 5 - 2) / 777:.9f}", "-0.00257 to 0.00257  "),
    (lambda i: f"{-2.97 + i % 5 - 0.0351 * (i % 5 == 2)}", "-2.97 to 1.03, median -1.01"),
    (lambda i: f"{[-2.971, -0.01234, 3.381][i % 3]}", "-2.97 to 3.38, median -0.012"),
    (lambda i: f"{[-1.23e-9, -2.34e-10, 5.67e12][i % 3]}", "-1.23e-09 to 5.67e+12"),
    (lambda i: f"2024-01-{1 + i % 9:02} 00:00:00.000000", "2024-01-01 to 2024-01-09"),
    (lambda i: f"2024-01-{1 + i % 9:02} {i % 2}:15:00.000", "2024-01-01 0:15:00 to 2024"),
    (lambda i: "rare" if i < 6 else "usual", "usual 90%, rare 10%"),
    (lambda i: "rare" if i % 21 in (0, 9) else "usual", "rare 10%"),
])  # fmt: skip
def test_values_fit_their_column(cell, shown, folder, capsys):
    lines = [f"{cell(i)},{i * 7 % 5}.5,{'uv'[i * i % 7 % 2]}" for i in range(63)]
    (folder / "t.csv").write_text("\n".join(["column,other,y", *lines, ""]))
    assert shown in screen(capsys, "t.csv", "target=y")


def test_long_reasons_are_whole(folder, capsys):
    columns = {
        "a long name of a column": written("{} km", normal(5, 1)), "zip": one_of("01234", "", "09876"),
        "when, as it was": day("{d:02}.{m:02}.{y}"), "y": one_of("u", "v"),
    }  # fmt: skip
    (folder / "t.csv").write_text(Case("y", columns, "").text())
    table = screen(capsys, "t.csv", "target=y").partition("  target")[0]
    reasons = " ".join(line[60:].strip() for line in table.splitlines())
    assert "codes, leading zeros" in reasons and "dates, day first" in reasons and ".." not in reasons


def test_text_and_odd_cells_are_in_the_words(folder, capsys):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({
        "Age (years)": ["old", *rng.normal(40, 9, 79).round(2)],
        "my note, in short": [f"{NOTE[i % 3]} {i} and so on, as it was" for i in range(80)],
        "plan": rng.choice(["a", "b"], 80), "y": rng.choice(["u", "v"], 80),
    })  # fmt: skip
    frame.to_csv("my table (1).csv", index=False)
    out = screen(capsys, "my table (1).csv", "target=y", "types.plan=boolean")
    words = words_to_train(out)
    assert "data.missing=[old]" in words and "data.types.plan=boolean" in words
    assert any(word.startswith("data.drop=") and "my note, in short" in word for word in words)
    assert main([*words[1:], "epochs=1", "picture=false"]) == 0, capsys.readouterr().err


def test_a_class_of_one_example(folder, capsys):
    rows = [f"{i * i % 17},{'abc'[(i > 0) + (i > 9)]}" for i in range(60)]
    (folder / "t.csv").write_text("\n".join(["x,y", *rows, ""]))
    out = screen(capsys, "t.csv", "target=y")
    assert "the class 'a' has only 1 example" in doubts(out)
    assert main([*words_to_train(out)[1:], "epochs=1", "picture=false"]) == 0


DOUBTED = {  # a column -> its doubt, beside a class that nothing else tells
    "leak": (lambda i, r, y: "gone" if y else "there", "'column' alone tells the class of 100%"),
    "leak by a hole": (lambda i, r, y: "" if y else r.random(), "'column' alone tells the class of 100%"),
    "sentinel": (lambda i, r, y: -999 if i % 9 == 0 else r.randint(0, 90), "data.missing=[-999]"),
    "nearly constant": (lambda i, r, y: "b" if i == 5 else "a", "has one value in 99"),
    "mostly missing": (lambda i, r, y: "a" if i % 3 == 0 else "", "is missing in 66"),
    "spelled in two ways": (lambda i, r, y: r.choice(["red", "Red", "blue"]), "has both 'Red' and 'red'"),
    "order of time": (lambda i, r, y: np.datetime64("2024-01-01") + i, "data.time=column"),
    "day or month": (lambda i, r, y: f"{1 + i % 9}/{1 + i % 7}/2024", "data.types.column=dmy"),
    "thousands or decimals": (lambda i, r, y: f'"{1 + i % 9},{100 + i}"', "data.decimal=comma"),
}  # fmt: skip


@pytest.mark.parametrize("case", DOUBTED)
def test_doubts(case, folder, capsys):
    cell, doubt = DOUBTED[case]
    draw = random.Random(0)
    lines = []
    for i in range(150):
        y = draw.random() < 0.5
        lines.append(f"{draw.gauss(0, 1):.6f},{cell(i, draw, y)},{'yes' if y else 'no'}")
    (folder / "t.csv").write_text("\n".join(["other,column,y", *lines, ""]))
    assert doubt in doubts(screen(capsys, "t.csv", "target=y"))
    (folder / "t.csv").write_text(
        "\n".join(
            [
                "other,column,y",
                *(f"{draw.gauss(0, 1):.6f},{draw.random():.6f},{draw.choice('ab')}" for _ in range(150)),
                "",
            ]
        )
    )
    assert not doubts(screen(capsys, "t.csv", "target=y"))


def test_doubts_of_a_regression(folder, capsys):
    columns = {
        "a": normal(0, 1, 3), "store_id": whole(1, 9), "copy": lambda i, r: i * i,
        "y": lambda i, r: 3 * i * i + 0.5,
    }  # fmt: skip
    case = Case("y", columns, "")
    (folder / "t.csv").write_text(case.text())
    said = doubts(screen(capsys, "t.csv", "target=y"))
    assert "'copy' alone tells 'y' almost exactly" in said
    assert "'store_id' is a number, and a key by its name: data.types.store_id=category" in said


def test_copies_are_counted(folder, capsys):
    case = Case("y", {"a": normal(0, 1, 3), "y": one_of("u", "v")}, "")
    header, *lines = case.text().splitlines()
    (folder / "t.csv").write_text("\n".join([header, *lines, *lines[:7], ""]))
    assert "7 rows are copies of another" in doubts(screen(capsys, "t.csv", "target=y"))


def test_many_columns_fit_a_screen(folder, capsys):
    columns = {"id": count} | {f"measure {i}": normal(0, 1) for i in range(40)} | {"y": one_of("u", "v")}
    (folder / "t.csv").write_text(Case("y", columns, "").text())
    out = screen(capsys, "t.csv", "target=y")
    assert len(out.splitlines()) <= 24 and "40 more number" in out and "counts the rows" in out


def rows_of(n=120):
    """A table of `n` rows that no doubt is about."""
    rng = np.random.default_rng(1)
    return pd.DataFrame(
        {"a": rng.normal(size=n).round(5), "b": rng.normal(size=n).round(5), "y": rng.choice(["u", "v"], n)}
    )


DAYS = pd.date_range("2024-01-01", periods=120).strftime("%Y-%m-%d")
GRAVE = {  # a column, its values, its word to train ("" for none), a part of the doubt
    "leak by words": ("why",
        lambda y: np.where(y == "u", "moved", ""), "data.drop=[why]", "alone tells the class"),
    "leak by one number": ("back",
        lambda y: np.where(y == "u", np.arange(120) + 0.5, 0), "data.drop=[back]", "class of"),
    "leak by a date": (
        "gone on", lambda y: np.where(y == "u", DAYS[np.arange(120) * 7 % 120], ""), "data.drop=[gone on]",
        "alone tells the class",
    ),
    "label as a code": ("code of y",
        lambda y: np.where(y == "u", 7, 3), "data.drop=[code of y]", "alone tells"),
    "a threshold": ("dose", lambda y: np.where(y == "u", 5, 0) + np.arange(120) % 5, "", "alone tells"),
    "patients": ("patient", lambda y: np.arange(120) * 7 % 40, "data.group=patient", "40 values in 120 rows"),
    "keys of customers": ("customer_id",
        lambda y: [f"C{i // 3}" for i in range(120)], "data.group=customer_id", "40 va"),
    "nearly a key": ("userId",
        lambda y: [f"U{i - (i % 10 == 9)}" for i in range(120)], "data.group=userId", "108 val"),
    "people in German": ("Kunden-Nr", lambda y: np.arange(120) * 7 % 40, "data.group=Kunden-Nr", "40 values"),
    "shops": ("shop_id", lambda y: np.arange(120) * 7 % 40, "", "data.group=shop_id"),
    "days": ("day", lambda y: DAYS, "data.time=day", "in the order of 'day'"),
    "days, newest first": ("day", lambda y: DAYS[::-1], "data.time=day", "in the order of 'day'"),
    "days of two shops": ("day",
        lambda y: [*DAYS[:60], *DAYS[:60]], "data.time=day", "in the order of 'day'"),
    "days, some out of order": ("day",
        lambda y: [*DAYS[:50], *DAYS[52:49:-1], *DAYS[53:]], "data.time=day", "order of"),
    "seconds": ("timestamp",
        lambda y: 1_700_000_000 + 86400 * np.arange(120), "data.time=timestamp", "in the order"),
    "years": ("year", lambda y: 1990 + np.arange(120) // 5, "", "data.time=year"),
    "parts": ("fold",
        lambda y: np.repeat(["train", "valid", "test"], 40), "data.part=fold", "makes the split"),
    "parts in capitals": ("set",
        lambda y: np.tile(["TRAIN", "Test"], 60), "data.part=set", "makes the split"),
    "folds": ("fold", lambda y: np.arange(120) % 5, "", "divides the rows, by its name: data.drop=['fold']"),
    "is it test": ("is_test", lambda y: np.arange(120) % 5 == 0, "", "divides the rows"),
    "counts the rows": ("Reihe",
        lambda y: np.arange(120) + 1, "data.drop=[Reihe]", "counts the rows, 1 to 120"),
}  # fmt: skip
HARMLESS = {
    "one patient each": ("patient", lambda y: np.arange(120) * 7 % 120),
    "days in no order": ("day", lambda y: DAYS[np.arange(120) * 7 % 120]),
    "two days": ("day", lambda y: np.repeat(["2024-01-01", "2024-01-02"], 60)),
    "random numbers": ("total", lambda y: np.arange(120) ** 2 % 97),
    "a test of a patient": ("test", lambda y: np.arange(120) % 11 % 2),
    "train or car": ("means", lambda y: np.tile(["train", "car"], 60)),
}


@pytest.mark.parametrize("case", [*GRAVE, *HARMLESS])
def test_what_makes_a_result_too_good_is_a_doubt_an_advice_and_a_word(case, folder, capsys):
    name, cells, *expected = {**GRAVE, **HARMLESS}[case]
    frame = rows_of()
    frame.insert(1, name, cells(frame.y))
    frame.to_csv("t.csv", index=False)
    plain = ["nnlab", "train", "data=table", "data.path=t.csv", "data.target=y"]
    out = screen(capsys, "t.csv", "target=y")
    words = words_to_train(out)
    assert main([*plain[1:], "epochs=1", "picture=false"]) == 0
    advice = capsys.readouterr().err
    if not expected:
        assert words == plain and not doubts(out) and "data." not in advice.replace("data.types", ""), out
        return
    word, doubt = expected
    assert words == plain + [word] * bool(word), out
    assert doubt in doubts(out) and doubt in advice
    assert main([*words[1:], "epochs=1", "picture=false"]) == 0
    if word:  # and with it nothing is left to say
        assert doubt not in capsys.readouterr().err


def test_of_several_splits_the_words_have_one(folder, capsys):
    frame = rows_of().assign(patient=np.arange(120) % 40, day=DAYS)
    frame.to_csv("t.csv", index=False)
    out = screen(capsys, "t.csv", "target=y")
    assert words_to_train(out)[5:] == ["data.time=day"] and "data.group=patient" in doubts(out)
    frame.assign(part=np.repeat(["train", "val", "test"], 40)).to_csv("t.csv", index=False)
    out = screen(capsys, "t.csv")
    words = words_to_train(out)
    assert words[4:] == ["data.target=y", "data.part=part"]  # nor is the part the target
    assert main([*words[1:], "epochs=1", "picture=false"]) == 0, capsys.readouterr().err


def test_a_test_file_of_its_own_is_as_the_user_wants_it(folder, capsys):
    frame = rows_of().assign(patient=np.arange(120) % 40, day=DAYS)
    frame[:80].to_csv("t.csv", index=False)
    frame[80:].to_csv("later.csv", index=False)
    assert not doubts(screen(capsys, "t.csv", "target=y", "test_path=later.csv"))


def test_a_single_input_is_no_leak(folder, capsys):
    rows_of()[["y"]].assign(x=lambda f: np.where(f.y == "u", 1.5, 2.5)).to_csv("t.csv", index=False)
    assert "alone tells" not in screen(capsys, "t.csv", "target=y")


@pytest.mark.parametrize("words, message", [
    ([], "data.path = null"), (["none.csv"], "there is no file none.csv"),
    (["t.csv", "u.csv"], "takes one file"), (["t.csv", "path=u.csv"], "'t.csv' and 'path=u.csv'"),
    (["file=t.csv", "data.path=u.csv"], "'file=t.csv' and 'data.path=u.csv'"),
    (["data=t.csv"], "a file needs no key here, nnlab data t.csv"),
    (["t.csv", "target=z"], "data.target = 'z': t.csv has no such column; it has x, y"),
    (["t.csv", "traget=y"], "nnlab data has no key 'traget'; did you mean 'target'?"),
    (["t.csv", "tgt=y"], "did you mean 'target'?"), (["t.csv", "grp=x"], "did you mean 'group'?"),
    (["t.csv", "epochs=5"], "nnlab data has no key 'epochs'"), (["t.csv", "data=csv"], "data=table"),
    (["t.csv", "-m"], "-m: nnlab data takes one table"), (["t.csv", "types.x=nr"], "data.types.x = 'nr'"),
])  # fmt: skip
def test_wrong_words(words, message, folder, capsys):
    (folder / "t.csv").write_text("x,y\n1,a\n2,b\n")
    assert main(["data", *words]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
    assert [path.name for path in folder.iterdir()] == ["t.csv"]


def test_help(capsys):
    assert main(["data", "--help"]) == 0
    page = capsys.readouterr().out
    assert "Usage: nnlab data FILE" in page and "data.types={}" in page and "epochs" not in page


@pytest.mark.parametrize("line, offered", [
    ("nnlab data c", ["churn.csv"]), ("nnlab data churn.csv tar", ["target=", "target_normalization="]),
    ("nnlab data churn.csv target=le", ["target=left"]),
    ("nnlab data churn.csv drop=[id,", ["drop=[id,left", "drop=[id,plan"]),
    ("nnlab data churn.csv types.pl", ["types.plan="]),
    ("nnlab data churn.csv types.plan=c", ["types.plan=category"]),
    ("nnlab train data=table data.path=churn.csv data.types.l", ["data.types.left="]),
    ("nnlab train data=table data.path=churn.csv data.group=i", ["data.group=id"]),
])  # fmt: skip
def test_tab(line, offered, folder):
    (folder / "churn.csv").write_text("id,plan,left\n1,a,0\n")
    assert tab.completions(line) == offered


def test_types_in_cfg_and_in_several_runs(folder, capsys):
    (folder / "t.csv").write_text(Case("y", {"Age (years)": whole(1, 5), "y": one_of("u", "v")}, "").text())
    words = ["data=table", "data.path=t.csv", "data.target=y", "epochs=1", "picture=false"]
    assert main(["train", *words, "data.types.Age (years)=category", "--cfg", "job"]) == 0
    assert "Age (years): category" in capsys.readouterr().out
    assert main(["train", "-m", *words, "data.types.Age (years)=category,number"]) == 0, (
        capsys.readouterr().err
    )
    sweep = ["optimizer.lr=tag(log,interval(1e-3,1e-1))", "trials=2", "report=false"]
    assert main(["sweep", *words[:-1], *sweep, "data.types.Age (years)=category"]) == 0, (
        capsys.readouterr().err
    )

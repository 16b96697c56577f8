"""`data=table`: tables of the kinds that packages ship train, and a settings' word is obeyed or refused."""

import warnings

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet
import pytest
from table_cases import INITIALS, TABLES, Case, count, normal, one_of, whole, with_holes

import nnlab
from nnlab.cli import main
from nnlab.data.sources import SOURCES
from nnlab.errors import Advice, UserError
from nnlab.tables.table_data import Table

pytestmark = pytest.mark.filterwarnings("default::nnlab.Advice")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(name, text):
    with open(name, "w", encoding="utf-8") as file:
        file.write(text)


def load(*args, **settings):
    """The data set, and the sentences of advice."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", Advice)
        dataset = Table(*args, **settings).load()
    return dataset, [str(warning.message) for warning in caught]


@pytest.mark.parametrize("name", TABLES)
def test_tables_train(name, folder, capsys):
    case = TABLES[name]
    write(f"{name}.csv", case.text())
    dataset, _ = load(f"{name}.csv", case.target)
    types = [column.type for column in dataset.columns if column.type != "constant"]
    expected = [INITIALS[letter] for letter in case.types]
    assert types == [t for t, c in zip(expected, dataset.columns, strict=False)][: len(types)]
    assert np.isfinite(dataset.x[:, 0]).any()
    words = ["data=table", f"data.path={name}.csv", f"data.target={case.target}", "epochs=2", "picture=false"]
    assert main(["train", *words]) == 0, capsys.readouterr().err


MIXED = Case("left", {
    "customer": count, "age": with_holes(whole(18, 80), 0.1), "plan": one_of("gold", "silver"),
    "note": lambda i, r: " ".join(r.choices("we came and saw the very large house of theirs".split(), k=8)),
    "left": one_of("yes", "no"),
}, "")  # fmt: skip


def test_text_is_refused_with_what_to_do(folder, capsys):
    write("mixed.csv", MIXED.text())
    words = ["train", "data=table", "data.path=mixed.csv", "data.target=left", "epochs=1"]
    assert main(words) == 2
    error = capsys.readouterr().err
    assert "the column 'note' has sentences" in error and error.count("\n") == 1
    for way in ("data.drop=['note']", "data.types.note=ngrams", "data.types.note=category"):
        assert way.partition("=")[0] in error and way.partition("=")[2].split("'")[0] in error
        assert main([*words, way]) == 0, way


def test_ngrams_are_inputs(folder):
    write("mixed.csv", MIXED.text())
    dataset, _ = load("mixed.csv", "left", types={"note": "ngrams"})
    grams = dataset.x[:, -256:]
    np.testing.assert_allclose(np.linalg.norm(grams, axis=1), 1)
    assert len(np.unique(grams, axis=0)) > 80


def test_identifiers_and_constants_are_left_out_and_said(folder):
    write("mixed.csv", MIXED.text())
    dataset, advice = load("mixed.csv", "left", drop="note")
    assert [column.type for column in dataset.columns] == ["identifier", "number", "category", "dropped"]
    assert dataset.x.shape[1] == 2
    assert advice == [
        "'customer' (counts the rows) is not an input; data.types.COLUMN=number or category makes one of it"
    ]
    dataset, advice = load("mixed.csv", "left", drop=["note"], types={"customer": "number"})
    assert dataset.x.shape[1] == 3 and advice == []


def test_rows_without_a_target_are_left_out(folder):
    write("t.csv", "a,y\n" + "".join(f"{i % 7}.5,{'NA' if i % 10 == 3 else i % 2}\n" for i in range(60)))
    dataset, advice = load("t.csv", "y")
    assert len(dataset.x) == 54 and dataset.classes == ("0", "1")
    assert advice == ["6 of 60 rows are left out, having no y, as t.csv, line 5"]


TARGETS = {  # values of the target -> classes or numbers, and a part of the advice
    "two values": ([0, 1] * 30, "classification", ""),
    "three values": ([0, 1, 2] * 20, "classification", "from 0 to 2, taken for classes; data.task=reg"),
    "counts": ([min(12, i * i // 120) for i in range(60)], "regression", "taken for numbers since"),
    "one of a kind": ([0, 1] * 29 + [1, 7], "regression", "taken for numbers since 7 occurs only once"),
    "thirty values": (list(range(30)) * 2, "regression", "from 0 to 29, taken for numbers; data.task=cl"),
    "different values": (list(range(100, 160)), "regression", ""),
    "with decimals": ([0.5, 1, 2] * 20, "regression", ""),
    "words": (["a", "b", "c"] * 20, "classification", ""),
    "true and false": (["True", "False", "True"] * 20, "classification", ""),
    "codes": (["01", "02", "03"] * 20, "classification", ""),
    "numbers of two spellings": (["1", "2.0", "2", "1.0"] * 15, "classification", ""),
    "money": ([f"$ {1000 + i:,}" for i in range(60)], "regression", ""),
}  # fmt: skip


@pytest.mark.parametrize("case", TARGETS)
def test_targets(case, folder):
    values, task, sentence = TARGETS[case]
    frame = pd.DataFrame({"x": np.random.default_rng(0).normal(size=60), "y": values})
    frame.to_csv("t.csv", index=False)
    dataset, advice = load("t.csv", "y")
    assert dataset.spec.task == task
    assert (sentence in advice[0]) if sentence else advice == []
    other = {"classification": "regression", "regression": "classification"}[task]
    if sentence:  # which is what it says, and nothing more is said
        dataset, advice = load("t.csv", "y", task=other)
        assert dataset.spec.task == other
        assert advice == [] or len(dataset.classes) > 20 and "each a class of its own" in advice[0]


SHAPES = {  # examples of the values 0, 1, 2 ... or 1, 2, 3 ... -> what they are taken for
    "a Poisson distribution": (
        (0, 70, 190, 200, 190, 160, 120, 85, 80, 50, 25, 20, 12, 8, 5, 14),
        "regression",
    ),
    "from 0": ((50, 120, 160, 130, 80, 40, 15, 6), "regression"),
    "falling": ((500, 240, 130, 60, 25, 11), "regression"),
    "classes of one size": ((60, 61, 59, 63, 58, 60, 62, 61, 57, 60), "classification"),
    "classes of no order": ((20, 900, 30, 400, 35, 70, 10), "classification"),
    "ratings": ((0, 98, 270, 408, 300, 120), "classification"),
    "few kinds": ((500, 100, 20), "classification"),
}


@pytest.mark.parametrize("name", SHAPES)
def test_whole_numbers_in_the_shape_of_amounts_are_numbers(name, folder):
    counts, task = SHAPES[name]
    y = np.random.default_rng(0).permutation(np.repeat(np.arange(len(counts)), counts))
    pd.DataFrame({"x": np.sin(np.arange(len(y))), "z": np.cos(np.arange(len(y))), "y": y}).to_csv("t.csv")
    dataset, advice = load("t.csv", "y")
    assert dataset.spec.task == task
    other = {"classification": "regression", "regression": "classification"}[task]
    assert f"data.task={other} takes" in advice[0]


def test_a_class_of_each_number_is_doubted(folder):
    pd.DataFrame({"x": np.sin(np.arange(90)), "y": np.arange(90) % 30}).to_csv("t.csv")
    dataset, advice = load("t.csv", "y", task="classification")
    assert len(dataset.classes) == 30
    assert (
        "30 numbers from 0 to 29, each a class of its own" in advice[0]
        and "data.task=regression" in advice[0]
    )


def test_classes_are_as_written_and_numbers_by_value(folder):
    for values, classes in ((["01", "1", "2"], ("01", "1", "2")), (["1", "1.0", "2"], ("1", "2"))):
        write("t.csv", "x,y\n" + "".join(f"{i % 5},{values[i % 3]}\n" for i in range(60)))
        assert load("t.csv", "y")[0].classes == classes


ROLES = Case("y", {
    "patient": lambda i, r: f"P{i // 4}",
    "day": lambda i, r: str(np.datetime64("2024-01-01") + i),
    "weight": lambda i, r: 1 + i % 3, "part": lambda i, r: ["train", "Train", "valid", "TEST"][i % 4],
    "a": normal(0, 1), "y": one_of("u", "v"),
}, "")  # fmt: skip


def test_columns_that_a_split_or_a_loss_respects(folder):
    write("t.csv", ROLES.text())
    dataset, _ = load("t.csv", "y", group="patient", time="day", weight="weight", part="part")
    rows = np.arange(90)
    assert (np.diff(dataset.groups) == (rows[1:] % 4 == 0)).all() and len(set(dataset.groups)) == 23
    assert (np.diff(dataset.times) == 86400).all()
    assert (dataset.weights == 1 + rows % 3).all()
    assert (dataset.parts == np.array([0, 0, 1, 2])[rows % 4]).all()
    columns = {column.name: column for column in dataset.columns}
    assert {name for name, column in columns.items() if column.is_input} == {"day", "a"}
    assert columns["day"].parts == ("month", "day", "weekday")  # the future has later years and days


def test_a_test_file_of_its_own(folder):
    write("t.csv", ROLES.text())
    write("new.csv", "y,a,day,patient,weight,part\nu,0.5,2025-01-01,P9,1,x\nv,1.5,2025-01-02,P9,1,x\n")
    dataset, _ = load("t.csv", "y", test_path="new.csv", drop=["part", "weight", "patient"])
    assert dataset.test.tolist() == [90, 91] and dataset.x[90:, -1].tolist() == [0.5, 1.5]
    write("short.csv", "y,a\nu,1\n")
    with pytest.raises(UserError, match="short.csv has no column 'patient', which t.csv has"):
        load("t.csv", "y", test_path="short.csv")


WRONG = {
    "data.target=patent": "data.target = 'patent': t.csv has no such column; did you mean 'patient'?",
    "data.drop=[wieght]": "data.drop = 'wieght': t.csv has no such column; did you mean 'weight'?",
    "data.types.aa=number": "t.csv has no such column",
    "data.types.a=nummer": "data.types.a = 'nummer'; did you mean 'number'?",
    "data.types=number": "data.types=number: expected data.types.COLUMN=TYPE",
    "data.types.part=number": "t.csv, line 2, column 'part': 'train' is not a number, which data.types says",
    "data.weight=part": "t.csv, line 2, column 'part': 'train' is not a number, which data.weight takes",
    "data.part=patient": "t.csv, line 2, column 'patient': 'P0' is not a part of a split",
    "data.time=patient": "expected numbers or dates",
    "data.group=y": "data.target and data.group both name 'y'",
    "data.drop=[y]": "data.drop and data.target both name 'y'",
    "data.test_path=none.csv": "there is no file none.csv",
    "data.one_hot=0": "data.one_hot = 0: expected a whole number at least 1",
    "data.task=regression": "is not a number, which data.task=regression needs; data.task=classification",
}


@pytest.mark.parametrize("word", WRONG)
def test_wrong_words(word, folder, capsys):
    write("t.csv", ROLES.text())
    words = [w for w in ("data.target=y",) if not word.startswith("data.target")]
    assert main(["train", "data=table", "data.path=t.csv", *words, word, "epochs=1"]) == 2
    error = capsys.readouterr().err
    assert WRONG[word] in error and error.count("\n") == 1, error
    assert [path.name for path in folder.iterdir()] == ["t.csv"]


def test_names_with_blanks_and_points_need_no_plus(folder, capsys):
    lines = (f"{i % 3},{i % 4},{i},{i % 2}\n" for i in range(60))
    write("t.csv", "Age (years),zip.code,Größe;x,y\n" + "".join(lines))
    words = ["train", "data=table", "data.path=t.csv", "data.target=y", "epochs=1", "hydra.run.dir=run"]
    types = ["data.types.Age (years)=category", "data.types.zip.code=category"]
    assert main([*words, *types, "data.drop=[Größe;x]"]) == 0, capsys.readouterr().err
    run = nnlab.StoredRun("run")
    assert run.experiment.data.types == {"Age (years)": "category", "zip.code": "category"}
    assert run.experiment.data.drop == ("Größe;x",)
    assert [column.type for column in run.spec.columns] == ["category", "category", "dropped"]


def test_settings_are_the_same_in_every_spelling():
    first = Table("a.csv", "y", types={"2020": "category"}, drop="a", missing=[-999, "x"])
    second = SOURCES["table"](
        path="a.csv", target="y", types={2020: "category"}, drop=("a",), missing=("-999", "x")
    )
    assert first == second and hash(first) == hash(second)


def test_a_table_of_another_format_is_the_same_data(folder):
    """Parquet has types, where text is judged: the raw numbers and the vocabulary are the same."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({
        "number": np.where(rng.random(80) < 0.1, np.nan, rng.normal(size=80).round(3)),
        "word": rng.choice(["a", "b", "c"], 80), "flag": rng.random(80) < 0.5,
        "when": pd.date_range("2023-05-06", periods=80, freq="7h"), "y": rng.choice(["u", "v"], 80),
    })  # fmt: skip
    frame.to_csv("t.csv", index=False)
    pa.parquet.write_table(pa.Table.from_pandas(frame), "t.parquet")
    text, typed = load("t.csv", "y")[0], load("t.parquet", "y")[0]
    np.testing.assert_array_equal(text.x, typed.x)
    memory = nnlab.Frame(frame, target="y")
    np.testing.assert_array_equal(memory.load().x, typed.x)
    types = [[column.type for column in data.columns] for data in (text, typed, memory.load())]
    assert types[0] == types[1] == types[2]


def test_frames_of_a_session(folder):
    frame = pd.DataFrame({"a": [1.0, None, 3.0, 4.0] * 5, "b": ["x", "y"] * 10, 2020: ["u", "v"] * 10})
    first, second = nnlab.Frame(frame, target=2020), nnlab.Frame(frame.copy(), target="2020")
    assert first == second and hash(first) == hash(second) and first.target == "2020"
    assert first != nnlab.Frame(frame.assign(a=[1.0, 2.0] * 10), target=2020)
    fit = nnlab.fit(nnlab.Experiment(data=first, epochs=2)).run()
    assert fit.results[0].test["accuracy"] >= 0
    with pytest.warns(
        Advice, match=r"'b' \(always 'x'\) is not an input; types={'COLUMN': 'number'} or category"
    ):
        nnlab.Frame(frame.assign(b="x"), target=2020)
    with pytest.raises(UserError, match="^target = 'c': frame has no such column"):
        nnlab.Frame(frame, target="c")
    with pytest.raises(UserError, match="expected a data frame"):
        nnlab.Frame(np.zeros((3, 2)), target="a")
    with pytest.raises(UserError, match="has 2 columns 'a'"):
        nnlab.Frame(pd.concat([frame, frame[["a"]]], axis=1), target="b")
    tested = nnlab.Frame(frame, target="b", test=frame[:4])
    assert tested.load().test.tolist() == [20, 21, 22, 23]

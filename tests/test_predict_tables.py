"""`nnlab predict` and `evaluate` of raw tables, whose columns are what they were in training."""

import json
import os
import shutil
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import nnlab
from nnlab.cli import main
from nnlab.errors import Advice
from nnlab.prediction import blocks
from nnlab.records.text import format_alike

pytestmark = pytest.mark.filterwarnings("always::nnlab.errors.Advice")  # which commands print


def customers(n, seed):
    """A table of every type of column: some numbers and categories are missing."""
    rng = np.random.default_rng(seed)
    table = pd.DataFrame(
        {
            "customer": [f"C{seed}{i:04}" for i in range(n)],
            "age": rng.integers(18, 80, n).astype(float),
            "plan": rng.choice(["gold", "silver", "iron"], n),
            "city": rng.choice([f"city {i}" for i in range(12)], n),
            "since": pd.Timestamp("2019-01-01") + pd.to_timedelta(rng.integers(0, 900, n), "D"),
            "active": rng.choice(["yes", "no"], n),
            "income": np.round(rng.lognormal(8, 1, n), 2),
        }
    )
    score = (table.age - 50) / 15 + (table.plan == "gold") + (table.active == "yes") - 0.7
    table["left"] = np.where(score + rng.logistic(size=n) / 2 > 0, "stayed", "left")
    table["spend"] = np.round(table.age * 2 + table.income / 100 + rng.normal(size=n), 2)
    table.loc[rng.random(n) < 0.1, "age"] = np.nan
    table.loc[rng.random(n) < 0.1, "plan"] = None
    return table


NEW = customers(60, 1)
INPUTS = NEW.drop(columns=["left", "spend"])


def train(*words):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Advice)
        assert main(["train", "data=table", *words]) == 0


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A folder with the runs `left`, of classes, and `spend`, of numbers."""
    folder = tmp_path_factory.mktemp("tables")
    customers(300, 0).to_csv(folder / "train.csv", index=False)
    for target, other in (("left", "spend"), ("spend", "left")):
        words = [f"data.path={folder}/train.csv", f"data.target={target}", f"data.drop={other}", "epochs=10"]
        train(*words, "split=kfold", f"hydra.run.dir={folder}/{target}")
    return folder


@pytest.fixture
def here(runs, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return runs


def predictions(run, data, *words):
    """(names, lines) of predictions.csv."""
    if os.path.exists("p.csv"):
        os.remove("p.csv")
    assert main(["predict", str(run), data, "output=p.csv", *words]) == 0
    return pd.read_csv("p.csv")


FORMATS = {
    "new.csv": lambda table, path: table.to_csv(path, index=False),
    "new.tsv": lambda table, path: table.to_csv(path, index=False, sep="\t"),
    "new.csv.gz": lambda table, path: table.to_csv(path, index=False),
    "semicolons.csv": lambda table, path: table.to_csv(path, index=False, sep=";"),
    "new.parquet": lambda table, path: table.to_parquet(path),
    "new.feather": lambda table, path: table.to_feather(path),
    "new.jsonl": lambda table, path: table.to_json(path, orient="records", lines=True, date_format="iso"),
}


def expected_predictions(here, target="left"):
    INPUTS.to_csv("expected.csv", index=False)
    return predictions(here / target, "expected.csv")


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("target", ["left", "spend"])
def test_every_format_has_the_same_predictions(here, name, target):
    FORMATS[name](INPUTS, name)
    found, expected = predictions(here / target, name), expected_predictions(here, target)
    assert found.customer.tolist() == NEW.customer.tolist()
    pd.testing.assert_frame_equal(found, expected)
    assert found.prediction.nunique() > 1


def test_columns_are_matched_by_name(here, capsys):
    shuffled = INPUTS[INPUTS.columns[::-1]].assign(extra=1, left="stayed")
    shuffled.to_csv("new.csv", index=False)
    pd.testing.assert_frame_equal(predictions(here / "left", "new.csv"), expected_predictions(here))
    said = capsys.readouterr().err
    assert said.count("advice") == 1 and "'extra' is no input of the run, and ignored" in said


def test_several_files_and_small_blocks_are_one_table(here, monkeypatch):
    expected = expected_predictions(here)
    for i in range(3):
        INPUTS[20 * i : 20 * i + 20].to_csv(f"part{i}.csv", index=False)
    monkeypatch.setattr(blocks, "MAX_BLOCK_EXAMPLES", 7)
    pd.testing.assert_frame_equal(predictions(here / "left", "part*.csv"), expected)


def test_intervals_of_a_table(here):
    INPUTS.to_csv("new.csv", index=False)
    found = predictions(here / "spend", "new.csv", "coverage=0.9")
    assert (found.lower < found.prediction).all() and (found.prediction < found.upper).all()
    assert ((found.lower <= NEW.spend) & (NEW.spend <= found.upper)).mean() > 0.75


def test_the_range_of_predictions_is_of_one_form(here, capsys):
    """One example has a number; of several, all numbers have the decimals of the largest."""
    INPUTS[:1].to_csv("one.csv", index=False)
    [p] = predictions(here / "spend", "one.csv", "coverage=0.9").prediction
    assert f"predicted          {format_alike(p)[0]} ± " in capsys.readouterr().out
    predictions(here / "spend", "one.csv")
    assert f"predicted          {format_alike(p)[0]}\n" in capsys.readouterr().out
    p = expected_predictions(here, "spend").prediction
    mean, low, high = format_alike(p.mean(), p.min(), p.max())
    assert f"predicted          mean {mean}, from {low} to {high}\n" in capsys.readouterr().out


def test_intervals_of_classes_are_one_sentence(here, capsys):
    INPUTS.to_csv("new.csv", index=False)
    assert main(["predict", str(here / "left"), "new.csv", "coverage=0.9"]) == 2
    said = capsys.readouterr().err
    assert "intervals are of predicted numbers, and the model predicts classes" in said and "<" not in said


def test_unknown_and_missing_cells_are_counted_and_said_once(here, capsys, monkeypatch):
    monkeypatch.setattr(blocks, "MAX_BLOCK_EXAMPLES", 7)
    changed = INPUTS.copy()
    changed.loc[[3, 30, 50], "plan"] = ["platinum", "platinum", "lead"]
    changed.loc[:4, "income"] = np.nan
    changed.loc[1, "active"] = None
    changed.to_csv("new.csv", index=False)
    predictions(here / "left", "new.csv")
    said = capsys.readouterr().err
    assert said.count("advice") == 3
    assert "3 of 60 examples have a 'plan' that training did not know, such as 'platinum', 'lead'" in said
    assert "5 of 60 examples have no 'income', which every one had in training" in said
    assert "1 of 60 examples have no 'active'" in said


# column -> how other programs write its cells, and what the sentence says of it.
RESPELLINGS = {
    "capitals": ("plan", str.upper, "'GOLD' is 'gold' there (capitals)"),
    "a leading zero": ("zip", lambda zip_: zip_.lstrip("0"), "is '01000' there (leading zeros)"),
    "a decimal": ("zip", lambda zip_: zip_.lstrip("0") + ".0", "'1000.0' is '01000' there"),
    "underscores": ("city", lambda city: city.replace(" ", "_"), "is 'city 0' there (spelling)"),
}


@pytest.fixture(scope="module")
def zip_run(tmp_path_factory):
    """A run on a table with zip codes of five digits."""
    folder = tmp_path_factory.mktemp("zips")
    table = customers(300, 0).assign(zip=[f"0{1000 + i % 30}" for i in range(300)])
    table.to_csv(folder / "train.csv", index=False)
    words = [f"data.path={folder}/train.csv", "data.target=left", "epochs=2", "data.types.zip=category"]
    train(*words, f"hydra.run.dir={folder}/run")
    return folder / "run"


@pytest.mark.parametrize("name", RESPELLINGS)
def test_a_column_in_another_spelling_is_refused(zip_run, name, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    column, respell, said = RESPELLINGS[name]
    new = NEW.assign(zip=[f"0{1000 + i % 30}" for i in range(60)], plan=NEW.plan.fillna("gold"))
    new = new.sort_values(column, kind="stable")
    new.assign(**{column: new[column].map(respell)}).to_csv("new.csv", index=False)
    assert main(["predict", str(zip_run), "new.csv", "output=p.csv"]) == 2
    error = capsys.readouterr().err
    assert said in error and f"60 of 60 examples have a '{column}' that training knew in another" in error
    assert not os.path.exists("p.csv")
    # A few are an advice, which names the spelling too.
    new.loc[new.index[:5], column] = new.loc[new.index[:5], column].map(respell)
    new.to_csv("new.csv", index=False)
    predictions(zip_run, "new.csv")
    error = capsys.readouterr().err
    assert said in error and f"5 of 60 examples have a '{column}' that training did not know" in error


# How other programs write the cells of a column, and what is said of the first.
NOTATIONS = {
    "since": (lambda day: day.dt.strftime("%d/%m/%Y"),
              "a date as this column writes them, such as 2024-12-31"),
    "income": (lambda x: x.map("{}".format).str.replace(".", ","),
               "a number as this column writes them, such as 1234.5"),
}  # fmt: skip


@pytest.mark.parametrize("column", NOTATIONS)
def test_cells_in_another_notation_name_that_of_training(here, column, capsys):
    rewrite, said = NOTATIONS[column]
    INPUTS.assign(**{column: rewrite(INPUTS[column])}).to_csv("new.csv", index=False, sep=";")
    assert main(["predict", str(here / "left"), "new.csv", "output=p.csv"]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and f"new.csv, line 2, column '{column}': '" in error and said in error


def test_evaluation_equals_that_of_arrays(here):
    NEW.to_csv("labelled.csv", index=False)
    for target in ("left", "spend"):
        assert main(["evaluate", str(here / target), "labelled.csv", f"hydra.run.dir={target}"]) == 0
        found = json.loads(Path(f"{target}/evaluation.json").read_text())["test"]
        p = expected_predictions(here, target).prediction
        if target == "left":
            assert found["accuracy"] == pytest.approx((p == NEW.left).mean())
        else:
            assert found["rmse"] == pytest.approx(np.sqrt(((p - NEW.spend) ** 2).mean()), rel=1e-6)


def test_the_runs_own_table_has_the_test_report_of_training(here):
    run = nnlab.StoredRun(here / "left")
    table = pd.read_csv(here / "train.csv")
    table.iloc[run.splits[0]["test"]].to_csv("test.csv", index=False)
    assert main(["evaluate", str(here / "left"), "test.csv", "row=2", "hydra.run.dir=e"]) == 0
    found = json.loads(Path("e/evaluation.json").read_text())["test"]
    assert found == run.rows[2]["test"]


def test_examples_without_a_label_are_left_out(here, capsys):
    changed = NEW.copy()
    changed.loc[:9, ["left", "spend"]] = None
    changed.to_csv("labelled.csv", index=False)
    for target in ("left", "spend"):
        assert main(["evaluate", str(here / target), "labelled.csv", f"hydra.run.dir={target}"]) == 0
        assert json.loads(Path(f"{target}/evaluation.json").read_text())["examples"] == 50
        assert "10 of 60 examples have no label, and are left out" in capsys.readouterr().err


def test_a_label_of_another_name(here):
    NEW.rename(columns={"left": "outcome"}).to_csv("labelled.csv", index=False)
    for word in ("target=outcome", "target=7"):
        words = [str(here / "left"), "labelled.csv", word, f"hydra.run.dir={word}"]
        assert main(["evaluate", *words]) == 0


def wrong(here, table, command="predict", *words):
    """The code and the sentence of a table that is wrong."""
    if isinstance(table, pd.DataFrame):
        table.to_csv("wrong.csv", index=False)
    else:
        Path("wrong.csv").write_text(table)
    words = words or (["output=p.csv"] if command == "predict" else ["hydra.run.dir=e"])
    code = main([command, str(here / "left"), "wrong.csv", *words])
    assert not os.path.exists("p.csv") and not os.path.exists("e")
    return code


TEXT = INPUTS.to_csv(index=False)
WRONG = {
    "has no column 'plan'; did you mean 'Plan'?": (INPUTS.rename(columns={"plan": "Plan"}),),
    "has no column 'age', nor 2 other inputs of the run": (INPUTS.drop(columns=["age", "plan", "city"]),),
    "has no column 'age', nor 5 other inputs of the run; it has 'C10000'": (TEXT.split("\n", 1)[1],),
    "line 4, column 'income': 'much' is not a number": (INPUTS.assign(income=["1", "2", "much"] * 20),),
    "line 2, column 'since': 'soon' is not a date": (INPUTS.assign(since="soon"),),
    "has no examples, only the names of its columns": (TEXT.split("\n")[0] + "\n",),
    "wrong.csv is empty": ("",),
    "wrong.csv, line 3: 3 cells, but the first line has 7": ("\n".join([*TEXT.split("\n")[:2], "1,2,3"]),),
    "has no column 'left', the run's target": (INPUTS, "evaluate"),
    "target = 'plan': that is an input of the run": (NEW, "evaluate", "target=plan", "hydra.run.dir=e"),
    "target = 12: wrong.csv has 9 columns, 0 to 8": (NEW, "evaluate", "target=12", "hydra.run.dir=e"),
    "line 2, column 'left' is 'gone', a class that the model": (NEW.assign(left="gone"), "evaluate"),
    "no example has a label in the column 'left'": (NEW.assign(left=""), "evaluate"),
}  # fmt: skip


@pytest.mark.parametrize("message", WRONG)
def test_wrong_tables_are_one_sentence(here, message, capsys):
    assert wrong(here, *WRONG[message]) == 2
    assert message in capsys.readouterr().err


def test_a_table_without_names_is_matched_by_position(here, tmp_path):
    table = customers(120, 0)[["left", "age", "plan", "income"]]
    table.to_csv("train.csv", index=False, header=False)
    train("data.path=train.csv", "data.target=0", "epochs=2", "hydra.run.dir=run")
    table.to_csv("labelled.csv", index=False, header=False)
    table.drop(columns="left").to_csv("new.csv", index=False, header=False)
    pd.testing.assert_frame_equal(predictions("run", "new.csv"), predictions("run", "labelled.csv"))
    assert main(["evaluate", "run", "labelled.csv", "hydra.run.dir=e"]) == 0


def test_a_moved_run_needs_nothing_but_its_folder(here):
    expected = expected_predictions(here)
    shutil.copytree(here / "left", "copy")
    os.rename(here / "train.csv", here / "away.csv")
    try:
        pd.testing.assert_frame_equal(predictions("copy", "expected.csv"), expected)
    finally:
        os.rename(here / "away.csv", here / "train.csv")


def test_an_exported_table_says_what_its_columns_were(here):
    assert main(["export", str(here / "left"), "hydra.run.dir=export"]) == 0
    card = Path("export/README.md").read_text()
    assert "| `age` | number | `whole numbers` | some missing |" in card
    assert "| `customer` | identifier | `differs by row` |  |" in card
    assert "| `spend` | dropped | `data.drop` |  |" in card
    assert "2 `gold`, 3 `iron`, 4 `silver`" in card
    assert f"It was checked on 300 examples of `{here}/train.csv`" in card


@pytest.mark.parametrize("target", ["left", "spend"])
def test_the_snippet_of_an_exported_table_runs(here, target, capsys):
    """From a file of words, dates and holes to the predictions of nnlab itself."""
    pytest.importorskip("onnxruntime", reason="pip install onnx onnxruntime")
    INPUTS.to_csv("new.csv", index=False)
    expected = predictions(here / target, "new.csv")
    capsys.readouterr()
    assert main(["export", str(here / target), "hydra.run.dir=export"]) == 0
    lines = [line.strip() for line in capsys.readouterr().out.splitlines()]
    found: dict = {}
    exec("\n".join(lines[lines.index("to use it") + 1 :]), found)
    if target == "left":
        np.testing.assert_allclose(found["probabilities"][:, 0], expected.probability_left, atol=2e-6)
    else:
        np.testing.assert_allclose(found["prediction"], expected.prediction, rtol=1e-5)
    card = Path("export/README.md").read_text()
    assert ".raw('new.csv')" in card and "| `since weekday` | 0 (Monday) to 6 (Sunday) |" in card
    assert "| `since days` | days since 1970-01-01 |" in card and "| `age` | a number |" in card


@pytest.mark.parametrize("name", FORMATS)
def test_raw_numbers_are_those_of_the_card(here, name):
    """Written anew from the table by what the card says."""
    FORMATS[name](INPUTS, name)
    model = nnlab.load(here / "left")
    raw = pd.DataFrame(model.raw(name), columns=[name for name, _ in model.spec.encoding.raw])
    np.testing.assert_array_equal(raw, model.raw(INPUTS))
    np.testing.assert_array_equal(raw.age, INPUTS.age)
    codes = {"gold": 2, "iron": 3, "silver": 4}
    assert raw.plan.tolist() == [codes.get(plan, 0) for plan in INPUTS["plan"]]
    assert raw.active.tolist() == [2 + (active == "yes") for active in INPUTS.active]
    assert raw["since weekday"].tolist() == INPUTS.since.dt.day_of_week.tolist()
    assert raw["since days"].tolist() == (INPUTS.since - pd.Timestamp(0)).dt.days.tolist()
    assert (model.predict(raw.to_numpy()) == model.predict(INPUTS)).all()


FRAMES = {
    "pandas": lambda table: table,
    "categories": lambda table: table.astype({"plan": "category", "city": "category"}),
    "objects": lambda table: table.astype(object),
    "arrow types": lambda table: table.convert_dtypes(dtype_backend="pyarrow"),
    "pyarrow": lambda table: pa.Table.from_pandas(table),
    "batch": lambda table: pa.RecordBatch.from_pandas(table),
    "dict": lambda table: {
        name: table[name].astype(object).where(table[name].notna(), None).tolist() for name in table
    },
    "shuffled": lambda table: table[table.columns[::-1]],
}


@pytest.mark.parametrize("library", FRAMES)
@pytest.mark.parametrize("target", ["left", "spend"])
def test_data_frames_are_predicted(here, library, target):
    model, expected = nnlab.load(here / target), expected_predictions(here, target)
    x = FRAMES[library](INPUTS)
    with warnings.catch_warnings():
        warnings.simplefilter("error", Advice)
        if target == "left":
            assert model.predict(x).tolist() == expected.prediction.tolist()
            np.testing.assert_allclose(model.predict_proba(x)[:, 0], expected.probability_left, rtol=1e-6)
        else:
            np.testing.assert_allclose(model.predict(x), expected.prediction, rtol=1e-6)
            assert (model.predict_interval(x)[0] < model.predict(x)).all()


def test_a_data_frame_is_evaluated(here):
    model = nnlab.load(here / "left")
    with warnings.catch_warnings():
        warnings.simplefilter("error", Advice)
        report = model.evaluate(NEW.drop(columns="spend"), NEW.left)
    assert report["accuracy"] == np.mean(model.predict(INPUTS) == NEW.left)


def test_a_data_frame_with_other_columns(here):
    model = nnlab.load(here / "left")
    with pytest.warns(Advice, match="'extra' is no input of the run"):
        model.predict(INPUTS.assign(extra=1))
    with pytest.warns(Advice, match="x: 60 of 60 examples have a 'plan' that training did not know"):
        model.predict(INPUTS.assign(plan="lead"))
    with pytest.raises(nnlab.UserError, match=r"x has no column 'plan'; did you mean 'Plan'\?"):
        model.predict(INPUTS.rename(columns={"plan": "Plan"}))
    with pytest.raises(nnlab.UserError, match=r"x\[0\], column 'income': 'much' is not a number"):
        model.predict(INPUTS.assign(income="much"))
    with pytest.raises(nnlab.UserError, match="is empty"):
        model.predict(INPUTS[:0])


@pytest.mark.parametrize("column", ["customer", "age", "plan", "since", "active", "left"])
def test_cells_of_another_kind_are_one_sentence(here, column, capsys):
    NEW.assign(**{column: [[1, 2]] * len(NEW)}).to_parquet("nested.parquet")
    code = main(["evaluate", str(here / "left"), "nested.parquet", "hydra.run.dir=e"])
    said = f"nested.parquet, column '{column}': its cells are of another kind" in capsys.readouterr().err
    assert (code, said) == (2, True)
    code = main(["predict", str(here / "left"), "nested.parquet", "output=p.csv"])
    assert code == (0 if column == "left" else 2)  # the target is not read


def test_columns_without_any_cell_are_missing(here, capsys):
    INPUTS.assign(age=None, plan=None, since=None, active=None).to_parquet("empty.parquet")
    assert main(["predict", str(here / "left"), "empty.parquet", "output=p.csv"]) == 0
    assert "60 of 60 examples have no 'since', which every one had in training" in capsys.readouterr().err

"""What is fitted on a fold's training examples (R5): beside scikit-learn; no leak; bits; saved and loaded."""

import csv
import itertools
import json
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from mixed_table import (
    COLUMNS,
    ENCODING,
    POSITION,
    Mixed,
    changed_examples,
    installed_mixed,
    raw_examples,
)
from safetensors.numpy import load_file, save_file
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MaxAbsScaler, MinMaxScaler, OneHotEncoder, StandardScaler

import nnlab
from nnlab.checks.subject import Budget
from nnlab.cli import main
from nnlab.data import examples as examples_module
from nnlab.data.columns import Column
from nnlab.data.dataset import Dataset
from nnlab.data.encoders import fit_inputs, inputs_in_units, network_inputs
from nnlab.data.encoding import Encoding
from nnlab.data.examples import Examples
from nnlab.data.normalization import NORMALIZATION_NAMES, smooth_clip_
from nnlab.data.splits import Fold
from nnlab.equation import equation
from nnlab.records.checkpoint import Checkpoint, read_checkpoint, write_checkpoint
from nnlab.training.data_cache import DataCache
from nnlab.training.fit import Fit
from nnlab.training.fit_state import FitState

SMALL = nnlab.Experiment(data=Mixed(), model=nnlab.MLP(hidden=(8,)), epochs=4, batch_size=16, device="cpu")
NUMBERS = replace(SMALL, data=Mixed(numbers=True))
KFOLD = replace(SMALL, split=nnlab.KFold(k=3), seeds=2)
CODES = [i for i, (_, kind) in enumerate(ENCODING.raw) if kind == "code"]


def as_text(x: np.ndarray) -> np.ndarray:
    """The codes of raw examples as scikit-learn's encoder has them: text, "?" where it is missing."""
    columns = []
    for column, position in zip(ENCODING.code_columns, ENCODING.code_positions, strict=True):
        texts = np.array(["?", "not in the vocabulary", *column.categories], object)
        columns.append(texts[x[:, position].astype(int)])
    return np.stack(columns, 1)


def by_scikit_learn(training: np.ndarray, new: np.ndarray, rare: int, scaler) -> dict[str, np.ndarray]:
    """Inputs by name: numbers and their flags, and one-hot categories."""
    numbers = list(ENCODING.number_positions)
    # Two imputers, since a flag is not to be scaled.
    fill = SimpleImputer(strategy="median")
    one_hot = OneHotEncoder(
        min_frequency=rare, handle_unknown="infrequent_if_exist", sparse_output=False, dtype=float
    )
    transformer = ColumnTransformer([
        ("numbers", make_pipeline(fill, scaler), numbers),
        ("flags", SimpleImputer(add_indicator=True), numbers),
    ])  # fmt: skip
    values = transformer.fit(training).transform(new)
    named = {ENCODING.raw[p][0]: values[:, i] for i, p in enumerate(numbers)}
    flags = transformer.named_transformers_["flags"].indicator_.features_
    for i, feature in enumerate(flags):
        named[f"{ENCODING.raw[numbers[feature]][0]} is missing"] = values[:, 2 * len(numbers) + i]
    named["since is missing"] = named["since year is missing"]
    encoded = one_hot.fit(as_text(training)).transform(as_text(new))
    for name, column in zip(one_hot.get_feature_names_out([c.name for c in ENCODING.code_columns]), encoded.T,
                            strict=True):  # fmt: skip
        column_name, _, category = name.partition("_")
        ours = {"?": f"{column_name} is missing", "infrequent_sklearn": f"{column_name}=other"}
        named[ours.get(category, f"{column_name}={category}")] = column
    return named


SCALERS = {
    "standard": StandardScaler, "minmax": MinMaxScaler, "maxabs": MaxAbsScaler,
    "none": lambda: StandardScaler(with_mean=False, with_std=False),
}  # fmt: skip


@pytest.mark.parametrize("rare", [1, 12, 25])
@pytest.mark.parametrize("method", SCALERS)
def test_inputs_are_those_of_scikit_learn(method, rare):
    columns = tuple(replace(column, embedded=False) for column in COLUMNS)
    encoding, training, new = Encoding(columns), raw_examples(200), raw_examples(100, seed=1)
    fitted = fit_inputs(training, encoding, method, rare=rare) | {"center": np.zeros(encoding.width)}
    inputs = network_inputs(torch.from_numpy(new).T.clone(), encoding, fitted).T.numpy()
    expected = by_scikit_learn(training, new, rare, SCALERS[method]())
    for i, name in enumerate(encoding.names):
        if name.startswith("words"):
            assert np.array_equal(inputs[:, i], new[:, POSITION[name]])
        elif name.startswith("left=") and rare > 1:  # a boolean has no rare values
            assert np.array_equal(inputs[:, i], new[:, POSITION["left"]] == 2 + name.endswith("yes"))
        else:  # scikit-learn has no column for what does not occur
            assert np.allclose(inputs[:, i], expected.get(name, 0), rtol=0, atol=1e-12), name
    missing = {name for name in expected if name not in encoding.names}
    assert missing == {"since year is missing", "since days is missing"}


def test_robust_inputs_are_those_of_the_filled_numbers_without_columns():
    x = raw_examples(300)
    fitted = fit_inputs(x, ENCODING, "robust")
    numbers = x[:, list(ENCODING.number_positions)]
    filled = np.where(np.isnan(numbers), np.nanmedian(numbers, 0), numbers)
    alone = fit_inputs(filled, Encoding((), filled.shape[1]), "robust")
    for name, values in alone.items():
        assert np.array_equal(fitted[name][: ENCODING.numbers], values)
    assert np.array_equal(fitted["fill"], np.nanmedian(numbers, 0))


def test_codes_that_training_has_seldom_or_never():
    plan = Column("plan", "category", categories=("a", "b", "c", "d"), missing=True)
    codes = np.array([2] * 9 + [3] * 4 + [4] * 2 + [0] * 2, float)[:, None]

    def slots(rare, x=codes, column=plan):
        return fit_inputs(x, Encoding((column,)), "standard", rare=rare)["slots"].tolist()

    #              missing, unknown, a, b, c, d; their slots are a, b, c, d, other, missing
    assert slots(1) == [5, -1, 0, 1, 2, -1]  # nothing is known of d, nor of unknown ones
    assert slots(2) == [5, -1, 0, 1, 2, -1]
    assert slots(3) == [4, 4, 0, 1, 4, 4]
    assert slots(10) == [4] * 6
    boolean = Column("left", "boolean", categories=("no", "yes"), missing=True)
    assert slots(100, np.array([[0.0], [2.0]]), boolean) == [2, -1, 0, -1]
    assert slots(100, np.array([[3.0], [2.0]]), boolean) == [-1, -1, 0, 1]


def test_a_column_that_is_missing_in_all_of_training_is_0():
    columns = Column("a", "number", missing=True), Column("b", "date", parts=("year", "day"), missing=True)
    x = np.array([[np.nan, np.nan, np.nan], [np.nan, 2000, 3], [7, 2001, 4]])
    fitted = fit_inputs(x, Encoding(columns), "standard", np.array([0, 0]))
    assert fitted["fill"].tolist() == [0, 0, 0] and fitted["scale"].tolist() == [1] * 5
    inputs = inputs_in_units(x, Encoding(columns), fitted)
    assert inputs.tolist() == [[0, 0, 0, 1, 1], [0, 2000, 3, 1, 0], [7, 2001, 4, 0, 0]]
    # The other way round, training knows nothing of missing ones.
    inputs = inputs_in_units(
        x, Encoding(columns), fit_inputs(x, Encoding(columns), "standard", np.array([2]))
    )
    assert inputs.tolist() == [[7, 2001, 4, 0, 0], [7, 2000, 3, 0, 0], [7, 2001, 4, 0, 0]]


@pytest.mark.parametrize("seed", range(5))
def test_what_training_has_never_is_0_in_every_other_example(seed):
    """Or weights that have learnt nothing would add noise. The numbers, which are filled, are all seen."""
    columns = tuple(replace(column, embedded=False) for column in COLUMNS)
    encoding, training, new = Encoding(columns), raw_examples(4, seed), raw_examples(200, seed=99)
    fitted = fit_inputs(training, encoding, "standard")
    seen, inputs = (inputs_in_units(x, encoding, fitted)[:, encoding.numbers :] for x in (training, new))
    is_used = seen.any(0)
    assert not inputs[:, ~is_used].any() and (~is_used).sum() > 5
    assert inputs[:, is_used].any(0).all()
    embedded = fit_inputs(training, ENCODING, "standard")
    slots = inputs_in_units(new, ENCODING, embedded)[:, -1]
    assert set(slots) == {-1, *inputs_in_units(training, ENCODING, embedded)[:, -1]}


def test_only_numbers_are_normalised_and_clipped_and_slots_are_whole():
    dataset = Mixed().load()
    examples = Examples(Mixed(), dataset, torch.empty(0))
    fold = Fold(np.arange(100), np.arange(100, 200), np.arange(200, 240))
    x, _ = examples.gather(fold, np.arange(240))
    scaling, units = examples.scaling(fold), inputs_in_units(dataset.x, ENCODING, examples.scaling(fold))
    count = ENCODING.numbers
    assert np.array_equal(x[count:].T.numpy(), units[:, count:]) and set(x[-1].tolist()) <= set(range(-1, 14))
    z = (units[:, :count] - scaling["mean"][:count]) / scaling["scale"][:count]
    assert np.allclose(x[:count].T, smooth_clip_(torch.from_numpy(z)), atol=1e-5)
    assert units[:, ENCODING.names.index("words #1")].max() == 8


# ---- no leak


@pytest.mark.parametrize("normalization", NORMALIZATION_NAMES)
@pytest.mark.parametrize("split", [nnlab.Holdout(), nnlab.KFold(k=3, repeats=2)], ids=["holdout", "kfold"])
def test_validation_and_test_examples_change_nothing_that_is_fitted(normalization, split):
    data = Mixed(normalization=normalization, rare=10)
    e = replace(SMALL, data=data, split=split)
    dataset, folds = data.load(), split.folds(data.load())
    for fold in folds:
        others = tuple(np.setdiff1d(np.arange(data.n), fold.train).tolist())
        leaky = replace(dataset, x=changed_examples(dataset.x, others))
        assert not np.array_equal(leaky.x[fold.test], dataset.x[fold.test], equal_nan=True)
        fitted, again = (Examples(data, d, torch.empty(0)).scaling(fold) for d in (dataset, leaky))
        assert all(np.array_equal(fitted[name], again[name]) for name in fitted if name != "center")
        assert fitted["fill"].shape and fitted["slots"].shape and e.data.rare == 10


@pytest.mark.parametrize("normalization", NORMALIZATION_NAMES)
@pytest.mark.parametrize("numbers", [False, True])
def test_validation_and_test_examples_change_no_weight(monkeypatch, normalization, numbers):
    """With the centers equal, which decide about rounding alone."""
    center = np.zeros(ENCODING.width)
    center[: ENCODING.numbers] = 40, 30_000, 2010, 14_000
    monkeypatch.setattr(examples_module, "center_inputs", lambda *_: center)
    # Numbers that are not normalised are far apart.
    optimizer = nnlab.SGD(lr=1e-12) if normalization == "none" else nnlab.Adam()
    e = replace(SMALL, data=Mixed(normalization=normalization, numbers=numbers), metric="last",
                optimizer=optimizer)  # fmt: skip
    fit = nnlab.fit(e).run()
    fold = fit.rows[0].fold
    others = tuple(np.setdiff1d(np.arange(e.data.n), fold.train).tolist())
    again = nnlab.fit(replace(e, data=replace(e.data, changed=others))).run()
    assert fit.results[0].weights.keys() == again.results[0].weights.keys()
    for name, weights in fit.results[0].weights.items():
        assert np.isfinite(weights).all() and np.array_equal(weights, again.results[0].weights[name]), name
    assert fit.results[0].test != again.results[0].test
    for name, array in fit.results[0].normalizer.items():
        assert np.array_equal(array, again.results[0].normalizer[name])


def test_a_training_example_does_change_what_is_fitted():
    """Or else the two tests above would see nothing."""
    dataset, fold = Mixed().load(), Fold(np.arange(100), np.arange(100, 200), np.arange(200, 240))
    changed = replace(dataset, x=changed_examples(dataset.x, tuple(range(60))))
    fitted, again = (Examples(Mixed(rare=10), d, torch.empty(0)).scaling(fold) for d in (dataset, changed))
    for name in ("fill", "slots", "mean", "scale"):
        assert not np.array_equal(fitted[name], again[name]), name


# ---- bits


def weights_of(fit) -> list[dict[str, np.ndarray]]:
    return [result.weights for result in fit.results]


def assert_equal(some: list[dict], others: list[dict]) -> None:
    for one, other in zip(some, others, strict=True):
        assert one.keys() == other.keys() and all(np.array_equal(one[n], other[n]) for n in one)


def test_a_row_has_the_bits_that_it_has_alone():
    together = nnlab.fit(KFOLD).run()
    for row, result in zip(together.rows, together.results, strict=True):
        alone = nnlab.fit(replace(KFOLD, seeds=1, seed=row.seed)).run()
        (same,) = [r for r in alone.results if r.fold == result.fold]
        assert_equal([result.weights], [same.weights])
        assert result.test == same.test


@pytest.mark.parametrize("by_example", [False, True])
@pytest.mark.parametrize("cached", [0, 2 * 240 * ENCODING.width])
def test_bits_do_not_depend_on_what_is_cached(monkeypatch, cached, by_example):
    """Not even where one fold is cached and another not."""
    if by_example:
        monkeypatch.setattr("nnlab.data.device_tables.EXAMPLE_MAJOR_ELEMENTS", 100)
    everything = nnlab.fit(KFOLD).run()
    monkeypatch.setattr(examples_module, "CACHED_ELEMENTS", cached)
    monkeypatch.setattr(examples_module, "EXAMPLES_PER_BLOCK", 50)
    assert_equal(weights_of(nnlab.fit(KFOLD).run()), weights_of(everything))


@pytest.mark.parametrize("e", [
    KFOLD, replace(KFOLD, dtype="float64"), replace(NUMBERS, split=nnlab.KFold(k=3)),
    *(replace(SMALL, data=Mixed(normalization=n, rare=9)) for n in NORMALIZATION_NAMES if n != "none"),
    replace(SMALL, model="logistic", refit=True), replace(NUMBERS, model="linear"),
], ids=lambda e: f"{e.data.normalization}-{e.model.name}-{e.dtype}")  # fmt: skip
def test_a_model_reports_of_the_test_set_the_bits_that_training_did(e):
    fit = nnlab.fit(e).run()
    model, dataset = nnlab.load(fit), fit.datasets[e.data]
    for row, result in zip(fit.rows, fit.results, strict=True):
        y = dataset.y[row.fold.test]
        labels = [dataset.classes[i] for i in y] if dataset.classes else y
        assert model.evaluate(dataset.x[row.fold.test], labels, row=row.number) == result.test
    assert model.predict(dataset.x).shape == (240,)


@pytest.mark.parametrize("polls", [1, 2, 4])
def test_training_goes_on_where_it_was_interrupted(tmp_path, polls):
    fit, count = Fit([KFOLD]), itertools.count(1)
    events = fit.events(lambda: next(count) == polls)
    (state,) = (event for event in events if isinstance(event, FitState))
    write_checkpoint(tmp_path, Checkpoint(state, {}, ["data"]))
    resumed, whole = Fit([KFOLD]).resume(read_checkpoint(tmp_path).state).run(), nnlab.fit(KFOLD).run()
    assert_equal(weights_of(resumed), weights_of(whole))
    assert_equal(*([result.normalizer for result in each.results] for each in (resumed, whole)))


# ---- saved and loaded


@pytest.fixture
def installed(tmp_path, monkeypatch):
    with installed_mixed(tmp_path, monkeypatch):
        yield


@pytest.fixture
def run(installed, capsys):
    """The folder of a run."""
    words = "train data=mixed data.rare=9 epochs=3 split=kfold split.k=2 hydra.run.dir=run"
    assert main(words.split()) == 0
    return "run"


def test_a_run_folder_predicts_what_its_fit_does(run):
    model, e = nnlab.load(run), nnlab.Experiment(data=Mixed(rare=9), epochs=3, split=nnlab.KFold(k=2))
    fit = nnlab.fit(e).run()
    x = raw_examples(50, seed=2)
    assert np.array_equal(model.predict_proba(x), nnlab.load(fit).predict_proba(x))
    assert model.spec == fit.datasets[e.data].spec
    stored = json.loads(Path("run/spec.json").read_text())
    assert [column["name"] for column in stored["columns"]] == [column.name for column in COLUMNS]


def test_predictions_of_the_test_set_name_the_examples(run):
    with open("run/test_predictions.csv", newline="") as file:
        lines = list(csv.DictReader(file))
    assert len(lines) == 48 and [*lines[0]][3] == "id"
    assert all(line["id"] == f"c{int(line['example']):03}" for line in lines)
    limited = Mixed(limit=50).load()
    assert limited.keys.tolist() == [f"c{i:03}" for i in limited.numbers]


@pytest.mark.parametrize("name, value, message", [
    ("fill", np.zeros(3), "'fill' has the shape (3,), and its experiment needs (4,)"),
    ("fill", np.full(4, np.nan), "'fill' has numbers that are not finite"),
    ("fill", None, "has no array 'fill'"),
    ("slots", None, "has no array 'slots'"),
    ("seen", None, "has no array 'seen'"),
    ("seen", np.zeros(3), "'seen' has the shape (3,), and its experiment needs (4,)"),
    ("slots", np.full(23, 14.0), "'slots' has numbers that are no slots of its columns"),
    ("slots", np.full(23, -2.0), "no slots of its columns"),
    ("slots", np.full(23, 0.5), "no slots of its columns"),
])  # fmt: skip
def test_a_stranger_s_wrong_arrays_are_one_sentence(run, name, value, message):
    arrays = load_file("run/model.safetensors")
    key = f"rows/0/normalizer/{name}"
    if value is None:
        del arrays[key]
    else:
        assert key in arrays
        arrays[key] = value
    save_file(arrays, "run/model.safetensors")
    with pytest.raises(nnlab.UserError) as error:
        nnlab.load(run)
    assert message in str(error.value)


# ---- new examples that are wrong


MODEL = {}


@pytest.fixture
def model():
    if not MODEL:
        MODEL["fit"] = nnlab.fit(SMALL).run()
    return nnlab.load(MODEL["fit"])


def with_value(name: str, value: float) -> np.ndarray:
    x = raw_examples(3)
    x[1, POSITION[name]] = value
    return x


@pytest.mark.parametrize("x, message", [
    (raw_examples(3)[:, :5], "x has the shape (3, 5), expected (examples, 9)"),
    (with_value("age", np.inf), "x[1, 1] is inf; expected a finite number"),
    (with_value("words #0", np.nan), "x[1]: 'words #0' is nan; expected a finite number"),
    (with_value("plan", 5), "x[1]: 'plan' is 5; expected a code from 0 to 4"),
    (with_value("plan", -1), "x[1]: 'plan' is -1; expected a code from 0 to 4"),
    (with_value("plan", 2.5), "x[1]: 'plan' is 2.5; expected a code"),
    (with_value("zip", np.nan), "x[1]: 'zip' is nan; expected a code from 0 to 13"),
    (raw_examples(3).astype(str), "expected a number"),
])  # fmt: skip
def test_wrong_raw_examples_are_one_sentence(model, x, message):
    with pytest.raises(nnlab.UserError) as error:
        model.predict(x)
    assert message in str(error.value) and "\n" not in str(error.value)


def test_missing_and_unknown_values_have_a_prediction(model):
    x = np.full((4, ENCODING.raw_width), np.nan)
    x[:, CODES] = [[0] * 3, [1] * 3, [2] * 3, [3] * 3]
    x[:, list(ENCODING.plain_positions)] = 0
    p = model.predict_proba(x)
    assert np.isfinite(p).all() and len(np.unique(p[:, 0])) == 4


def test_an_example_that_is_too_far_out_is_described_by_its_farthest_number(model):
    broken = nnlab.load(MODEL["fit"])
    for row in broken.rows:
        row.weights["output.bias"][:] = np.inf
    with pytest.raises(nnlab.UserError, match=r"x\[0\]: .* its column 'income' is 1e\+09, and training had"):
        broken.predict(with_value("income", 1e9)[1:])


# ---- what else reads a data set


def test_values_that_are_too_large_are_refused():
    dataset = Mixed().load()
    x = dataset.x.copy()
    x[3, POSITION["age"]] = 1e38
    with pytest.raises(nnlab.UserError, match="numbers up to 1e\\+38"):
        nnlab.data.extremes.refuse_extremes(Mixed(), replace(dataset, x=x), "float32")


@pytest.mark.parametrize("name, value, message", [
    ("plan", 5, "data 'wrong': x[3]: 'plan' is 5; expected a code from 0 to 4"),
    ("plan", np.nan, "x[3]: 'plan' is nan; expected a code"),
    ("words #1", np.nan, "x[3]: 'words #1' is nan; expected a finite number"),
    ("age", -np.inf, "x[3]: 'age' is -inf; expected a finite number"),
])  # fmt: skip
def test_values_that_a_column_cannot_have_are_refused(name, value, message):
    """Code 5 of one column would be looked up among those of the next."""
    x = raw_examples(20)
    x[3, POSITION[name]] = value

    class Wrong(nnlab.Data):
        name = "wrong"

        def read(self):
            return Dataset(x, np.arange(20) % 2, ("a", "b"), columns=COLUMNS)

    with pytest.raises(nnlab.UserError) as error:
        Wrong().load()
    assert message in str(error.value)


def test_an_identifier_among_the_numbers_is_seen():
    columns = Column("age", "number", missing=True), Column("customer_id", "number"), COLUMNS[3]
    x = np.c_[np.where(np.arange(50) % 3, 40.0, np.nan), np.arange(50), np.full(50, 2)]
    dataset = Dataset(x, np.arange(50) % 2, ("a", "b"), columns=columns)
    assert nnlab.data.identifiers.dataset_identifiers(dataset) == {1: "counts the rows"}
    with pytest.warns(nnlab.Advice, match="the input 'customer_id' counts the rows"):
        nnlab.data.identifiers.warn_of_identifiers(dataset)


@pytest.mark.parametrize("e", [
    SMALL, replace(NUMBERS, model="linear"), replace(SMALL, data=Mixed(normalization="none")),
])  # fmt: skip
def test_every_rung_checks_a_table(e):
    budget = Budget(rates=16, rate_seeds=1, seeds=3, steps=300, sample=30)
    verdicts = {verdict.rung: verdict for verdict in nnlab.check(replace(e, epochs=2), budget=budget)}
    assert len(verdicts) == 7
    assert verdicts["gradients"].status == verdicts["determinism"].status == "pass"


@pytest.mark.parametrize("name, of_go, of_stay", [
    ("left", 3, 2),
    ("zip", 0, None),  # embedded: who went has none any more
    ("zip", 5, None),  # one of its many values
])  # fmt: skip
def test_a_category_that_is_the_target_in_disguise_is_found(name, of_go, of_stay):
    subject = nnlab.checks.subject.Subject(SMALL)
    dataset, x = subject.dataset, subject.dataset.x.copy()
    others = np.where(x[:, POSITION[name]] == of_go, of_go + 1, x[:, POSITION[name]])
    x[:, POSITION[name]] = np.where(dataset.y == 1, of_go, others if of_stay is None else of_stay)
    subject.dataset = replace(dataset, x=x)
    (finding,) = nnlab.checks.leaks.check(subject)
    assert finding.found.startswith(f"the column '{name}' alone tells the class of 100%")
    assert finding.advice.startswith(f"data.drop=['{name}']")


def test_an_equation_has_the_encoded_inputs_and_predicts_in_their_units():
    data = Mixed(numbers=True, normalization="standard", one_hot=True)
    fit = nnlab.fit(replace(NUMBERS, model="linear", data=data)).run()
    encoding, x = fit.datasets[data].spec.encoding, fit.datasets[data].x
    learnt = equation(fit, fit.rows[0], fit.results[0])
    assert learnt.in_data_units and learnt.features == encoding.names
    inputs = inputs_in_units(x[learnt.examples], encoding, fit.results[0].normalizer)
    assert np.allclose(learnt.weight @ inputs.T + learnt.bias[:, None], learnt.predictions, rtol=1e-3)
    embedded = nnlab.fit(replace(NUMBERS, model="linear")).run()
    assert equation(embedded, embedded.rows[0], embedded.results[0]) is None


@pytest.mark.parametrize("columns", [
    COLUMNS[1:2], COLUMNS[4:5], (COLUMNS[0], COLUMNS[3]), COLUMNS[5:6], COLUMNS[7:], (COLUMNS[0],),
], ids=["number", "boolean", "categories", "n-grams", "date", "embedded"])  # fmt: skip
def test_tables_of_one_kind_of_column_train_save_predict_and_export(tmp_path, columns):
    positions = [POSITION[name] for column in columns for name, _ in column.raw]
    x = raw_examples(100)[:, positions]
    dataset = Dataset(x, np.arange(100) % 2, ("a", "b"), columns=columns)
    cache = DataCache()
    cache.datasets[SMALL.data] = dataset
    fit = Fit([SMALL], cache).run()
    model = nnlab.load(fit)
    assert model.predict_proba(x).shape == (100, 2)
    for name in ("model.onnx", "model.pt2"):
        assert nnlab.export(model, tmp_path / name).agreement.largest < 1e-5


def test_the_rows_of_a_file_are_named_in_what_is_predicted_of_them(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    # Examples keep their numbers in the file, though some have no target.
    lines = [f"=k{97 * i % 101},{i % 7},{'ab'[i % 2] if i % 9 else ''}\n" for i in range(101)]
    Path("people.csv").write_text("customer,x,y\n" + "".join(lines))
    with warnings.catch_warnings():
        warnings.simplefilter("always", nnlab.Advice)
        words = "train data=table data.path=people.csv data.target=y epochs=1 hydra.run.dir=run"
        assert main(words.split()) == 0
    with open("run/test_predictions.csv", newline="") as file:
        named = {int(line["example"]): line["customer"] for line in csv.DictReader(file)}
    assert len(named) > 15 and all(key == f"'=k{97 * i % 101}" for i, key in named.items())


def test_no_value_of_another_part_of_a_file_reaches_the_weights(tmp_path, monkeypatch):
    """By maxabs, which subtracts nothing, so that not even rounding can tell."""
    monkeypatch.chdir(tmp_path)
    words = "train data=table data.target=y data.part=set data.normalization=maxabs data.rare=3 metric=last"
    arrays = []
    for is_changed in (False, True):
        random = np.random.default_rng(0)
        lines = ["age,plan,zip,since,set,y\n"]
        for i in range(120):
            part = ("train", "validation", "train", "test")[i % 4]
            age, plan, zip_, day = (
                random.integers(20, 90),
                random.integers(5),
                random.integers(20),
                i % 28 + 1,
            )
            if is_changed and part != "train":
                age, plan, zip_, day = "" if i % 8 == 1 else 10**6 * i, (plan + 1) % 5, (zip_ + 7) % 20, 1
            cells = (
                age if i % 11 else "",
                "gold silver iron tin".split(" ")[plan] if plan < 4 else "",
                f"z{zip_}",
            )
            lines.append(",".join(map(str, (*cells, f"2021-03-{day:02}", part, "ab"[i % 3 == 0]))) + "\n")
        Path("people.csv").write_text("".join(lines))
        with warnings.catch_warnings():
            warnings.simplefilter("always", nnlab.Advice)
            folder = f"run-{is_changed}"
            assert main([*words.split(), "data.path=people.csv", "epochs=3", f"hydra.run.dir={folder}"]) == 0
        arrays.append(load_file(f"{folder}/model.safetensors"))
    before, after = arrays
    assert Path("run-False/spec.json").read_text() == Path("run-True/spec.json").read_text()
    assert before.keys() == after.keys() and any("embedding" in name for name in before)
    assert all(np.array_equal(before[name], after[name]) for name in before)
    reports = [json.loads(Path(f"run-{c}/rows.json").read_text())[0]["test"]["loss"] for c in (False, True)]
    assert reports[0] != reports[1]

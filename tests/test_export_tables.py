"""Exported models of tables: from raw examples, with holes and codes, to what the model predicts."""

import json
import re
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from mixed_table import COLUMNS, ENCODING, Mixed, installed_mixed, raw_examples
from test_export import assert_near, by_onnx, by_torch

import nnlab
from nnlab.cli import main
from nnlab.data.normalization import NORMALIZATION_NAMES
from nnlab.prediction.export import make_export
from nnlab.prediction.portable import PortableModel
from nnlab.prediction.torch_file import exported_program, program_outputs

NEAR = {"float32": 2e-6, "float64": 1e-12}
BASE = nnlab.Experiment(
    data=Mixed(rare=9), model=nnlab.MLP(hidden=(8,)), epochs=3, split=nnlab.KFold(k=2), seeds=2
)
CASES = {
    **{name: replace(BASE, data=Mixed(normalization=name, rare=9), optimizer=nnlab.SGD(lr=1e-12))
       for name in NORMALIZATION_NAMES},
    "one-hot": replace(BASE, data=Mixed(one_hot=True)),
    "numbers": replace(BASE, data=Mixed(numbers=True)),
    "linear": replace(BASE, data=Mixed(numbers=True), model="linear"),
    "one fold": replace(BASE, split=nnlab.Holdout()),
    "few examples": replace(BASE, data=Mixed(n=8)),  # of which no fold has all that may be missing
}  # fmt: skip


def fitted(e: nnlab.Experiment, dtype: str = "float32") -> nnlab.TrainedModel:
    return nnlab.load(nnlab.fit(replace(e, dtype=dtype)).run())


def new_examples(dtype: str) -> np.ndarray:
    """With numbers missing and far out, and every code of every category."""
    x = raw_examples(60, seed=5)
    x[:8, list(ENCODING.number_positions)] = np.nan
    x[8:14, list(ENCODING.number_positions)] *= -20
    for column, position in zip(ENCODING.code_columns, ENCODING.code_positions, strict=True):
        x[:, position] = np.arange(60) % column.codes
    return x.astype(dtype).astype(float)


@pytest.mark.parametrize("dtype", NEAR)
@pytest.mark.parametrize("name", CASES)
def test_a_file_predicts_what_the_model_does(name, dtype):
    model = fitted(CASES[name], dtype)
    for row in (None, 1):
        x = new_examples(dtype)
        for computed in (by_torch, by_onnx):
            assert_near(model, row, x, computed(model, row, x.astype(dtype)), NEAR[dtype])


def test_a_program_of_torch_too():
    model = fitted(BASE)
    portable = PortableModel(model, model.rows_for(None), "float32")
    run = program_outputs(exported_program(portable))
    for count in (1, 60):
        x = new_examples("float32")[:count]
        assert_near(model, None, x, run(x.astype(np.float32)), NEAR["float32"])


def test_codes_that_no_category_has_are_unknown_and_none_is_missing():
    model, x = fitted(BASE), new_examples("float32")
    strange, known = x.copy(), x.copy()
    for number, (column, position) in enumerate(
        zip(ENCODING.code_columns, ENCODING.code_positions, strict=True)
    ):
        strange[number::4, position], known[number::4, position] = column.codes + number, 1
        strange[3::4, position], known[3::4, position] = -1, 1
        strange[number + 1 :: 8, position], known[number + 1 :: 8, position] = np.nan, 0
    for computed in (by_torch, by_onnx):
        answers = computed(model, None, strange.astype(np.float32))
        assert_near(model, None, known, answers, NEAR["float32"])


def test_the_file_says_what_its_inputs_are():
    onnx = pytest.importorskip("onnx", reason="pip install onnx onnxruntime")
    proto = onnx.load_from_string(make_export(fitted(BASE)).content)
    notes = {p.key: p.value for p in proto.metadata_props}
    assert json.loads(notes["shape"]) == [ENCODING.raw_width]
    assert [tuple(pair) for pair in json.loads(notes["inputs"])] == list(ENCODING.raw)
    columns = json.loads(notes["columns"])
    assert [nnlab.data.columns.Column.from_json(column) for column in columns] == list(COLUMNS)
    (given,) = proto.graph.input
    assert [d.dim_param or d.dim_value for d in given.type.tensor_type.shape.dim] == ["batch", 9]


@pytest.mark.parametrize("format", ["onnx", "torch"])
def test_it_is_checked_on_the_data_with_their_holes(format):
    if format == "onnx":
        pytest.importorskip("onnxruntime", reason="pip install onnx onnxruntime")
    made = make_export(fitted(BASE), format)
    assert made.agreement.examples == 256 and made.agreement.largest < 1e-5  # drawn at random


@pytest.fixture
def installed(tmp_path, monkeypatch):
    with installed_mixed(tmp_path, monkeypatch):
        yield


def test_the_card_says_what_the_numbers_of_an_example_mean(installed, capsys):
    assert main("train data=mixed data.rare=9 epochs=2 hydra.run.dir=run".split()) == 0
    assert "mixed (240 x 7 columns, 2 classes), mlp 16-64-2" in capsys.readouterr().out
    with warnings.catch_warnings():
        warnings.simplefilter("always", nnlab.Advice)
        assert main("export run format=torch hydra.run.dir=export".split()) == 0
    card = Path("export/README.md").read_text()
    assert "each of 9 numbers" in card
    assert "| 2 | `plan` | 2 `gold`, 3 `iron`, 4 `silver` |  |  |" in card
    assert "| 0 | `zip` | 2 `z00`, 3 `z01`," in card and "9 `z07`, ... |  |  |" in card
    assert re.search(r"\| 1 \| `age` \| a number \| \d+\.\d+ \| \d+\.\d+ \|", card)
    assert "| 5 | `words #1` | its words and pairs of words, hashed: by `raw` |  |  |" in card

"""The columns of a table and what becomes of them: JSON round trips, a stranger's, the order of inputs."""

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import nnlab
from nnlab.data.columns import COLUMN_TYPES, DATE_PARTS, MOST_BUCKETS, Column
from nnlab.data.dataset import Dataset
from nnlab.data.encoding import Encoding, InputLayout
from nnlab.data.spec import DataSpec


@st.composite
def columns(draw):
    """Any column there may be."""
    kind = draw(st.sampled_from(COLUMN_TYPES))
    further = {"missing": draw(st.booleans()), "reason": draw(st.text())}
    if kind in ("category", "boolean"):
        most = 2 if kind == "boolean" else 5
        texts = st.lists(st.text(), min_size=2 if kind == "boolean" else 1, max_size=most, unique=True)
        further["categories"] = tuple(draw(texts))
    if kind == "category":
        further["embedded"] = draw(st.booleans())
    if kind == "date":
        further["parts"] = tuple(part for part in DATE_PARTS if draw(st.booleans()))
    if kind == "text":
        further["buckets"] = draw(st.integers(0, 4))
    return Column(draw(st.text()), kind, **further)


def spec_of(columns) -> DataSpec:
    encoding = Encoding(tuple(columns))
    return DataSpec((encoding.width,), 1, "regression", features=encoding.names, columns=encoding.columns)


@settings(max_examples=100, deadline=None)
@given(st.lists(columns(), min_size=1, max_size=6, unique_by=lambda column: column.name))
def test_columns_survive_their_file_and_make_as_many_inputs_as_they_say(columns):
    encoding = Encoding(tuple(columns))
    layout = encoding.layout
    assert encoding.raw_width == len(encoding.raw) == sum(len(column.raw) for column in columns)
    assert len(encoding.names) == encoding.width == layout.width
    positions = (*encoding.number_positions, *encoding.code_positions, *encoding.plain_positions)
    assert sorted(positions) == list(range(encoding.raw_width))
    assert all((column.raw != ()) == column.is_input for column in columns)
    if encoding.width:
        spec = spec_of(columns)
        assert DataSpec.from_json(json.loads(json.dumps(spec.to_json()))) == spec
        assert hash(spec) == hash(replace(spec)) and spec.layout == layout


MIXED = (
    Column("zip", "category", categories=("a", "b", "c"), embedded=True),
    Column("age", "number", missing=True),
    Column("id", "identifier"),
    Column("plan", "category", categories=("gold", "other"), missing=True),
    Column("left", "boolean", categories=("no", "yes")),
    Column("comment", "text", buckets=2),
    Column("since", "date", parts=("year", "days"), missing=True),
    Column("day", "date", missing=True),
)


def test_inputs_are_in_the_order_of_their_kinds():
    encoding = Encoding(MIXED)
    assert [name for name, _ in encoding.raw] == [
        "zip", "age", "plan", "left", "comment #0", "comment #1", "since year", "since days",
    ]  # fmt: skip
    assert encoding.names == (
        "age", "since year", "since days",
        "age is missing", "since is missing",
        "plan=gold", "plan=other", "plan=other (rare)", "plan is missing", "left=no", "left=yes",
        "comment #0", "comment #1",
        "zip",
    )  # fmt: skip
    assert encoding.layout == InputLayout(numbers=3, plain=10, embedded=(4,))
    assert encoding.flag_positions == (1, 6)


def test_without_columns_inputs_are_numbers():
    spec = nnlab.Digits().load().spec
    assert spec.layout == InputLayout(64, 0) and spec.encoding.raw_width == 64 and not spec.encoding.names
    assert "columns" not in spec.to_json()


@pytest.mark.parametrize("change, message", [
    ({"name": 3}, "name = 3: expected a text"),
    ({"name": "\ud800"}, "name = '\\ud800': expected a text"),
    ({"type": "catgory"}, "type = 'catgory'; did you mean 'category'?"),
    ({"type": ["category"]}, "type = ['category']; allowed:"),
    ({"reason": None}, "reason = None: expected a text"),
    ({"categories": "abc"}, "categories = 'abc': expected a list of at most"),
    ({"categories": ["a", 1]}, "categories = ['a', 1]: expected"),
    ({"categories": ["a", "a"]}, "categories has one text twice"),
    ({"categories": []}, "categories = []: expected the texts that occur"),
    ({"type": "boolean"}, "categories = ['a', 'b', 'c']: expected two texts, for false and for true"),
    ({"type": "number"}, "type = 'number' has no categories, which are of type category or boolean"),
    ({"missing": 1}, "missing = 1: expected true or false"),
    ({"embedded": None}, "embedded = None: expected true or false"),
    ({"type": "number", "categories": [], "embedded": True}, "only a category is embedded"),
    ({"parts": ["day"]}, "type = 'category' has no parts"),
    ({"type": "date", "categories": [], "parts": ["day", "year"]},
     "parts = ['day', 'year']: expected some of"),
    ({"type": "date", "categories": [], "parts": ["day", "day"]}, "parts = ['day', 'day']: expected some of"),
    ({"type": "text", "categories": [], "buckets": 1.0}, "buckets = 1.0: expected a whole number"),
    ({"type": "text", "categories": [], "buckets": MOST_BUCKETS + 1}, "a whole number from 0 to 65,536"),
    ({"type": "text", "categories": [], "buckets": 10**5000}, "buckets = that number: expected"),
    ({"decimal": ";"}, "decimal = ';'; allowed:"),
    ({"decimal": ",", "thousands": ","}, "decimal and thousands are both ','"),
    ({"kind": "category"}, "unknown key 'kind'"),
])  # fmt: skip
def test_a_wrong_column_is_one_sentence(change, message):
    plan = {"name": "plan", "type": "category", "categories": ["a", "b", "c"]}
    assert Column.from_json(plan).codes == 5
    with pytest.raises(nnlab.UserError) as error:
        Column.from_json(plan | change, "columns[0]")
    assert message in str(error.value) and str(error.value).startswith("columns[0]: ")
    assert "\n" not in str(error.value)


def test_a_column_is_a_dict_with_a_name_and_a_type():
    for json_value, message in (
        (["plan"], "expected a description of a column"),
        ({"name": "plan"}, "the key 'type' is missing"),
    ):
        with pytest.raises(nnlab.UserError, match=message):
            Column.from_json(json_value)


@pytest.mark.parametrize("change, message", [
    ({"columns": "age"}, "columns = 'age': expected a list of columns"),
    ({"columns": [3]}, "columns[0]: expected a description of a column"),
    ({"columns": [{"name": "age", "type": "number"}] * 14}, "columns has the name 'age' twice"),
    ({"columns": [{"name": "age", "type": "number"}]}, "shape = [14], but the columns make 1 inputs"),
    ({"columns": [{"name": str(i), "type": "text", "buckets": MOST_BUCKETS} for i in range(1000)]},
     "the columns make another number of inputs"),
    ({"features": []}, "features has 0 names, but the columns make another number"),
    ({"features": [str(i) for i in range(14)]}, "features are not the names of the inputs"),
])  # fmt: skip
def test_a_stranger_s_spec_with_wrong_columns_is_one_sentence(change, message):
    whole = spec_of(MIXED).to_json()
    with pytest.raises(nnlab.UserError) as error:
        DataSpec.from_json(whole | change)
    assert message in str(error.value)


def test_a_stranger_s_billion_inputs_are_refused_before_they_are_made():
    columns = [{"name": str(i), "type": "text", "buckets": MOST_BUCKETS} for i in range(10_000)]
    with pytest.raises(nnlab.UserError, match="another number of inputs"):
        DataSpec.from_json({"shape": [10**9], "outputs": 1, "task": "regression", "columns": columns})


RAW = np.zeros((4, len(Encoding(MIXED).raw)))


def test_columns_make_other_data():
    dataset = Dataset(RAW, np.zeros((4, 1)), columns=MIXED)
    assert dataset.fingerprint() != replace(dataset, columns=MIXED[::-1]).fingerprint()
    assert dataset.select(np.array([1, 3])).spec == replace(dataset.spec, examples=2)


@pytest.mark.parametrize("fields, message", [
    ({"columns": MIXED[:2]}, "an example has 8 numbers, and the columns make 2"),
    ({"columns": ("age",)}, "columns = ('age',): expected a list of Column"),
    ({"columns": MIXED, "features": ("a",) * 8}, "columns decide about shape and features"),
    ({"columns": MIXED, "shape": (8,)}, "columns decide about shape and features"),
    ({"columns": (Column("id", "identifier"),), "x": np.zeros((4, 0))}, "none of the columns is an input"),
])  # fmt: skip
def test_a_data_set_of_columns_that_do_not_fit_is_refused(fields, message):
    with pytest.raises(nnlab.UserError) as error:
        _ = Dataset(**{"x": RAW, "y": np.zeros((4, 1))} | fields).spec
    assert message in str(error.value)


def test_a_model_without_embeddings_is_refused_for_slots(monkeypatch):
    monkeypatch.setattr(nnlab.MLP, "takes_layout", False)
    experiment = nnlab.Experiment()
    with pytest.raises(nnlab.UserError, match="the column 'zip'; data.one_hot=null makes one input of each"):
        experiment.graph(spec_of(MIXED))
    assert experiment.graph(spec_of(MIXED[1:])).nodes


def test_a_model_that_takes_it_gets_the_layout(monkeypatch):
    seen = []
    graph = nnlab.MLP.graph
    monkeypatch.setattr(nnlab.MLP, "takes_layout", True)

    def graph_of_layout(self, shape, outputs, output="identity", layout=None):
        seen.append(layout)
        return graph(self, shape, outputs, output)

    monkeypatch.setattr(nnlab.MLP, "graph", graph_of_layout)
    nnlab.Experiment().graph(spec_of(MIXED))
    assert seen == [Encoding(MIXED).layout]

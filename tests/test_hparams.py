"""TensorBoard's HParams tab, through its own backend: every column can be sorted and filtered."""

import logging
import math

import pytest
from google.protobuf import json_format
from tensorboard import context
from tensorboard.backend.event_processing import data_provider, plugin_event_multiplexer
from tensorboard.plugins import base_plugin
from tensorboard.plugins.hparams import api_pb2, backend_context, get_experiment, list_session_groups

from nnlab.cli import main
from nnlab.records.hparam_columns import column_type, to_column_type
from nnlab.records.hparams import align_hparams
from nnlab.records.tensorboard import TensorBoard

ORDERS = {"ascending": api_pb2.ORDER_ASC, "descending": api_pb2.ORDER_DESC}
COLUMNS = {
    "batch_size": [256, 16, "full", 64],
    "threads": ["auto", 1, 2],
    "optimizer.clip_norm": [math.inf, 1.0, 5, 0.25],
    "regularizer.small": [None, 0.001, 1],
    "data.limit": [100, None, 1000],
    "model.hidden": [[64], [64, 32], []],
    "split.stratify": [True, False],
    "optimizer.lr": [0.1, 1, "1e-3", math.nan],
    "optimizer.name": ["sgd", "adam"],
    "data.path": [None, "a.csv", "12"],
    "plugin.what": [1.5, 2],
}


def backend(folder):
    logging.disable(logging.WARNING)
    runs = plugin_event_multiplexer.EventMultiplexer().AddRunsFromDirectory(str(folder))
    runs.Reload()
    logging.disable(logging.NOTSET)
    provider = data_provider.MultiplexerDataProvider(runs, str(folder))
    return backend_context.Context(base_plugin.TBContext(data_provider=provider, logdir=str(folder)))


def ask(hparams, key, order):
    """The values of a column, sorted by it, as they were sent to the browser; and the rows."""
    request = api_pb2.ListSessionGroupsRequest(start_index=0, slice_size=1000, allowed_statuses=[0, 1, 2, 3])
    request.col_params.add(hparam=key, order=order)
    groups = list_session_groups.Handler(context.RequestContext(), hparams, "x", request).run().session_groups
    sent = [json_format.MessageToDict(group).get("hparams", {}) for group in groups]
    return [one.get(key) for one in sent], groups


def columns(hparams):
    return get_experiment.Handler(
        context.RequestContext(), hparams, "x", api_pb2.GetExperimentRequest()
    ).run()


@pytest.mark.parametrize("key", COLUMNS)
def test_every_column_can_be_sorted(key, tmp_path):
    for n, value in enumerate(COLUMNS[key]):
        TensorBoard(tmp_path / str(n), {key: value}, 1).__exit__()
    hparams = backend(tmp_path)
    up, _ = ask(hparams, key, ORDERS["ascending"])
    down, _ = ask(hparams, key, ORDERS["descending"])
    assert len(up) == len(down) == len(COLUMNS[key])
    there = [value for value in up if value is not None]
    assert len({type(value) for value in there}) == 1 and there == sorted(there) and up[: len(there)] == there
    kind = {str: "string", bool: "bool", float: "number"}[type(there[0])]
    assert all(column_type(key, value) == kind for value in COLUMNS[key])


def test_numbers_in_a_column_of_words_sort_as_numbers():
    cells = [to_column_type("batch_size", value) for value in (16, 128, 9, 1024, "full")]
    assert [s.strip() for s in sorted(cells)] == ["9", "16", "128", "1024", "full"]


def test_what_runs_differ_in_comes_first_and_all_have_all_keys():
    one, two = (
        {"optimizer": {"name": "sgd", "lr": 0.1}, "seed": 0},
        {"optimizer": {"name": "adam", "lr": 0.1, "beta1": 0.9}, "seed": 1},
    )
    flat, differ = align_hparams([one, two])
    assert differ == ("optimizer.name", "seed", "optimizer.beta1")
    assert [list(settings) for settings in flat] == [[*differ, "optimizer.lr"]] * 2
    assert flat[0]["optimizer.beta1"] is None and flat[1]["seed"] == 1


def test_runs_of_m_show_what_varies_first(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    overrides = ["data=iris", "epochs=2", "batch_size=16,full", "model.activation=relu,tanh"]
    assert main(["train", "-m", *overrides, "hydra.sweep.dir=m"]) == 0
    hparams = backend(tmp_path / "m")
    infos = columns(hparams).hparam_infos
    assert {info.name for info in infos[:2]} == {"model.activation", "batch_size"}
    assert [info.differs for info in infos[:3]] == [True, True, False]
    values, groups = ask(hparams, "batch_size", ORDERS["ascending"])
    assert [value.strip() for value in values] == ["16", "16", "full", "full"]
    assert all(len(group.metric_values) == len(groups[0].metric_values) > 3 for group in groups)


def test_a_sweep_and_a_run_beside_each_other_fill_the_same_columns(tmp_path, monkeypatch):
    """A run once stood in the sweep's table with empty cells, and the winner's row too."""
    monkeypatch.chdir(tmp_path)
    overrides = ["data=iris", "epochs=2", "report=false", "sampler=grid"]
    assert main(["sweep", *overrides, "optimizer=sgd,adam", "batch_size=16,full", "hydra.run.dir=out/s"]) == 0
    assert main(["train", "data=iris", "epochs=2", "hydra.run.dir=out/t"]) == 0
    hparams = backend(tmp_path / "out")
    for key in ("optimizer.name", "batch_size"):
        values, groups = ask(hparams, key, ORDERS["descending"])
        assert len(groups) == 6 and None not in values
        for group in groups:
            assert "best/validation_loss" in {metric.name.tag for metric in group.metric_values}
    assert {info.name for info in columns(backend(tmp_path / "out/s")).hparam_infos[:2]} == {
        "optimizer.name",
        "batch_size",
    }

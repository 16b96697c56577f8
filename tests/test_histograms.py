"""Histograms of weights and activations equal numpy's, also in TensorBoard."""

from dataclasses import replace

import numpy as np
import pytest
from networks import one_thread  # noqa: F401
from test_row_independence import blobs

from nnlab.data.examples import Examples
from nnlab.data.splits import KFold
from nnlab.experiment import Experiment
from nnlab.models import MLP
from nnlab.records.tensorboard import TensorBoard
from nnlab.regularizers import Regularizer
from nnlab.training.evaluation import Evaluator
from nnlab.training.fit import fit
from nnlab.training.histograms import HISTOGRAM_BINS, histograms

# Odd sizes, so that every line of memory is padded, and validation sets of several sizes that fill no batch.
BASE = Experiment(
    data=blobs(500, 5, 3), model=MLP(hidden=(7,)), epochs=4, batch_size=16, split=KFold(k=3), seeds=2,
    regularizer=Regularizer(dropout=0.2), histograms=2,
)  # fmt: skip


@pytest.fixture(scope="module")
def run():
    done = fit(BASE)
    return done, list(done)


def of(values):
    """The histogram of one row's values, given as `pieces` of one name."""
    (histogram,) = histograms(1, lambda: [("x", 0, v) for v in values]).values()
    return histogram.counts[0], histogram.edges[0]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_it_is_numpys(dtype):
    values = np.random.default_rng(0).normal(size=(3, 50, 7)).astype(dtype)
    counts, edges = of(values)
    expected, at = np.histogram(values.astype(float), HISTOGRAM_BINS)
    assert np.array_equal(counts, expected) and np.array_equal(edges, at)


@pytest.mark.parametrize("value", [0.0, 0.1, -3.0])
def test_equal_values_are_as_numpys(value):
    counts, edges = of([np.full(9, value)])
    expected, at = np.histogram(np.full(9, value), HISTOGRAM_BINS)
    assert np.array_equal(counts, expected) and np.allclose(edges, at, rtol=0, atol=1e-15)


@pytest.mark.parametrize("values", [[1.0, 1.0 + 2**-52], [1e25, 1e25], [-1e299, 1e299], [5e-324, 0.0]])
def test_values_that_numpy_finds_no_bins_for(values):
    counts, edges = of([np.array(values)])
    assert counts.sum() == 2 and (np.diff(edges) > 0).all() and np.isfinite(edges).all()


def test_what_is_no_number_is_not_counted():
    counts, edges = of([np.array([np.nan, 1.0, np.inf]), np.array([2.0, -np.inf])])
    assert counts.sum() == 2 and (edges[0], edges[-1]) == (1.0, 2.0)
    counts, edges = of([np.full(3, np.nan)])
    assert counts.sum() == 0 and (np.diff(edges) > 0).all()


def test_only_in_the_epochs_asked_for(run):
    assert [r.epoch for r in run[1] if r.histograms] == [2, 4]
    assert not any(r.histograms for r in fit(replace(BASE, histograms=0)))


def test_counts_are_as_many_as_there_are_numbers(run):
    done, records = run
    shapes = {"hidden1": 7, "relu1": 7, "output": 3}  # dropout passes on what it gets: no box of its own here
    sizes = {"hidden1.weight": 35, "hidden1.bias": 7, "output.weight": 21, "output.bias": 3}
    of_epoch = records[-1].histograms
    assert set(of_epoch) == {f"activations/{n}" for n in shapes} | {f"parameters/{n}" for n in sizes}
    validation = np.array([len(row.fold.validation) for row in done.rows])
    assert len(set(validation)) > 1
    for name, units in shapes.items():
        assert of_epoch[f"activations/{name}"].counts.sum(1).tolist() == (units * validation).tolist()
    for name, size in sizes.items():
        assert of_epoch[f"parameters/{name}"].counts.sum(1).tolist() == [size] * 6


def test_weights_are_those_of_the_epoch():
    done = fit(replace(BASE, metric="last"))
    last = list(done)[-1]
    for k, row in enumerate(last.rows):
        for name, weights in done.results[row].weights.items():
            expected, at = np.histogram(weights.astype(float), HISTOGRAM_BINS)
            histogram = last.histograms[f"parameters/{name}"]
            assert np.array_equal(histogram.counts[k], expected) and np.allclose(histogram.edges[k], at)


def test_activations_are_those_of_the_validation_set(monkeypatch):
    monkeypatch.setattr("nnlab.experiment.MAX_EVALUATION_BATCH", 64)  # three batches, the last not full
    done = fit(replace(BASE, metric="last", dtype="float64"))
    histogram = list(done)[-1].histograms["activations/relu1"]
    data, dataset = BASE.data, done.datasets[BASE.data]
    import torch

    examples = Examples(data, dataset, torch.empty(0, dtype=torch.float64))
    for k, row in enumerate(done.rows):
        x, _ = examples.gather(row.fold, row.fold.validation)
        weights = done.results[k].weights
        hidden = np.maximum(weights["hidden1.weight"] @ x.numpy() + weights["hidden1.bias"], 0)
        assert np.allclose(histogram.edges[k], np.histogram(hidden, HISTOGRAM_BINS)[1])
        assert (
            np.abs(histogram.counts[k] - np.histogram(hidden, HISTOGRAM_BINS)[0]).sum() <= 2
        )  # rounding at an edge


def test_a_row_alone_has_the_same(run):
    records = list(fit(replace(BASE, seeds=1, seed=1, split=KFold(k=3, fold=1))))
    k = [(row.seed, row.fold.number) for row in run[0].rows].index((1, 1))
    for name, alone in records[-1].histograms.items():
        assert np.array_equal(alone.counts[0], run[1][-1].histograms[name].counts[k])
        assert np.array_equal(alone.edges[0], run[1][-1].histograms[name].edges[k])


def test_training_is_the_same_with_and_without(run):
    for one, two in zip(run[1], fit(replace(BASE, histograms=0)), strict=True):
        assert all(np.array_equal(one.metrics[name], two.metrics[name]) for name in one.metrics)


def test_off_costs_nothing(monkeypatch):
    monkeypatch.setattr(Evaluator, "histograms", lambda self: pytest.fail("it was asked"))
    assert list(fit(replace(BASE, histograms=0, epochs=1)))
    assert list(fit(replace(BASE, histograms=3, epochs=2)))


def test_a_refit_has_none():
    records = list(fit(replace(BASE, refit=True, histograms=1, epochs=2, seeds=1)))
    assert all(bool(r.histograms) != r.refit for r in records) and any(r.refit for r in records)


def read(folder, tag):
    """step -> (30, 3): left, right, count, as TensorBoard reads it."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.util.tensor_util import make_ndarray

    events = EventAccumulator(str(folder))
    events.Reload()
    assert tag in events.PluginTagToContent("histograms")
    return {event.step: make_ndarray(event.tensor_proto) for event in events.Tensors(tag)}


@pytest.mark.parametrize("rows", [1, 6])
def test_tensorboard(tmp_path, rows, run):
    e = BASE if rows > 1 else replace(BASE, seeds=1, split=KFold(k=3, fold=0))
    records = run[1] if rows > 1 else list(fit(e))
    with TensorBoard(tmp_path, {}, rows) as board:
        for record in records:
            board.record(record)
    for row in range(rows):
        folder = tmp_path / "rows" / f"seed{row}" if rows > 1 else tmp_path
        for tag, h in records[-1].histograms.items():
            events = read(folder, tag)
            assert (
                list(events) == [2, 4] and events[4].shape == (HISTOGRAM_BINS, 3) and events[4].dtype == float
            )
            assert np.array_equal(events[4][:, 2], h.counts[row])
            assert np.array_equal(events[4][:, :2].T, [h.edges[row, :-1], h.edges[row, 1:]])


@pytest.mark.filterwarnings("ignore:html5lib's sanitizer is deprecated")  # TensorBoard imports it
def test_the_histograms_dashboard_reads_it(tmp_path, run):
    from tensorboard import context
    from tensorboard.backend.event_processing.data_provider import MultiplexerDataProvider
    from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer
    from tensorboard.plugins.base_plugin import TBContext
    from tensorboard.plugins.histogram.histograms_plugin import HistogramsPlugin

    with TensorBoard(tmp_path, {}, 6) as board:
        for record in run[1]:
            board.record(record)
    multiplexer = EventMultiplexer()
    multiplexer.AddRunsFromDirectory(str(tmp_path))
    multiplexer.Reload()
    provider = MultiplexerDataProvider(multiplexer, str(tmp_path))
    plugin = HistogramsPlugin(TBContext(data_provider=provider, logdir=str(tmp_path)))
    ask = context.RequestContext()
    assert "activations/relu1" in plugin.index_impl(ask, experiment="")["rows/seed0"]
    events, _ = plugin.histograms_impl(ask, "activations/relu1", "rows/seed0", "", 10)
    assert [step for _, step, _ in events] == [2, 4] and np.shape(events[0][2]) == (HISTOGRAM_BINS, 3)

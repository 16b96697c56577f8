"""Histograms of weights and activations equal numpy's, also in TensorBoard."""

from dataclasses import replace

import numpy as np
import pytest
import torch
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

# Odd sizes, so that every leaf and every row of activations is padded; validation sets of several sizes, no
# multiple of a batch.
BASE = Experiment(
    data=blobs(500, 5, 3), model=MLP(hidden=(7,)), epochs=4, batch_size=16, split=KFold(k=3), seeds=2,
    regularizer=Regularizer(dropout=0.2), histograms=2,
)  # fmt: skip


@pytest.fixture(scope="module")
def run():
    """A training of 2 seeds x 3 folds, and its records by epoch."""
    training = fit(BASE)
    return training, list(training)


def histogram_of(values):
    """(counts, edges) of one row whose values come in several pieces."""
    (histogram,) = histograms(1, lambda: [("x", 0, v) for v in values]).values()
    return histogram.counts[0], histogram.edges[0]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_it_is_numpys(dtype):
    values = np.random.default_rng(0).normal(size=(3, 50, 7)).astype(dtype)
    counts, edges = histogram_of(values)
    expected, expected_edges = np.histogram(values.astype(float), HISTOGRAM_BINS)
    assert np.array_equal(counts, expected) and np.array_equal(edges, expected_edges)


@pytest.mark.parametrize("value", [0.0, 0.1, -3.0])
def test_equal_values_are_as_numpys(value):
    counts, edges = histogram_of([np.full(9, value)])
    expected, expected_edges = np.histogram(np.full(9, value), HISTOGRAM_BINS)
    assert np.array_equal(counts, expected) and np.allclose(edges, expected_edges, rtol=0, atol=1e-15)


@pytest.mark.parametrize("values", [[1.0, 1.0 + 2**-52], [1e25, 1e25], [-1e299, 1e299], [5e-324, 0.0]])
def test_values_that_numpy_finds_no_bins_for(values):
    counts, edges = histogram_of([np.array(values)])
    assert counts.sum() == 2 and (np.diff(edges) > 0).all() and np.isfinite(edges).all()


def test_what_is_no_number_is_not_counted():
    counts, edges = histogram_of([np.array([np.nan, 1.0, np.inf]), np.array([2.0, -np.inf])])
    assert counts.sum() == 2 and (edges[0], edges[-1]) == (1.0, 2.0)
    counts, edges = histogram_of([np.full(3, np.nan)])
    assert counts.sum() == 0 and (np.diff(edges) > 0).all()


def test_only_in_the_epochs_asked_for(run):
    _, records = run
    assert [r.epoch for r in records if r.histograms] == [2, 4]
    assert not any(r.histograms for r in fit(replace(BASE, histograms=0)))


def test_counts_add_up_to_the_number_of_values(run):
    training, records = run
    units = {"hidden1": 7, "relu1": 7, "output": 3}  # without dropout, which is an identity in evaluation
    sizes = {"hidden1.weight": 35, "hidden1.bias": 7, "output.weight": 21, "output.bias": 3}
    last_histograms = records[-1].histograms
    assert set(last_histograms) == {f"activations/{n}" for n in units} | {f"parameters/{n}" for n in sizes}
    validation = np.array([len(row.fold.validation) for row in training.rows])
    assert len(set(validation)) > 1
    for name, n_units in units.items():
        assert (
            last_histograms[f"activations/{name}"].counts.sum(1).tolist() == (n_units * validation).tolist()
        )
    for name, size in sizes.items():
        assert last_histograms[f"parameters/{name}"].counts.sum(1).tolist() == [size] * 6


def test_weights_are_those_of_the_epoch():
    training = fit(replace(BASE, metric="last"))
    last = list(training)[-1]
    for k, row in enumerate(last.rows):
        for name, weights in training.results[row].weights.items():
            expected, expected_edges = np.histogram(weights.astype(float), HISTOGRAM_BINS)
            histogram = last.histograms[f"parameters/{name}"]
            assert np.array_equal(histogram.counts[k], expected) and np.allclose(
                histogram.edges[k], expected_edges
            )


def test_activations_are_those_of_the_validation_set(monkeypatch):
    monkeypatch.setattr("nnlab.experiment.MAX_EVALUATION_BATCH", 64)  # three batches, the last not full
    training = fit(replace(BASE, metric="last", dtype="float64"))
    histogram = list(training)[-1].histograms["activations/relu1"]
    data, dataset = BASE.data, training.datasets[BASE.data]
    examples = Examples(data, dataset, torch.empty(0, dtype=torch.float64))
    for k, row in enumerate(training.rows):
        x, _ = examples.gather(row.fold, row.fold.validation)
        weights = training.results[k].weights
        hidden = np.maximum(weights["hidden1.weight"] @ x.numpy() + weights["hidden1.bias"], 0)
        counts, edges = np.histogram(hidden, HISTOGRAM_BINS)
        assert np.allclose(histogram.edges[k], edges)
        # One value may be rounded to the other side of an edge.
        assert np.abs(histogram.counts[k] - counts).sum() <= 2


def test_a_row_alone_has_the_same(run):
    training, records = run
    alone = list(fit(replace(BASE, seeds=1, seed=1, split=KFold(k=3, fold=1))))
    k = [(row.seed, row.fold.number) for row in training.rows].index((1, 1))
    for name, histogram in alone[-1].histograms.items():
        assert np.array_equal(histogram.counts[0], records[-1].histograms[name].counts[k])
        assert np.array_equal(histogram.edges[0], records[-1].histograms[name].edges[k])


def test_training_is_the_same_with_and_without(run):
    _, records = run
    for record, without in zip(records, fit(replace(BASE, histograms=0)), strict=True):
        assert all(np.array_equal(record.metrics[name], without.metrics[name]) for name in record.metrics)


def test_off_costs_nothing(monkeypatch):
    monkeypatch.setattr(Evaluator, "histograms", lambda self: pytest.fail("histograms were computed"))
    assert list(fit(replace(BASE, histograms=0, epochs=1)))
    assert list(fit(replace(BASE, histograms=3, epochs=2)))


def test_a_refit_has_none():
    records = list(fit(replace(BASE, refit=True, histograms=1, epochs=2, seeds=1)))
    assert all(bool(r.histograms) != r.refit for r in records) and any(r.refit for r in records)


def read(folder, tag):
    """step -> (HISTOGRAM_BINS, 3): left edge, right edge, count, as TensorBoard reads it."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.util.tensor_util import make_ndarray

    events = EventAccumulator(str(folder))
    events.Reload()
    assert tag in events.PluginTagToContent("histograms")
    return {event.step: make_ndarray(event.tensor_proto) for event in events.Tensors(tag)}


@pytest.mark.parametrize("rows", [1, 6])
def test_tensorboard(tmp_path, rows, run):
    _, records = run
    if rows == 1:
        records = list(fit(replace(BASE, seeds=1, split=KFold(k=3, fold=0))))
    names = [f"row{k}" for k in range(rows)]
    with TensorBoard(tmp_path, {}, rows, names) as board:
        for record in records:
            board.record(record)
    for row, name in enumerate(names):
        folder = tmp_path / "rows" / name if rows > 1 else tmp_path
        for tag, histogram in records[-1].histograms.items():
            events = read(folder, tag)
            left, right, counts = events[4].T
            assert list(events) == [2, 4] and events[4].dtype == float and len(counts) == HISTOGRAM_BINS
            assert np.array_equal(counts, histogram.counts[row])
            assert np.array_equal(left, histogram.edges[row, :-1])
            assert np.array_equal(right, histogram.edges[row, 1:])


@pytest.mark.filterwarnings("ignore:html5lib's sanitizer is deprecated")  # TensorBoard imports it
def test_the_histograms_dashboard_reads_it(tmp_path, run):
    from tensorboard import context
    from tensorboard.backend.event_processing.data_provider import MultiplexerDataProvider
    from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer
    from tensorboard.plugins.base_plugin import TBContext
    from tensorboard.plugins.histogram.histograms_plugin import HistogramsPlugin

    training, records = run
    names = [f"row{row.number}" for row in training.rows]
    with TensorBoard(tmp_path, {}, len(names), names) as board:
        for record in records:
            board.record(record)
    multiplexer = EventMultiplexer()
    multiplexer.AddRunsFromDirectory(str(tmp_path))
    multiplexer.Reload()
    provider = MultiplexerDataProvider(multiplexer, str(tmp_path))
    plugin = HistogramsPlugin(TBContext(data_provider=provider, logdir=str(tmp_path)))
    request = context.RequestContext()
    assert "activations/relu1" in plugin.index_impl(request, experiment="")["rows/row0"]
    events, _ = plugin.histograms_impl(request, "activations/relu1", "rows/row0", "", 10)
    assert [step for _, step, _ in events] == [2, 4] and np.shape(events[0][2]) == (HISTOGRAM_BINS, 3)

"""What remains of rows that ended: their results, with a test of the weights of the best epoch."""

from __future__ import annotations

import numpy as np
import torch

from nnlab.autodiff.graph import Graph
from nnlab.data.examples import Examples
from nnlab.experiment import Row
from nnlab.training.calibration import Calibration, is_calibrated
from nnlab.training.evaluation import Evaluator, TestOutcome
from nnlab.training.population import Population, leaf_arrays, leaf_views
from nnlab.training.results import Ending, Result


def _is_last_training(row, diverged: bool) -> bool:
    """Whether the row is not trained again; a refit that diverged does not count."""
    return not diverged if row.refit else diverged or not row.experiment.refit


def results(
    population: Population, graph: Graph, examples: Examples, threads, epoch: int, endings: dict[int, Ending]
) -> list[Result]:
    """The results of rows that ended. The test set is used here, once, with the weights of the best epoch.

    A row that will be trained again is not tested yet, nor one that diverged before its first epoch ended or
    in its refit or was interrupted, nor a candidate, whose weights are not kept either.
    """
    keeps_weights = not population.rows[0].candidate
    statuses = [endings[row.number].status for row in population.rows]
    to_test = [
        keeps_weights and status != "interrupted" and _is_last_training(row, status == "diverged")
        for row, status in zip(population.rows, statuses, strict=True)
    ]
    best_weights = population.best_weights
    calibrations: list[Calibration] = [row.calibration for row in population.rows]  # a refit's are given
    tests = []
    if keeps_weights and (any(to_test) or any(map(is_calibrated, population.rows))):
        inference_graph = population.experiment.inference_graph(graph)
        evaluator = Evaluator(inference_graph, population, best_weights, examples, threads)
        if not population.rows[0].refit:
            calibrations = evaluator.calibrations()
        tests = evaluator.test(calibrations) if any(to_test) else []
    weights = leaf_arrays(graph, best_weights) if keeps_weights else {}
    return [
        _result(
            population, k, endings[row.number], epoch, examples,
            test=tests[k] if to_test[k] and population.best_epoch[k] else TestOutcome(),
            weights={name: array[k].copy() for name, array in weights.items()},
            calibration=calibrations[k],
        )
        for k, row in enumerate(population.rows)
    ]  # fmt: skip


def _result(
    population: Population, k: int, ending: Ending, epoch: int, examples: Examples,
    test: TestOutcome, weights: dict[str, np.ndarray], calibration: Calibration,
) -> Result:  # fmt: skip
    """That of row k, with what has been computed from the weights of its best epoch."""
    row, best_epoch = population.rows[k], int(population.best_epoch[k])
    best = {name: float(values[k]) for name, values in population.best.items()}
    return Result(
        row=row.number,
        seed=row.seed,
        repeat=row.fold.repeat,
        fold=row.fold.number,
        status=ending.status,
        reason=ending.reason,
        epochs=epoch,
        best_epoch=best_epoch,
        best=best if best_epoch else {},
        test=test.test,
        predictions=test.predictions,
        weights=weights,
        normalizer={} if row.candidate else examples.scaling(row.fold),
        calibration=calibration if best_epoch else {},
        examples={part: len(getattr(row.fold, part)) for part in ("train", "validation", "test")},
        fixed_test=examples.dataset.given("test") is not None,
        past=tuple(population.past[k][:best_epoch]),
    )


def test_row(row: Row, result: Result, examples: Examples, threads: int) -> TestOutcome:
    """The row on its test set with the weights and the calibration of its result."""
    graph = row.experiment.graph(examples.spec)
    population = Population.create([row], graph, examples.template)
    for name, view in leaf_views(graph, population.state).items():
        view[0] = torch.from_numpy(result.weights[name]).to(view)
    inference_graph = row.experiment.inference_graph(graph)
    evaluator = Evaluator(inference_graph, population, population.state, examples, threads)
    return evaluator.test([result.calibration])[0]

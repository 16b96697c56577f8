"""Looking at rows without training them: loss and error of a set, and the test report at the end."""

from __future__ import annotations

import numpy as np
import torch

from nnlab.autodiff.box import Site
from nnlab.autodiff.graph import Graph
from nnlab.data.batches import Chunk
from nnlab.data.examples import Examples, evaluation_batches
from nnlab.experiment import Row
from nnlab.metrics import TASKS
from nnlab.runtime.recording import Recorder
from nnlab.training.histograms import histograms
from nnlab.training.population import Population, Weights
from nnlab.training.results import Ending, Histograms, Result


class Measure:
    """Sums of a population's loss and error, in float64: what the records are made of."""

    def __init__(self, population: Population, examples: Examples):
        self.loss = population.experiment.loss_for(examples.spec)
        self.task = TASKS[examples.spec.task]()
        scales = np.stack([examples.scaling(row.fold)["target_scale"] for row in population.rows])  # (K, m)
        # Summed in units of the largest scale, so that the squares of targets like 1e25 do not overflow.
        self.scale = scales.max(1)  # (K,)
        self.unit = torch.from_numpy(scales / self.scale[:, None]).to(examples.like)[:, :, None]  # (K, m, 1)

    def __call__(self, z, t, weight) -> torch.Tensor:
        """(2, K): weighted sums of loss and error over all examples, and all steps S if there are any.

        z and t are (S, K, m, B) or (K, m, B); weight (S, 1 or K, B) or (1 or K, B).
        """
        error = self.task.per_example(self.loss.scores(z), t, self.unit)
        each = torch.stack([self.loss.fprop(z, t), error]) * weight
        # Every row's numbers in one line before they are summed: the order of a sum is then the same
        # for any number of rows.
        return each.double().movedim(-2, 1).flatten(2).contiguous().sum(2)

    def error(self, mean: np.ndarray) -> np.ndarray:
        """(K,): the rows' errors from the means of what is summed; an RMSE in the target's unit."""
        return self.task.finish(mean) * self.scale


class Evaluator:
    """A population's network without dropout, on `weights` that may go on changing."""

    def __init__(self, graph: Graph, population: Population, weights: Weights, examples: Examples, threads):
        e, theta, batch = population.experiment, weights.theta, population.rows[0].evaluated
        site = Site(len(theta), batch, False, theta, e.regularizer.rates(), threads, e.precision)
        self.network = graph.bind(theta, theta, site, weights.buffers)  # nothing writes a gradient here
        self.rows, self.examples = population.rows, examples
        self.monitor = self.rows[0].fold.monitor
        self.measure = Measure(population, examples)
        self.theta, self.parameters = theta, graph.layout().parameters
        self.sums = torch.zeros(2, len(theta), dtype=torch.float64, device=theta.device)  # loss and error
        self.recorder, self.placed = Recorder(theta), False

    def begin(self) -> None:
        """Sum from zero."""
        self.sums.zero_()

    def add(self, z: torch.Tensor, chunk: Chunk) -> None:
        """Sum what the network put out before each step of a chunk, (S, K, m, B)."""
        name = z.data_ptr(), chunk.t.data_ptr(), chunk.valid.data_ptr(), len(z)
        self.recorder.run(name, lambda: self.sums.add_(self.measure(z, chunk.t, chunk.valid)))

    def validate(self) -> dict[str, np.ndarray]:
        """Mean loss and error of every row on its validation set; nothing where nothing is held back."""
        if self.monitor != "validation":
            return {}
        if self.recorder.records and not self.placed:  # sets that are placed once: no recording has that
            for _ in evaluation_batches(self.examples, self.rows, "validation"):
                self.placed = True
        self.recorder.run("validation", self._sum_validation)
        loss, error = self.sums.cpu().numpy()
        return {"val_loss": loss, "val_error": self.measure.error(error)}

    def _sum_validation(self) -> None:
        self.begin()
        for batch in evaluation_batches(self.examples, self.rows, "validation"):
            self.sums.add_(self.measure(self.network.fprop(batch.x), batch.t, batch.weight[:, 0]))

    def histograms(self) -> dict[str, Histograms]:
        """Of every row: each parameter, and what each box puts out on the validation set, or on the
        training examples where nothing is held back."""
        return histograms(len(self.rows), self._pieces)

    def _pieces(self):
        """Those numbers as (name, row, values), in as many pieces as there are batches."""
        for name, slot in self.parameters.items():
            for k, values in enumerate(slot.view(self.theta).cpu().numpy()):
                yield f"parameters/{name}", k, values
        for batch in evaluation_batches(self.examples, self.rows, self.monitor):
            self.network.fprop(batch.x)
            examples = (batch.weight[:, 0] > 0).cpu().numpy()  # (1 or K, B): what fills a batch up is none
            for name, y in self.network.outputs().items():
                for k, values in enumerate(y.cpu().numpy()):
                    yield f"activations/{name}", k, values[..., examples[k % len(examples)]]

    def test(self) -> list[dict]:
        """Every row's report on its test set: the loss, and what the task reports; nothing if it has none."""
        if not len(self.rows[0].fold.test):
            return [{} for _ in self.rows]
        outputs, targets, sums, answer = [], [], 0, self.measure.task.answer
        for batch in evaluation_batches(self.examples, self.rows, "test"):
            z = self.network.fprop(batch.x)
            sums = sums + self.measure(z, batch.t, batch.weight[:, 0])
            # Copies: in float64 on a CPU these would be the network's own memory, which the next batch takes.
            outputs.append(np.array(answer(self.measure.loss.scores(z).double().cpu().numpy())))
            targets.append(np.array(answer(batch.t.double().cpu().numpy())))
        z, t = (np.concatenate(parts, 2) for parts in (outputs, targets))
        return [
            {"loss": loss, **self._report(z[k], t[k], row.fold)}
            for k, (loss, row) in enumerate(zip(sums[0].tolist(), self.rows, strict=True))
        ]

    def _report(self, z, t, fold) -> dict:
        classes, s = self.examples.dataset.classes, self.examples.scaling(fold)
        z, t = z[:, : len(fold.test)], t[:, : len(fold.test)]
        if not classes:
            mean, scale = s["target_mean"][:, None], s["target_scale"][:, None]
            z, t = (v * scale + mean for v in (z, t))
        return self.measure.task.test(z, t, classes)


def _is_final(row, lost: bool) -> bool:
    """Whether this is the row's last training; the refit of a row that is `lost` does not count."""
    return not lost if row.refit else lost or not row.experiment.refit


def results(
    leaving: Population, graph: Graph, examples: Examples, threads, epoch: int, ended: dict[int, Ending]
) -> list[Result]:
    """How these rows ended. The test set is looked at here, once, with the weights of the best epoch.

    A row that will be trained again is not tested yet, nor one that diverged before its first epoch ended or
    in its refit or was interrupted, nor a candidate, whose weights are not kept either.
    """
    kept = not leaving.rows[0].candidate
    how = [ended[row.number].status for row in leaving.rows]
    final = [
        kept and status != "interrupted" and _is_final(row, status == "diverged")
        for row, status in zip(leaving.rows, how, strict=True)
    ]
    tests = Evaluator(graph, leaving, leaving.best_weights, examples, threads).test() if any(final) else []
    weights = named_arrays(graph, leaving.best_weights) if kept else {}
    return [
        Result(
            row=row.number,
            seed=row.seed,
            repeat=row.fold.repeat,
            fold=row.fold.number,
            status=ended[row.number].status,
            reason=ended[row.number].reason,
            epochs=epoch,
            best_epoch=int(leaving.best_epoch[k]),
            best={name: float(x[k]) for name, x in leaving.best.items()} if leaving.best_epoch[k] else {},
            test=tests[k] if final[k] and leaving.best_epoch[k] else {},
            weights={name: array[k].copy() for name, array in weights.items()},
            normalizer=examples.scaling(row.fold) if kept else {},
            examples={part: len(getattr(row.fold, part)) for part in ("train", "validation", "test")},
            fixed_test=examples.dataset.test is not None,
            past=tuple(leaving.past[k][: leaving.best_epoch[k]]),
        )
        for k, row in enumerate(leaving.rows)
    ]


def named(graph: Graph, weights: Weights) -> dict[str, torch.Tensor]:
    """Every leaf by its full name, as a view (K, *shape)."""
    layout = graph.layout()
    parameters = {name: slot.view(weights.theta) for name, slot in layout.parameters.items()}
    return parameters | {name: slot.view(weights.buffers) for name, slot in layout.buffers.items()}


def named_arrays(graph: Graph, weights: Weights) -> dict[str, np.ndarray]:
    """The same on the host."""
    here = Weights(weights.theta.cpu(), weights.buffers.cpu())
    return {name: view.numpy() for name, view in named(graph, here).items()}


def tested(row: Row, weights: dict[str, np.ndarray], examples: Examples, threads: int) -> dict:
    """The report on the row's test set of these weights, as a `Result` has them."""
    graph = row.experiment.graph(examples.spec)
    population = Population.create([row], graph, examples.like)
    for name, view in named(graph, population.state).items():
        view[0] = torch.from_numpy(weights[name]).to(view)
    return Evaluator(graph, population, population.state, examples, threads).test()[0]

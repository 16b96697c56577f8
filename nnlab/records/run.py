"""All that is written of one run: its folder, its curves in TensorBoard, its picture."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path

from nnlab.data.spec import DataSpec
from nnlab.equation import Equation, equation
from nnlab.experiment import Experiment, Row
from nnlab.records import formula
from nnlab.records.picture import Curves, draw
from nnlab.records.run_folder import RunFolder
from nnlab.records.summary import summarize
from nnlab.records.tensorboard import TensorBoard, row_names
from nnlab.records.text import loss_in_words
from nnlab.runtime.devices import device, is_there_a_card
from nnlab.training.fit import Fit
from nnlab.training.stacks import theta_width

BYTES_OF_REPORT = 2**14  # in rows.json, of each row; and in headers and names of weights


@dataclass(frozen=True)
class Order:
    """What is to be run, and where it goes: the settings, and the line that repeats them."""

    folder: Path
    settings: dict  # of the command, written to config.yaml
    hparams: dict  # of the experiment, for TensorBoard
    command: str
    picture: bool
    differ: tuple[str, ...] = ()  # hyperparameters that tell it from other runs


class Run:
    """Writes what concerns one experiment of a fit, its rows numbered from 0.

    with Run(order, fit, place) as run:
        run.record(record)           each record of the fit
        summary = run.close()        when its rows have ended
    """

    def __init__(self, order: Order, fit: Fit, place: int = 0):
        self.fit, self.place, self.order = fit, place, order
        self.experiment: Experiment = fit.experiments[place]
        self.rows: list[Row] = [row for row, owner in zip(fit.rows, fit.owner, strict=True) if owner == place]
        self.first = self.rows[0].number
        self.title = title(self.experiment, fit, len(self.rows))
        self.spec = fit.datasets[self.experiment.data].spec
        self.about = about(self.experiment, self.spec)
        self.task = self.about["task"]
        names = row_names([(row.seed, row.fold.repeat, row.fold.number) for row in self.rows])
        self.equation: Equation | None = None  # known when it is closed
        self.closed = False  # whether all of it is written
        self.lost = False  # its folder, so that `keep` had to take another
        self.folder = RunFolder(order.folder)
        try:
            self.folder.start(order.settings, order.command, self.spec)
            self.folder.reserve(self._size_of_weights())
            self.board = TensorBoard(
                order.folder, order.hparams, len(self.rows), names, self.task, order.differ
            )
        except BaseException:
            self.folder.__exit__()
            raise
        self.curves = Curves(len(self.rows)) if order.picture else None

    def record(self, record):
        """Take in what a record of the fit says of this run's rows; that part of it, None if nothing."""
        own = record.of(self.first, len(self.rows))
        if own is None:
            return None
        self.folder.record(own)
        # Curves end with the search for the best epoch: what a refit validates on, it trains on.
        for reader in [] if own.refit else [self.board, *([self.curves] if self.curves else [])]:
            reader.record(own)
        return own

    def keep(self) -> int:
        """Write what there is of a run that ended early: the best weights so far; of how many rows."""
        results = [r for r in self._results() if r.best_epoch]
        self.lost = self.folder.keep(results)
        return len(results)

    def _size_of_weights(self) -> int:
        """Bytes that the weights will take, with their normalisers, and rows.json."""
        number = 8 if self.experiment.dtype == "float64" else 4
        normalizer = 2 * 8 * (self.spec.inputs + self.spec.outputs)
        each = number * theta_width(self.rows[0], self.fit.datasets) + normalizer + BYTES_OF_REPORT
        return len(self.rows) * each + BYTES_OF_REPORT

    @property
    def over(self) -> bool:
        """Whether all its rows have ended for good, so that it can be closed."""
        return len(self._results()) == len(self.rows) and not self.experiment.refit

    def close(self) -> dict:
        """Write the results; the summary."""
        results = self._results()
        summary = {"title": self.title} | self.about | how_computed(self.fit) | summarize(results)
        self.equation = self._equation(results)
        if self.equation:
            self.folder.write(formula.FILE, formula.as_json(self.equation))
        self.folder.close(summary, results)
        if self.curves:
            _, _, target = self.about["loss_is"].partition(" of the ")
            png = draw(self.curves, self.title, self.task, target)
            self.folder.picture(png)
            self.board.picture(self.curves.epochs, png)
        self.board.close(summary, results)
        self.closed = True
        return summary

    def _equation(self, results: list):
        """That of the first row that has one: of a small model without hidden layers."""
        found = (equation(self.fit, self.rows[r.row], r) for r in results if r.status != "diverged")
        return next(found, None)

    @property
    def units(self) -> tuple[str, str]:
        """In what its loss and its error are measured: means over runs need them to be the same."""
        return self.about["loss_is"], self.about["data"] if self.task == "regression" else "share"

    def _results(self) -> list:
        own = range(self.first, self.first + len(self.rows))
        return sorted(
            (r.numbered_from(self.first) for r in self.fit.results if r.row in own), key=lambda r: r.row
        )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.folder.__exit__()
        with contextlib.suppress(*[OSError] if not self.closed else []):  # of a full disk somebody has spoken
            self.board.__exit__()


def about(e: Experiment, spec: DataSpec) -> dict[str, str]:
    """What the numbers of a summary are: of which data and task, of which loss, and made on which device."""
    data = ": ".join([e.data.name, *(str(v) for k in ("path", "target") if (v := getattr(e.data, k, None)))])
    normalization, loss = getattr(e.data, "target_normalization", "none"), e.loss_for(spec).name
    loss_is = loss_in_words(loss, spec.task, normalization)
    own = {"data": data, "task": spec.task, "loss": loss, "loss_is": loss_is}
    return own | {"device": str(device(e.device))}


def how_computed(fit: Fit) -> dict[str, str | bool]:
    """What a curve's last digits depend on beside the device, which on a CPU is nothing; why it was taken."""
    reasons = {place.why for place in fit.places.values() if place.why}
    how = {"device_because": "; ".join(sorted(reasons))} if reasons else {}
    if fit.on_cpu:
        return how
    precisions = sorted({e.precision for e in fit.experiments})
    return how | {"precision": ", ".join(precisions), "compiled": fit.compiled}


def title(e: Experiment, fit: Fit, rows: int) -> str:
    """digits (1797 x 64, 10 classes), mlp 64-64-10, adam: 1 row"""
    return f"{titled(e, fit.datasets[e.data].spec)}: {rows} row{'s' * (rows > 1)}"


def titled(e: Experiment, spec: DataSpec, searched=()) -> str:
    """digits (1797 x 64, 10 classes), mlp 64-64-10, adam; without the groups that are `searched`."""
    kind = f"{len(spec.classes)} classes" if spec.classes else "regression"
    outputs = e.loss_for(spec).outputs(spec.outputs)
    sizes = "-".join(map(str, (spec.inputs, *getattr(e.model, "hidden", ()), outputs)))
    where = device(e.device)
    parts = {
        "data": f"{e.data.name} ({spec.dimensions}, {kind})",
        "model": f"{e.model.name} {sizes}",
        "optimizer": e.optimizer.name,
        **({"precision": e.precision} if e.precision != "float32" else {}),
        **({"device": f"on {where}"} if where.type != "cpu" or is_there_a_card() else {}),
    }
    return ", ".join(said for group, said in parts.items() if group not in searched)

"""The rows of one stack: their parameters, what their optimisers remember, their hyperparameters.

    theta    (K, P)   every parameter of every row, laid out [weights | biases]
    buffers  (K, Q)   what boxes keep of the examples they saw, as running means
    slots    (K, P)   each, what the optimiser remembers
    t        (K, 1)   how many updates a row has had

Early stopping, best weights and going back are `select` and `copy_rows` on exactly these.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from types import SimpleNamespace

import numpy as np
import torch

from nnlab.autodiff.graph import Graph
from nnlab.experiment import Experiment, Row
from nnlab.hyperparameters import parts, select, stack
from nnlab.runtime.recording import on_card, send
from nnlab.schedules.base import PastEpoch
from nnlab.streams import stream


@dataclass
class Weights:
    """What a row computes with."""

    theta: torch.Tensor
    buffers: torch.Tensor

    def named(self) -> dict[str, torch.Tensor]:
        """Every tensor by its name."""
        return {"theta": self.theta} | ({"buffers": self.buffers} if self.buffers.numel() else {})

    def select(self, rows):
        """Those of these rows (numbers) alone, in memory of their own."""
        return Weights(self.theta[rows], self.buffers[rows])

    def copy_rows(self, rows, source: Weights) -> None:
        """Give the rows where `rows` (K,) is true, or all, what `source` has, which may have more."""
        theirs = source.named()
        for name, mine in self.named().items():
            if on_card(mine) and isinstance(rows, torch.Tensor):  # by one pass, and without waiting for it
                chosen = send(rows, torch.empty(rows.shape, dtype=torch.bool, device=mine.device))[:, None]
                torch.where(chosen, theirs[name], mine, out=mine)
            else:
                mine[rows] = theirs[name][rows]


@dataclass
class State(Weights):
    """What training changes in a row, and going back restores."""

    slots: SimpleNamespace
    t: torch.Tensor

    def named(self):
        slots = {f"slots.{name}": slot for name, slot in vars(self.slots).items()}
        return super().named() | {"t": self.t} | slots

    def select(self, rows):
        slots = {name: slot[rows] for name, slot in vars(self.slots).items()}
        return State(self.theta[rows], self.buffers[rows], SimpleNamespace(**slots), self.t[rows])


@dataclass
class Population:
    """All that a row is. Every array has K rows in front; `experiment` is the rows' experiments stacked."""

    rows: list[Row]
    experiment: Experiment
    state: State
    schedule: dict[str, np.ndarray]  # the schedule's and the stopping rule's memory
    stopping: dict[str, np.ndarray]
    best_value: np.ndarray
    best_epoch: np.ndarray
    best_weights: Weights
    past: list[list[PastEpoch]]  # of each row that will be trained again, its epochs so far
    best: dict[str, np.ndarray] = field(default_factory=dict)  # the metrics of the best epoch

    @staticmethod
    def create(rows: list[Row], graph: Graph, like: torch.Tensor) -> Population:
        """The rows before their first step."""
        experiment = stacked([row.experiment for row in rows])
        theta = initial(rows, graph).to(like)
        slots = {name: torch.zeros_like(theta) for name in experiment.optimizer.slots}
        buffers = untouched_buffers(rows, graph).to(like)
        state = State(
            theta, buffers, SimpleNamespace(**slots), torch.zeros(len(rows), 1, dtype=torch.float64)
        )
        return Population(
            rows, experiment, state,
            experiment.schedule.start(len(rows)), experiment.stopping.start(len(rows)),
            np.full(len(rows), np.inf), np.zeros(len(rows), int), Weights(theta.clone(), buffers.clone()),
            [[] for _ in rows],
        )  # fmt: skip

    def __len__(self) -> int:
        return len(self.rows)

    def select(self, rows: np.ndarray) -> Population:
        """The population of these rows alone (numbers, in any order)."""
        return Population(**{f.name: _take(getattr(self, f.name), rows) for f in fields(self)})

    @property
    def remembering(self) -> list[int]:
        """The rows, by place, that will be trained again, and so remember their epochs."""
        return [k for k, r in enumerate(self.rows) if r.experiment.refit and not r.refit and not r.candidate]

    def lost(self, metrics: dict[str, np.ndarray]) -> np.ndarray:
        """The rows whose numbers are not finite after an epoch, (K,) bool."""
        watched = [metrics[m] for m in ("train_loss", "val_loss", "grad_norm") if m in metrics]
        return ~np.isfinite(watched).all(0)

    def recall(self, epoch: int) -> None:
        """In a refit: give the schedule the state that it had before this epoch of the first training."""
        if self.rows[0].refit:
            states = [_repeated(row, epoch).state for row in self.rows]
            self.schedule = {name: np.stack([s[name] for s in states]) for name in states[0]}

    def heard(self, metrics: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """What schedules and stopping rules hear of an epoch: if it is lost, the largest rise there is."""
        lost, listened = self.lost(metrics), {"val_loss", "val_error"} & metrics.keys()
        return metrics | {m: np.where(lost, np.inf, metrics[m]) for m in listened}

    def listen(self, epoch: int, heard: dict[str, np.ndarray]) -> np.ndarray:
        """Let the schedule hear an epoch's metrics; (K,) bool, the rows to take back.

        In a refit the same epochs are taken back as in the first training.
        """
        if self.rows[0].refit:
            return np.array([_repeated(row, epoch).back for row in self.rows])
        again = self.remembering
        before = [{name: np.copy(array[k]) for name, array in self.schedule.items()} for k in again]
        back = self.experiment.schedule.observe(self.schedule, heard)
        back = np.zeros(len(self), bool) if back is None else back
        for k, state in zip(again, before, strict=True):
            self.past[k].append(PastEpoch(state, bool(back[k])))
        return back

    def keep_best(self, epoch: int, metrics: dict[str, np.ndarray], back) -> np.ndarray:
        """Remember the weights of rows whose metric is the lowest so far; which they are, (K,) bool.

        An epoch whose losses are not finite is never the best, whatever its error; nor is one that will be
        taken `back` (K,) the last. A refit ends with the epoch that was the best, even if that was.
        """
        last = self.experiment.metric == "last"
        value = np.full(len(self), -epoch) if last else metrics[self.experiment.metric]
        improved = ~self.lost(metrics) & (value < self.best_value)
        if last and not self.rows[0].refit:
            improved &= ~back
        if improved.any():
            which = slice(None) if improved.all() else torch.from_numpy(improved)
            self.best_weights.copy_rows(which, self.state)
            self.best_value = np.where(improved, value, self.best_value)
            self.best_epoch = np.where(improved, epoch, self.best_epoch)
            for name, values in metrics.items():
                self.best[name] = np.where(improved, values, self.best.get(name, np.nan))
        return improved


def _repeated(row: Row, epoch: int) -> PastEpoch:
    """The epoch that a refit repeats; its last one, if that is over."""
    return row.past[min(epoch, len(row.past)) - 1]


def _take(value, rows):
    if isinstance(value, list):
        return [value[i] for i in rows]
    if isinstance(value, dict):
        return {key: array[rows] for key, array in value.items()}
    if isinstance(value, Experiment):
        return select_rows(value, rows)
    if isinstance(value, Weights):
        return value.select(rows)
    return value[rows]


# ---- stacking experiments


def stacked(experiments: list[Experiment]) -> Experiment:
    """One experiment for all rows: columns (K, 1), controls (K,)."""
    known = {"seed": 0, "seeds": 1, "batch_size": 1, "refit": False}  # each row knows its own
    own = stack([replace(e, **known) for e in experiments])
    return replace(own, **{g: stack([getattr(e, g) for e in experiments]) for g in parts(own)})


def select_rows(experiment: Experiment, rows) -> Experiment:
    """The stacked experiment of some rows."""
    own = select(experiment, rows)
    return replace(own, **{g: select(getattr(experiment, g), rows) for g in parts(own)})


# ---- initial weights


def initial(rows: list[Row], graph: Graph) -> torch.Tensor:
    """(K, P) float64 on the CPU; rows of equal seed and init share their draw."""
    layout = graph.layout()
    theta = torch.zeros(len(rows), layout.size, dtype=torch.float64)
    drawn = {}
    for k, row in enumerate(rows):
        init = row.experiment.init
        if (row.seed, init) not in drawn:
            drawn[row.seed, init] = k
            for name, slot in layout.parameters.items():
                slot.view(theta)[k] = _draw(init, row.seed, name, slot.leaf)
        else:
            theta[k] = theta[drawn[row.seed, init]]
    return theta


def untouched_buffers(rows: list[Row], graph: Graph) -> torch.Tensor:
    """(K, Q) float64 on the CPU: every buffer at its start."""
    layout = graph.layout()
    buffers = torch.zeros(len(rows), layout.buffers_size, dtype=torch.float64)
    for slot in layout.buffers.values():
        slot.view(buffers).fill_(slot.leaf.start)
    return buffers


def _draw(init, seed: int, name: str, parameter) -> torch.Tensor:
    if parameter.kind == "bias":
        return torch.full(parameter.shape, init.bias, dtype=torch.float64)
    random = stream(seed, "init", name)
    p = parameter
    return torch.from_numpy(init.weights(random, p.shape, p.fan_in, p.fan_out, p.activation))

"""Sweeps whose stacks train as jobs: whoever trains them, in whatever order, the sweep is the local one."""

from dataclasses import replace

import pytest
from searches import small_sampler
from shuffled_executor import Shuffled

import nnlab
from nnlab.jobs.launchers import Folder
from nnlab.search.pruners import PRUNERS
from nnlab.search.settings import Search
from nnlab.search.sweep import Sweep, TrialsFinished
from nnlab.training.data_cache import DataCache

LOG = nnlab.Interval(1e-4, 1e3, log=True)  # at whose upper end every trial diverges
SPACE = {
    "optimizer.lr": LOG,
    "regularizer.l2": nnlab.Interval(0.0, 0.01),
    "model.hidden": nnlab.Choice(((3,), (4,))),
}
BASE = nnlab.Experiment(
    data=nnlab.Iris(limit=60),
    optimizer=nnlab.SGD(),
    epochs=5,
    batch_size=16,
    refit=False,
)
ROWS = {
    "one row": {},
    "seeds": {"seeds": 2},
    "folds": {"split": nnlab.KFold(k=3)},
}
STACKS = (1, 3, 1000, "auto")
EAGER = {"median": {"startup": 2, "warmup": 1, "interval": 2}, "none": {}}
PRUNED = {name: cls(**EAGER.get(name, {"min_epochs": 1, "factor": 2})) for name, cls in PRUNERS.items()}
CACHE = DataCache()


def swept(sampler, pruner="none", rows="one row", executor=None, stacks="auto", trials=12, batch=5):
    """The trials of a sweep, and their curves."""
    search = Search(
        small_sampler(sampler), PRUNED[pruner], trials, batch=batch, launcher=Folder(stacks=stacks)
    )
    sweep = Sweep(SPACE, search, replace(BASE, **ROWS[rows]), cache=CACHE, executor=executor)
    curves = {}
    for event in sweep:
        if isinstance(event, TrialsFinished) and not event.written:
            curves |= {t.number: event.batch.mean_curves(t.number) for t in event.trials if t.epochs}
    return sweep.trials, curves, sweep


@pytest.mark.parametrize("pruner", PRUNED)
@pytest.mark.parametrize("number, sampler", [*enumerate(["random", "grid", "tpe", "cmaes", "qmc"])])
def test_who_trains_the_jobs_changes_nothing(number, sampler, pruner):
    number += [*PRUNED].index(pruner)
    rows, stacks = [*ROWS][number % 3], STACKS[number % 4]
    trials, curves, _ = swept(sampler, pruner, rows)
    executor = Shuffled(seed=number, broken=number % 3)
    again, curves_again, _ = swept(sampler, pruner, rows, executor, stacks)
    assert repr(again) == repr(trials) and repr(curves_again) == repr(curves)
    assert not executor.waiting and not executor.outcomes

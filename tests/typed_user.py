"""A user's code for mypy and editors to check against nnlab/__init__.pyi; it is never run.

Where a line says `type: ignore[...]` mypy must find that mistake: it complains where it does not
(`warn_unused_ignores`), so this file can fail both ways.
"""

from collections.abc import Iterator
from typing import assert_type

import numpy as np

import nnlab

# ---- an experiment, and what trains it

adam = nnlab.Adam(lr=0.01, beta2=0.99, clip_norm=1.0)
assert_type(adam.lr, float)
experiment = nnlab.Experiment(
    optimizer=adam, model="mlp", regularizer=["l2", "dropout"], batch_size="full", seeds=10
)
assert_type(experiment.optimizer, nnlab.Optimizer)
assert_type(experiment.regularizer, nnlab.Regularizer)
assert_type(experiment.load().spec, nnlab.DataSpec)

fit = nnlab.fit(experiment)
assert_type(fit, nnlab.Fit)
assert_type(fit.run(), nnlab.Fit)
for record in fit:
    assert_type(record, nnlab.Record)
    assert_type(record.epoch, int)
nnlab.fit(experiment, np.zeros((20, 3)), [0, 1] * 10)
nnlab.Fit([experiment, nnlab.Experiment(schedule=nnlab.Cosine(warmup=2))])

verdicts = nnlab.check(experiment, only=["start", "data"])
assert_type(verdicts, Iterator[nnlab.Verdict])

# ---- a search, and a folder

lr = nnlab.Interval(1e-4, 1e-1, log=True)
search = nnlab.Search(
    sampler="random", pruner=nnlab.Median(), trials=20, objective=["val_loss", "parameters"]
)
sweep = nnlab.Sweep({"optimizer.lr": lr, "model.hidden": [[32], [64]]}, search, experiment)
assert_type(sweep.run().best, nnlab.Trial)
assert_type(sweep.experiment(sweep.best), nnlab.Experiment)

run = nnlab.StoredRun("outputs/train/FOLDER")
assert_type(run.experiment, nnlab.Experiment)
assert_type(run.spec, nnlab.DataSpec | None)
assert_type(nnlab.__version__, str)

# ---- mistakes

nnlab.Adm(lr=0.01)  # type: ignore[attr-defined]
nnlab.Adam(learning_rate=0.01)  # type: ignore[call-arg]
nnlab.Adam(lr="fast")  # type: ignore[arg-type]
nnlab.Experiment(optimiser="adam")  # type: ignore[call-arg]
nnlab.Experiment(optimizer=nnlab.Cosine())  # type: ignore[arg-type]
nnlab.Experiment(epochs="many")  # type: ignore[arg-type]
nnlab.Search(sampler=adam)  # type: ignore[arg-type]
nnlab.Sweep({}, experiment)  # type: ignore[arg-type]
nnlab.Interval("low", 1)  # type: ignore[arg-type]
fit.rnu()  # type: ignore[attr-defined]

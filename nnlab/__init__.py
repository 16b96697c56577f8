"""nnlab: a laboratory for training neural networks. Everything trains as a population.

    import nnlab

    fit = nnlab.fit(nnlab.Experiment(optimizer=nnlab.Adam(lr=0.01), seeds=10))
    for record in fit:
        print(record.epoch, record.val_loss)
    print(fit.results[0].test["accuracy"])

The names below are imported when they are first used: `import nnlab` alone does not import torch.
"""

import importlib

__version__ = "0.1.0"


def _listed(*files: str) -> tuple[str, ...]:
    """What modules list in `__all__`, read without importing them: a new optimiser is public by that."""
    names = []
    for file in files:
        with open(f"{__path__[0]}/optimizers/{file}", encoding="utf-8") as source:
            listed = source.read().partition("__all__ = [")[2].partition("]")[0]
        names += [name.strip().strip('"') for name in listed.split(",") if name.strip()]
    return tuple(names)


_HOMES = {
    "nnlab.training.fit": ("Fit", "fit"),
    "nnlab.checks.ladder": ("check",),
    "nnlab.checks.subject": ("Budget",),
    "nnlab.checks.verdict": ("Finding", "Verdict"),
    "nnlab.experiment": ("Experiment",),
    "nnlab.training.results": ("Record", "Result"),
    "nnlab.records.stored_run": ("StoredRun",),
    "nnlab.prediction.model": ("TrainedModel",),
    "nnlab.prediction.loading": ("load",),
    "nnlab.prediction.export": ("export",),
    "nnlab.prediction.estimators": ("Classifier", "Regressor"),
    "nnlab.errors": ("Advice", "UserError"),
    "nnlab.data.sources": (
        "Arrays", "BreastCancer", "Csv", "Data", "Dataset", "Diabetes", "Digits", "Idx", "Images", "Iris",
        "Line", "Mnist1d", "Moons", "Noise", "Npy", "Npz", "RarePoints", "Ravine", "Sine", "Spirals", "Table",
        "Wine", "Words",
    ),
    "nnlab.data.columns": ("Column",),
    "nnlab.tables.frames": ("Frame",),
    "nnlab.data.spec": ("DataSpec",),
    "nnlab.data.splits": ("Fold", "Holdout", "KFold", "NoSplit", "Split"),
    "nnlab.models": ("CNN", "MLP", "GraphModel", "Linear", "Logistic", "Model", "Tabular"),
    "nnlab.initializers": (
        "Auto", "ConstantInit", "FanInUniform", "GlorotNormal", "GlorotUniform", "HeNormal", "HeUniform",
        "Init", "LeCunNormal", "Normal", "Orthogonal", "Sparse", "Uniform", "Zeros",
    ),
    "nnlab.regularizers": ("Regularizer",),
    "nnlab.optimizers": _listed("base.py", "descent.py", "momentum.py", "adaptive.py", "adam.py"),
    "nnlab.schedules": (
        "Constant", "Cosine", "CosineLog", "ExponentialDecay", "HalveAndGoBack", "HalveOnRise",
        "InverseTimeDecay", "MultiStepDecay", "OneCycle", "PolynomialDecay", "ReduceOnPlateau", "Schedule",
        "StepDecay", "simulate",
    ),
    "nnlab.stopping": ("Patience", "Stopping"),
    "nnlab.jobs.launchers": ("Folder", "Launcher", "Local", "Ray", "Slurm"),
    "nnlab.search.pruners": ("Halving", "Hyperband", "Median", "Pruner"),
    "nnlab.search.samplers": ("CMAES", "GP", "Grid", "QMC", "Random", "Sampler", "TPE"),
    "nnlab.search.settings": ("Search",),
    "nnlab.search.domains": ("Choice", "Interval", "Steps"),
    "nnlab.search.space": ("Space",),
    "nnlab.search.sweep": ("Sweep",),
    "nnlab.search.trial": ("Trial",),
}  # fmt: skip
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}
__all__ = [*_HOME_OF, "__version__"]


def __getattr__(name: str):
    if name not in _HOME_OF:
        raise AttributeError(f"module 'nnlab' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME_OF[name]), name)


def __dir__():
    return __all__

"""Baselines for bench_sweep.py: one random search by another library, each in its own process.

    python scripts/sweep_rivals.py torch --trials 64

Prints one line of JSON, the last of its output: the best trial's validation loss and accuracy, the epochs
trained in all, the seconds of each part (importing, compiling or starting, training, with the search in
it) and the peak memory of this process and of its largest child. "absent" stands there alone if a package is.
"""

import argparse
import functools
import json
import logging
import os
import resource
import sys
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
from bench_train import (
    Row,
    Work,
    digits_work,
    jax_program,
    run_jax,
    torch_modules,
    torch_validate,
    train_torch,
)

LR, L2, DROPOUT = (1e-4, 1e-1), (1e-6, 1e-2), (0.0, 0.6)  # the first two by their logarithms
PROCESSES = 2  # of scikit-learn and Ray; each trains on one thread


class Laps(dict):
    """Seconds by name: a call notes what has passed since the last one."""

    def __init__(self):
        self.last = time.perf_counter()

    def __call__(self, name):
        now = time.perf_counter()
        self[name], self.last = now - self.last, now


def best_of(curves):
    """Of (trials, epochs, [loss, accuracy]): the lowest loss, its accuracy, and the number of epochs."""
    records = curves.reshape(-1, 2)
    loss, accuracy = records[np.nanargmin(records[:, 0])]
    return {"loss": loss, "accuracy": accuracy, "epochs": len(records)}


def search_optuna(work, trials, seed, curve):
    """Plain `study.optimize` in memory; `curve(work, row)` -> (epochs, [loss, accuracy])."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    curves = []

    def objective(trial):
        lr, l2 = trial.suggest_float("lr", *LR, log=True), trial.suggest_float("l2", *L2, log=True)
        curves.append(curve(work, Row(seed, lr, l2, trial.suggest_float("dropout", *DROPOUT))))
        return curves[-1][:, 0].min()

    optuna.create_study(sampler=optuna.samplers.RandomSampler(seed)).optimize(objective, trials)
    return best_of(np.stack(curves))


def torch_curve(work, row, device="cpu"):
    """The tuned loop of bench_train."""
    return np.array(list(train_torch(work, row, device)))


def run_torch(work, trials, seed, laps, device="cpu"):
    """Optuna and the tuned loop."""
    import optuna  # noqa: F401
    import torch

    torch.set_num_threads(work.threads)
    laps("importing")
    return search_optuna(work, trials, seed, functools.partial(torch_curve, device=device))


def import_lightning():
    """Lightning under either of its names."""
    try:
        import lightning.pytorch as lightning
    except ImportError:
        import pytorch_lightning as lightning
    for name in ("lightning", "lightning.pytorch", "pytorch_lightning"):
        logging.getLogger(name).setLevel(logging.ERROR)
    return lightning


@functools.cache
def lightning_class():
    """The LightningModule, made where Lightning is there."""
    import torch
    from torch.nn.functional import cross_entropy

    class Perceptron(import_lightning().LightningModule):
        def __init__(self, work, row):
            super().__init__()
            self.row, self.model, self.curve = row, torch_modules(work, row), []

        def training_step(self, batch, index):
            return cross_entropy(self.model(batch[0]), batch[1])

        def validation_step(self, batch, index):
            self.curve.append(torch_validate(self.model, *batch))

        def configure_optimizers(self):
            weights, biases = ([p for p in self.parameters() if p.ndim == n] for n in (2, 1))
            groups = [{"params": weights, "weight_decay": self.row.l2}, {"params": biases}]
            return torch.optim.Adam(groups, lr=self.row.lr, fused=True)

    return Perceptron


def lightning_curve(work, row):
    """Lightning at its quickest: nothing written or shown, whole batches gathered by one index."""
    import torch
    from torch.utils.data import BatchSampler, DataLoader, RandomSampler, TensorDataset

    torch.manual_seed(row.seed)
    x, y, vx, vy = map(torch.from_numpy, work.arrays)
    batches = BatchSampler(RandomSampler(x), work.batch, drop_last=False)
    loader = DataLoader(TensorDataset(x, y), sampler=batches, batch_size=None)
    quiet = ("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary")
    trainer = import_lightning().Trainer(
        accelerator="cpu", devices=1, max_epochs=work.epochs, num_sanity_val_steps=0,
        **dict.fromkeys(quiet, False),
    )  # fmt: skip
    module = lightning_class()(work, row)
    trainer.fit(module, loader, DataLoader(TensorDataset(vx, vy), batch_size=len(vx)))
    assert trainer.global_step == work.epochs * len(batches), "Lightning took other steps"
    return np.array(module.curve)


def run_lightning(work, trials, seed, laps):
    """Optuna and Lightning."""
    import optuna  # noqa: F401
    import torch

    lightning_class()
    torch.set_num_threads(work.threads)
    laps("importing")
    return search_optuna(work, trials, seed, lightning_curve)


def score(model, x, y):
    """What the validation set says of a fitted MLPClassifier."""
    from sklearn.metrics import log_loss

    p = model.predict_proba(x)
    loss = log_loss(y, p, labels=model.classes_)
    return {"loss": loss, "accuracy": (p.argmax(1) == y).mean(), "epochs": model.n_iter_}


def run_sklearn(work, trials, seed, laps):
    """RandomizedSearchCV over MLPClassifier: no dropout, and validation at the end alone.

    Its penalty is alpha / 2 ||weights||^2 for a batch, not for an example: alpha is l2 times the batch size.
    """
    from scipy.stats import loguniform
    from sklearn.model_selection import PredefinedSplit, RandomizedSearchCV
    from sklearn.neural_network import MLPClassifier

    laps("importing")
    x, y, vx, vy = work.arrays
    split = PredefinedSplit(np.repeat([-1, 0], [len(x), len(vx)]))
    model = MLPClassifier(
        work.sizes[1:-1], batch_size=work.batch, max_iter=work.epochs, tol=0.0,
        n_iter_no_change=work.epochs + 1, random_state=seed,
    )  # fmt: skip
    space = {
        "learning_rate_init": loguniform(*LR),
        "alpha": loguniform(*(work.batch * np.array(L2))),
    }
    search = RandomizedSearchCV(
        model, space, n_iter=trials, scoring=score, n_jobs=PROCESSES, cv=split, refit=False,
        random_state=seed,
    )  # fmt: skip
    found = search.fit(np.concatenate([x, vx]), np.concatenate([y, vy])).cv_results_
    best = np.nanargmin(found["mean_test_loss"])
    result = {key: found[f"mean_test_{key}"][best] for key in ("loss", "accuracy")}
    return result | {"epochs": np.nansum(found["mean_test_epochs"])}


def draw_trials(count, seed):
    """`count` random trials that share a seed."""
    rng = np.random.default_rng(seed)
    lrs, l2s = (np.exp(rng.uniform(*np.log(ends), count)) for ends in (LR, L2))
    columns = np.stack([lrs, l2s, rng.uniform(*DROPOUT, count)], 1)
    return [Row(seed, *column) for column in columns.tolist()]


def run_jax_rows(work, trials, seed, laps):
    """JAX: the trials vmapped, the epochs in lax.scan; drawn by numpy, with no study kept."""
    import jax  # noqa: F401
    import optax  # noqa: F401

    laps("importing")
    jax_program(work, trials, True)  # kept for run_jax, which asks with these very words
    laps("compiling")
    return best_of(run_jax(work, draw_trials(trials, seed)))


def run_ray(work, trials, seed, laps):
    """Ray Tune and the tuned loop: actors reused, so that torch is imported once in each."""
    os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1"}
    import ray
    from ray import tune  # noqa: F401

    laps("importing")
    short = {"dir": "/tmp"}  # the path of a socket is at most 107 bytes long
    with tempfile.TemporaryDirectory(**short, ignore_cleanup_errors=True) as folder:
        quiet = {"log_to_driver": False, "logging_level": logging.ERROR, "include_dashboard": False}
        ray.init(num_cpus=PROCESSES, _temp_dir=folder, **quiet)
        laps("starting")
        found = tune_digits(work, trials, seed, folder)
        ray.shutdown()
    best = min(found, key=lambda result: result["loss"])
    return best | {"epochs": sum(result["epochs"] for result in found)}


def tune_digits(work, trials, seed, folder):
    """What each trial of Ray Tune reported."""
    from ray import tune

    def trainable(config):
        import torch

        torch.set_num_threads(work.threads)
        tune.report(best_of(torch_curve(work, Row(seed, **config))))

    space = {"lr": tune.loguniform(*LR), "l2": tune.loguniform(*L2), "dropout": tune.uniform(*DROPOUT)}
    np.random.seed(seed)  # of Tune's own sampler
    found = tune.Tuner(
        tune.with_resources(trainable, {"cpu": 1}),
        param_space=space,
        tune_config=tune.TuneConfig(num_samples=trials, reuse_actors=True),
        run_config=tune.RunConfig(storage_path=folder, verbose=0),
    ).fit()
    return [{key: r.metrics[key] for key in ("loss", "accuracy", "epochs")} for r in found]


RIVALS = {  # run(work, trials, seed, laps) -> loss, accuracy, epochs
    "torch": run_torch,
    "lightning": run_lightning,
    "sklearn": run_sklearn,
    "jax": run_jax_rows,
    "ray": run_ray,
}


def load(args):
    """The work: from a file that bench_sweep.py left, or from scikit-learn."""
    if not args.data:
        return digits_work(args, args.epochs)
    with np.load(args.data) as file:
        arrays = tuple(file[key] for key in file.files)
    return Work("digits", (64, 64, 10), 64, args.epochs, arrays, args.threads)


def peak_mb(who):
    """The peak memory of a process or of its largest child, in MB."""
    return resource.getrusage(who).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)


def main():
    """Be one rival and say how it went."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("rival", choices=RIVALS)
    parser.add_argument("--trials", type=int, default=64)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1, help="of torch")
    parser.add_argument(
        "--device", choices=("cpu", "cuda"), default="cpu", help="of torch; JAX takes its own"
    )
    parser.add_argument("--data", type=Path, metavar="NPZ", help="where the digits are, standardised")
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    os.environ["PYTHONWARNINGS"] = "ignore"  # of the processes that a rival starts
    work, laps = load(args), Laps()
    on_device = {"device": args.device} if args.rival == "torch" else {}
    try:
        result = RIVALS[args.rival](work, args.trials, args.seed, laps, **on_device)
    except ImportError as absent:
        return print(json.dumps({"absent": str(absent)}))
    laps("training")
    memory = {"self": peak_mb(resource.RUSAGE_SELF), "largest_child": peak_mb(resource.RUSAGE_CHILDREN)}
    print(json.dumps(result | {"seconds": laps, "peak_mb": memory}, default=float))


if __name__ == "__main__":
    main()

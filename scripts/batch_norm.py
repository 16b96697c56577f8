"""Figure 1 of Ioffe and Szegedy 2015: accuracy, and what goes into a sigmoid of the last hidden layer.

    python scripts/batch_norm.py                                         # digits, 50 epochs
    python scripts/batch_norm.py data=idx data.path=FOLDER epochs=66     # MNIST, some 50,000 steps
    python scripts/batch_norm.py picture=batch_norm.png                  # draws the figure, too

The experiment is lecture/batch_norm, with batch normalisation and without; other words are its settings.
After every epoch but the last, percentiles are taken of a unit's input on the validation set. The drift of a
unit is how far its median has moved since the first epoch, in widths from the 15th to the 85th percentile
after the last.
"""

import sys
from dataclasses import replace

import numpy as np
import torch
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf
from scipy import stats

import nnlab
from nnlab.commands.command_keys import experiment_settings
from nnlab.data.evaluation_batches import evaluation_batches
from nnlab.paths import CONFIG_DIR
from nnlab.runtime.threads import computing
from nnlab.training.training import Training

PERCENTILES = (15, 50, 85)  # of the figure
INPUT_OF_SIGMOID = {"none": "hidden3", "batch": "batch_norm3"}  # normalization -> box
UNIT, ROW = 0, 0  # the unit that is drawn, of the first seed


def experiment(words: list[str]) -> nnlab.Experiment:
    with initialize_config_dir(str(CONFIG_DIR), version_base="1.3"):
        config = compose("train", ["experiment=lecture/batch_norm", *words])
    return nnlab.Experiment.from_config(experiment_settings(OmegaConf.to_container(config, resolve=True)))


def inputs_of_sigmoids(training: Training, box: str) -> np.ndarray:
    """(K, units, examples): what goes into the last hidden sigmoids on the validation set."""
    evaluator, pieces = training.evaluator, []
    with computing():
        for batch in evaluation_batches(evaluator.examples, evaluator.rows, "validation"):
            evaluator.network.fprop(batch.x)
            pieces.append(evaluator.network.outputs()[box][..., batch.weight[0, 0] > 0].clone())
        return torch.cat(pieces, -1).numpy()


def trained(e: nnlab.Experiment) -> tuple[np.ndarray, np.ndarray, list[float]]:
    """Validation accuracy (epochs, K), percentiles (epochs - 1, 3, K, units), test accuracy of each row."""
    fit = nnlab.fit(e)
    training = Training(fit.rows, fit.cache.examples(fit.rows[0]), fit.threads)
    accuracy, percentiles, results = [], [], []
    while len(training):
        record, ended = training.epoch()
        accuracy.append(1 - record.val_error)
        results += ended
        if len(training):
            inputs = inputs_of_sigmoids(training, INPUT_OF_SIGMOID[e.model.normalization])
            percentiles.append(np.percentile(inputs, PERCENTILES, axis=-1))
    return np.array(accuracy), np.array(percentiles), [result.test["accuracy"] for result in results]


def drift(percentiles: np.ndarray) -> np.ndarray:
    """(epochs - 1,): |median - first median| / last width, the mean over units and rows."""
    low, median, high = percentiles.swapaxes(0, 1)
    return (abs(median - median[0]) / (high[-1] - low[-1])).mean((1, 2))


def draw(path: str, runs: dict, steps: int) -> None:
    """(a) validation accuracy; (b) and (c) the percentiles of one unit."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 3.2), dpi=100, layout="constrained")
    axes = figure.subplots(1, 3)
    panels = {"none": "(b) without", "batch": "(c) with"}
    for (name, (accuracy, percentiles, _)), panel in zip(runs.items(), axes[1:], strict=True):
        at = steps * np.arange(1, len(accuracy) + 1)
        label, style = ("with", "-") if name == "batch" else ("without", "--")
        axes[0].plot(at, accuracy.mean(1), style, label=label, color="black")
        low, median, high = percentiles[:, :, ROW, UNIT].T
        panel.fill_between(at[:-1], low, high, color="tab:blue", alpha=0.25, linewidth=0)
        panel.plot(at[:-1], median, color="tab:blue")
        panel.set_title(f"{panels[name]}: a unit's input", fontsize=10)
    axes[0].set_title("(a) validation accuracy", fontsize=10)
    axes[0].legend(frameon=False)
    for panel in axes:
        panel.set_xlabel("step")
        panel.spines[["top", "right"]].set_visible(False)
    bounds = np.array([panel.get_ylim() for panel in axes[1:]])
    for panel in axes[1:]:
        panel.set_ylim(bounds.min(), bounds.max())
    figure.savefig(path)


def main(words: list[str]) -> None:
    picture = next((w.partition("=")[2] for w in words if w.startswith("picture=")), "")
    e = experiment([w for w in words if not w.startswith("picture=")])
    runs = {}
    for name, box in INPUT_OF_SIGMOID.items():
        one = replace(e, model=replace(e.model, normalization=name))
        accuracy, percentiles, test = runs[name] = trained(one)
        moved = drift(percentiles)
        print(f"\nmodel.normalization={name}: of the input of a sigmoid, {box} {UNIT}")
        print("  epoch  accuracy" + "".join(f"{p:>8}%" for p in PERCENTILES) + "   drift, all units")
        for n in sorted({0, 1, 2, 4, *range(9, len(percentiles), 10), len(percentiles) - 1}):
            shown = "".join(f"{v:9.2f}" for v in percentiles[n, :, ROW, UNIT])
            print(f"  {n + 1:5}  {accuracy[n].mean():8.2%}{shown}{moved[n]:11.2f}")
        interval = stats.t.ppf(0.975, len(test) - 1) * stats.sem(test) if len(test) > 1 else np.nan
        print(f"  test accuracy {np.mean(test):.2%} ± {interval:.2%}, {len(test)} seeds")
    if picture:
        row = nnlab.fit(e).rows[0]
        draw(picture, runs, -(-len(row.fold.train) // e.batch_size))


if __name__ == "__main__":
    main(sys.argv[1:])

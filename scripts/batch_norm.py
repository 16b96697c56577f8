"""Figure 1 of Ioffe and Szegedy 2015: percentiles of what goes into the last hidden sigmoids over training.

    python scripts/batch_norm.py                     # digits, 50 epochs
    python scripts/batch_norm.py FOLDER 20           # MNIST's four files in a folder, 20 epochs

The experiment is lecture/batch_norm, with batch normalisation and without. Percentiles are of all units of
the layer on the validation set, from the histograms that nnlab records, interpolated between their edges.
"""

import sys
from dataclasses import replace

import numpy as np

import nnlab

PERCENTILES = (15, 50, 85)  # of the figure


def percentiles(histogram, row: int) -> np.ndarray:
    """Of one row: the values below which so many percent lie."""
    counts, edges = histogram.counts[row], histogram.edges[row]
    share = np.concatenate([[0], counts.cumsum()]) / counts.sum()
    return np.interp(np.array(PERCENTILES) / 100, share, edges)


def main(folder: str = "", epochs: str = "50") -> None:
    data = nnlab.Idx(path=folder) if folder else nnlab.Digits()
    e = nnlab.Experiment(
        data=data, model=nnlab.MLP(hidden=(100,) * 3, activation="sigmoid"), init=nnlab.Normal(std=0.1),
        regularizer="none", optimizer=nnlab.SGD(lr=0.5), batch_size=60, epochs=int(epochs), metric="last",
        histograms=1,
    )  # fmt: skip
    for normalization, box in (("none", "hidden3"), ("batch", "batch_norm3")):
        fit = nnlab.fit(replace(e, model=replace(e.model, normalization=normalization)))
        print(f"\nmodel.normalization={normalization}: percentiles of {box}")
        print("  epoch  validation error" + "".join(f"{p:>8}%" for p in PERCENTILES))
        for record in fit:
            if record.epoch in (1, 2, 3, 5) or record.epoch % 10 == 0:
                shown = percentiles(record.histograms[f"activations/{box}"], 0)
                print(
                    f"  {record.epoch:5}  {record.val_error[0]:16.2%}" + "".join(f"{v:9.2f}" for v in shown)
                )
        print(f"  test accuracy {fit.results[0].test['accuracy']:.2%}")


if __name__ == "__main__":
    main(*sys.argv[1:])

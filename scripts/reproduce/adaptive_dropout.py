"""Wager, Wang and Liang 2013: dropout of inputs beside L2, where rare words tell the class.

    python scripts/reproduce/adaptive_dropout.py [--quick | --full]

Logistic regression on documents of 120 words, as in the lecture's experiment=lecture/dropout_adaptive.
In each repetition the documents are drawn anew; each arm has the strength of the least validation loss,
and is tested on 4,400 other documents. Arms: no penalty, L2, dropout. Quick: 10 repetitions of 300
training documents, 200 epochs. Full: 50, and of 75, 300 and 1,200 training documents.
"""

from __future__ import annotations

import numpy as np
from reproduction import (
    Reproduction,
    Table,
    at_least,
    command_of,
    finish,
    mean_interval,
    paired,
    parser,
    plus_minus,
    run_script,
)

import nnlab
from nnlab.statistics.comparison import Pair

NAME = "adaptive_dropout"
STRENGTHS = {  # arm -> key of the regulariser, and its values
    "none": ("l2", (0.0,)),
    "L2": ("l2", (3e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2)),
    "dropout": ("input_dropout", (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8)),
}
VALIDATED, TESTED = 300, 4400  # documents
MEASURES = {"loss": ("test loss", 1.0, 3), "error": ("test error in percent", 100.0, 2)}


def experiment(arm: str, strength: float, documents: int, repeat: int, epochs: int) -> nnlab.Experiment:
    """A training on so many documents of one draw, which ends with the weights of its last epoch."""
    n = documents + VALIDATED + TESTED
    return nnlab.Experiment(
        data=nnlab.Words(n=n, train_split=1 - TESTED / n, seed=repeat),
        split=nnlab.Holdout(validation=VALIDATED / n, seed=repeat),
        model=nnlab.Logistic(),
        init="zeros",
        regularizer=nnlab.Regularizer(**{STRENGTHS[arm][0]: strength}),
        optimizer=nnlab.Adam(lr=0.03),
        loss="binary_cross_entropy",
        batch_size=32,
        epochs=epochs,
        metric="last",
        seed=repeat,
    )


def measured(documents: int, repeats: range, epochs: int) -> tuple[dict, dict]:
    """Measure -> arm -> (repeats,) test values at the strength chosen by validation; arm -> those "
    "strengths."""
    cells = [(arm, s, r) for arm, (_, values) in STRENGTHS.items() for s in values for r in repeats]
    fit = nnlab.fit(*(experiment(arm, s, documents, r, epochs) for arm, s, r in cells)).run()
    tested = {measure: {arm: [] for arm in STRENGTHS} for measure in MEASURES}
    strengths = {arm: [] for arm in STRENGTHS}
    for repeat in repeats:
        for arm in STRENGTHS:
            of_arm = [
                (result.best["val_loss"], s, result)
                for (a, s, r), result in zip(cells, fit.results, strict=True)
                if (a, r) == (arm, repeat)
            ]
            _, strength, best = min(of_arm, key=lambda each: each[:2])
            strengths[arm].append(strength)
            for measure in MEASURES:
                tested[measure][arm].append(MEASURES[measure][1] * best.test[measure])
    return tested, strengths


def gain(pair: Pair) -> str:
    """By how much dropout is better than L2."""
    sign = 1 if pair.a == "dropout" else -1
    half = np.nan if pair.low is None else (pair.high - pair.low) / 2
    return plus_minus(sign * abs(pair.difference), half, 3, sign=True)


def table_of(tested: dict[int, dict], measure: str) -> Table:
    label, _, digits = MEASURES[measure]
    table = Table(
        ["training documents", *STRENGTHS, "dropout better than L2 by", "p", "P(dropout better)"],
        caption=(
            f"{label.capitalize()}, mean and interval over draws of the documents; differences are paired "
            f"by draw"
        ),
    )
    for documents, of in tested.items():
        pair = paired({arm: of[measure][arm] for arm in ("L2", "dropout")}, larger_is_better=False)
        cells = [plus_minus(*mean_interval(values), digits) for values in of[measure].values()]
        superiority = pair.superiority if pair.a == "dropout" else 1 - pair.superiority
        p = "" if pair.p is None else f"{pair.p:.1g}"
        table.add(f"{documents:,}", *cells, gain(pair), p, f"{superiority:.0%}")
    return table


def verdict(tested: dict[int, dict]) -> tuple[str, str]:
    """By the test loss; the error of the same networks beside it."""
    sentences, better = [], []
    for documents, of in tested.items():
        pairs = {m: paired({arm: of[m][arm] for arm in ("L2", "dropout")}, False) for m in MEASURES}
        loss = pairs["loss"]
        better.append(loss.a == "dropout" and loss.verdict == "better")
        how = loss.verdict if loss.verdict != "better" else f"{loss.a} is better"
        sentences.append(
            f"with {documents:,} training documents the test loss of dropout is lower by {gain(loss)} "
            f"({how}; exact "
            f"Wilcoxon p = {loss.p_wilcoxon:.2g}), its error by {gain(pairs['error'])} points"
        )
    text = "; ".join(sentences)
    reproduced = "yes" if all(better) else "partly" if any(better) else "no"
    return reproduced, f"{text[0].upper()}{text[1:]}; each with its strength chosen by validation."


def draw(tested: dict[int, dict]) -> bytes:
    """Test loss of dropout against that of L2, a dot a draw."""
    from matplotlib.figure import Figure
    from pictures import finished

    figure = Figure(figsize=(4.2, 4), dpi=100)
    ax = figure.subplots()
    colours = ("tab:blue", "tab:orange", "tab:green")
    for (documents, of), colour in zip(tested.items(), colours, strict=False):
        label = f"{documents:,} training documents"
        ax.plot(
            of["loss"]["L2"], of["loss"]["dropout"], "o", color=colour, markersize=5, label=label, alpha=0.8
        )
    every = [x for of in tested.values() for arm in ("L2", "dropout") for x in of["loss"][arm]]
    ends = (0, 1.08 * max(every))
    ax.plot(ends, ends, color="gray", linewidth=0.8, linestyle="--")
    ax.set(xlim=ends, ylim=ends, xlabel="test loss of the best L2", ylabel="test loss of the best dropout")
    ax.set_aspect("equal")
    return finished(figure, [ax])


def main(words: list[str]) -> None:
    made = parser(NAME, __doc__)
    made.add_argument("--repeats", type=at_least(2), help="draws of the documents; quick 10, full 50")
    made.add_argument("--epochs", type=at_least(1), default=200, help="default 200")
    asked = made.parse_args(words)
    repeats = asked.repeats or (50 if asked.full else 10)
    sizes = (75, 300, 1200) if asked.full else (300,)
    tested, chosen = {}, {}
    for documents in sizes:
        draws = range(asked.seed, asked.seed + repeats)
        tested[documents], chosen[documents] = measured(documents, draws, asked.epochs)
        medians = ", ".join(
            f"{arm} {np.median(s):g}" for arm, s in chosen[documents].items() if arm != "none"
        )
        print(f"{documents:,} documents: the median of the chosen strengths is {medians}", flush=True)
    reproduced, in_words = verdict(tested)
    finish(
        Reproduction(
            NAME,
            "Dropout as an adaptive penalty",
            "Wager, Wang and Liang 2013, Dropout training as adaptive regularization; without its numbers",
            "where rare features tell the class, dropout of the inputs is better than L2, each at "
            "its best strength.",
            f"Logistic regression on documents of 120 words, drawn anew in each of {repeats} repetitions; "
            f"{len(STRENGTHS['L2'][1])} strengths of L2, {len(STRENGTHS['dropout'][1])} of dropout, "
            f"chosen by the loss "
            f"on {VALIDATED} validation documents; tested on {TESTED:,}.",
            command_of(NAME, words),
            "full" if asked.full else "quick",
            [table_of(tested, measure) for measure in MEASURES],
            in_words,
            reproduced,
            values={
                "tested": {str(n): of for n, of in tested.items()},
                "strengths": {str(n): s for n, s in chosen.items()},
            },
        ),
        asked.out,
        draw(tested),
    )


if __name__ == "__main__":
    run_script(main)

"""Labels: do the inputs say anything about them, and which are confidently contradicted by the others?

Five folds of the training examples, a row each of one stack: a network of a fixed make (64 relu units, Adam,
standardised inputs; not the job's, which may be what is wrong) learns four and predicts the fifth. It is
tried with a small and a large L2 penalty, since without one many wrong labels are learnt by heart; the one
that predicts better counts. Where its answer differs from the label with more confidence than it usually has
in that class, the label is doubted (confident learning: Northcutt, Jiang and Chuang 2021).

Where many are, classes may overlap, which is no fault, or labels may be wrong: `overlap` tells the two apart
by whether labels differ from sure answers as often as from unsure ones. And what is hard to learn rather than
wrong is doubted less the more is learnt: half of the examples show it.

Where the predictions do not go up and down with the targets, labels and inputs have nothing to do with each
other: shuffled, perhaps. That is asked of probabilities, not of answers: where a class is rare, the answer
may always be the frequent one, and the probabilities still know a good deal.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from nnlab.checks.overlap import wrong_labels
from nnlab.checks.subject import Sample, Subject
from nnlab.checks.verdict import Finding
from nnlab.data.examples import evaluation
from nnlab.data.splits import Fold
from nnlab.data.stratification import deal
from nnlab.experiment import Row
from nnlab.initializers import Auto
from nnlab.models import MLP
from nnlab.optimizers import Adam
from nnlab.regularizers import Regularizer
from nnlab.runtime.threads import computing
from nnlab.schedules import Constant
from nnlab.stopping import Stopping
from nnlab.streams import stream

EXAMPLES, FOLDS, STEPS, BATCH = 2000, 5, 600, 32
PENALTIES = (1e-3, 1e-1)
NOISE = 0.1  # of the labels
FEWEST = 50  # examples, of which luck makes some doubtful
CHANCE = 0.6  # of the labels, drawn at random: if no more is left of the classes, no one can tell
TINY = 1e-30  # no probability is taken for smaller
SURE = 2.33  # standard errors: luck gets there once in a hundred
LIKELY = 1.65  # standard errors: once in twenty, for the way to overlap that is most like wrong labels
CLEAR, FEWER = 3.3, 0.9  # standard errors, and of the doubts: noisy labels are also learnt better, but hardly
# Correlations: one that a task worth training may stay below, so if chance reaches it, none can tell; and one
# that the weakest tasks have, with the best answer wrong in 45 cases of 100 instead of 50.
HONEST, WEAK = 0.2, 0.06


def suspected(subject: Subject) -> tuple[np.ndarray, list[Finding]]:
    """The numbers of suspected examples, and what there is to say."""
    chosen = subject.some(subject.fold.train, EXAMPLES, "labels")
    sample, rows = folds(subject, chosen)
    p, t = answers(sample, rows)
    classes = bool(subject.dataset.classes)
    r, by_chance = correlation(p, t)
    related = _related(r, SURE * by_chance, len(chosen), "labels" if classes else "targets")
    if r < SURE * by_chance or not classes:  # who knows nothing of the labels can doubt none
        return np.array([], int), [related]
    label = t.argmax(0)
    doubted = confident_disagreement(p, label)
    if not many(doubted):
        return chosen[doubted], [_few(doubted)]
    first, second = -np.sort(-np.log(np.maximum(p, TINY)), axis=0)[:2]
    wrong, sure = wrong_labels(first - second, p.argmax(0) != label, len(p))
    on_half = None
    if sure > LIKELY:
        halves = [replace(row, fold=replace(row.fold, train=row.fold.train[::2])) for row in rows]
        on_half = confident_disagreement(answers(sample, halves)[0], label)
    return chosen[doubted], [_noise(doubted, wrong, sure, len(p), on_half)]


def answers(sample: Sample, rows: list[Row]) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities (or numbers) and targets (m, N), with the penalty that predicts better."""
    with computing():
        tries = [predictions(sample, _with_penalty(rows, l2)) for l2 in PENALTIES]
    z, t = min(tries, key=lambda outputs_and_targets: _loss(sample, *outputs_and_targets))
    return np.exp(z - np.logaddexp.reduce(z, axis=0)) if sample.dataset.classes else z, t


def folds(subject: Subject, chosen: np.ndarray) -> tuple[Sample, list[Row]]:
    """A row for each fold, all on the chosen training examples."""
    dataset, everything = subject.dataset.select(chosen), np.arange(len(chosen))
    if dataset.noisy is not None:
        dataset = replace(dataset, y=dataset.noisy, noisy=None)
    changes = {"target_normalization": "standard"} if not dataset.classes else {}
    data = replace(subject.experiment.data, normalization="standard", **changes)
    sample = subject.having(
        dataset, Fold(everything, everything, everything), data=data, model=MLP(hidden=(64,)), init=Auto(),
        regularizer=Regularizer(), optimizer=Adam(lr=0.01), schedule=Constant(), stopping=Stopping(),
        loss="auto", metric="last", batch_size=BATCH, dtype="float32",
    )  # fmt: skip
    strata = dataset.y if dataset.classes else np.zeros(len(chosen), np.int64)
    number = deal(stream(0, "check", "labels"), strata, min(FOLDS, len(chosen)))
    parts = [
        Fold(*(np.flatnonzero(part) for part in (number != f, number == f, number == f)), 0, f)
        for f in range(number.max() + 1)
    ]
    return sample, [Row(sample.experiment, 0, fold, f) for f, fold in enumerate(parts)]


def _with_penalty(rows: list[Row], l2: float) -> list[Row]:
    regularizer = Regularizer(l2=l2)
    return [replace(row, experiment=replace(row.experiment, regularizer=regularizer)) for row in rows]


def _loss(sample: Sample, z: np.ndarray, t: np.ndarray) -> float:
    """The mean loss of outputs and targets (m, N)."""
    loss = sample.experiment.loss_for(sample.dataset.spec)
    return float(loss.fprop(torch.from_numpy(z), torch.from_numpy(t)).mean())


def predictions(sample: Sample, rows: list[Row]) -> tuple[np.ndarray, np.ndarray]:
    """Outputs and targets (m, N) of every example, by the row that did not train on it."""
    outputs = np.zeros((sample.dataset.spec.outputs, len(sample.dataset.x)))
    targets = np.zeros_like(outputs)
    shapes = {}
    for row in rows:  # folds may differ by an example, and with it in their number of steps
        shapes.setdefault(row.structure, []).append(row)
    for same in shapes.values():
        training = sample.training(same)
        for epoch in range(1, 1 + max(1, -(-STEPS // training.batches.steps))):
            training.one_pass(epoch)
        batches = list(evaluation(sample.examples, same, "validation"))
        z = torch.cat([training.evaluator.network.fprop(b.x).clone() for b in batches], 2)
        t = torch.cat([b.t for b in batches], 2)
        for k, row in enumerate(same):
            n = len(row.fold.validation)
            outputs[:, row.fold.validation] = z[k, :, :n].double().cpu().numpy()
            targets[:, row.fold.validation] = t[k, :, :n].double().cpu().numpy()
    return outputs, targets


def confident_disagreement(p: np.ndarray, label: np.ndarray) -> np.ndarray:
    """(N,) bool: another class is the likeliest, and likelier than its own examples find it on average."""
    classes = np.arange(len(p))
    usual = np.array([p[c, label == c].mean() if (label == c).any() else np.inf for c in classes])
    said = p.argmax(0)
    return (said != label) & (p.max(0) >= usual[said])


def correlation(p: np.ndarray, t: np.ndarray) -> tuple[float, float]:
    """r between predictions and targets, (m, N) each, and its standard deviation if they are unrelated.

    Over all outputs, each less its mean: r = tr(p t') / sqrt(tr(p p') tr(t t')). If the N targets are
    shuffled, its variance is tr(p p' t t') / (tr(p p') tr(t t') (N - 1)): 1 / (N - 1) for one output or two
    classes, less for more, which are so many independent looks.
    """
    p, t = (v - v.mean(1, keepdims=True) for v in (p, t))
    scale = (p * p).sum() * (t * t).sum()
    if not scale > 0:
        return 0.0, (p.shape[1] - 1) ** -0.5
    # tr(p p' t t') is also |p' t|^2, (N, N): less for many classes
    both = ((p @ p.T) * (t @ t.T)).sum() if len(p) <= p.shape[1] else ((p.T @ t) ** 2).sum()
    r, variance = (p * t).sum() / np.sqrt(scale), both / scale / (p.shape[1] - 1)
    return float(r), float(np.sqrt(variance))


def _related(r: float, least: float, examples: int, what: str) -> Finding:
    """Whether the predictions know anything of the targets; of few examples no one can say."""
    found = f"correlation {r:.2g} of unseen {what} (at least {least:.2g})"
    if r >= least:
        return Finding("pass", r, least, found, at_least=True)
    if least > HONEST:
        return Finding("pass", 0, 0, f"{examples} examples: too few to tell whether the {what} are right")
    found = f"{found}, no better than chance"
    advice = f"{what} and inputs seem unrelated: shuffled, or joined by the wrong key?"
    if least > WEAK:
        advice += f" Or too weakly related to see it in {examples} examples"
    status = "warn" if least > WEAK else "fail"
    return Finding(status, r, least, found, advice, "labels_unrelated", at_least=True)


def many(doubted: np.ndarray) -> bool:
    """Are so many labels doubted that it is worth asking whether they are wrong?"""
    return bool(doubted.mean() > NOISE and len(doubted) >= FEWEST)


def hard(doubted: np.ndarray, on_half: np.ndarray) -> bool:
    """Do the doubts become fewer with twice the examples, clearly? What is wrong stays wrong."""
    gone, new = (on_half & ~doubted).sum(), (doubted & ~on_half).sum()
    return bool(gone - new > CLEAR * np.sqrt(gone + new) and doubted.mean() < FEWER * on_half.mean())


def _few(doubted: np.ndarray) -> Finding:
    """Not many are doubted, or of too few examples to say that of any."""
    if len(doubted) < FEWEST:
        return Finding("pass", 0, NOISE, "too few to doubt any label")
    share = float(doubted.mean())
    return Finding("pass", share, NOISE, f"{share:.1%} doubtful labels (limit {NOISE:.0%})")


def _noise(doubted: np.ndarray, wrong: float, sure: float, classes: int, on_half=None) -> Finding:
    """Many labels are doubted: are `wrong` of them wrong, surely by so many standard errors?

    `on_half`  the labels that are doubted when half the examples are learnt, where it comes to that
    """
    share, limits = f"{doubted.mean():.1%} doubtful labels", f"{sure:.1f} standard errors, limit {LIKELY:g}"
    if sure <= LIKELY:
        few = f"in {len(doubted):,} examples ({limits})"
        said = f"{share}: cannot tell wrong labels from overlapping classes {few}"
        return Finding("pass", sure, LIKELY, said)
    if wrong > CHANCE * (1 - 1 / classes):
        return Finding(
            "pass", 0, 0, f"{share}: classes that overlap much, or wrong labels; none can tell which"
        )
    if hard(doubted, on_half):
        said = f"{share}, {on_half.mean():.1%} with half the examples: hard to learn rather than wrong"
        return Finding("pass", 0, 0, said)
    found = (
        f"{doubted.mean():.1%} of the labels are contradicted with confidence by the other folds, as often "
        f"where the answer is sure ({limits}): about {wrong:.0%} are wrong, or decided by what is no input"
    )
    advice = "look at the examples listed in check.json; label_smoothing or more inputs if they are right"
    return Finding("warn", sure, LIKELY, found, advice, "label_noise")

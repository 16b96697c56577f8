"""Labels: are they related to the inputs, and which do the other examples contradict with confidence?

Cross-validation with five folds of the training examples, a row each of one stack. The network is a fixed
one (64 relu units, Adam, standardised inputs), since that of the job may be what is wrong. It is trained
with a small and a large L2 penalty, as without one it would overfit wrong labels; the one that predicts
better counts. Where its answer differs from the label with more confidence than it usually has in that
class, the label is doubted (confident learning: Northcutt, Jiang and Chuang 2021).

Where many are doubted, classes may overlap, which is not a fault, or labels may be wrong: `overlap` decides
by whether labels differ from confident answers as often as from unsure ones. And what is hard to learn
rather than wrong is doubted less with more examples: training on half of them shows it.

Where predictions do not correlate with the targets, labels and inputs are unrelated: shuffled, perhaps. That
is measured on probabilities, not on answers: where a class is rare, the answer may always be the frequent
one, while the probabilities still tell a good deal.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from nnlab.checks.overlap import wrong_labels
from nnlab.checks.subject import Sample, Subject
from nnlab.checks.verdict import Finding
from nnlab.data.examples import evaluation_batches
from nnlab.data.splits import Fold
from nnlab.data.stratification import stratified_folds
from nnlab.experiment import Row
from nnlab.initializers import Auto
from nnlab.models import MLP
from nnlab.optimizers import Adam
from nnlab.regularizers import Regularizer
from nnlab.runtime.threads import computing
from nnlab.schedules import Constant
from nnlab.stopping import Stopping
from nnlab.streams import stream

EXAMPLES_AT_MOST = 2000
FOLD_COUNT = 5
STEPS_AT_LEAST = 600  # of the network that predicts a fold
BATCH_SIZE = 32
L2_PENALTIES = (1e-3, 1e-1)
DOUBTED_SHARE = 0.1  # of the labels: more are worth asking whether they are wrong
EXAMPLES_AT_LEAST = 50  # of fewer, luck makes some doubtful
WRONG_SHARE_AT_MOST = 0.6  # of labels drawn at random: if no more is left of the classes, nobody can tell
LEAST_PROBABILITY = 1e-30  # so that logarithms are finite
STANDARD_ERRORS = 2.33  # luck gets there once in a hundred
NOISE_STANDARD_ERRORS = 1.65  # once in twenty, for the kind of overlap that is most like wrong labels
CLEAR_STANDARD_ERRORS = 3.3  # by which the doubts become fewer with twice the examples, and
FEWER_DOUBTS = 0.9  # of the doubts are left at most: noisy labels are also learnt better, but hardly
# Correlations: one that a task worth training may stay below, so if luck reaches it, nobody can tell; and one
# that the weakest tasks have, with the best answer wrong in 45 cases of 100 instead of 50.
HONEST_CORRELATION, WEAK_CORRELATION = 0.2, 0.06


def suspected(subject: Subject) -> tuple[np.ndarray, list[Finding]]:
    """The numbers of suspected examples, and the findings."""
    chosen = subject.some(subject.fold.train, EXAMPLES_AT_MOST, "labels")
    sample, rows = folds(subject, chosen)
    p, t = answers(sample, rows)
    classes = bool(subject.dataset.classes)
    r, deviation = correlation(p, t)
    by_luck = STANDARD_ERRORS * deviation
    related = _related(r, by_luck, len(chosen), "labels" if classes else "targets")
    if r < by_luck or not classes:  # a network that knows nothing of the labels can doubt none
        return np.array([], int), [related]
    label = t.argmax(0)
    doubted = confident_disagreement(p, label)
    if not many(doubted):
        return chosen[doubted], [_few(doubted)]
    first, second = -np.sort(-np.log(np.maximum(p, LEAST_PROBABILITY)), axis=0)[:2]
    wrong, errors = wrong_labels(first - second, p.argmax(0) != label, len(p))
    on_half = None
    if errors > NOISE_STANDARD_ERRORS:  # only then is it worth training again
        halves = [replace(row, fold=replace(row.fold, train=row.fold.train[::2])) for row in rows]
        on_half = confident_disagreement(answers(sample, halves)[0], label)
    return chosen[doubted], [_noise(doubted, wrong, errors, len(p), on_half)]


def answers(sample: Sample, rows: list[Row]) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities (or numbers) and targets (m, N), with the penalty that predicts better."""
    with computing():
        tries = [predictions(sample, _with_penalty(rows, l2)) for l2 in L2_PENALTIES]
    z, t = min(tries, key=lambda outputs_and_targets: _loss(sample, *outputs_and_targets))
    if sample.dataset.classes:
        z = np.exp(z - np.logaddexp.reduce(z, axis=0))  # softmax
    return z, t


def folds(subject: Subject, chosen: np.ndarray) -> tuple[Sample, list[Row]]:
    """A row for each fold, all on the chosen training examples."""
    dataset, everything = subject.dataset.select(chosen), np.arange(len(chosen))
    if dataset.noisy is not None:
        dataset = replace(dataset, y=dataset.noisy, noisy=None)
    data = replace(subject.experiment.data, normalization="standard")
    if not dataset.classes:
        data = replace(data, target_normalization="standard")
    sample = subject.having(
        dataset, Fold(everything, everything, everything), data=data, model=MLP(hidden=(64,)), init=Auto(),
        regularizer=Regularizer(), optimizer=Adam(lr=0.01), schedule=Constant(), stopping=Stopping(),
        loss="auto", metric="last", batch_size=BATCH_SIZE, dtype="float32",
    )  # fmt: skip
    strata = dataset.y if dataset.classes else np.zeros(len(chosen), np.int64)
    number = stratified_folds(stream(0, "check", "labels"), strata, min(FOLD_COUNT, len(chosen)))
    rows = []
    for f in range(number.max() + 1):
        train, held_back = np.flatnonzero(number != f), np.flatnonzero(number == f)
        fold = Fold(train, held_back, held_back, 0, f)
        rows.append(Row(sample.experiment, 0, fold, f))
    return sample, rows


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
    # Folds may differ by an example, and so in their number of steps: then they need stacks of their own.
    by_structure: dict[tuple, list[Row]] = {}
    for row in rows:
        by_structure.setdefault(row.structure, []).append(row)
    for stack in by_structure.values():
        training = sample.training(stack)
        epochs = max(1, -(-STEPS_AT_LEAST // training.batches.steps))
        for epoch in range(1, epochs + 1):
            training.train_epoch(epoch)
        batches = list(evaluation_batches(sample.examples, stack, "validation"))
        z = torch.cat([training.evaluator.network.fprop(b.x).clone() for b in batches], 2)
        t = torch.cat([b.t for b in batches], 2)
        for k, row in enumerate(stack):
            n = len(row.fold.validation)
            outputs[:, row.fold.validation] = z[k, :, :n].double().cpu().numpy()
            targets[:, row.fold.validation] = t[k, :, :n].double().cpu().numpy()
    return outputs, targets


def confident_disagreement(p: np.ndarray, label: np.ndarray) -> np.ndarray:
    """(N,) bool: another class is the likeliest, and likelier than it is on average for its own examples."""
    usual = np.full(len(p), np.inf)  # of an absent class: nothing is likelier than that
    for c in np.unique(label):
        usual[c] = p[c, label == c].mean()
    answer = p.argmax(0)
    return (answer != label) & (p.max(0) >= usual[answer])


def correlation(p: np.ndarray, t: np.ndarray) -> tuple[float, float]:
    """r between predictions and targets, (m, N) each, and its standard deviation if they are unrelated.

    Over all outputs, each less its mean: r = tr(p t') / sqrt(tr(p p') tr(t t')). If the N targets are
    shuffled, its variance is tr(p p' t t') / (tr(p p') tr(t t') (N - 1)): 1 / (N - 1) for one output or two
    classes, and less for more of them.
    """
    p, t = (v - v.mean(1, keepdims=True) for v in (p, t))
    scale = (p * p).sum() * (t * t).sum()
    if not scale > 0:
        return 0.0, (p.shape[1] - 1) ** -0.5
    m, n = p.shape
    if m <= n:
        trace = ((p @ p.T) * (t @ t.T)).sum()
    else:  # tr(p p' t t') = |p' t|^2, whose matrix (N, N) is smaller for many classes
        trace = ((p.T @ t) ** 2).sum()
    r, variance = (p * t).sum() / np.sqrt(scale), trace / scale / (n - 1)
    return float(r), float(np.sqrt(variance))


def _related(r: float, least: float, examples: int, what: str) -> Finding:
    """Whether predictions and targets are related; of few examples nobody can say."""
    sentence = f"correlation {r:.2g} of unseen {what} (at least {least:.2g})"
    if r >= least:
        return Finding("pass", r, least, sentence, at_least=True)
    if least > HONEST_CORRELATION:
        return Finding("pass", 0, 0, f"{examples} examples: too few to tell whether the {what} are right")
    sentence += ", no better than chance"
    advice = f"{what} and inputs seem unrelated: shuffled, or joined by the wrong key?"
    if least > WEAK_CORRELATION:
        advice += f" Or too weakly related to see it in {examples} examples"
    status = "warn" if least > WEAK_CORRELATION else "fail"
    return Finding(status, r, least, sentence, advice, "labels_unrelated", at_least=True)


def many(doubted: np.ndarray) -> bool:
    """Are so many labels doubted that it is worth asking whether they are wrong?"""
    return bool(doubted.mean() > DOUBTED_SHARE and len(doubted) >= EXAMPLES_AT_LEAST)


def hard(doubted: np.ndarray, on_half: np.ndarray) -> bool:
    """Do the doubts clearly become fewer with twice the examples? What is wrong stays wrong."""
    gone, new = (on_half & ~doubted).sum(), (doubted & ~on_half).sum()
    clearly = gone - new > CLEAR_STANDARD_ERRORS * np.sqrt(gone + new)
    return bool(clearly and doubted.mean() < FEWER_DOUBTS * on_half.mean())


def _few(doubted: np.ndarray) -> Finding:
    """Not many are doubted, or of too few examples to say that of any."""
    if len(doubted) < EXAMPLES_AT_LEAST:
        return Finding("pass", 0, DOUBTED_SHARE, "too few to doubt any label")
    share = float(doubted.mean())
    return Finding("pass", share, DOUBTED_SHARE, f"{share:.1%} doubtful labels (limit {DOUBTED_SHARE:.0%})")


def _noise(
    doubted: np.ndarray, wrong: float, errors: float, classes: int, on_half: np.ndarray | None = None
) -> Finding:
    """Many labels are doubted: is a share `wrong` of them wrong, which is so many standard `errors` above 0?

    `on_half`  the labels that are doubted after training on half the examples, where it comes to that
    """
    share = f"{doubted.mean():.1%} doubtful labels"
    limits = f"{errors:.1f} standard errors, limit {NOISE_STANDARD_ERRORS:g}"
    if errors <= NOISE_STANDARD_ERRORS:
        sentence = f"{share}: cannot tell wrong labels from overlapping classes in {len(doubted):,} examples"
        return Finding("pass", errors, NOISE_STANDARD_ERRORS, f"{sentence} ({limits})")
    if wrong > WRONG_SHARE_AT_MOST * (1 - 1 / classes):
        sentence = f"{share}: classes that overlap much, or wrong labels; none can tell which"
        return Finding("pass", 0, 0, sentence)
    if hard(doubted, on_half):
        sentence = f"{share}, {on_half.mean():.1%} with half the examples: hard to learn rather than wrong"
        return Finding("pass", 0, 0, sentence)
    sentence = (
        f"{doubted.mean():.1%} of the labels are contradicted with confidence by the other folds, as often "
        f"where the answer is sure ({limits}): about {wrong:.0%} are wrong, or decided by something that is "
        f"not an input"
    )
    advice = "look at the examples listed in check.json; label_smoothing or more inputs if they are right"
    return Finding("warn", errors, NOISE_STANDARD_ERRORS, sentence, advice, "label_noise")

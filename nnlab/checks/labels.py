"""Checks the labels: are they related to the inputs, and which ones contradict confident predictions?

Cross-validation with five folds of the training examples, a row each of one stack. The network is a fixed
one (64 relu units, Adam, standardised inputs), since that of the job may be what is wrong. It is trained
with a small and a large L2 penalty, as without one it would overfit wrong labels; the one that predicts
better counts. Where its answer differs from the label with more confidence than it usually has in that
class, the label is doubted (confident learning: Northcutt, Jiang and Chuang 2021).

If many are doubted, either classes overlap (not a fault), or labels are wrong: `overlap` decides by
whether labels differ from confident answers as often as from unsure ones. And labels that are hard to learn
rather than wrong are doubted less with more examples, which training on half of them shows.

Where predictions do not correlate with the targets, labels and inputs are unrelated: shuffled, perhaps. That
is measured on probabilities, not on answers: where a class is rare, the answer may always be the frequent
one, while the probabilities still tell a good deal.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import chain

import numpy as np
import torch

from nnlab.checks.overlap import wrong_labels
from nnlab.checks.subject import Sample, Subject
from nnlab.checks.verdict import Finding
from nnlab.data.evaluation_batches import evaluation_batches
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
from nnlab.training.stacks import divide_into_stacks

MAX_EXAMPLES = 2000
FOLD_COUNT = 5
MIN_STEPS = 600  # for the network that predicts a fold
BATCH_SIZE = 32
L2_PENALTIES = (1e-3, 1e-1)
MAX_DOUBTED_SHARE = 0.1  # of the labels: if more are doubted, are they wrong?
MIN_EXAMPLES = 50  # with fewer, some are doubtful by luck
MAX_WRONG_SHARE = 0.6  # of labels drawn at random: above this, nobody can tell noise from overlap
MIN_PROBABILITY = 1e-30  # so that logarithms are finite
STANDARD_ERRORS = 2.33  # exceeded by luck once in a hundred
NOISE_STANDARD_ERRORS = 1.65  # once in twenty, for the kind of overlap that looks most like wrong labels
CLEAR_STANDARD_ERRORS = 3.3  # by which doubts must decrease with twice the examples,
MAX_REMAINING_DOUBTS = 0.9  # and this share of them may remain: noisy labels are learnt only slightly better
# Correlations: a useful task may have less than the first, so if luck reaches that, the result is undecided;
# the second is that of the weakest tasks, in which the best answer is wrong in 45 cases of 100 instead of 50.
HONEST_CORRELATION, WEAK_CORRELATION = 0.2, 0.06


def find_suspected(subject: Subject) -> tuple[np.ndarray, list[Finding]]:
    """The indices of the examples with suspected labels, and the findings."""
    examples = subject.subsample(subject.fold.train, MAX_EXAMPLES, "labels")
    sample, rows = cross_validation_rows(subject, examples)
    p, t = predict_probabilities(sample, rows)
    classes = bool(subject.dataset.classes)
    r, deviation = correlation(p, t)
    chance_correlation = STANDARD_ERRORS * deviation
    relation = _relation_finding(r, chance_correlation, len(examples), "labels" if classes else "targets")
    if r < chance_correlation or not classes:  # a network that has learnt nothing cannot doubt any label
        return np.array([], int), [relation]
    label = t.argmax(0)
    doubted = confident_disagreement(p, label)
    if not many_doubted(doubted):
        return examples[doubted], [_few_doubted_finding(doubted)]
    first, second = -np.sort(-np.log(np.maximum(p, MIN_PROBABILITY)), axis=0)[:2]
    wrong, standard_errors = wrong_labels(first - second, p.argmax(0) != label, len(p))
    doubted_on_half = None
    if standard_errors > NOISE_STANDARD_ERRORS:  # only then is the second training worth its time
        half_rows = [replace(row, fold=replace(row.fold, train=row.fold.train[::2])) for row in rows]
        doubted_on_half = confident_disagreement(predict_probabilities(sample, half_rows)[0], label)
    return examples[doubted], [_noise_finding(doubted, wrong, standard_errors, len(p), doubted_on_half)]


def predict_probabilities(sample: Sample, rows: list[Row]) -> tuple[np.ndarray, np.ndarray]:
    """Held-out probabilities (or numbers) and targets (m, N), with the L2 penalty that predicts better."""
    with computing():
        predictions = predict_held_out(sample, [_with_penalty(rows, l2) for l2 in L2_PENALTIES])
    z, t = min(predictions, key=lambda outputs_and_targets: _loss(sample, *outputs_and_targets))
    if sample.dataset.classes:
        z = np.exp(z - np.logaddexp.reduce(z, axis=0))  # softmax
    return z, t


def cross_validation_rows(subject: Subject, examples: np.ndarray) -> tuple[Sample, list[Row]]:
    """A row for each fold of a cross-validation on these training examples."""
    dataset, everything = subject.dataset.select(examples), np.arange(len(examples))
    if dataset.noisy is not None:
        dataset = replace(dataset, y=dataset.noisy, noisy=None)
    data = replace(subject.experiment.data, normalization="standard")
    if not dataset.classes and not data.reconstruct:
        data = replace(data, target_normalization="standard")
    sample = subject.with_data(
        dataset, Fold(everything, everything, everything), data=data, model=MLP(hidden=(64,)), init=Auto(),
        regularizer=Regularizer(), optimizer=Adam(lr=0.01), schedule=Constant(), stopping=Stopping(),
        loss="auto", metric="last", batch_size=BATCH_SIZE, dtype="float32",
    )  # fmt: skip
    strata = dataset.y if dataset.classes else np.zeros(len(examples), np.int64)
    fold_of_example = stratified_folds(stream(0, "check", "labels"), strata, min(FOLD_COUNT, len(examples)))
    rows = []
    for f in range(fold_of_example.max() + 1):
        train, held_back = np.flatnonzero(fold_of_example != f), np.flatnonzero(fold_of_example == f)
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


def predict_held_out(
    sample: Sample, cross_validations: list[list[Row]]
) -> list[tuple[np.ndarray, np.ndarray]]:
    """For each cross-validation, a row for each fold: outputs and targets (m, N) of every example, by the
    row that did not train on it. All rows train side by side."""
    rows = [replace(row, number=i) for i, row in enumerate(chain(*cross_validations))]
    targets = np.zeros((sample.dataset.spec.outputs, len(sample.dataset.x)))
    outputs = np.zeros((len(cross_validations), *targets.shape))
    # Folds may differ by an example, and so in their number of steps: then they need stacks of their own.
    for stack in divide_into_stacks(rows, {sample.experiment.data: sample.dataset}):
        training = sample.start_training(stack)
        epochs = max(1, -(-MIN_STEPS // training.batches.steps))
        for epoch in range(1, epochs + 1):
            training.train_epoch(epoch)
        batches = list(evaluation_batches(sample.examples, stack, "validation"))
        z = torch.cat([training.evaluator.network.fprop(b.x).clone() for b in batches], 2)
        t = torch.cat([b.t for b in batches], 2)
        for k, row in enumerate(stack):
            n = len(row.fold.validation)
            predicted = outputs[row.number // len(cross_validations[0])]
            predicted[:, row.fold.validation] = z[k, :, :n].double().cpu().numpy()
            targets[:, row.fold.validation] = t[k, :, :n].double().cpu().numpy()
    return [(predicted, targets) for predicted in outputs]


def confident_disagreement(p: np.ndarray, label: np.ndarray) -> np.ndarray:
    """(N,) bool: another class is the likeliest, and likelier than it is on average for its own examples."""
    usual_confidence = np.full(len(p), np.inf)  # of an absent class: no probability exceeds it
    for c in np.unique(label):
        usual_confidence[c] = p[c, label == c].mean()
    answer = p.argmax(0)
    return (answer != label) & (p.max(0) >= usual_confidence[answer])


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


def _relation_finding(r: float, limit: float, examples: int, noun: str) -> Finding:
    """Whether predictions and targets are related; with few examples it is undecided."""
    sentence = f"correlation {r:.2g} of unseen {noun} (at least {limit:.2g})"
    if r >= limit:
        return Finding("pass", r, limit, sentence, at_least=True)
    if limit > HONEST_CORRELATION:
        return Finding("pass", 0, 0, f"{examples} examples: too few to tell whether the {noun} are right")
    sentence += ", no better than chance"
    advice = f"{noun} and inputs seem unrelated: shuffled, or joined by the wrong key?"
    if limit > WEAK_CORRELATION:
        advice += f" Or too weakly related to see it in {examples} examples"
    status = "warn" if limit > WEAK_CORRELATION else "fail"
    return Finding(status, r, limit, sentence, advice, "labels_unrelated", at_least=True)


def many_doubted(doubted: np.ndarray) -> bool:
    """Whether so many labels are doubted that they may be wrong."""
    return bool(doubted.mean() > MAX_DOUBTED_SHARE and len(doubted) >= MIN_EXAMPLES)


def hard_to_learn(doubted: np.ndarray, doubted_on_half: np.ndarray) -> bool:
    """Whether doubts clearly decrease with twice the examples; doubts about wrong labels do not."""
    resolved, new = (doubted_on_half & ~doubted).sum(), (doubted & ~doubted_on_half).sum()
    clearly = resolved - new > CLEAR_STANDARD_ERRORS * np.sqrt(resolved + new)
    return bool(clearly and doubted.mean() < MAX_REMAINING_DOUBTS * doubted_on_half.mean())


def _few_doubted_finding(doubted: np.ndarray) -> Finding:
    """The finding if few labels are doubted, or there are too few examples to doubt any."""
    if len(doubted) < MIN_EXAMPLES:
        return Finding("pass", 0, MAX_DOUBTED_SHARE, "too few to doubt any label")
    share = float(doubted.mean())
    return Finding(
        "pass", share, MAX_DOUBTED_SHARE, f"{share:.1%} doubtful labels (limit {MAX_DOUBTED_SHARE:.0%})"
    )


def _noise_finding(
    doubted: np.ndarray,
    wrong: float,
    standard_errors: float,
    classes: int,
    doubted_on_half: np.ndarray | None = None,
) -> Finding:
    """The finding if many labels are doubted: wrong labels, or overlapping classes?

    wrong            the estimated share of wrong labels, which is `standard_errors` above 0
    doubted_on_half  the labels that are doubted after training on half the examples, if that was done
    """
    share = f"{doubted.mean():.1%} doubtful labels"
    limits = f"{standard_errors:.1f} standard errors, limit {NOISE_STANDARD_ERRORS:g}"
    if standard_errors <= NOISE_STANDARD_ERRORS:
        sentence = f"{share}: cannot tell wrong labels from overlapping classes in {len(doubted):,} examples"
        return Finding("pass", standard_errors, NOISE_STANDARD_ERRORS, f"{sentence} ({limits})")
    if wrong > MAX_WRONG_SHARE * (1 - 1 / classes):
        sentence = f"{share}: classes that overlap much, or wrong labels; none can tell which"
        return Finding("pass", 0, 0, sentence)
    if hard_to_learn(doubted, doubted_on_half):
        sentence = (
            f"{share}, {doubted_on_half.mean():.1%} with half the examples: hard to learn rather than wrong"
        )
        return Finding("pass", 0, 0, sentence)
    sentence = (
        f"{doubted.mean():.1%} of the labels are contradicted with confidence by the other folds, as often "
        f"where the answer is sure ({limits}): about {wrong:.0%} are wrong, or decided by something that is "
        f"not an input"
    )
    advice = "look at the examples listed in check.json; label_smoothing or more inputs if they are right"
    return Finding("warn", standard_errors, NOISE_STANDARD_ERRORS, sentence, advice, "label_noise")

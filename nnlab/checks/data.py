"""The data rung: constant and repeated columns, scales, zeros, class balance, the test set, groups, labels.

Columns are checked on the training examples, which normalisation uses too. A wide table (images, word counts)
naturally has constant and repeated columns: there they are mentioned without a warning.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from nnlab.checks import labels, leaks, outlying_columns, shared_examples, shared_groups
from nnlab.checks.sparsity import Sparsity
from nnlab.checks.subject import Subject
from nnlab.checks.verdict import Finding, Verdict, grade
from nnlab.data.loss_weights import NO_CLASS_WEIGHT
from nnlab.errors import list_names

MAX_EXAMPLES = 20_000  # whose columns are checked
WIDE_COLUMNS = 50  # a table with at least so many is wide
MAJORITY_OF_COLUMNS = (
    0.5  # more constant or repeated columns than this share get a warning in a wide table too
)
SCALE_WARN, SCALE_FAIL = 30.0, 300.0  # RMS of inputs: standardised 1, pixels up to 16 about 8
SIZE_RATIO = 100.0  # a column's size compared with the median column's
SHARE_OUT_OF_RANGE = 0.02  # of the targets that the output cannot reach
CLASS_RATIO = 10.0  # the largest class compared with the smallest


def check(subject: Subject) -> Verdict:
    """Everything that is wrong with the training examples, the test set and the labels."""
    x, sparsity = _columns(subject), Sparsity.of(subject)
    width = x.shape[1]
    constant = np.flatnonzero(np.ptp(x, axis=0) == 0)
    with_outliers = []
    if width < WIDE_COLUMNS:  # these have their own finding, in outlying_columns
        with_outliers = list(outlying_columns.outliers_of_constant(subject, constant))
    findings = [
        *scales(subject),
        # In a filled table rare words are far out: the remedy of that is the filling's.
        *(sparsity.findings or outlying_columns.check(subject, constant)),
        *_check_constant_columns(subject, np.setdiff1d(constant, with_outliers), width),
        *_check_repeated_columns(subject, repeated_columns(x, constant), width),
        *leaks.check(subject),
        *_balance(subject),
        *shared_examples.check(subject),
        *shared_groups.check(subject),
    ]
    suspected = np.array([], int)
    if subject.has_constant_target:
        findings.append(_constant_target())
    else:
        suspected, label_findings = labels.find_suspected(subject)
        findings += label_findings
    if all(finding.status == "pass" for finding in findings):
        findings = [_summary(f"{len(x)} x {subject.dataset.spec.inputs}", findings)]
    details = {"constant": constant, "suspected": suspected, "inputs": sparsity.details}
    return Verdict.from_findings("data", findings, details)


def _columns(subject: Subject) -> np.ndarray:
    """The inputs that are numbers (N, d), of a sample of the training examples. What a category becomes is
    rightly constant, and repeats another, where it has two values."""
    examples = subject.subsample(subject.fold.train, MAX_EXAMPLES, "columns")
    return subject.numbers[examples].astype(np.float64)


def _constant_target() -> Finding:
    sentence = "the target is constant: all training examples have the same one (at least 2 different ones)"
    advice = "look at data.target, or at how the file was made"
    return Finding("fail", 1, 2, sentence, advice, "constant_target", at_least=True)


def _summary(size: str, findings: list[Finding]) -> Finding:
    """One passing finding with all sentences in one line, and with the number and limit of the last, the
    labels."""
    sentences = ", ".join(finding.found for finding in findings if finding.found)
    return replace(findings[-1], found=f"{size} {sentences}")


def _status_for_width(status: str, count: int, width: int) -> str:
    """The status; in a wide table a pass, unless most of its columns are concerned."""
    return status if width < WIDE_COLUMNS or count > MAJORITY_OF_COLUMNS * width else "pass"


def _check_constant_columns(subject: Subject, constant: np.ndarray, width: int) -> list[Finding]:
    count = len(constant)
    if not count:
        return []
    status = _status_for_width("warn", count, width)
    if status == "pass":
        return [Finding(status, count, MAJORITY_OF_COLUMNS * width, f"{count} constant columns")]
    names = list_names([subject.column_name(c) for c in constant])
    sentence = f"{count} of {width} columns constant (limit 0): {names}"
    return [Finding(status, count, 0, sentence, "leave them out: they say nothing", "constant_columns")]


def repeated_columns(x: np.ndarray, constant: np.ndarray) -> list[tuple[int, int]]:
    """Pairs of columns that are equal up to sign, scale and shift; each repeating column once."""
    seen, pairs = {}, []
    for c in np.setdiff1d(np.arange(x.shape[1]), constant):
        z = (x[:, c] - x[:, c].mean()) / x[:, c].std()
        z = np.round(z * np.sign(z[np.abs(z).argmax()]), 6) + 0.0  # -0 and 0 have different bytes
        key = z.tobytes()
        if key in seen:
            pairs.append((seen[key], int(c)))
        seen.setdefault(key, int(c))
    return pairs


def _check_repeated_columns(subject: Subject, pairs: list[tuple[int, int]], width: int) -> list[Finding]:
    count = len(pairs)
    if not count:
        return []
    status = _status_for_width("warn", count, width)
    if status == "pass":
        return [Finding(status, count, MAJORITY_OF_COLUMNS * width, f"{count} columns repeat another")]
    original, copy = map(subject.column_name, pairs[0])
    sentence = f"{count} of {width} columns repeat another (limit 0): {copy} repeats {original}"
    advice = "leave them out, or one has twice the weight"
    return [Finding(status, count, 0, sentence, advice, "duplicate_columns")]


def scales(subject: Subject) -> list[Finding]:
    """The scales of inputs and numeric targets that are not normalised; and targets outside the output's
    range."""
    data = subject.experiment.data
    x, advice = _columns(subject), "data.normalization=robust"
    findings = _out_of_range(subject)
    if data.normalization == "none" and x.shape[1]:
        findings += _check_scale("inputs", x, advice)
    if data.target_scaling == "none" and not subject.dataset.classes and not data.reconstruct:
        y = subject.dataset.y[subject.fold.train].astype(np.float64)
        findings += _check_scale("targets", y, "data.target_normalization=standard")
    if not findings:
        return [Finding("pass", 1, SCALE_WARN, "normalised")]
    if all(finding.status == "pass" for finding in findings):
        findings += _check_evenness(subject, x, advice)
    return findings


def _out_of_range(subject: Subject) -> list[Finding]:
    """Normalised targets outside of (0, 1), which a sigmoid output cannot reach."""
    if subject.experiment.model.output != "sigmoid" or subject.dataset.classes:
        return []
    sample = subject.training_sample(MAX_EXAMPLES)
    _, t = sample.examples.gather(sample.fold, sample.fold.train)
    outside = float(((t < 0) | (t > 1)).double().mean())
    if outside <= SHARE_OUT_OF_RANGE:
        return []
    limit = f"limit {SHARE_OUT_OF_RANGE:.0%}"
    sentence = f"{outside:.0%} of the targets are beyond the 0 to 1 of model.output=sigmoid ({limit})"
    key = "normalization" if subject.experiment.data.reconstruct else "target_normalization"
    advice = f"model.output=auto, or data.{key}=minmax"
    return [Finding("fail", outside, SHARE_OUT_OF_RANGE, sentence, advice, "out_of_range")]


def _check_scale(quantity: str, values: np.ndarray, advice: str) -> list[Finding]:
    """The root mean square of values that are not normalised."""
    size = float(np.sqrt((values**2).mean()))
    if size <= SCALE_WARN:
        return [Finding("pass", size, SCALE_WARN, f"{quantity} of size {size:.2g}")]
    sentence = f"{quantity} of size {size:.3g} (root mean square, limit {SCALE_WARN:g}) are not normalised"
    return [Finding(grade(size, SCALE_WARN, SCALE_FAIL), size, SCALE_WARN, sentence, advice, "scales")]


def _check_evenness(subject: Subject, x: np.ndarray, advice: str) -> list[Finding]:
    """A column that is far larger than most, if inputs are not normalised."""
    sizes = np.sqrt((x**2).mean(0))
    if subject.experiment.data.normalization != "none" or not sizes.any():
        return []
    # Columns of zeros have another finding; here they would make every other column look large.
    ratio = sizes.max() / float(np.median(sizes[sizes > 0]))
    if ratio <= SIZE_RATIO:
        return []
    name = subject.column_name(int(sizes.argmax()))
    sentence = f"{name} is {ratio:.3g} times as large as most (limit {SIZE_RATIO:g}), not normalised"
    return [Finding("warn", ratio, SIZE_RATIO, sentence, advice, "scales")]


def _balance(subject: Subject) -> list[Finding]:
    """The balance of the classes in the training set: the largest compared with the smallest."""
    classes = subject.dataset.classes
    if not classes:
        return []
    counts = np.bincount(subject.dataset.y[subject.fold.train], minlength=len(classes))
    ratio = counts.max() / max(counts.min(), 1)
    if ratio <= CLASS_RATIO:
        return [Finding("pass", ratio, CLASS_RATIO, f"classes {ratio:.2g} to 1")]
    if subject.experiment.class_weight != NO_CLASS_WEIGHT:
        return [Finding("pass", ratio, ratio, f"classes {ratio:.2g} to 1, and weighted")]
    large, small = classes[int(counts.argmax())], classes[int(counts.argmin())]
    sentence = f"class '{large}' is {ratio:.3g} times as frequent as '{small}' (limit {CLASS_RATIO:g})"
    advice = (
        "accuracy will flatter: class_weight=balanced lets every class count as much as any other; read "
        "balanced accuracy, and the precision and recall of each class"
    )
    return [Finding("warn", ratio, CLASS_RATIO, sentence, advice, "imbalance")]

"""The data: columns that say nothing or the same twice, scales, classes, the test set, labels.

Columns are looked at in the training examples, as normalisation sees them. A wide table (an image, word
counts) has constant and repeated columns as a matter of course: there they are mentioned without a warning.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from nnlab.checks import labels, leaks, outlying_columns, shared_examples
from nnlab.checks.subject import Subject
from nnlab.checks.verdict import Finding, Verdict, graded, listed

EXAMPLES_AT_MOST = 20_000  # looked at for columns
WIDE_COLUMNS = 50  # from so many on, a table is wide
MOST_OF_COLUMNS = 0.5  # of a wide table's columns: so many are worth a warning even there
SCALE_WARN, SCALE_FAIL = 30.0, 300.0  # root mean square of inputs: standardised 1, pixels up to 16 about 8
SIZE_RATIO = 100.0  # a column's size compared with the median column's
SHARE_OUT_OF_RANGE = 0.02  # of the targets: beyond the values that the output can take
CLASS_RATIO = 10.0  # the largest class compared with the smallest


def check(subject: Subject) -> Verdict:
    """Whatever is wrong with the training examples, the test set and the labels."""
    x = _columns(subject)
    width = x.shape[1]
    constant = np.flatnonzero(np.ptp(x, axis=0) == 0)
    varying = []
    if width < WIDE_COLUMNS:  # these have a finding of their own, in outlying_columns
        varying = list(outlying_columns.out_of_constant(subject, constant))
    findings = [
        *scales(subject),
        *outlying_columns.check(subject, constant),
        *_constant(subject, np.setdiff1d(constant, varying), width),
        *_repeated(subject, repeated_columns(x, constant), width),
        *leaks.check(subject),
        *_balance(subject),
        *shared_examples.check(subject),
    ]
    suspected = np.array([], int)
    if subject.idle:
        findings.append(_one_target())
    else:
        suspected, of_labels = labels.suspected(subject)
        findings += of_labels
    if all(finding.status == "pass" for finding in findings):
        findings = [_healthy(x, findings)]
    return Verdict.of("data", findings, {"constant": constant, "suspected": suspected})


def _columns(subject: Subject) -> np.ndarray:
    """The inputs that are looked at."""
    examples = subject.some(subject.fold.train, EXAMPLES_AT_MOST, "columns")
    return subject.dataset.x[examples].astype(np.float64)


def _one_target() -> Finding:
    sentence = "the target is constant: all training examples have the same one (at least 2 different ones)"
    advice = "look at data.target, or at how the file was made"
    return Finding("fail", 1, 2, sentence, advice, "constant_target", at_least=True)


def _healthy(x: np.ndarray, findings: list[Finding]) -> Finding:
    """All sentences in one line, with the number and the limit of the labels, the last of them."""
    sentences = ", ".join(finding.found for finding in findings if finding.found)
    return replace(findings[-1], found=f"{len(x)} x {x.shape[1]} {sentences}")


def _if_narrow(status: str, count: int, width: int) -> str:
    """The status, or in a wide table a pass, as long as it is not most of its columns."""
    return status if width < WIDE_COLUMNS or count > MOST_OF_COLUMNS * width else "pass"


def _constant(subject: Subject, constant: np.ndarray, width: int) -> list[Finding]:
    count = len(constant)
    if not count:
        return []
    status = _if_narrow("warn", count, width)
    if status == "pass":
        return [Finding(status, count, MOST_OF_COLUMNS * width, f"{count} constant columns")]
    names = listed([subject.column_name(c) for c in constant])
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


def _repeated(subject: Subject, pairs: list[tuple[int, int]], width: int) -> list[Finding]:
    count = len(pairs)
    if not count:
        return []
    status = _if_narrow("warn", count, width)
    if status == "pass":
        return [Finding(status, count, MOST_OF_COLUMNS * width, f"{count} columns repeat another")]
    original, copy = map(subject.column_name, pairs[0])
    sentence = f"{count} of {width} columns repeat another (limit 0): {copy} repeats {original}"
    advice = "leave them out, or one has twice the weight"
    return [Finding(status, count, 0, sentence, advice, "duplicate_columns")]


def scales(subject: Subject) -> list[Finding]:
    """What the network sees where nothing normalises it: inputs, and targets that are numbers.

    And targets that its last unit cannot reach.
    """
    data = subject.experiment.data
    x, advice = _columns(subject), "data.normalization=robust"
    findings = _out_of_range(subject)
    if data.normalization == "none":
        findings += _size("inputs", x, advice)
    if getattr(data, "target_normalization", None) == "none" and not subject.dataset.classes:
        y = subject.dataset.y[subject.fold.train].astype(np.float64)
        findings += _size("targets", y, "data.target_normalization=standard")
    if not findings:
        return [Finding("pass", 1, SCALE_WARN, "normalised")]
    if all(finding.status == "pass" for finding in findings):
        findings += _uneven(subject, x, advice)
    return findings


def _out_of_range(subject: Subject) -> list[Finding]:
    """Targets that, as they are normalised, are not among the values of a sigmoid."""
    if subject.experiment.model.output != "sigmoid" or subject.dataset.classes:
        return []
    sample = subject.training_sample(EXAMPLES_AT_MOST)
    _, t = sample.examples.gather(sample.fold, sample.fold.train)
    outside = float(((t < 0) | (t > 1)).double().mean())
    if outside <= SHARE_OUT_OF_RANGE:
        return []
    limit = f"limit {SHARE_OUT_OF_RANGE:.0%}"
    sentence = f"{outside:.0%} of the targets are beyond the 0 to 1 of model.output=sigmoid ({limit})"
    advice = "model.output=auto, or data.target_normalization=minmax"
    return [Finding("fail", outside, SHARE_OUT_OF_RANGE, sentence, advice, "out_of_range")]


def _size(what: str, values: np.ndarray, advice: str) -> list[Finding]:
    """The size of what is not normalised."""
    size = float(np.sqrt((values**2).mean()))
    if size <= SCALE_WARN:
        return [Finding("pass", size, SCALE_WARN, f"{what} of size {size:.2g}")]
    sentence = f"{what} of size {size:.3g} (root mean square, limit {SCALE_WARN:g}) are not normalised"
    return [Finding(graded(size, SCALE_WARN, SCALE_FAIL), size, SCALE_WARN, sentence, advice, "scales")]


def _uneven(subject: Subject, x: np.ndarray, advice: str) -> list[Finding]:
    """A column that is far larger than most, where nothing normalises them."""
    sizes = np.sqrt((x**2).mean(0))
    if subject.experiment.data.normalization != "none" or not sizes.any():
        return []
    # Columns of zeros are another finding's; here they would make every other column look large.
    ratio = sizes.max() / float(np.median(sizes[sizes > 0]))
    if ratio <= SIZE_RATIO:
        return []
    name = subject.column_name(int(sizes.argmax()))
    sentence = f"{name} is {ratio:.3g} times as large as most (limit {SIZE_RATIO:g}), not normalised"
    return [Finding("warn", ratio, SIZE_RATIO, sentence, advice, "scales")]


def _balance(subject: Subject) -> list[Finding]:
    """The classes in the training set, the largest compared with the smallest."""
    classes = subject.dataset.classes
    if not classes:
        return []
    counts = np.bincount(subject.dataset.y[subject.fold.train], minlength=len(classes))
    ratio = counts.max() / max(counts.min(), 1)
    if ratio <= CLASS_RATIO:
        return [Finding("pass", ratio, CLASS_RATIO, f"classes {ratio:.2g} to 1")]
    large, small = classes[int(counts.argmax())], classes[int(counts.argmin())]
    sentence = f"class '{large}' is {ratio:.3g} times as frequent as '{small}' (limit {CLASS_RATIO:g})"
    advice = (
        "accuracy will flatter: read precision and recall of each class in summary.json; collect more of it"
    )
    return [Finding("warn", ratio, CLASS_RATIO, sentence, advice, "imbalance")]

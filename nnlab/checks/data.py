"""The data: columns that say nothing or the same twice, scales, classes, the test set, labels.

Columns are looked at in the training examples, as normalisation sees them. A wide table (an image, counts of
words) has constant columns and twins as a matter of course: there they are told, and no warning.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from nnlab.checks import labels, leaks, outlying_columns
from nnlab.checks.subject import Subject
from nnlab.checks.verdict import Finding, Verdict, graded
from nnlab.streams import stream

EXAMPLES = 20_000  # looked at for columns
WIDE = 50  # columns
MANY = 0.5  # of a wide table's columns
SCALE_WARN, SCALE_FAIL = 30.0, 300.0  # root mean square of inputs: standardised 1, pixels up to 16 about 8
UNEVEN = 100.0  # a column's size beside the median column's
OUTSIDE = 0.02  # of the targets: beyond the values that the output can take
IMBALANCE = 10.0  # the largest class beside the smallest
SHARED_WARN, SHARED_FAIL = 0.02, 0.2  # of the test set; a single twin may be chance
SURE = 2.33  # standard errors: luck gets there once in a hundred


def check(subject: Subject) -> Verdict:
    """Whatever is wrong with the training examples, the test set and the labels."""
    x = _columns(subject)
    constant = np.flatnonzero(np.ptp(x, axis=0) == 0)
    varies = list(outlying_columns.out_of_constant(subject, constant)) if x.shape[1] < WIDE else []
    findings = [
        *scales(subject),
        *outlying_columns.check(subject, constant),
        *_constant(subject, np.setdiff1d(constant, varies), x.shape[1]),
        *_twins(subject, twins(x, constant), x.shape[1]),
        *leaks.check(subject),
        *_balance(subject),
        *_shared(subject),
    ]
    suspected, said = (np.array([], int), [_one_target()]) if subject.idle else labels.suspected(subject)
    findings += said
    if all(finding.status == "pass" for finding in findings):
        findings = [_healthy(x, findings)]
    details = {"constant": constant, "suspected": suspected}
    return Verdict.of("data", findings, details)


def _columns(subject: Subject) -> np.ndarray:
    """The inputs that are looked at."""
    return subject.dataset.x[subject.some(subject.fold.train, EXAMPLES, "columns")].astype(np.float64)


def _one_target() -> Finding:
    found = "the target is constant: all training examples have the same one (at least 2 different ones)"
    advice = "look at data.target, or at how the file was made"
    return Finding("fail", 1, 2, found, advice, "constant_target", at_least=True)


def _healthy(x: np.ndarray, findings: list[Finding]) -> Finding:
    """One line of what each has to say, with the number and the limit of the labels, the last of them."""
    told = ", ".join(finding.found for finding in findings if finding.found)
    return replace(findings[-1], found=f"{len(x)} x {x.shape[1]} {told}")


def _names(subject: Subject, columns) -> str:
    """The first columns by name, or by number where they have none."""
    known = subject.dataset.features
    names = [known[c] if known else f"column {c}" for c in columns[:3]]
    return ", ".join(names) + (f" and {len(columns) - 3} more" if len(columns) > 3 else "")


def _if_narrow(status: str, count: int, width: int) -> str:
    """The status, or in a wide table a pass, as long as it is not most of its columns."""
    return status if width < WIDE or count > MANY * width else "pass"


def _constant(subject: Subject, constant: np.ndarray, width: int) -> list[Finding]:
    if not len(constant):
        return []
    status = _if_narrow("warn", len(constant), width)
    found = f"{len(constant)} of {width} columns constant (limit 0): {_names(subject, constant)}"
    if status == "pass":
        return [Finding(status, len(constant), MANY * width, f"{len(constant)} constant columns")]
    return [Finding(status, len(constant), 0, found, "leave them out: they say nothing", "constant_columns")]


def twins(x: np.ndarray, constant: np.ndarray) -> list[tuple[int, int]]:
    """Pairs of columns that are equal up to sign, scale and shift; each repeating column once."""
    seen, pairs = {}, []
    for c in np.setdiff1d(np.arange(x.shape[1]), constant):
        z = (x[:, c] - x[:, c].mean()) / x[:, c].std()
        z = np.round(z * np.sign(z[np.abs(z).argmax()]), 6) + 0.0  # no -0
        key = z.tobytes()
        if key in seen:
            pairs.append((seen[key], int(c)))
        seen.setdefault(key, int(c))
    return pairs


def _twins(subject: Subject, pairs: list[tuple[int, int]], width: int) -> list[Finding]:
    if not pairs:
        return []
    status = _if_narrow("warn", len(pairs), width)
    if status == "pass":
        return [Finding(status, len(pairs), MANY * width, f"{len(pairs)} columns repeat another")]
    first = " repeats ".join(_names(subject, [c]) for c in reversed(pairs[0]))
    found = f"{len(pairs)} of {width} columns repeat another (limit 0): {first}"
    return [
        Finding(
            status, len(pairs), 0, found, "leave them out, or one has twice the weight", "duplicate_columns"
        )
    ]


def scales(subject: Subject) -> list[Finding]:
    """Of what the network sees if nothing normalises it: inputs, and targets that are no classes.

    And of targets that its last unit cannot reach.
    """
    data, found = subject.experiment.data, _out_of_range(subject)
    x, advice = _columns(subject), "data.normalization=robust"
    if data.normalization == "none":
        found += _size("inputs", x, advice)
    if getattr(data, "target_normalization", None) == "none" and not subject.dataset.classes:
        y = subject.dataset.y[subject.fold.train].astype(np.float64)
        found += _size("targets", y, "data.target_normalization=standard")
    if any(finding.status != "pass" for finding in found):
        return found
    return [*found, *_uneven(subject, x, advice)] if found else [Finding("pass", 1, SCALE_WARN, "normalised")]


def _out_of_range(subject: Subject) -> list[Finding]:
    """Of targets, as they are normalised, that are not among the values of a sigmoid."""
    if subject.experiment.model.output != "sigmoid" or subject.dataset.classes:
        return []
    sample = subject.training_sample(EXAMPLES)
    _, t = sample.examples.gather(sample.fold, sample.fold.train)
    outside = float(((t < 0) | (t > 1)).double().mean())
    if outside <= OUTSIDE:
        return []
    found = (
        f"{outside:.0%} of the targets are beyond the 0 to 1 of model.output=sigmoid (limit {OUTSIDE:.0%})"
    )
    advice = "model.output=auto, or data.target_normalization=minmax"
    return [Finding("fail", outside, OUTSIDE, found, advice, "out_of_range")]


def _size(what: str, values: np.ndarray, advice: str) -> list[Finding]:
    """A finding of what is not normalised."""
    size = float(np.sqrt((values**2).mean()))
    if size <= SCALE_WARN:
        return [Finding("pass", size, SCALE_WARN, f"{what} of size {size:.2g}")]
    found = f"{what} of size {size:.3g} (root mean square, limit {SCALE_WARN:g}) are not normalised"
    return [Finding(graded(size, SCALE_WARN, SCALE_FAIL), size, SCALE_WARN, found, advice, "scales")]


def _uneven(subject: Subject, x: np.ndarray, advice: str) -> list[Finding]:
    """A column that is far larger than most, where nothing normalises them."""
    sizes = np.sqrt((x**2).mean(0))
    if subject.experiment.data.normalization != "none" or not sizes.any():
        return []
    uneven, largest = sizes.max() / float(np.median(sizes[sizes > 0])), int(sizes.argmax())
    if uneven <= UNEVEN:
        return []
    name = _names(subject, [largest])
    found = f"{name} is {uneven:.3g} times as large as most (limit {UNEVEN:g}), not normalised"
    return [Finding("warn", uneven, UNEVEN, found, advice, "scales")]


def _balance(subject: Subject) -> list[Finding]:
    """Of the classes in the training set."""
    if not subject.dataset.classes:
        return []
    counts = np.bincount(subject.dataset.y[subject.fold.train], minlength=len(subject.dataset.classes))
    ratio = counts.max() / max(counts.min(), 1)
    small, large = (subject.dataset.classes[int(c)] for c in (counts.argmin(), counts.argmax()))
    if ratio <= IMBALANCE:
        return [Finding("pass", ratio, IMBALANCE, f"classes {ratio:.2g} to 1")]
    found = f"class '{large}' is {ratio:.3g} times as frequent as '{small}' (limit {IMBALANCE:g})"
    advice = (
        "accuracy will flatter: read precision and recall of each class in summary.json; collect more of it"
    )
    return [Finding("warn", ratio, IMBALANCE, found, advice, "imbalance")]


def _shared(subject: Subject) -> list[Finding]:
    """Test examples that a training or validation example repeats, target and all.

    Where values are few, examples repeat each other by nature, in training as often as across: so it is
    compared with the share of the training examples that have a twin among the others, and that with the
    share after every column is shuffled by itself, which repeats no example but by chance.
    """
    fold = subject.fold
    if not len(fold.test):
        return []
    keys = _keys(subject.dataset.x, subject.dataset.y)
    known, test = keys[np.concatenate([fold.train, fold.validation])], keys[fold.test]
    shared = int(np.isin(test, known).sum())
    share = shared / len(test)
    least = max(SHARED_WARN, 1 / len(test))  # a single twin may be chance
    if share <= least:
        return [Finding("pass", share, least, "")]
    if len(np.unique(known)) < 0.5 * len(known):
        return [Finding("pass", share, 1.0, "most examples repeat another: of few different values")]
    usual = _repeated(known)
    found = f"{share:.1%} of the test set ({shared} examples; limit {SHARED_WARN:.0%}) are also trained on"
    expected = usual + SURE * float(np.sqrt(usual * (1 - usual) / len(test)))
    if share <= expected:
        if _repeated(_keys(*_shuffled(subject))) > 0.5 * usual:
            said = f"{share:.0%} of the test set repeated (limit {expected:.0%}), of few different values"
            return [Finding("pass", share, expected, said)]
        found = (
            f"{found}, as {usual:.0%} of the others repeat each other: repeated rows, or few different values"
        )
        advice = "if rows were copied, take the copies out before splitting, or the test set flatters"
        return [Finding("warn", share, SHARED_WARN, found, advice, "test_in_training")]
    advice = "take the duplicates out before splitting, or the test set flatters"
    status = graded(share, SHARED_WARN, SHARED_FAIL)
    return [Finding(status, share, SHARED_WARN, found, advice, "test_in_training")]


def _keys(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """(N,): a number for each example, the same for equal ones."""
    x, y = np.ascontiguousarray(x) + 0, np.ascontiguousarray(y) + 0  # no -0
    return np.array([hash((inputs.tobytes(), t.tobytes())) for inputs, t in zip(x, y, strict=True)])


def _repeated(keys: np.ndarray) -> float:
    """The share that is there more than once."""
    _, counts = np.unique(keys, return_counts=True)
    return float(counts[counts > 1].sum() / len(keys))


def _shuffled(subject: Subject) -> list[np.ndarray]:
    """Inputs and targets of the training and validation examples, every column shuffled by itself."""
    examples = np.concatenate([subject.fold.train, subject.fold.validation])
    random = stream(0, "check", "shuffled")
    return [random.permuted(v[examples], axis=0) for v in (subject.dataset.x, subject.dataset.y)]

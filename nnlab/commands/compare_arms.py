"""Which runs are arms, and which data sets they are on; refuses what cannot be compared before it trains."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from nnlab.commands.command_line import key_of
from nnlab.commands.compare_words import DATA_GROUP
from nnlab.data.spec import HARMLESS_KEYS
from nnlab.errors import UserError
from nnlab.experiment import WITHOUT_RECORDS, Experiment
from nnlab.metrics import METRICS
from nnlab.records.course_scores import curve_of
from nnlab.records.measures import ALWAYS, is_loss, refuse_target, refuse_unmeasured, usual_measure
from nnlab.records.run_summaries import kind_of_loss
from nnlab.records.titles import describe_run
from nnlab.training.fingerprints import fingerprints
from nnlab.training.fit import Fit

Words = tuple[str, ...]


@dataclass(frozen=True)
class Arrangement:
    """The arms and data sets of a comparison."""

    words: dict[str, Words]  # arm -> its words, in the order in which they were typed
    data: Words
    places: list[tuple[str, str]]  # of each run its arm and its data set


def arrange(
    varied: Sequence[Words], fits: Sequence[Fit], measure: str, target: float | None = None
) -> Arrangement:
    """The arms that the runs are, by the words in which they vary. Raises `UserError`."""
    examples = [fingerprints(fit.experiments[0], fit.cache)["examples"] for fit in fits]
    of_data = _keys_of_data(varied, examples)
    arms = [tuple(word for word in words if key_of(word) not in of_data) for words in varied]
    data_words = [tuple(word for word in words if key_of(word) in of_data) for words in varied]
    if len({*arms}) == 1:
        raise UserError(
            f"{' '.join(dict.fromkeys(map(' '.join, data_words)))}: these are data sets, on which arms are "
            f"compared; give another key several values, such as optimizer=sgd,adam"
        )
    titles = _data_titles(data_words, fits)
    places = [(" ".join(arm), titles[data]) for arm, data in zip(arms, data_words, strict=True)]
    _refuse_gaps(places)
    _refuse_twins(places, fits)
    for data in dict.fromkeys(titles.values()):
        here = [i for i, place in enumerate(places) if place[1] == data]
        if len({examples[i] for i in here}) > 1:
            other = next(i for i in here if examples[i] != examples[here[0]])
            raise UserError(
                f"{places[here[0]][0]} and {places[other][0]} train on other examples, so their rows are no "
                f"pairs; arms have the same data, targets and split"
            )
        _refuse_measure([fits[i] for i in here], measure, target)
    words = {name: arm for (name, _), arm in zip(places, arms, strict=True)}
    return Arrangement(words, tuple(dict.fromkeys(titles.values())), places)


def _keys_of_data(varied: Sequence[Words], examples: Sequence[str]) -> set[str]:
    """The keys that say on which data arms are compared: those of data that change the examples."""
    keys = {key_of(word) for words in varied for word in words}
    return {
        key
        for key in keys - HARMLESS_KEYS
        if key.partition(".")[0] == DATA_GROUP and _changes_examples(key, varied, examples)
    }


def _changes_examples(key: str, varied: Sequence[Words], examples: Sequence[str]) -> bool:
    """Whether two runs that differ in this key alone have other examples."""
    seen: dict[Words, set[str]] = {}
    for words, each in zip(varied, examples, strict=True):
        seen.setdefault(tuple(word for word in words if key_of(word) != key), set()).add(each)
    return any(len(each) > 1 for each in seen.values())


def _data_titles(data_words: Sequence[Words], fits: Sequence[Fit]) -> dict[Words, str]:
    """The name of each data set: as in summary.json, with its words where that is not enough."""
    titles: dict[Words, str] = {}
    for words, fit in zip(data_words, fits, strict=True):
        (e,) = fit.experiments
        titles.setdefault(words, describe_run(e, fit.datasets[e.data].spec)["data"])
    if len({*titles.values()}) == len(titles):
        return titles
    return {words: " ".join([title, *words]) for words, title in titles.items()}


def _refuse_gaps(places: Sequence[tuple[str, str]]) -> None:
    """Raise `UserError` for an arm that is not on all data sets."""
    arms, data = (dict.fromkeys(each) for each in zip(*places, strict=True))
    for arm in arms:
        for each in data:
            if places.count((arm, each)) != 1:
                raise UserError(f"every arm is on every data set once, and {arm} is not on {each}")


def _refuse_twins(places: Sequence[tuple[str, str]], fits: Sequence[Fit]) -> None:
    """Raise `UserError` for two arms that would only come out identical."""
    trained: dict[tuple[Experiment, str], str] = {}
    for (arm, data), fit in zip(places, fits, strict=True):
        twin = trained.setdefault((_without_recording(fit.experiments[0]), data), arm)
        if twin != arm:
            raise UserError(
                f"{twin} and {arm} train the same networks, bit for bit: these arms differ at most in speed "
                f"and in what is recorded, so there is nothing to compare"
            )


def _without_recording(e: Experiment) -> Experiment:
    """The experiment without what changes no result."""
    regularizer = replace(e.regularizer, small=None)
    return replace(e, regularizer=regularizer, threads="auto", metrics=(), **WITHOUT_RECORDS)


def _refuse_measure(fits: Sequence[Fit], measure: str, target: float | None) -> None:
    """Raise `UserError` where there is nothing to compare these arms by."""
    for fit in fits:
        if len(fit.rows) < 2:
            raise UserError(
                "seeds = 1: one row of each arm does not say what is chance; write seeds=10, or split=kfold"
            )
        available = measured_by(fit)
        (e,) = fit.experiments
        spec = fit.datasets[e.data].spec
        asked = measure
        if asked == "auto":
            asked = usual_measure(spec.task, "test_loss" in available, "val_error" in available)
        refuse_unmeasured(asked, available, e.data.name)
        refuse_target(target, curve_of(asked, [n for n in available if not n.startswith("test_")]), spec.task)
    kinds = {_kind_of_loss(fit) for fit in fits}
    if is_loss(measure) and len(kinds) > 1:
        raise UserError(
            f"measure = '{measure}': the losses of these arms are of different kinds; "
            f"{measure.replace('loss', 'error')} is the same for all"
        )


def measured_by(fit: Fit) -> list[str]:
    """What each row of the fit will have a number of."""
    (e,) = fit.experiments
    spec = fit.datasets[e.data].spec
    names = ["train_loss", "train_error"]
    if e.split.validates:
        names = ["val_loss", "val_error", *(f"val_{name}" for name in e.measured), *names]
    if all(len(row.fold.test) for row in fit.rows):
        tested = [name for name, metric in METRICS.items() if metric.fits(len(spec.classes))]
        names = [*(f"test_{n}" for n in (*ALWAYS, *tested) if n != "error" or spec.classes), *names]
    return names


def _kind_of_loss(fit: Fit) -> tuple:
    (e,) = fit.experiments
    dataset = fit.datasets[e.data]
    return kind_of_loss(describe_run(e, dataset.spec, dataset.weights is not None))

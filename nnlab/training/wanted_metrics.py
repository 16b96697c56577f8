"""Whether the metrics that an experiment asks for are defined: for its task, classes, validation examples."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from nnlab.data.class_counts import count_text
from nnlab.data.dataset import Dataset
from nnlab.data.spec import DataSpec
from nnlab.data.splits import Fold
from nnlab.errors import UserError
from nnlab.experiment import Experiment
from nnlab.metrics import METRICS, ProbabilityScores
from nnlab.metrics.tasks import TASKS


def refuse_metrics(e: Experiment, spec: DataSpec, objectives: Iterable[str] = ()) -> None:
    """Raise `UserError` for a metric of another task, or of another number of classes."""
    wanted = {"objective": objectives, "metrics": e.further_metrics}
    wanted |= {key: [name] for key, name in _deciding(e).items()}
    for key, names in wanted.items():
        for name in names:
            if name in METRICS and not METRICS[name].fits(len(spec.classes)):
                raise UserError(
                    f"{key} = '{name}' {_is_for(name, spec)}, but data '{e.data.name}' has {_targets(spec)}; "
                    f"allowed with them: {', '.join(_allowed(key, spec))}"
                )


def _is_for(name: str, spec: DataSpec) -> str:
    task, (few, many) = METRICS[name].task, METRICS[name].classes
    if task != spec.task:
        return "is for classes" if task == "classification" else "is for numbers as targets"
    if few == many:
        return f"is for {few} classes"
    return f"is for {few} classes or more" if len(spec.classes) < few else f"is for {many} classes at most"


def _targets(spec: DataSpec) -> str:
    return f"{len(spec.classes):,} classes" if spec.classes else "numbers as targets"


def _allowed(key: str, spec: DataSpec) -> list[str]:
    usual = [] if key == "metrics" else ["val_loss", "val_error"]
    return usual + [name for name, metric in METRICS.items() if metric.fits(len(spec.classes))]


def refuse_undefined(e: Experiment, dataset: Dataset, folds: list[Fold]) -> None:
    """Raise `UserError` if what decides about epochs is undefined on the validation examples of a fold,
    whatever a network answers: no epoch would be the best."""
    watched = {key: name for key, name in _deciding(e).items() if name in METRICS and METRICS[name].undefined}
    for fold in folds if watched else ():
        answers = perfect_answers(dataset, fold.validation)
        for key, name in watched.items():
            if np.isnan(METRICS[name].formula(answers)):
                raise _undefined(key, name, dataset.spec, fold)


def _deciding(e: Experiment) -> dict[str, str]:
    """The metrics by which epochs are judged, by their keys."""
    return {"metric": e.metric} | {f"{part.group}.metric": part.metric for part in (e.stopping, e.schedule)}


def _undefined(key: str, name: str, spec: DataSpec, fold: Fold) -> UserError:
    positive = spec.classes[spec.positive or 0] if spec.classes else ""
    return UserError(
        f"{key} = '{name}' is undefined on the {count_text(len(fold.validation), 'validation example')} of "
        f"fold {fold.number}: {METRICS[name].undefined.format(positive=positive)}; allowed with them: "
        f"val_loss, val_error, or another split, such as split.validation=0.3"
    )


def perfect_answers(dataset: Dataset, examples: np.ndarray):
    """Answers that are all right: a metric that is undefined for them is undefined for all answers."""
    spec, targets = dataset.spec, dataset.targets(noisy=True)[examples]
    task = TASKS[spec.task]()
    if not spec.classes:
        return task.answers(targets.T, targets.T)
    true = targets[None]
    p = (np.arange(len(spec.classes))[:, None] == true).astype(float)
    return task.answers(true, true, spec.classes, ProbabilityScores.of(p, true), spec.positive)

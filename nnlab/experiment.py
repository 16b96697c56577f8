"""An experiment: all settings of a training run; and its rows, the single models that it trains."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np

from nnlab.allowed import LARGEST_COUNT, LARGEST_EXACT_INTEGER, MAX_ROWS, yaml_text
from nnlab.arguments import typed
from nnlab.autodiff.activations import OUTPUTS, Identity
from nnlab.autodiff.activity_penalty import hidden_activations, with_activity_penalty
from nnlab.autodiff.augmentation import Augmentation
from nnlab.autodiff.dropout import Dropout
from nnlab.autodiff.gaussian_inference import with_gaussian_inference
from nnlab.autodiff.graph import Graph
from nnlab.autodiff.input_augmentation import augmentation_boxes
from nnlab.data.extremes import refuse_extremes
from nnlab.data.in_memory import arrays_from
from nnlab.data.loss_weights import NO_CLASS_WEIGHT, named_factors
from nnlab.data.sources import SOURCES, Data, Dataset, Digits
from nnlab.data.spec import DataSpec
from nnlab.data.splits import SPLITS, Fold, Holdout, Split
from nnlab.errors import UserError, advise, shortened
from nnlab.hyperparameters import Component, compose, control, decompose, kind, part, static, statics
from nnlab.initializers import INITIALIZERS, Auto, Init
from nnlab.losses import LOSS_OF_MAP, LOSSES
from nnlab.metrics import METRICS
from nnlab.models import MLP, MODELS, Model
from nnlab.optimizers import OPTIMIZERS, Adam, Optimizer
from nnlab.plugins import lookup
from nnlab.regularizers import (
    ACTIVITY_PENALTIES,
    AUGMENTATIONS,
    DROPOUTS,
    REGULARIZERS,
    Regularizer,
    combined,
)
from nnlab.schedules import SCHEDULES, Constant, Schedule
from nnlab.schedules.base import PastEpoch
from nnlab.stopping import RULES, Stopping

DEFAULT_L2 = 1e-3
MAX_EVALUATION_BATCH = 512
DEFAULT_THRESHOLD = 0.5  # of two classes: the likelier one is predicted
READER_OF_RATE = {  # what to write in model.boxes
    "dropout": "{box: dropout}",
    "input_dropout": "{box: dropout, rate: input_dropout}",
    "dropconnect": "a box with weight: {box: dropconnect}",
}
FURTHER_CURVES = ("theta", "effective_step", "update_norm", "weight_norm")
LOGISTIC_MAPS = ("softmax", "sigmoid")  # whose loss is the negative logarithm of a probability

GROUPS = {
    "data": SOURCES,
    "split": SPLITS,
    "model": MODELS,
    "init": INITIALIZERS,
    "regularizer": Regularizer,
    "optimizer": OPTIMIZERS,
    "schedule": SCHEDULES,
    "stopping": RULES,
}


@dataclass(frozen=True)
class Experiment(Component):
    """The settings of a training run, as of `nnlab train`; the defaults are those of configs/train.yaml.

    >>> Experiment(optimizer=Adam(lr=0.01), seeds=10).optimizer.lr
    0.01
    """

    name: ClassVar[str] = "experiment"
    data: Data = part(SOURCES, Digits, convert=arrays_from)
    split: Split = part(SPLITS, Holdout)
    model: Model = part(MODELS, MLP)
    init: Init = part(INITIALIZERS, Auto)
    regularizer: Regularizer = part(
        REGULARIZERS, None, convert=combined
    )  # l2 = 1e-3, or 0 where the optimiser decays the weights itself
    optimizer: Optimizer = part(OPTIMIZERS, Adam)
    schedule: Schedule = part(SCHEDULES, Constant)
    stopping: Stopping = part(RULES, Stopping)
    loss: str = static("auto", choices=("auto", *LOSSES), plugins="loss")
    metric: str = static("val_loss", choices=("val_loss", "val_error", "last", *METRICS))
    metrics: str | tuple[str, ...] = static((), choices=tuple(METRICS))
    epochs: int = control(50, low=1, high=10_000_000)
    batch_size: int | Literal["full"] = static(64, low=1, high=LARGEST_COUNT)
    class_weight: Literal["none", "balanced"] | dict[str, float] = static("none", low=0)
    seed: int = static(0, low=0, high=LARGEST_EXACT_INTEGER)
    seeds: int = static(1, low=1, high=MAX_ROWS)
    refit: bool = static(False)
    calibrate: str = static("none", choices=("none", "temperature"))
    threshold: float | Literal["accuracy", "balanced_accuracy", "f1", "mcc"] = static(
        DEFAULT_THRESHOLD, above=0, below=1
    )
    histograms: int = static(0, low=0, high=LARGEST_COUNT)
    record: str | tuple[str, ...] = static((), choices=FURTHER_CURVES)
    device: str = static("auto")
    dtype: str = static("float32", choices=("float32", "float64"))
    precision: str = static("float32", choices=("float32", "tf32", "bfloat16"))
    threads: int | Literal["auto"] = static("auto", low=1, high=1024)

    if TYPE_CHECKING:  # for editors: a part may be given by its name

        def __init__(
            self,
            data: Data | str | tuple = ...,
            split: Split | str = ...,
            model: Model | str = ...,
            init: Init | str = ...,
            regularizer: Regularizer | str | Sequence[str] | None = ...,
            optimizer: Optimizer | str = ...,
            schedule: Schedule | str = ...,
            stopping: Stopping | str = ...,
            loss: str = ...,
            metric: str = ...,
            metrics: str | Sequence[str] = ...,
            epochs: int = ...,
            batch_size: int | Literal["full"] = ...,
            class_weight: Literal["none", "balanced"] | dict | None = ...,
            seed: int = ...,
            seeds: int = ...,
            refit: bool = ...,
            calibrate: str = ...,
            threshold: float | Literal["accuracy", "balanced_accuracy", "f1", "mcc"] = ...,
            histograms: int = ...,
            record: str | Sequence[str] = ...,
            device: str = ...,
            dtype: str = ...,
            precision: str = ...,
            threads: int | Literal["auto"] = ...,
        ) -> None: ...

    def __post_init__(self):
        if isinstance(self.regularizer, str) and self.regularizer == "auto":
            object.__setattr__(self, "regularizer", None)
        if self.class_weight is None:  # as scikit-learn has it
            object.__setattr__(self, "class_weight", NO_CLASS_WEIGHT)
        super().__post_init__()
        if self.model.takes_images:
            object.__setattr__(self, "data", self.data.for_images())
        if self.regularizer is None:
            default = Regularizer(l2=0.0 if self.optimizer.decays else DEFAULT_L2)
            object.__setattr__(self, "regularizer", default)
        if self.seeds * self.split.count > MAX_ROWS:
            raise UserError(
                f"seeds = {self.seeds} on {self.split.count} folds (split.repeats, split.k) are "
                f"{self.seeds * self.split.count:,} rows; allowed are {MAX_ROWS:,}"
            )
        if self.precision != "float32" and self.dtype != "float32":
            raise UserError(
                f"precision = '{self.precision}' is for products of float32 numbers, but dtype = "
                f"'{self.dtype}'; allowed with it: precision=float32"
            )
        if not self.split.validates:
            self._refuse_what_needs_validation()

    def _refuse_what_needs_validation(self) -> None:
        settings = {  # setting: (whether it needs validation, what to take instead)
            f"metric={self.metric}": (self.metric != "last", "metric=last"),
            f"metrics={','.join(self.further_metrics)}": (bool(self.metrics), "metrics=[]"),
            f"stopping={self.stopping.name}": (self.stopping.listens, "stopping=none"),
            f"schedule={self.schedule.name}": (self.schedule.listens, "schedule=constant"),
            "refit=true": (self.refit, "refit=false"),
            f"calibrate={self.calibrate}": (self.calibrate != "none", "calibrate=none"),
            f"threshold={self.threshold}": (isinstance(self.threshold, str), "threshold=0.5"),
        }
        refused = [(name, instead) for name, (needs_it, instead) in settings.items() if needs_it]
        if refused:
            names, allowed = zip(*refused, strict=True)
            raise UserError(
                f"split={self.split.name} holds back no validation examples, which "
                f"{' and '.join(names)} need{'s' * (len(names) == 1)}; allowed with it: {' '.join(allowed)}"
            )

    @property
    def further_metrics(self) -> tuple[str, ...]:
        """`metrics`, also where it is one name."""
        return (self.metrics,) if isinstance(self.metrics, str) else self.metrics

    @property
    def recorded_curves(self) -> tuple[str, ...]:
        """`record`, also where it is one name."""
        return (self.record,) if isinstance(self.record, str) else self.record

    @property
    def measured(self) -> tuple[str, ...]:
        """The metrics of the table that are measured on the validation set after every epoch."""
        names = (self.metric, *self.further_metrics, self.stopping.metric, self.schedule.metric)
        return tuple(dict.fromkeys(name for name in names if name in METRICS))

    @staticmethod
    @typed
    def from_config(config: dict) -> Experiment:
        """The experiment that a plain nested dict describes; raises `UserError` where it is wrong.

        Data without `normalization`, as in old run folders, have the default from before there was `robust`.
        """
        data = config.get("data")
        if isinstance(data, dict):
            config = {**config, "data": {"normalization": "standard", **data}}
        return compose(Experiment, GROUPS, config)

    def as_config(self) -> dict:
        """The plain nested dict from which `from_config` makes an equal experiment. Raises `UserError` for a
        part or a setting that no configuration can name, such as a class of this Python session.

        >>> Experiment.from_config(Experiment(epochs=3).as_config()) == Experiment(epochs=3)
        True
        """
        return decompose(self, GROUPS)

    def load(self) -> Dataset:
        """Load its data. Raises `UserError` if they cannot be read, or have values too large or too small."""
        dataset = self.data.load()
        refuse_extremes(self.data, dataset, self.dtype)
        return dataset

    def for_data(self, spec: DataSpec) -> Experiment:
        """The same experiment with numbers for what its data decide: label_smoothing=auto."""
        regularizer = self.regularizer.for_targets(bool(spec.classes))
        return self if regularizer is self.regularizer else replace(self, regularizer=regularizer)

    @typed
    def loss_for(self, spec: DataSpec):
        """The loss for such data: by name, else the model's, else the default for data and output map.

        Raises `UserError` if loss, model and data do not go together.
        """
        name = next((n for n in (self.loss, self.model.loss) if n != "auto"), None)
        loss, output = lookup(LOSSES, "loss", name or self._default_loss(spec))(), self.model.output
        if not spec.classes:
            self._refuse_what_needs_classes(loss)
            self._refuse_class_weight()
        elif isinstance(self.class_weight, dict):
            named_factors(self.class_weight, spec.classes)
        self._refuse_calibration(loss, spec)
        if loss.map and output not in ("auto", loss.map):
            raise UserError(
                f"model.output = '{output}' does not go with loss = '{loss.name}', which has {loss.map} "
                f"built in; allowed: model.output=auto, or loss={LOSS_OF_MAP.get(output, 'squared_error')}"
            )
        return loss

    def _default_loss(self, spec: DataSpec) -> str:
        output = "softmax" if self.model.output == "auto" else self.model.output
        return LOSS_OF_MAP.get(output, "squared_error") if spec.classes else "squared_error"

    def _refuse_what_needs_classes(self, loss) -> None:
        setting = f"loss = '{loss.name}'" if self.loss == loss.name else f"model = '{self.model.name}'"
        output_map = OUTPUTS.get(self.model.output, Identity)
        needs_classes = {
            setting: loss.needs_classes,
            f"model.output = '{self.model.output}'": output_map.gives_probabilities,
            "regularizer.label_smoothing above 0": self.regularizer.smooths,
        }
        for what in [what for what, needed in needs_classes.items() if needed]:
            raise UserError(
                f"{what} needs classes, but data '{self.data.name}' has numbers as targets; "
                f"allowed with them: loss=squared_error or absolute_error with model=mlp or model=linear"
            )

    def _refuse_class_weight(self) -> None:
        if self.class_weight != NO_CLASS_WEIGHT:
            raise UserError(
                f"class_weight = {yaml_text(self.class_weight)} needs classes, but data '{self.data.name}' "
                f"has numbers as targets; allowed with them: class_weight=none"
            )

    def _refuse_calibration(self, loss, spec: DataSpec) -> None:
        """Raise `UserError` for a temperature or a threshold that such outputs and data cannot have."""
        if self.calibrate != "none" and (not spec.classes or loss.map not in LOGISTIC_MAPS):
            lacking = (
                f"probabilities by softmax or sigmoid, and loss = '{loss.name}' has none"
                if spec.classes
                else f"classes, and data '{self.data.name}' has numbers as targets"
            )
            raise UserError(f"calibrate = '{self.calibrate}' needs {lacking}; write calibrate=none")
        if self.threshold != DEFAULT_THRESHOLD and len(spec.classes) != 2:
            what = f"{len(spec.classes)} classes" if spec.classes else "numbers as targets"
            raise UserError(
                f"threshold = {yaml_text(self.threshold)} is for two classes, and data '{self.data.name}' "
                f"has {what}; write threshold=0.5"
            )

    @typed
    def graph(self, spec: DataSpec, augmentations: Sequence[str] | None = None) -> Graph:
        """The network for such data; without an output map that is part of the loss.

        Its input goes through `augmentations`, by default those of the experiment.
        """
        graph = self._model_graph(spec)
        names = self.regularizer.augmentations if augmentations is None else augmentations
        boxes = augmentation_boxes(names, graph, spec.shape, spec.layout.numbers)
        self._refuse_augmentations(boxes, spec)
        self.refuse_strengths(spec)
        graph = graph.behind(boxes) if boxes else graph
        self.inference_graph(graph)  # which refuses what it cannot be
        return graph

    def inference_graph(self, graph: Graph) -> Graph:
        """The network as it is tested and predicts, of the one that is trained."""
        return with_gaussian_inference(graph) if self.averages_masks else graph

    @property
    def averages_masks(self) -> bool:
        """Whether the trained network averages over the masks of DropConnect."""
        return self.regularizer.dropconnect_inference == "gaussian"

    def advise(self, spec: DataSpec) -> None:
        """Warn of settings that are allowed, and change nothing or end before their time."""
        self.schedule.advise(self.epochs)
        self.optimizer.advise()
        if self.averages_masks and not self.regularizer.dropconnect:
            advise(
                "regularizer.dropconnect_inference = 'gaussian' has no effect where no weights are dropped: "
                "regularizer.dropconnect = 0"
            )
        if type(self.model) not in MODELS.values():  # a plug-in's boxes may read a rate in their own way
            return
        boxes = [node.box for node in self._model_graph(spec).nodes if node.box]
        used = {box.rate for box in boxes if isinstance(box, Dropout)}
        for name in [name for name in DROPOUTS if getattr(self.regularizer, name) > 0 and name not in used]:
            if self.model.name == "graph":
                why = f"none of whose boxes reads it: {READER_OF_RATE[name]} would"
            else:
                why = f"which has no {'numbers as inputs' if name == 'input_dropout' else 'hidden layer'}"
            rate = getattr(self.regularizer, name)
            advise(f"regularizer.{name} = {rate:g} has no effect on model={self.model.name}, {why}")
        if self.regularizer.penalizes_activity and not hidden_activations(self._model_graph(spec)):
            name = next(name for name in ACTIVITY_PENALTIES if getattr(self.regularizer, name) > 0)
            advise(
                f"regularizer.{name} = {getattr(self.regularizer, name):g} has no effect on "
                f"model={self.model.name}, which has no activation before its last layer"
            )

    def _refuse_augmentations(self, boxes: dict[str, Augmentation], spec: DataSpec) -> None:
        """Raise `UserError` for what changes images, if the data have none."""
        for box in [box for box in boxes.values() if box.of_images and len(spec.shape) == 1]:
            setting, value = f"regularizer.{box.strength}", getattr(self.regularizer, box.strength)
            raise UserError(
                f"{setting} = {yaml_text(value)} changes images, and an example of data '{self.data.name}' "
                f"is a vector of {spec.inputs:,} numbers; allowed with it: {setting}=0, and "
                f"regularizer.input_noise"
            )

    def refuse_strengths(self, spec: DataSpec) -> None:
        """Raise `UserError` for augmentation that leaves nothing of such images."""
        if len(spec.shape) == 1:
            return
        side, size = max(spec.shape[1:]), " x ".join(map(str, spec.shape[1:]))
        whole = {  # strength: (the largest that leaves something, what a larger one does)
            "shift": (side - 1, f"moves images of {size} points by as much as they are large"),
            "cutout": (2 * side - 2, f"covers the whole image, {size} points, wherever the square lies"),
        }
        for name, (most, does) in whole.items():
            if (value := getattr(self.regularizer, name)) > most:
                raise UserError(f"regularizer.{name} = {value} {does}; allowed here: 0 to {most}")

    def _model_graph(self, spec: DataSpec) -> Graph:
        loss, output = self.loss_for(spec), self.model.output
        output_box = "identity" if output == "auto" or loss.map else output
        sizes = spec.shape, loss.outputs(spec.outputs), output_box
        if self.model.takes_layout:
            return self.model.graph(*sizes, layout=spec.layout)
        for column in spec.encoding.embedded_columns:
            raise UserError(
                f"model = '{self.model.name}' cannot embed the categories of the column "
                f"'{shortened(column.name)}'; data.one_hot=null makes one input of each, or take model=mlp"
            )
        return self.model.graph(*sizes)

    @typed
    def rows(self, dataset: Dataset, folds: list[Fold] | None = None) -> list[Row]:
        """Every seed on every fold of every repeat; `folds`, if they have been drawn already."""
        folds = self.split.folds(dataset) if folds is None else folds
        return [Row(self, self.seed + s, fold) for fold in folds for s in range(self.seeds)]


def stack_graph(rows: Sequence[Row], spec: DataSpec) -> Graph:
    """The network of rows that share a stack, for training: with the augmentations that any of them has, and
    the penalty of activations."""
    has = {name: row.experiment for row in rows for name in row.experiment.regularizer.augmentations}
    names = [name for name in AUGMENTATIONS if name in has]
    # Of all these experiments, whose networks are the same, one that has what may be refused.
    experiment = has[names[0]] if names else rows[0].experiment
    graph = experiment.graph(spec, names)
    penalized = any(row.experiment.regularizer.penalizes_activity for row in rows)
    return with_activity_penalty(graph) if penalized else graph


# Static fields that belong to a row, and what the experiment of a stack has in their place.
ROW_SETTINGS = {
    "seed": 0, "seeds": 1, "batch_size": 1, "refit": False, "class_weight": NO_CLASS_WEIGHT,
    "calibrate": "none", "threshold": DEFAULT_THRESHOLD,
}  # fmt: skip


# Of experiments that are trained to be compared: what costs time and is not looked at.
WITHOUT_RECORDS = {"histograms": 0, "record": ()}


@dataclass(frozen=True)
class Row:
    """One model to train: an experiment with a seed of its own, on one fold of its data."""

    experiment: Experiment
    seed: int
    fold: Fold
    number: int = 0  # in the fit
    refit: int = 0  # the epochs of a refit, on training and validation examples; 0 in the first training
    past: tuple[PastEpoch, ...] = ()  # the epochs that a refit repeats
    candidate: bool = False  # a trial: it is never tested, and its weights are not kept
    keeps_predictions: bool = False  # for each example of its test set, in its `Result`
    keeps_residuals: int = 0  # of so many validation examples at most, in its `Result`
    calibration: dict[str, np.ndarray] = field(default_factory=dict)  # of a refit: the first training's

    def refit_row(self, past: Sequence[PastEpoch]) -> Row:
        """This row for a refit, with nothing held back: it repeats the epochs that led to its best weights,
        with their learning rates, and goes back from the same epochs."""
        e = replace(self.experiment, metric="last", stopping=Stopping(), histograms=0)
        fold = replace(self.fold, train=self.fold.refit_examples)
        return replace(self, experiment=e, fold=fold, refit=len(past), past=tuple(past))

    @property
    def measured(self) -> tuple[str, ...]:
        """The metrics of the table that are measured on its validation set after every epoch."""
        return () if self.refit else self.experiment.measured

    @property
    def batch(self) -> int:
        """Examples in a batch."""
        size, n = self.experiment.batch_size, len(self.fold.train)
        return n if size == "full" else min(size, n)

    @property
    def steps(self) -> int:
        """Batches in an epoch; the last may be short."""
        return -(-len(self.fold.train) // self.batch)

    @property
    def evaluation_batch(self) -> int:
        """Examples in a batch for evaluation: the size of its validation set rounded up, or of its training
        set where nothing is held back."""
        return evaluation_batch_size(len(getattr(self.fold, self.fold.monitor)))

    @property
    def structure(self) -> tuple:
        """Rows with equal structure can share a stack: columns, controls and `ROW_SETTINGS` are free."""
        e = self.experiment
        groups = tuple(statics(getattr(e, group)) for group in GROUPS)
        settings = tuple(getattr(e, name) for name in _stack_settings())
        sizes = self.batch, self.steps, self.evaluation_batch
        return groups + settings + (self.refit > 0, self.candidate) + sizes


@functools.cache
def _stack_settings() -> tuple[str, ...]:
    """The static fields of an experiment in which the rows of a stack agree."""
    return tuple(f.name for f in fields(Experiment) if kind(f) == "static" and f.name not in ROW_SETTINGS)


def evaluation_batch_size(examples: int) -> int:
    """Examples in a batch for evaluation, if the monitored set of a row has so many `examples`."""
    return min(MAX_EVALUATION_BATCH, -(-examples // 64) * 64)

"""The experiments that are trained on both GPU and CPU: every entry of every table, and each of its fields.

Whoever adds a method, or a hyperparameter to one, has it here by itself; test_gpu.py says what is not tried.
"""

import itertools
from dataclasses import fields, replace

import numpy as np
from gpu_runs import BASE, CLASSES, NUMBERS, SHORT, rows_of
from mixed_table import Mixed
from model_cases import DAG, EXAMPLES, OF_IMAGES
from networks import Points
from test_combinations import GOOD, REGULARIZERS

import nnlab
from nnlab import CNN, MLP, SGD, Experiment, GraphModel, KFold, Linear, Logistic, Patience, Regularizer
from nnlab.autodiff.activations import ACTIVATIONS
from nnlab.data.normalization import NORMALIZATION_NAMES as NORMALIZATIONS
from nnlab.data.splits import SPLITS, NoSplit
from nnlab.hyperparameters import kind
from nnlab.initializers import INITIALIZERS
from nnlab.models import Tabular
from nnlab.optimizers import OPTIMIZERS
from nnlab.regularizers import REGULARIZERS as NAMED_REGULARIZERS
from nnlab.schedules import SCHEDULES
from nnlab.stopping import RULES
from nnlab.testing.rows import varied

CNNS = (  # two values of each field
    EXAMPLES["cnn"],
    CNN((4, "pool", "global_pool"), 2, 1, "batch", "tanh", "average", 3, (), "softmax"),
)
IMAGES = Points(d=36, shape=(1, 6, 6))
LAST = replace(SHORT, metric="last")  # so that nothing needs to be held back
LIMITS = dict(clip_norm=0.5, clip_value=0.1)
MANY = 150  # classes, above which a report has no confusion matrix


def cases():
    yield from optimizers()
    yield from regularizers()
    yield from networks()
    yield from schedules()
    yield from data()
    yield from whole_runs()


def optimizers():
    for name, optimizer in OPTIMIZERS.items():
        yield f"optimizer-{name}", rows_of("optimizer", varied(optimizer()))
        yield f"optimizer-{name}-clipped", rows_of("optimizer", [replace(optimizer(), **LIMITS), optimizer()])
    every = [optimizer() for optimizer in OPTIMIZERS.values()]
    for limit, value in LIMITS.items():  # beside rows that have none
        yield limit, [replace(SHORT, optimizer=o) for e in every for o in (replace(e, **{limit: value}), e)]
    yield "optimizers-otherwise", otherwise("optimizer", every)
    yield "optimizers-float64", [replace(SHORT, optimizer=o, dtype="float64") for o in every]


def regularizers():
    for name, keys in REGULARIZERS.items():
        yield f"regularizer-{name}", rows_of("regularizer", [Regularizer(**keys), Regularizer()])
    named = [make() for make in NAMED_REGULARIZERS.values()]
    yield "regularizers-named", [replace(e, data=IMAGES) for e in rows_of("regularizer", named)]
    numbers = [f for f in fields(Regularizer) if kind(f) == "column"]
    single = [Regularizer(**{f.name: usual(f)}) for f in numbers]  # the rows differ in which one they have
    alone = [replace(e, data=IMAGES) for e in rows_of("regularizer", [*single, Regularizer()])]
    yield "regularizers-alone", alone
    yield "regularizers-float64", [replace(e, dtype="float64") for e in alone]
    full = Regularizer(l1=0.01, l2=0.1, max_norm=0.7, small=0.1)
    changed = otherwise("regularizer", [full, replace(full, proximal=True)])
    yield "regularizers-otherwise", [replace(e, data=IMAGES) for e in changed]
    yield "regularizers-of-numbers", [replace(SHORT, data=NUMBERS, regularizer=full, model=Linear())]


def networks():
    for name in ACTIVATIONS:
        yield f"activation-{name}", rows_of("model", [MLP(hidden=(9, 4), activation=name)] * 2)
    for output, loss in GOOD:
        yield f"output-{output}-{loss}", [replace(BASE, model=MLP(hidden=(9,), output=output), loss=loss)]
    losses = [replace(SHORT, loss=loss, dtype="float64") for loss in dict(GOOD).values()]
    yield "losses-float64", losses
    yield "activations-of-their-own", rows_of("model", [MLP(hidden=(5,) * 10, activation=tuple(ACTIVATIONS))])
    normalized = [MLP(hidden=(9, 9), normalization=name) for name in ("batch", "layer")]
    yield "mlp-normalized", rows_of("model", normalized)
    yield "mlp-residual", rows_of("model", [replace(model, residual=True) for model in normalized])
    yield "models", [replace(SHORT, model=model) for name, model in EXAMPLES.items() if name not in OF_IMAGES]
    yield "cnn", [replace(SHORT, data=IMAGES, model=model) for model in CNNS]
    yield "graph", [replace(SHORT, model=GraphModel(boxes={**DAG, "drop": {"box": "sigmoid"}}))]
    yield "two-classes", [replace(SHORT, data=Points(classes=2), loss="binary_cross_entropy")]
    small = Tabular(hidden=(6, 3), activation="tanh", output="softmax")
    yield "tabular", [replace(SHORT, data=Mixed(), model=small)]
    for name, init in INITIALIZERS.items():
        yield f"init-{name}", rows_of("init", varied(init()))
    yield "inits-otherwise", otherwise("init", [init() for init in INITIALIZERS.values()])


def schedules():
    for name in ("halve_on_rise", "halve_and_go_back"):  # at other epochs in each row
        schedule = SCHEDULES[name](metric="val_loss", tolerance=0.0)
        listening = replace(BASE, schedule=schedule, optimizer=SGD(lr=1.5), epochs=12, seeds=3)
        yield f"listening-{name}", [listening]
    back = SCHEDULES["halve_and_go_back"](tolerance=0.0)
    for name in ("momentum", "adam"):  # their slots go back too, and rows leave meanwhile
        jumps = replace(BASE, schedule=back, optimizer=OPTIMIZERS[name](lr=0.8), refit=True)
        yield f"going-back-{name}", [replace(jumps, epochs=4 + k, seed=k) for k in range(3)]
    for name, schedule in SCHEDULES.items():  # rows leave one after the other
        with_warmup = rows_of("schedule", varied(schedule(warmup=0.5)))
        leaving = [
            replace(e, optimizer=SGD(lr=0.5), epochs=8, stopping=Patience(patience=1 + k))
            for k, e in enumerate(with_warmup)
        ]
        yield f"schedule-{name}", leaving
    yield "schedules-otherwise", otherwise("schedule", [schedule() for schedule in SCHEDULES.values()])


def data():
    for name in NORMALIZATIONS:
        yield f"normalization-{name}", [replace(BASE, data=replace(CLASSES, normalization=name))]
    random = np.random.default_rng(0)
    x, y = random.standard_normal((60, 3)), random.standard_normal((60, 2))
    unscaled = [nnlab.Arrays(x, 7 + 100 * y, target_normalization=name) for name in NORMALIZATIONS]
    yield "targets-normalised", [replace(SHORT, data=d, optimizer=SGD(lr=1e-6)) for d in unscaled]
    x, y = random.standard_normal((4 * MANY, 3)), np.arange(4 * MANY) % MANY
    many_classes = replace(LAST, data=nnlab.Arrays(x, y, task="classification"), histograms=1)
    yield "many-classes", [replace(many_classes, split=KFold(k=3)), replace(many_classes, split=NoSplit())]
    given_test_set = replace(LAST, data=nnlab.Arrays(x, x > 0.5, x[:50], x[:50] > 0.4))
    yield "a-test-set-of-its-own", [replace(given_test_set, split=split()) for split in SPLITS.values()]
    tables = [Mixed(rare=9), Mixed(normalization="standard"), Mixed(numbers=True)]
    for table, split in itertools.product(tables, (nnlab.Holdout(), KFold(k=3))):
        name = f"table-{split.name}-{table.normalization}" + "-of-numbers" * table.numbers
        yield name, [replace(BASE, data=table, split=split, seeds=2)]
    weighted = nnlab.Arrays(x[:90], np.arange(90) % 3, weights=random.uniform(0.5, 2, 90))
    mixed = [replace(BASE, class_weight=weight, seeds=2) for weight in ("none", "balanced", {"b": 3.0})]
    yield "class-weights", [*mixed, *(replace(e, split=KFold(k=4)) for e in mixed[1:])]
    yield "example-weights", [replace(BASE, data=weighted, class_weight="balanced", split=KFold(k=3))]
    weighted = nnlab.Arrays(x[:90], x[:90], weights=random.uniform(0.5, 2, 90))
    yield "example-weights-of-numbers", [replace(BASE, data=weighted, batch_size=40)]
    yield "reconstruction", [replace(BASE, data=nnlab.Digits(limit=100, reconstruct=True), split=KFold(k=3))]
    yield "label-noise", [replace(BASE, data=nnlab.Digits(limit=100, label_noise=0.2))]
    yield "numbers", [replace(BASE, data=NUMBERS, loss=loss) for loss in ("auto", "absolute_error")]
    yield "linear", [replace(BASE, data=NUMBERS, model=Linear(), optimizer=SGD(lr=0.05))]
    yield "logistic", [replace(BASE, model=Logistic())]


def whole_runs():
    yield "folds-of-other-sizes", [replace(BASE, split=KFold(k=4, repeats=2), seeds=2, batch_size="full")]
    uneven = replace(BASE, data=Points(n=98), split=KFold(k=4))  # 19 or 20 examples are held back
    yield "batches-of-other-sizes", [replace(uneven, batch_size=size, seeds=2) for size in (8, 59)]
    yield "splits-otherwise", otherwise("split", [split() for split in SPLITS.values()])
    nothing_held = replace(LAST, split=NoSplit(), histograms=1, seeds=2)
    yield "none-held-back", [nothing_held, replace(nothing_held, data=NUMBERS)]
    yield "stopping-otherwise", otherwise("stopping", [rule() for rule in RULES.values()])
    yield "refit", [replace(BASE, refit=True, seeds=2, stopping=Patience(patience=1))]
    yield "refit-of-folds", [replace(BASE, refit=True, split=KFold(k=3), metric="val_error", data=NUMBERS)]
    yield "other-epochs", [replace(BASE, epochs=1 + k % 3, seed=k) for k in range(5)]  # one by one they leave
    measured = replace(BASE, metric="roc_auc", metrics=("log_loss",), seeds=2)
    yield "metrics", [measured, replace(BASE, data=NUMBERS, metric="r2")]
    calibrated = replace(BASE, data=Points(classes=2), calibrate="temperature", seeds=2)
    yield "calibrated", [replace(calibrated, threshold=threshold) for threshold in ("f1", 0.3)]
    yield "last", [replace(BASE, metric="last", batch_size=1)]
    yield "histograms", [replace(BASE, histograms=1, seeds=3)]
    yield "further curves", [replace(BASE, record=("effective_step", "update_norm", "weight_norm"), seeds=2)]
    yield "float64", [replace(BASE, dtype="float64", regularizer=Regularizer(l2=0.1, max_norm=0.5))]
    yield "structures", [replace(BASE, batch_size=size) for size in (7, 16, "full")]
    yield "diverges", [replace(BASE, optimizer=SGD(lr=lr)) for lr in (0.1, 1e30)]


# ---- one field after another


def otherwise(group: str, all_parts) -> list[Experiment]:
    """An experiment for each field of these parts, which alone is another, and each value it may be."""
    changed = [replace(part, **{name: value}) for part in all_parts for name, value in alternatives(part)]
    return [replace(LAST if group == "split" else SHORT, **{group: part}) for part in changed]


def alternatives(part):
    """Every field of a part, with what else it may be: all choices, or another number."""
    for f in fields(part):
        value, allowed = getattr(part, f.name), f.metadata["allowed"]
        if isinstance(value, bool):
            yield f.name, not value
        elif f.name == "metric":  # those of classes are measured in one way, those of numbers are refused
            yield from ((f.name, other) for other in ("val_error", "accuracy", "roc_auc"))
        elif isinstance(value, tuple):
            yield f.name, tuple(2 * item for item in value)
        elif allowed.choices:
            yield from ((f.name, other) for other in allowed.choices if other != value)
        else:
            yield f.name, next(v for v in (2, 1, 0.5, 0.3) if v != value and allowed.allows(v))


def usual(field) -> int | float:
    """A value of a regularizer's number that does something."""
    return 2 if field.type == "int" else 0.2


CASES = dict(cases())

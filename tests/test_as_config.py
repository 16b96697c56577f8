"""`Experiment.as_config`: plain values from which `from_config` makes an equal experiment, for every part."""

import json
import math
from dataclasses import dataclass, fields, replace
from typing import ClassVar, get_type_hints

import numpy as np
import pytest
from test_plugins import SGD as INSTALLED
from test_plugins import install  # noqa: F401

import nnlab
from nnlab import Experiment, UserError
from nnlab.allowed import type_options
from nnlab.experiment import GROUPS
from nnlab.hyperparameters import kind, make_part, part_config, static
from nnlab.optimizers import SGD
from nnlab.regularizers import REGULARIZERS, Regularizer

CLASSES = [
    (group, cls)
    for group, classes in GROUPS.items()
    for cls in (classes.values() if isinstance(classes, dict) else [Regularizer])
]
BOXES = {
    "hidden": {"box": "affine", "units": 8, "input": "input"},
    "act": {"box": "leaky_relu", "slope": 0.25},
    "noise": {"box": "dropout", "rate": 0.5},
    "both": {"box": "concatenate", "input": ["hidden", "noise"]},
    "out": {"box": "affine", "units": "outputs", "weight": {"box": "dropconnect", "rate": 0.1}},
}
VALUES = {  # of each type, some that a text may change
    bool: [True, False],
    str: ["a b: [c] #'\"é\n", "null", "1e-3"],
    int: [3, 100, 2**53, 1, 0],
    float: [0.1 + 0.2, 1e-300, 3.0, 0.25, -0.0, 1, 45.0, math.inf],
    type(None): [None],
}
LISTS = [(3,), (8, 16, 4), (4, 8), ("a", "null"), (0.5,), (0.25, 0.75)]
OF_KEY = {  # what only goes together with another setting, or is a mapping
    "boxes": [BOXES], "types": [{"age": "number", "1": "category"}], "class_weight": [{"a": 1.5, "b": 0.0}],
    "residual": [{"hidden": (8, 8, 8), "residual": True}],
}  # fmt: skip


def other_values(part, f):
    """Values of a field that may be other than its own: each choice, those of its types, lists."""
    yield from OF_KEY.get(f.name, ())
    yield from f.metadata["allowed"].choices
    for option in type_options(get_type_hints(type(part))[f.name]):
        if "Literal" in str(option):
            yield from option.__args__
        yield from LISTS if str(option).startswith("tuple") else VALUES.get(option, [])


def others(part, f):
    """Copies of a part that differ from it in one field."""
    for value in other_values(part, f):
        changes = value if isinstance(value, dict) and f.name in value else {f.name: value}
        try:
            other = replace(part, **changes)
        except UserError:
            continue
        if repr(getattr(other, f.name)) != repr(getattr(part, f.name)):
            yield other


def back(e: Experiment) -> Experiment:
    return Experiment.from_config(json.loads(json.dumps(e.as_config())))


def assert_equal(one, other):
    """To the last bit and type: 1 is not 1.0, and -0.0 is not 0.0."""
    assert one == other and repr(one) == repr(other) and hash(one) == hash(other)


@pytest.mark.parametrize("group, cls", CLASSES, ids=lambda value: getattr(value, "name", value) or "none")
def test_every_setting_of_every_part_comes_back(group, cls):
    classes = GROUPS[group]
    for f in fields(cls):
        made = [*others(cls(), f)]
        assert made, f"no other value of {cls.__name__}.{f.name} was found: add one to OF_KEY"
        for part in [cls(), *made]:
            values = json.loads(json.dumps(part_config(part, group, classes)))
            assert_equal(make_part(classes, values, group), part)


def test_every_setting_of_an_experiment_comes_back():
    e = Experiment(split=nnlab.KFold(k=3, repeats=2), schedule="step", stopping=nnlab.Patience())
    assert_equal(back(e), e)
    for f in [f for f in fields(e) if kind(f) != "part"]:
        made = [*others(e, f)]
        assert made or f.name == "precision", f"no other value of {f.name} was found: add one to OF_KEY"
        for other in made:
            assert_equal(back(other), other)


def test_regularizers_that_are_combined_come_back():
    for name in REGULARIZERS:
        e = Experiment(regularizer=[name, "l1", "dropout"])
        assert_equal(back(e), e)
    # `auto` depends on the optimiser: what was decided is what is said.
    assert back(Experiment(optimizer="adamw")).regularizer == Regularizer()


def test_what_a_model_of_images_decides_comes_back():
    e = Experiment(model=nnlab.CNN())
    assert e.data.normalization_per == "channel"
    assert_equal(back(e), e)


def test_a_class_of_an_installed_package_comes_back(install):  # noqa: F811
    install(INSTALLED, ("optimizer", "mine", "Mine"))
    e = Experiment(optimizer="mine")
    e = replace(e, optimizer=replace(e.optimizer, sizes=(1, 2, 3), lr=0.1))
    assert e.as_config()["optimizer"]["name"] == "mine"
    assert_equal(back(e), e)


@dataclass(frozen=True)
class Own(SGD):
    name: ClassVar[str] = "own"
    size: object = static(3)


@dataclass(frozen=True)
class Adam(SGD):  # another of nnlab's name
    name: ClassVar[str] = "adam"


def test_what_only_this_session_knows_is_told(monkeypatch):
    for optimizer in (Own(), Adam()):
        with pytest.raises(UserError, match=f"optimizer = {type(optimizer).__name__}: no configuration can"):
            Experiment(optimizer=optimizer).as_config()
    monkeypatch.setitem(GROUPS["optimizer"], "own", Own)
    nested = Experiment(optimizer=Own(size={"a": [1, None]}))
    assert_equal(back(nested), nested)
    with pytest.raises(UserError, match="optimizer.size has <class 'dict'>, which only"):
        Experiment(optimizer=Own(size={"a": [dict]})).as_config()
    x, y = np.random.default_rng(0).random((20, 2)), np.arange(20) % 2
    with pytest.raises(UserError, match="data = Arrays: no configuration can name this class"):
        Experiment(data=(x, y)).as_config()

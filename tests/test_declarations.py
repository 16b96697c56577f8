"""Declarations read from a class's source without importing it equal those of the imported class."""

import math
from dataclasses import MISSING

import pytest

from nnlab import declarations
from nnlab.checks.ladder import CheckSettings
from nnlab.checks.subject import Budget
from nnlab.commands.command_settings import SweepSettings, TrainSettings
from nnlab.experiment import GROUPS, Experiment
from nnlab.hyperparameters import fields
from nnlab.metrics import METRICS
from nnlab.regularizers import Regularizer
from nnlab.search import settings as search

CLASSES = [
    (group, name, cls)
    for group, classes in {**GROUPS, **search.GROUPS}.items() if isinstance(classes, dict)
    for name, cls in classes.items()
] + [("regularizer", None, Regularizer), ("check", None, Budget)]  # fmt: skip


def assert_same_declaration(declaration: declarations.Field, field):
    allowed = field.metadata["allowed"]
    for end, unbounded in (("low", -math.inf), ("above", -math.inf), ("high", math.inf), ("below", math.inf)):
        assert declaration.range.get(end, unbounded) == getattr(allowed, end)
    assert tuple(declaration.range.get("choices", ())) == allowed.choices
    assert declaration.range.get("infinite", False) == allowed.infinite
    assert declaration.range.get("plugins", "") == allowed.plugins
    assert " | ".join(declaration.types) == field.type
    assert declaration.default == (None if field.default is MISSING else field.default)


@pytest.mark.parametrize("group, name, cls", CLASSES, ids=[f"{g}={n}" for g, n, _ in CLASSES])
def test_a_class(group, name, cls):
    declaration = declarations.declaration_of_choice(group, name)
    assert declaration.name == cls.__name__ and set(declaration.fields) == {f.name for f in fields(cls)}
    doc_words = declaration.doc.split()  # the docstring up to the settings, which `help` in Python adds
    assert doc_words and cls.__doc__.split()[: len(doc_words)] == doc_words
    for f in fields(cls):
        assert_same_declaration(declaration.fields[f.name], f)


@pytest.mark.parametrize("cls", [Experiment, search.Search, TrainSettings, SweepSettings, CheckSettings])
def test_keys_of_no_group(cls):
    for f in fields(cls):
        if "kind" in f.metadata:
            assert_same_declaration(declarations.field_of_key(f.name), f)


def test_unknown_names_give_none():
    assert declarations.declaration_of_choice("optimizer", "adm") is None
    assert declarations.declaration_of_choice("nothing", "x") is None
    assert declarations.field_of_key("nothing") is None


@pytest.mark.parametrize("key, description", [
    ("epochs", "whole, at least 1"), ("batch_size", "whole, at least 1, or full"), ("refit", "true, false"),
    ("metric", ", ".join(["val_loss, val_error, last", *METRICS])),
    ("metrics", ", ".join(METRICS) + "; or a list of them"),
    ("direction", "auto, minimize, maximize; or a list of them"),
])  # fmt: skip
def test_in_words(key, description):
    assert str(declarations.field_of_key(key)) == description


def test_numbers_in_words():
    adam, mlp = (
        declarations.declaration_of_choice("optimizer", "adam").fields,
        declarations.declaration_of_choice("model", "mlp").fields,
    )
    assert str(adam["beta1"]) == "at least 0 and below 1" and str(adam["clip_norm"]) == "above 0, or .inf"
    assert str(mlp["hidden"]) == "a list, each whole, at least 1"

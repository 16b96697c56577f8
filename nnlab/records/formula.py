"""An equation that a model without hidden layers has learnt, on the screen and in equation.json."""

from __future__ import annotations

import numpy as np

from nnlab.records.text import number

FILE = "equation.json"
SHOWN = 5  # numbers in a line of 80 characters
LABEL, CELL = 19, 10


def lines(equation, folder, several: bool) -> list[str]:
    """What it is, W and b, its answers to some training examples beside the targets, and where all are."""
    seed = f", of seed {equation.seed}" if several else ""
    units = "in the data's own units" if equation.own_units else "in normalised units"
    title = [f"  {_left(equation)} = {_right(equation)}, {units}{seed}"]
    names, single = equation.outputs, len(equation.bias) == 1
    weights = [
        _line("W" if single else f"W, {name}", row) for name, row in zip(names, equation.weight, strict=True)
    ]
    rest = [_line("b", equation.bias), *_answers(equation)]
    return [*title, *weights, *rest, f"  {'all numbers':<{LABEL}}{folder}/{FILE}"]


def as_json(equation) -> dict:
    """All of it, in plain numbers."""
    e = equation
    return {
        "equation": f"{_left(e)} = {_right(e)}",
        "units": "own" if e.own_units else "normalised",
        "seed": e.seed, "features": e.features, "outputs": e.outputs, "classes": e.classes,
        "W": e.weight, "b": e.bias,
        "training": {"examples": e.examples, "answers": e.answers, "targets": _targets(e)},
    }  # fmt: skip


def _left(equation) -> str:
    if not equation.map:
        return "y"
    return f"p({equation.outputs[0]})" if len(equation.bias) == 1 else "p"


def _right(equation) -> str:
    return f"{equation.map}(W x + b)" if equation.map else "W x + b"


def _answers(equation) -> list[str]:
    """Of one output the number; of several, the likeliest class or each number.

    The examples lie evenly among all, since a file may have its classes in order.
    """
    e, n = equation, len(equation.examples)
    some = np.unique(np.linspace(0, n - 1, min(SHOWN, n)).astype(int))
    found = [_line("training example", e.examples[some], str)]
    if e.classes and len(e.bias) > 1:
        found += [_line("predicted", [e.classes[c] for c in e.answers.argmax(0)[some]], _short)]
    else:
        found += [_line(_left(e), row[some]) for row in e.answers]
    targets = np.atleast_2d(_targets(e))
    return found + [_line("target", row[some], _short if e.classes else number) for row in targets]


def _targets(equation):
    if equation.classes:
        return [equation.classes[int(c)] for c in equation.targets]
    return equation.targets


def _line(label: str, values, form=number) -> str:
    """The first values, and of many numbers how many there are and their norm."""
    shown = "".join(f"{form(v):>{CELL}}" for v in values[:SHOWN])
    more = f" ... ({len(values)}, norm {number(np.linalg.norm(values))})" if len(values) > SHOWN else ""
    return f"  {label[: LABEL - 1]:<{LABEL}}{shown}{more}"


def _short(word: str) -> str:
    return word[: CELL - 1]

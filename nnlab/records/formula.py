"""An equation that a model without hidden layers has learnt, on the screen and in equation.json."""

from __future__ import annotations

import numpy as np

from nnlab.records.text import number

EQUATION_FILE = "equation.json"
NUMBERS_SHOWN = 5  # in a line of 80 characters
LABEL_WIDTH, CELL_WIDTH = 19, 10


def lines(equation, folder, several: bool) -> list[str]:
    """What it is, W and b, its answers to some training examples beside the targets, and where all are."""
    units = "in the data's own units" if equation.own_units else "in normalised units"
    title = f"  {_left(equation)} = {_right(equation)}, {units}"
    if several:
        title += f", of seed {equation.seed}"
    labels = ["W"]
    if len(equation.bias) > 1:
        labels = [f"W, {name}" for name in equation.outputs]
    weights = [_line(label, row) for label, row in zip(labels, equation.weight, strict=True)]
    where = f"  {'all numbers':<{LABEL_WIDTH}}{folder}/{EQUATION_FILE}"
    return [title, *weights, _line("b", equation.bias), *_answers(equation), where]


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
    some = np.unique(np.linspace(0, n - 1, min(NUMBERS_SHOWN, n)).astype(int))
    lines = [_line("training example", e.examples[some], str)]
    if e.classes and len(e.bias) > 1:
        lines += [_line("predicted", [e.classes[c] for c in e.answers.argmax(0)[some]], _short)]
    else:
        lines += [_line(_left(e), row[some]) for row in e.answers]
    form = _short if e.classes else number
    return lines + [_line("target", row[some], form) for row in np.atleast_2d(_targets(e))]


def _targets(equation):
    if equation.classes:
        return [equation.classes[int(c)] for c in equation.targets]
    return equation.targets


def _line(label: str, values, form=number) -> str:
    """The first values, and of many numbers how many there are and their norm."""
    line = f"  {label[: LABEL_WIDTH - 1]:<{LABEL_WIDTH}}"
    line += "".join(f"{form(value):>{CELL_WIDTH}}" for value in values[:NUMBERS_SHOWN])
    if len(values) > NUMBERS_SHOWN:
        line += f" ... ({len(values)}, norm {number(np.linalg.norm(values))})"
    return line


def _short(word: str) -> str:
    return word[: CELL_WIDTH - 1]

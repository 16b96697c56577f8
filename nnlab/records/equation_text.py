"""The equation that a model without hidden layers has learnt, as lines of text and as equation.json."""

from __future__ import annotations

import numpy as np

from nnlab.records.text import format_number

EQUATION_FILE = "equation.json"
VALUES_SHOWN = 5  # per line of 80 characters
LABEL_WIDTH, CELL_WIDTH = 19, 11  # -1.23e-120 has ten characters


def equation_lines(equation, folder, has_several_seeds: bool) -> list[str]:
    """The equation, W and b, its predictions on some training examples, and the file with all numbers."""
    units = "in the data's own units" if equation.in_data_units else "in normalised units"
    title = f"  {_left_side(equation)} = {_right_side(equation)}, {units}"
    if has_several_seeds:
        title += f", of seed {equation.seed}"
    labels = ["W"]
    if len(equation.bias) > 1:
        labels = [f"W, {name}" for name in equation.outputs]
    weights = [_line(label, row) for label, row in zip(labels, equation.weight, strict=True)]
    where = f"  {'all numbers':<{LABEL_WIDTH}}{folder}/{EQUATION_FILE}"
    return [title, *weights, _line("b", equation.bias), *_answer_lines(equation), where]


def to_json(equation) -> dict:
    """The content of equation.json."""
    e = equation
    return {
        "equation": f"{_left_side(e)} = {_right_side(e)}",
        "units": "own" if e.in_data_units else "normalised",
        "seed": e.seed, "features": e.features, "outputs": e.outputs, "classes": e.classes,
        "W": e.weight, "b": e.bias,
        "training": {"examples": e.examples, "answers": e.predictions, "targets": _targets(e)},
    }  # fmt: skip


def _left_side(equation) -> str:
    if not equation.map:
        return "y"
    return f"p({equation.outputs[0]})" if len(equation.bias) == 1 else "p"


def _right_side(equation) -> str:
    return f"{equation.map}(W x + b)" if equation.map else "W x + b"


def _answer_lines(equation) -> list[str]:
    """The predictions on some training examples, and their targets.

    The examples are spread evenly over the file, which may be sorted by class.
    """
    e, n = equation, len(equation.examples)
    shown = np.unique(np.linspace(0, n - 1, min(VALUES_SHOWN, n)).astype(int))
    equation_lines = [_line("training example", e.examples[shown], str)]
    if e.classes and len(e.bias) > 1:
        equation_lines += [_line("predicted", [e.classes[c] for c in e.predictions.argmax(0)[shown]], _short)]
    else:
        equation_lines += [_line(_left_side(e), row[shown]) for row in e.predictions]
    formatter = _short if e.classes else format_number
    return equation_lines + [_line("target", row[shown], formatter) for row in np.atleast_2d(_targets(e))]


def _targets(equation):
    if equation.classes:
        return [equation.classes[int(c)] for c in equation.targets]
    return equation.targets


def _line(label: str, values, formatter=format_number) -> str:
    """A labelled line of the first values; if there are more, also their count and norm."""
    line = f"  {label[: LABEL_WIDTH - 1]:<{LABEL_WIDTH}}"
    line += "".join(f"{formatter(value):>{CELL_WIDTH}}" for value in values[:VALUES_SHOWN])
    if len(values) > VALUES_SHOWN:
        line += f" ... ({len(values)}, norm {format_number(np.linalg.norm(values))})"
    return line


def _short(word: str) -> str:
    return word[: CELL_WIDTH - 1]

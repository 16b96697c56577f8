"""The lines of a graph, as a file or `model.boxes` has them: what box each is, and what it reads.

    boxes:
      conv1: {box: convolution, units: 16, kernel: 3}          # reads the line above; the first reads `input`
      act1:  {box: relu}
      side:  {box: flatten, input: input}
      both:  {box: concatenate, input: [.., side]}             # `..` is the line above
      tied:  {box: affine, units: 64, weight: other.weight}    # a leaf of another box in place of its own
      out:   {box: affine, units: outputs}                     # as many as data and loss need

A file is data: whatever is wrong is a `UserError` that names the box by its key, `model.boxes.conv1`.
"""

from __future__ import annotations

import re
import typing
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from nnlab import plugins
from nnlab.allowed import yaml_text
from nnlab.autodiff.box import Box
from nnlab.autodiff.boxes import BOXES
from nnlab.errors import UserError, nearest, quote_names
from nnlab.models.settings import field_types, make

KEY = "model.boxes"
INPUT, LINE_ABOVE = "input", ".."
NAME_PATTERN = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,59}")
PLAIN_TYPES = (str, bool, int, float, type(None), tuple, Mapping)


@dataclass(frozen=True)
class Line:
    """A box of class `cls` that reads `inputs`.

    settings      the fields of the box, as they were written
    replacements  leaf -> the leaf of another box, `other.weight`, or the settings of a box on the leaf
    """

    name: str
    cls: type[Box]
    inputs: tuple[str, ...]
    settings: dict
    replacements: dict

    @property
    def key(self) -> str:
        return f"{KEY}.{self.name}"

    @cached_property
    def operands(self) -> tuple[str, ...]:
        """The boxes that come before it: those that it reads, and those whose leaves it shares."""
        leaves = [leaf for leaf in self.replacements.values() if isinstance(leaf, str)]
        return (*(n for n in self.inputs if n != INPUT), *(leaf.rpartition(".")[0] for leaf in leaves))

    def box(self, outputs: int, **more) -> Box:
        """The box, in a network of so many outputs; `more` are fields that nobody wrote."""
        return make(self.cls, more | self.settings, self.key, outputs)


def lines_of(boxes: Mapping) -> dict[str, Line]:
    """Each line by its name, in an order in which every box comes after those that it uses.

    The last one is the output: the box that no other reads. Raises `UserError`.
    """
    above = [INPUT, *boxes]
    lines = {name: _line(name, boxes, above[n]) for n, name in enumerate(boxes)}
    for line in lines.values():
        for leaf, shared in line.replacements.items():
            if isinstance(shared, str):
                _refuse_unknown(shared.rpartition(".")[0], lines, f"{line.key}.{leaf} = '{shared}'")
    return {name: lines[name] for name in _in_order(lines)}


def class_of(settings: Mapping, key: str) -> type[Box]:
    """The class that `box: NAME` means: nnlab's, or an installed package's box or activation."""
    name = settings.get("box")
    if name is None:
        raise UserError(f"{key}: no `box` says what it is: write {{box: affine, units: 64}}, say")
    if isinstance(name, str) and name not in BOXES and (cls := plugins.find("activation", name)):
        return cls
    try:
        return plugins.lookup(BOXES, "box", name)
    except UserError as e:
        raise UserError(f"{key}: {e}") from e


# ---- one line


def _line(name: str, boxes: Mapping, above: str) -> Line:
    key, written = f"{KEY}.{name}", boxes[name]
    if not NAME_PATTERN.fullmatch(name) or name == INPUT:
        raise UserError(
            f"{KEY}: a box cannot be called {yaml_text(name)}: expected letters, digits, _ and -, 60 at most "
            f"and a letter first, and not '{INPUT}', which are the data"
        )
    if not isinstance(written, Mapping):
        raise UserError(
            f"{key} = {yaml_text(written)}: expected a box with its keys, {{box: affine, units: 64}}"
        )
    for name_of_key, value in written.items():
        if not isinstance(value, PLAIN_TYPES):
            raise UserError(f"{key}.{name_of_key} is a {type(value).__name__}, which is not a setting")
    cls = class_of(written, key)
    rest = {k: v for k, v in written.items() if k not in ("box", "input")}
    replacements = {k: v for k, v in rest.items() if _replaces_leaf(cls, k, v)}
    settings = {k: v for k, v in rest.items() if k not in replacements}
    line = Line(
        name, cls, _inputs(written.get("input", LINE_ABOVE), key, boxes, above), settings, replacements
    )
    line.box(outputs=1)  # its settings are checked before there are data
    return line


def _replaces_leaf(cls: type[Box], key: str, value) -> bool:
    """Whether it is written in place of a leaf, and is no field: `bias: other.bias`, where `bias` is both."""
    types = field_types(cls).get(key, ())
    is_leaf = isinstance(value, str) and "." in value and str not in types
    return is_leaf or isinstance(value, Mapping) and not any(typing.get_origin(t) is dict for t in types)


def _inputs(written, key: str, boxes: Mapping, above: str) -> tuple[str, ...]:
    names = (written,) if isinstance(written, str) else written
    if not isinstance(names, tuple) or not names or not all(isinstance(name, str) for name in names):
        raise UserError(
            f"{key}.input = {yaml_text(written)}: expected the name of a box, '{INPUT}' for the data, "
            f"'{LINE_ABOVE}' for the line above, or a list of them"
        )
    names = tuple(above if name == LINE_ABOVE else name for name in names)
    for name in names:
        _refuse_unknown(name, [INPUT, *boxes], f"{key}.input = '{name}'")
    return names


def _refuse_unknown(name: str, names: Iterable[str], what: str) -> None:
    if name not in names:
        raise UserError(f"{what}: there is no box of that name{nearest(name, names)}")


# ---- their order


def _in_order(lines: dict[str, Line]) -> list[str]:
    """Depth first from the output, so that the order depends on who reads whom alone, not on the file's."""
    read = {name for line in lines.values() for name in line.inputs}
    unread = [name for name in lines if name not in read]
    order = _after_operands([*unread, *lines], lines)
    if len(unread) > 1:
        raise UserError(
            f"{KEY}: no box reads {quote_names(unread[:-1])}; only one may be unread, the output, and that "
            f"would be '{unread[-1]}'"
        )
    return order


def _after_operands(names: list[str], lines: dict[str, Line]) -> list[str]:
    """The boxes of these names and all that they use, each after what it uses. Raises `UserError` for a
    cycle."""
    order: dict[str, None] = {}
    path: dict[str, typing.Iterator[str]] = {}  # boxes on the way, each with the operands that are left
    for name in names:
        path |= {} if name in order else {name: iter(lines[name].operands)}
        while path:
            last = next(reversed(path))
            operand = next((n for n in path[last] if n not in order), None)
            if operand is None:
                order[last] = None
                del path[last]
            elif operand in path:
                cycle = [*path][[*path].index(operand) :]
                around = " -> ".join([*cycle[::-1], cycle[-1]][:8])
                raise UserError(f"{KEY}: boxes read each other in a circle, {around}: a network has none")
            else:
                path[operand] = iter(lines[operand].operands)
    return list(order)

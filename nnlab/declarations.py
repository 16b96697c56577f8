"""Declarations of all part classes (names, ranges, choices, formulas), read from their source by `ast`.

`--help` and TAB must answer in a moment, and importing the classes imports torch, which takes seconds. So
their modules are parsed and not run: a field's `column(0.9, low=0, below=1)` is what help says of it, and the
docstring is where the formula stands. tests/test_declarations.py compares it with the classes themselves.
"""

from __future__ import annotations

import ast
import math
import operator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from nnlab import plugins

PACKAGE_FOLDER = Path(__file__).resolve().parent
READABLE_END = 1e5  # upper ends from here on only keep a machine alive: nobody needs to read them
CLASS_FILES = {  # group -> the files that have its classes
    "data": "{data,tables}/*.py", "split": "data/splits.py", "model": "models/*.py",
    "init": "initializers.py", "regularizer": "regularizers.py", "optimizer": "optimizers/*.py",
    "schedule": "schedules/*.py", "stopping": "stopping.py", "sampler": "search/samplers.py",
    "pruner": "search/pruners.py", "launcher": "jobs/launchers.py",
    "check": "checks/subject.py", "checkpoint": "commands/command_settings.py",
}  # fmt: skip
SINGLE_CLASSES = {
    "regularizer": "Regularizer",
    "check": "Budget",
    "checkpoint": "CheckpointSettings",
}  # groups of one class
KEY_SOURCES = (  # where keys that belong to no group are declared
    ("experiment.py", "Experiment"),
    ("commands/command_settings.py", "TrainSettings"), ("commands/command_settings.py", "SweepSettings"),
    ("search/settings.py", "Search"), ("checks/ladder.py", "CheckSettings"),
    ("commands/command_settings.py", "PredictSettings"), ("commands/command_settings.py", "EvaluateSettings"),
    ("commands/command_settings.py", "ExportSettings"), ("commands/command_settings.py", "GraphSettings"),
    ("commands/command_settings.py", "ReproduceSettings"),
    ("commands/command_settings.py", "CompareSettings"),
)  # fmt: skip
_OPERATORS = {ast.Pow: operator.pow, ast.Mult: operator.mul, ast.Add: operator.add, ast.Sub: operator.sub}


@dataclass(frozen=True)
class Field:
    """A field as it is declared: `lr: float = column(1e-3, above=0)`."""

    types: tuple[str, ...]  # of the annotation: ("int", "Literal['full']")
    range: dict  # low, high, above, below, infinite, choices, plugins
    default: object = None

    @property
    def words(self) -> list[str]:
        """The words that are allowed; none for a number, or for free text."""
        found = [str(word) for word in self.range.get("choices", ())]
        found += ["true", "false"] * ("bool" in self.types)
        for literal in (t for t in self.types if t.startswith("Literal[")):
            found += [str(word) for word in ast.literal_eval(f"[{literal[8:-1]}]")]
        return found + ["null"] * ("None" in self.types)

    @property
    def plugins(self) -> list[str]:
        """Names that installed packages announce for it."""
        return plugins.names(self.range.get("plugins", ""))

    @property
    def listed(self) -> bool:
        """Whether it takes a list."""
        return any(t.startswith("tuple[") for t in self.types)

    def __str__(self) -> str:
        """What is allowed: `above 0 and below 1`, `whole, at least 1, or full`, `a, b; or a list of them`."""
        ends = [
            f"{word} {self.range[key]:g}"
            for key, word in _ENDS.items()
            if abs(self.range.get(key, READABLE_END)) < READABLE_END
        ]
        whole = any("int" in t for t in self.types) and "str" not in self.types
        number = ", ".join(["whole"] * whole + [" and ".join(ends)] * bool(ends))
        if self.listed and not self.words:
            return f"a list, each {number}"
        number += ", or .inf" * bool(self.range.get("infinite"))
        number += "text" * ("str" in self.types and self.types != ("str",) and "choices" not in self.range)
        words = ", ".join(self.words) + "; or a list of them" * self.listed
        if any(t.startswith("dict[") for t in self.types):
            if not words and not number:
                return "{NAME: value, ...}"
            return f"{words}, or {{NAME: {number or 'value'}, ...}}"
        return f"{number}, or {words}" if number and words else number or words


_ENDS = {"low": "at least", "above": "above", "high": "at most", "below": "below"}


@dataclass(frozen=True)
class Declaration:
    """A class of a part: its fields with those of its bases, and its docstring."""

    name: str
    doc: str
    fields: dict[str, Field] = field(default_factory=dict)


@cache
def declaration_of_choice(group: str, name: str | None) -> Declaration | None:
    """The class of nnlab's own that a choice means, or None. Groups of one class have no name."""
    if group not in CLASS_FILES:
        return None
    for module in _modules_of(group):
        for cls in module.classes:
            single = name is None and SINGLE_CLASSES.get(group) == cls
            if single or group not in SINGLE_CLASSES and _names(module, cls) == (group, name):
                return _declaration(module, cls)
    return _plugin_declaration(group, name)


@cache
def field_of_key(key: str) -> Field | None:
    """The declaration of a key that belongs to no group: `epochs`, `trials`."""
    for file, cls in KEY_SOURCES:
        fields = _declaration(_module(PACKAGE_FOLDER / file), cls).fields
        if key in fields:
            return fields[key]
    return None


@cache
def fields_of(key: str) -> tuple[Field, ...]:
    """Every declaration of a key: that of the whole, or those of all classes of its group that have it."""
    group, dot, leaf = key.partition(".")
    if not dot:
        return tuple(field for field in (field_of_key(key),) if field)
    modules = _modules_of(group)
    classes = [
        (m, c)
        for m in modules
        for c in m.classes
        if SINGLE_CLASSES.get(group) == c or _names(m, c)[0] == group
    ]
    each = (_declaration(module, cls).fields for module, cls in classes)
    return tuple(fields[leaf] for fields in each if leaf in fields)


@cache
def _modules_of(group: str) -> tuple[_Module, ...]:
    """The modules that have the classes of a group; `{data,tables}` in their names is either."""
    pattern = CLASS_FILES.get(group, "none")
    head, _, rest = pattern.partition("{")
    either, _, tail = rest.partition("}")
    patterns = [head + name + tail for name in either.split(",")]
    return tuple(_module(file) for one in patterns for file in sorted(PACKAGE_FOLDER.glob(one)))


@cache
def box_declarations() -> dict[str, Declaration]:
    """Every box of autodiff/boxes.py by its name, in alphabetical order."""
    table = _module(PACKAGE_FOLDER / "autodiff" / "boxes.py")
    classes = []
    for definition in map(table.find_definition, table.imports):
        module, name = definition
        is_class = name in module.classes
        classes += [definition] if is_class else _value(module.constants[name].generators[0].iter, module)
    named = {_attribute(*definition, "name"): _declaration(*definition) for definition in classes}
    return dict(sorted(named.items()))


@cache
def picture_summaries() -> dict[str, str]:
    """Every picture of `show=[...]`, and what it draws."""
    table = _module(PACKAGE_FOLDER / "pictures" / "__init__.py").constants["PICTURES"]
    references = {name: value.rpartition(":")[::2] for name, value in ast.literal_eval(table).items()}
    return {name: _attribute(_module_of(file), cls, "summary") for name, (file, cls) in references.items()}


def experiment_fields() -> dict[str, Field]:
    """The keys of an experiment that belong to no group."""
    file, cls = KEY_SOURCES[0]
    return _declaration(_module(PACKAGE_FOLDER / file), cls).fields


def takes_integer(key: str) -> bool:
    """Whether the numbers that a key takes are whole ones."""
    types = {t for field in fields_of(key) for t in field.types}
    return "int" in types and "float" not in types


def declaring_classes(key: str) -> list[tuple[str, str]]:
    """The classes, with their files, that declare a key of no group."""
    return [
        (cls, file)
        for file, cls in KEY_SOURCES
        if key in _declaration(_module(PACKAGE_FOLDER / file), cls).fields
    ]


def _plugin_declaration(group: str, name: str | None) -> Declaration | None:
    """The class of an installed package, from its source, if that can be read; nothing is imported."""
    place = plugins.source(group, name) if name else None
    if place is None:
        return None
    try:
        module = _module(place[0])
        return _declaration(module, place[1]) if place[1] in module.classes else None
    except (OSError, SyntaxError, LookupError, ValueError, TypeError):  # it may be written in any way
        return None


class _Module:
    """A module's source: its classes, constants and imports by name."""

    def __init__(self, file: Path):
        tree = ast.parse(file.read_text(encoding="utf-8"))
        self.classes = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}
        self.constants = {
            target.id: node.value
            for node in tree.body if isinstance(node, ast.Assign)
            for target in node.targets if isinstance(target, ast.Name)
        }  # fmt: skip
        self.imports = {
            alias.asname or alias.name: (node.module, alias.name)
            for node in tree.body if isinstance(node, ast.ImportFrom) and node.module
            for alias in node.names
        }  # fmt: skip
        self.stars = [  # modules of which it has all names
            node.module
            for node in tree.body if isinstance(node, ast.ImportFrom) and node.names[0].name == "*"
        ]  # fmt: skip

    def find_definition(self, name: str) -> tuple[_Module, str] | None:
        """Where nnlab itself defines what is called so here."""
        if name in self.classes or name in self.constants:
            return self, name
        sources = [self.imports[name]] if name in self.imports else [(star, name) for star in self.stars]
        definitions = (
            _module_of(module).find_definition(original) for module, original in sources if _module_of(module)
        )
        return next((definition for definition in definitions if definition is not None), None)

    def submodule(self, name: str) -> _Module | None:
        """The module of nnlab's that was imported by this name: `from nnlab.data import labels`."""
        package, original = self.imports.get(name, ("", name))
        file = PACKAGE_FOLDER.joinpath(*package.split(".")[1:], f"{original}.py")
        return _module(file) if package.startswith("nnlab") and file.is_file() else None


_module = cache(_Module)


def _module_of(name: str) -> _Module | None:
    """A module of nnlab's by its full name; None for those of others."""
    path = PACKAGE_FOLDER.joinpath(*name.split(".")[1:])
    files = [path.with_suffix(".py"), path / "__init__.py"] if name.startswith("nnlab.") else []
    return next((_module(file) for file in files if file.is_file()), None)


def _declaration(module: _Module, name: str) -> Declaration:
    node, fields = module.classes[name], {}
    for base in reversed(node.bases):
        definition = module.find_definition(ast.unparse(base))
        if definition is not None:
            fields |= _declaration(*definition).fields
    for line in node.body:
        if isinstance(line, ast.AnnAssign) and isinstance(line.value, ast.Call):
            if ast.unparse(line.value.func) in ("column", "control", "static"):
                types = tuple(t.strip() for t in ast.unparse(line.annotation).split(" | "))
                range = {k.arg: _value(k.value, module) for k in line.value.keywords if k.arg != "default"}
                default = _value(line.value.args[0], module) if line.value.args else None
                fields[line.target.id] = Field(types, range, default)
    return Declaration(name, ast.get_docstring(node) or "", fields)


def _names(module: _Module, cls: str) -> tuple[str | None, str | None]:
    """(group, name) of a class, as it or its bases say."""
    return _attribute(module, cls, "group"), _attribute(module, cls, "name", inherited=False)


def _attribute(module: _Module, cls: str, attribute: str, inherited: bool = True):
    node = module.classes[cls]
    for line in node.body:
        targets = [line.target] if isinstance(line, ast.AnnAssign) else getattr(line, "targets", ())
        is_named = any(isinstance(t, ast.Name) and t.id == attribute for t in targets)
        # A call declares a setting of that name, as the `group` of data=table.
        if is_named and line.value is not None and not isinstance(line.value, ast.Call):
            return _value(line.value, module)
    definitions = (module.find_definition(ast.unparse(base)) for base in node.bases) if inherited else ()
    return next(
        (_attribute(*definition, attribute) for definition in definitions if definition is not None), None
    )


def _value(node: ast.expr, module: _Module, bound: dict | None = None):
    """What an expression of a declaration comes to: literals, constants by name, tables of classes."""
    bound = bound or {}
    match node:
        case ast.Constant():
            return node.value
        case ast.UnaryOp(op=ast.USub()):
            return -_value(node.operand, module, bound)
        case ast.BinOp():
            return _OPERATORS[type(node.op)](*(_value(n, module, bound) for n in (node.left, node.right)))
        case ast.Tuple() | ast.List():
            each = [_value(n.value if isinstance(n, ast.Starred) else n, module, bound) for n in node.elts]
            pairs = zip(node.elts, each, strict=True)
            return tuple(x for n, v in pairs for x in (v if isinstance(n, ast.Starred) else (v,)))
        case ast.Dict(keys=[]):
            return {}
        case ast.Dict():
            return tuple(_value(key, module, bound) for key in node.keys)
        case ast.DictComp(generators=[ast.comprehension(target=ast.Name(id=name), iter=source)]):
            items = _value(source, module, bound)
            return tuple(_value(node.key, module, {**bound, name: item}) for item in items)
        case ast.GeneratorExp(generators=[ast.comprehension(target=ast.Name(id=name), iter=source)]):
            return tuple(
                _value(node.elt, module, {**bound, name: item}) for item in _value(source, module, bound)
            )
        case ast.JoinedStr():
            return "".join(str(_value(part, module, bound)) for part in node.values)
        case ast.FormattedValue():
            return _value(node.value, module, bound)
        case ast.Call(func=ast.Name(id="tuple" | "list"), args=[argument]):
            return _value(argument, module, bound)
        case ast.Attribute(attr="inf"):
            return math.inf
        case ast.Attribute(value=ast.Name(id=name)) if (inner := module.submodule(name)) is not None:
            return _value(ast.Name(node.attr), inner)
        case ast.Attribute():
            return _attribute(*_value(node.value, module, bound), node.attr)
        case ast.Name(id=name) if name in bound:
            return bound[name]
        case ast.Name(id=name):
            module, original = module.find_definition(name)
            return (
                (module, original)
                if original in module.classes
                else _value(module.constants[original], module)
            )
    raise ValueError(f"cannot read '{ast.unparse(node)}' without running it")

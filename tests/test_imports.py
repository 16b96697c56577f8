"""Imports go one way: down this table; and which part of the house knows which library."""

import ast
from collections import defaultdict
from pathlib import Path

import nnlab

ROOT = Path(nnlab.__file__).parent
# Whoever stands in a line imports from lines above it, and from its own package.
LAYERS = [
    ("masking",), ("suggestions", "paths", "interruption"), ("errors",), ("untrusted", "plugins", "streams"),
    ("runtime", "declared", "choices", "allowed"), ("catalogue",), ("manual",), ("fields",),
    ("autodiff", "data", "initializers", "metrics", "optimizers", "regularizers", "schedules", "stopping"),
    ("losses", "models"), ("experiment",), ("training",), ("equation", "checks", "search", "testing"),
    ("records",), ("commands",), ("tab",), ("shells",), ("cli",), ("__main__",),
]  # fmt: skip
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}
# Who may import a library: a package or a module; everybody else does without it.
KNOWN_BY = {
    "hydra": {"commands"},
    "omegaconf": {"commands", "search"},  # search.storage: what a database's name is, once resolved
    "optuna": {"search", "records"},  # records.report: its figures
    "rich": {"records"},
    "matplotlib": {"records"},
    "plotly": {"records"},
    "tensorboard": {"records", "commands"},
    "sklearn": {"data"},
}


def module_of(file: Path) -> str:
    parts = file.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


SOURCES = {module_of(file): ast.parse(file.read_text()) for file in ROOT.rglob("*.py")}


def imported(tree: ast.AST):
    """Every module that is imported in it, in functions too, but for those that only types need."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING":
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "an import says the whole name"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            yield from (name if name in SOURCES else node.module for name in names)
        else:
            yield from imported(node)


IMPORTS = {module: set(imported(tree)) - {module} for module, tree in SOURCES.items()}


def part(module: str) -> str:
    """`training` of nnlab.training.step; "" of nnlab itself."""
    return module.split(".")[1] if "." in module else ""


def test_every_part_has_its_place():
    parts = {part(module) for module in SOURCES} - {""}
    assert parts == set(LEVEL), parts ^ set(LEVEL)


def test_imports_go_down():
    wrong = [
        f"{module} imports {other}"
        for module, others in IMPORTS.items()
        for other in others & set(SOURCES)
        if part(module) != part(other) and part(other) and part(module)
        and LEVEL[part(other)] >= LEVEL[part(module)]
    ]  # fmt: skip
    assert not wrong, "\n".join(wrong)


def test_no_circle():
    """Modules are taken away whose imports are all gone, until none is left."""
    left = defaultdict(set, {module: others & set(SOURCES) for module, others in IMPORTS.items()})
    while ready := [module for module, others in left.items() if not others & set(left)]:
        for module in ready:
            del left[module]
    assert not left, f"a circle is among {', '.join(sorted(left))}"


def test_libraries_are_known_by_who_is_to_know_them():
    wrong = [
        f"{module} imports {other}"
        for module, others in IMPORTS.items()
        for other in others
        if (who := KNOWN_BY.get(other.split(".")[0])) and part(module) not in who
    ]
    assert not wrong, "\n".join(wrong)


def test_a_circle_and_a_wrong_direction_would_be_seen():
    tree = ast.parse("def f():\n    from nnlab.commands import train\n    import nnlab.records.text\n")
    assert set(imported(tree)) == {"nnlab.commands.train", "nnlab.records.text"}
    typed = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import nnlab.cli\n"
    assert set(imported(ast.parse(typed))) == {"typing"}

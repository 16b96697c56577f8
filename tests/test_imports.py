"""Imports follow the table of layers; which modules may use which library, write files, or print."""

import ast
from collections import defaultdict
from pathlib import Path

import pytest

import nnlab

ROOT = Path(nnlab.__file__).parent
# Whoever stands in a line imports from lines above it, and from its own package.
LAYERS = [
    ("masking", "means", "frozen_dict"), ("suggestions", "paths", "interruption", "yaml_errors"), ("errors",),
    ("untrusted", "plugins", "streams", "exclusive"), ("graph_file",),
    ("runtime", "declarations", "choices", "allowed"), ("commented_yaml",), ("defaults_lists",),
    ("catalogue",), ("as_python",), ("arguments",),
    ("settings_help",), ("hyperparameters", "metrics", "statistics"),
    ("autodiff", "data", "optimizers", "regularizers", "schedules", "stopping"),
    ("tables",), ("data.sources",), ("initializers", "losses", "models"), ("experiment",), ("training",),
    ("jobs",), ("equation", "checks", "search"), ("testing",),
    ("records",), ("prediction",),
    ("reproduction",), ("pictures",), ("report",), ("commands",), ("tab_files",), ("tab",),
    ("shells",), ("cli",), ("__main__",),
]  # fmt: skip
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}
# Who may import a library: a package or a module; everybody else does without it.
KNOWN_BY = {
    "hydra": {"commands"},
    "omegaconf": {"commands"},
    "optuna": {"search", "report"},  # report.sweep_figures
    "rich": {"records"},
    "matplotlib": {"records", "pictures"},
    "plotly": {"report"},
    "tensorboard": {"records", "commands"},
    "sklearn": {"data", "prediction", "tables"},  # prediction.estimators, tables.raw: n-grams
    "pyarrow": {"tables"},
    "fastexcel": {"tables"},
    "onnx": {"prediction"},  # prediction.onnx_file, onnx_operators
    "onnxruntime": {"prediction"},
    "grandalf": {"records"},
    "submitit": {"jobs"},
    "ray": {"jobs"},
}
# What a person waits for before anything is said: these modules, and all that they import at their top.
WAITED_FOR = {
    ("nnlab", "nnlab.cli", "nnlab.tab", "nnlab.shells"):
        {"torch", "numpy", "optuna", "sklearn", "scipy", "hydra", "omegaconf", "safetensors", "rich"},
    ("nnlab.commands.help", "nnlab.commands.train", "nnlab.commands.check", "nnlab.commands.graph"):
        {"torch", "numpy", "optuna", "sklearn", "scipy", "safetensors", "rich"},
    ("nnlab.commands.predict", "nnlab.commands.evaluate", "nnlab.commands.run_request",
     "nnlab.commands.compare"):
        {"torch", "optuna", "sklearn", "scipy", "rich"},
    ("nnlab.commands.compare_folders",): {"torch", "optuna", "sklearn", "matplotlib", "tensorboard"},
    ("nnlab.commands.sweep", "nnlab.commands.board", "nnlab.commands.report", "nnlab.commands.work"):
        {"torch", "optuna", "sklearn", "scipy", "safetensors", "rich"},
}  # fmt: skip
# Each takes longer to import than a small run: modules that wait for one are themselves imported late.
LATE = {
    "optuna", "sklearn", "scipy", "pandas", "pyarrow", "matplotlib", "plotly", "tensorboard", "onnx",
    "onnxruntime", "grandalf", "ray",
}  # fmt: skip
IMPORTED_LATE = {
    "nnlab.search": {"optuna_conversion", "database", "journal", "ledger", "study", "sweep"},
    "nnlab.prediction": {"estimators", "table_examples"},
    "nnlab.tables": {
        "assembly",
        "cells",
        "contents",
        "data_frames",
        "dates",
        "doubts",
        "examined",
        "example_columns",
        "grave_doubts",
        "excel",
        "files",
        "json_lines",
        "judged",
        "judgement",
        "new_rows",
        "new_targets",
        "numerals",
        "profile",
        "raw",
        "roles",
        "said_types",
        "same_columns",
        "source",
        "targets",
        "text_files",
        "typed_files",
        "types",
        "unknown_cells",
    },
    "nnlab.report": {"stored_sweep_data", "sweep_figures", "sweep_page"},
    "nnlab.records": {
        "check_picture",
        "comparison_tensorboard",
        "events",
        "graph_columns",
        "graph_layout",
        "data_picture",
        "gradients_picture",
        "graph_svg",
        "graph_tensorboard",
        "picture",
        "run",
        "comparison_data",
        "comparison_picture",
        "dashes",
        "svg_shapes",
        "stored_histograms",
        "sweep_tensorboard",
        "tensorboard",
    },
}
# From here down nothing is written: what trains gives values, and `records` and `commands` write them.
SILENT = range(LEVEL["runtime"], LEVEL["training"] + 1)
WRITES = {
    "print", "write_text", "write_bytes", "mkdir", "makedirs", "mkdtemp", "unlink", "rename", "touch",
    "rmtree", "save", "savez", "save_file", "stdout", "stderr",
}  # fmt: skip


def module_of(file: Path) -> str:
    parts = file.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


SOURCES = {module_of(file): ast.parse(file.read_text()) for file in ROOT.rglob("*.py")}


def imported(tree: ast.AST, late: bool = True, for_types: bool = False):
    """Every module that is imported in it: in functions too if `late`, and by those that only types need."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING" and not for_types:
            continue
        if isinstance(node, ast.FunctionDef) and not late:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "an import says the whole name"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            yield from (name if name in SOURCES else node.module for name in names)
        else:
            yield from imported(node, late, for_types)


IMPORTS = {module: set(imported(tree)) - {module} for module, tree in SOURCES.items()}


def waits_for(module: str) -> set[str]:
    """The module, and what is imported before it is there: at the top of modules, and of their packages."""
    seen, unvisited = set(), [module]
    while unvisited:
        if (module := unvisited.pop()) not in seen:
            seen.add(module)
            unvisited += [module.rpartition(".")[0]] * ("." in module)
            unvisited += imported(SOURCES[module], late=False) if module in SOURCES else ()
    return seen


def written_by(tree: ast.AST):
    """Lines of calls and names by which something is written."""
    for node in ast.walk(tree):
        name = getattr(node, "id", None) or getattr(node, "attr", None)
        modes = [*node.args[1:2], *(k.value for k in node.keywords)] if isinstance(node, ast.Call) else []
        opened = isinstance(node, ast.Call) and getattr(node.func, "id", "") == "open"
        if name in WRITES or opened and any({*"wax+"} & {*str(ast.literal_eval(mode))} for mode in modes):
            yield node.lineno


def part(module: str) -> str:
    """`training` of nnlab.training.step; "" of nnlab itself. The table of data sets has a place of its own,
    since it lists those of files of mixed columns, which need all else that is in nnlab.data."""
    if module == "nnlab.data.sources":
        return "data.sources"
    return module.split(".")[1] if "." in module else ""


def test_every_part_has_its_place():
    parts = {part(module) for module in SOURCES} - {""}
    assert parts == set(LEVEL), parts ^ set(LEVEL)


def test_imports_go_down():
    wrong = [
        f"{module} imports {other}"
        for module, tree in SOURCES.items()
        for other in set(imported(tree, for_types=True)) & set(SOURCES)
        if part(module) != part(other) and part(other) and part(module)
        and LEVEL[part(other)] >= LEVEL[part(module)]
    ]  # fmt: skip
    assert not wrong, "\n".join(wrong)


def test_no_circle():
    """Modules are taken away whose imports are all gone, until none is left."""
    remaining = defaultdict(set, {module: others & set(SOURCES) for module, others in IMPORTS.items()})
    while ready := [module for module, others in remaining.items() if not others & set(remaining)]:
        for module in ready:
            del remaining[module]
    assert not remaining, f"a circle is among {', '.join(sorted(remaining))}"


def test_libraries_are_known_by_who_is_to_know_them():
    wrong = [
        f"{module} imports {other}"
        for module, others in IMPORTS.items()
        for other in others
        if (who := KNOWN_BY.get(other.split(".")[0])) and part(module) not in who
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("module", [module for modules in WAITED_FOR for module in modules])
def test_start_up_does_not_wait(module):
    without = next(libraries for modules, libraries in WAITED_FOR.items() if module in modules)
    assert not {name.split(".")[0] for name in waits_for(module)} & (without | LATE)


def test_who_only_reads_folders_draws_without_torch():
    """`nnlab compare FOLDER` draws compare.png and writes TensorBoard's events: these libraries it needs."""
    drawing = {name.split(".")[0] for name in waits_for("nnlab.commands.compare_pictures")}
    assert drawing & LATE == {"matplotlib", "tensorboard"} and "torch" not in drawing


def test_what_takes_long_is_imported_late():
    known = {f"{package}.{name}" for package, names in IMPORTED_LATE.items() for name in names}
    waiting = {module for module in SOURCES if {name.split(".")[0] for name in waits_for(module)} & LATE}
    # Of commands it is the doors that count (`WAITED_FOR`), and whoever tests may wait. A picture is imported
    # when it is drawn: their table alone is not.
    not_late = ("commands", "testing", "pictures")
    waiting = {module for module in waiting if part(module) not in not_late or module == "nnlab.pictures"}
    assert waiting == known, waiting ^ known


def test_what_trains_knows_no_file_and_no_screen():
    wrong = [
        f"{module}, line {line}"
        for module, tree in SOURCES.items()
        if part(module) and LEVEL[part(module)] in SILENT
        for line in written_by(tree)
    ]
    assert not wrong, "\n".join(wrong)


def test_modules_are_named_where_they_are_imported():
    """An import by a text would not be seen here. Whoever does it: lazy names, words of the command line."""
    by_text = {
        module
        for module, tree in SOURCES.items()
        for node in ast.walk(tree)
        if {getattr(node, "id", ""), getattr(node, "attr", "")} & {"import_module", "__import__"}
    }
    assert by_text == {"nnlab", "nnlab.cli"}


def test_faults_would_be_seen():
    tree = ast.parse("def f():\n    from nnlab.commands import train\n    import nnlab.records.text\n")
    assert set(imported(tree)) == {"nnlab.commands.train", "nnlab.records.text"}
    assert not {*imported(tree, late=False)}
    typed = ast.parse("from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import nnlab.cli\n")
    assert set(imported(typed)) == {"typing"} and "nnlab.cli" in set(imported(typed, for_types=True))
    assert {"nnlab", "nnlab.hyperparameters", "numpy"} <= waits_for("nnlab.optimizers.adam")
    for line in (
        "print(1)",
        "open('a', 'w')",
        "open('a', mode='ab')",
        "p.write_text('')",
        "sys.stderr.write('')",
    ):
        assert [*written_by(ast.parse(line))], line
    assert not [*written_by(ast.parse("open('a')\nopen('a', 'rb')\ngraph.input"))]

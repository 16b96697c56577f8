"""The list of slow tests in tests/slow.txt, and what the remaining fast tests still cover."""

import ast
import re
from pathlib import Path

from conftest import SLOW_LIST, function_of

import nnlab

TESTS = Path(__file__).parent
LINES = [line.split() for line in SLOW_LIST.read_text().splitlines() if not line.startswith("#")]
LISTED = {name for _, name in LINES}


def test_a_line_is_seconds_and_a_test_function():
    assert all(
        float(seconds) > 0 and re.fullmatch(r"tests/test_\w+\.py::\w+", name) for seconds, name in LINES
    )
    assert [name for _, name in LINES] == sorted(LISTED)


def test_what_is_listed_has_the_mark(request):
    """Of all that was collected in this process: with `-m "not slow"` none of it is left."""
    for item in request.session.items:
        if function_of(item.nodeid) in LISTED:
            assert item.get_closest_marker("slow"), item.nodeid


def test_the_fast_subset_reaches_every_package():
    reached = set()
    for file in TESTS.glob("test_*.py"):
        text = file.read_text()
        functions = (node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.FunctionDef))
        names = {f"tests/{file.name}::{node.name}" for node in functions if node.name.startswith("test_")}
        if len(names - LISTED) > len(names) / 3:  # enough of it is fast
            reached |= set(re.findall(r"^from nnlab\.(\w+)", text, re.M))
    packages = {folder.parent.name for folder in Path(nnlab.__file__).parent.glob("*/__init__.py")}
    assert packages <= reached, packages - reached

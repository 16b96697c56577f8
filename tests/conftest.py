"""Which tests are slow, and on which device tests train.

Slow is a test function whose cases take SLOW_SECONDS together. tests/slow.txt lists them, as a run of the
whole suite found; `python -m pytest -n auto --record-slow` writes it anew. The fast subset,
`python -m pytest -m "not slow" -n auto`, leaves them out, and names those that have become slow since. A test
may also say it itself: `@pytest.mark.slow`.

Bits are promised on the CPU: alone and in a stack, on one thread and on two, before a kill and after it.
So the tests ask for the CPU, on a machine with a GPU too, and so do the commands that they start: the GPU is
hidden, and `device=auto` is the CPU. What trains on a GPU is in test_card*.py: on a pretended one, and
where there is a real one on that too (`python -m pytest --gpu tests/test_*card*.py`).
"""

import os
import signal
from collections import Counter
from pathlib import Path

import pytest

HIDES = "CUDA_VISIBLE_DEVICES"
SEEN = os.environ.get(HIDES)  # what whoever started the tests lets be seen; None: all

SLOW_SECONDS = 0.3  # of all cases of a test function together, on an idle machine
SLOW_LATER = 5 * SLOW_SECONDS  # beside other work: what takes so long in the fast subset belongs on the list
SLOW_LIST = Path(__file__).parent / "slow.txt"
_took = Counter()  # seconds by test function


def pytest_addoption(parser):
    parser.addoption("--gpu", action="store_true", help="leave the GPU in sight, for tests/test_*card*.py")
    parser.addoption("--record-slow", action="store_true", help="write tests/slow.txt, of the whole suite")


def pytest_configure(config):
    if not config.getoption("gpu"):
        os.environ[HIDES] = ""


@pytest.hookimpl(tryfirst=True)  # before pytest looks for the marks of -m
def pytest_collection_modifyitems(items):
    slow = {line.split()[-1] for line in SLOW_LIST.read_text().splitlines() if not line.startswith("#")}
    for item in items:
        if function_of(item.nodeid) in slow:
            item.add_marker("slow")


def function_of(nodeid: str) -> str:
    """`tests/test_x.py::test_y[case]` without its case."""
    return nodeid.partition("[")[0]


def pytest_runtest_logreport(report):
    _took[function_of(report.nodeid)] += report.duration


def pytest_terminal_summary(terminalreporter, config):
    if config.getoption("record_slow"):
        head = (
            "# Seconds of each slow test: `python -m pytest -n auto --record-slow` wrote it (conftest.py).\n"
        )
        lines = (f"{took:6.1f}  {name}\n" for name, took in sorted(_took.items()) if took >= SLOW_SECONDS)
        SLOW_LIST.write_text(head + "".join(lines))
    elif config.getoption("markexpr") == "not slow":
        for name in sorted(name for name, took in _took.items() if took >= SLOW_LATER):
            terminalreporter.write_line(f"slow, but not in tests/slow.txt: {_took[name]:.1f} s  {name}")


# In a background job of a shell Ctrl-C is ignored, and so it would be in the commands that tests start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

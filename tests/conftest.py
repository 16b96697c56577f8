"""Configuration of pytest: marks slow tests, and hides the GPU from all other tests than those of GPUs.

Slow is a test function whose cases take SLOW_SECONDS together. tests/slow.txt lists them, as a run of the
whole suite found; `python -m pytest -n auto --record-slow` writes it anew. The fast subset,
`python -m pytest -m "not slow" -n auto`, leaves them out, and names those that have become slow since. A test
may also say it itself: `@pytest.mark.slow`.

Bits are promised on the CPU: alone and in a stack, on one thread and on two, before a kill and after it.
So the tests ask for the CPU, on a machine with a GPU too, and so do the commands that they start: the GPU is
hidden, and `device=auto` is the CPU. What trains on a GPU is in test_gpu*.py: on a fake one, and
where there is a real one on that too (`python -m pytest --gpu tests/test_*gpu*.py`).
"""

import compileall
import os
import signal
from collections import Counter, defaultdict
from pathlib import Path

import pytest
from hypothesis import settings

HIDES = "CUDA_VISIBLE_DEVICES"
SEEN = os.environ.get(HIDES)  # its value before the tests hide the GPU; None: all GPUs are visible

# Before torch is imported: threads that wait for each other sleep, where every worker has as many as cores.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("GOMP_SPINCOUNT", "0")

SLOW_SECONDS = 0.3  # of all cases of a test function together, on an idle machine
SLOW_LATER = 5 * SLOW_SECONDS  # of one case, beside other work: in the fast subset it belongs on the list
SLOW_LIST = Path(__file__).parent / "slow.txt"
# A machine that is busy has no deadlines.
settings.register_profile("nnlab", deadline=None)
settings.load_profile("nnlab")

SLOW_HEAD = "# Seconds of each slow test: `python -m pytest -n auto --record-slow` wrote it (conftest.py).\n"
_took = Counter()  # seconds of a test
_marked = {}  # whether it has the mark


def pytest_addoption(parser):
    parser.addoption("--gpu", action="store_true", help="leave the GPU in sight, for tests/test_*gpu*.py")
    parser.addoption("--record-slow", action="store_true", help="write tests/slow.txt, of the whole suite")


def pytest_configure(config):
    if not config.getoption("gpu"):
        os.environ[HIDES] = ""
    if not hasattr(config, "workerinput"):  # once for all workers
        # Where PYTHONDONTWRITEBYTECODE is set, every command that a test starts would compile nnlab anew.
        compileall.compile_dir(Path(__file__).parents[1] / "nnlab", quiet=2)


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
    _took[report.nodeid] += report.duration
    _marked[report.nodeid] = "slow" in report.keywords


def pytest_terminal_summary(terminalreporter, config):
    if config.getoption("record_slow"):
        SLOW_LIST.write_text(SLOW_HEAD + "".join(f"{took:6.1f}  {name}\n" for name, took in slow_functions()))
    elif config.getoption("markexpr") == "not slow":
        for name, took in sorted(_took.items()):
            if took >= SLOW_LATER:
                terminalreporter.write_line(f"slow, but not in tests/slow.txt: {took:.1f} s  {name}")


def slow_functions() -> list[tuple[str, float]]:
    """Names and seconds; without those that mark some of their cases themselves."""
    together, marks = Counter(), defaultdict(set)
    for nodeid, took in _took.items():
        together[function_of(nodeid)] += took
        marks[function_of(nodeid)].add(_marked[nodeid])
    slow = (name for name, took in together.items() if took >= SLOW_SECONDS and len(marks[name]) == 1)
    return [(name, together[name]) for name in sorted(slow)]


@pytest.fixture(autouse=True, scope="session")
def quick_gp():
    """Optuna's Gaussian process climbs from 2 of 64 points, not from 10 of 2,048: in a fifth of the time.

    What nnlab makes of its choices is the same.
    """
    from nnlab.search.samplers import GP

    thorough = GP.optuna

    def quick(self, *args, **settings):
        sampler = thorough(self, *args, **settings)
        assert sampler._n_preliminary_samples == 2048 and sampler._n_local_search == 10
        sampler._n_preliminary_samples, sampler._n_local_search = 64, 2
        return sampler

    GP.optuna = quick
    yield
    GP.optuna = thorough


@pytest.fixture(autouse=True, scope="session")
def quick_composing():
    from composed_once import composed_once

    with composed_once():
        yield


# In a background job of a shell Ctrl-C is ignored, under nohup the end of the terminal: they would be so in
# the commands that tests start too.
for number, handler in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, handler)

"""Bits are promised on the CPU: alone and in a stack, on one thread and on two, before a kill and after it.

So the tests ask for the CPU, on a machine with a GPU too, and so do the commands that they start: the GPU is
hidden, and `device=auto` is the CPU. What trains on a GPU is in test_card*.py: on a pretended one, and
where there is a real one on that too (`python -m pytest --gpu tests/test_*card*.py`).
"""

import os
import signal

HIDES = "CUDA_VISIBLE_DEVICES"
SEEN = os.environ.get(HIDES)  # what whoever started the tests lets be seen; None: all


def pytest_addoption(parser):
    parser.addoption("--gpu", action="store_true", help="leave the GPU in sight, for tests/test_*card*.py")


def pytest_configure(config):
    if not config.getoption("gpu"):
        os.environ[HIDES] = ""


# In a background job of a shell Ctrl-C is ignored, and so it would be in the commands that tests start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

"""`python -m nnlab` is `nnlab`."""

import sys

if __name__ == "__main__":
    # `-m` puts the current directory first, and a folder of somebody else's may have a numpy.py in it.
    if not sys.flags.safe_path:
        del sys.path[0]

    from nnlab.cli import run

    run()

"""`python -m nnlab` is `nnlab`."""

from nnlab.cli import run

if __name__ == "__main__":
    run()

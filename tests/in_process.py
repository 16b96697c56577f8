"""Runs a command of nnlab in this process, with what it prints."""

import contextlib
import io

from nnlab.cli import main


def outcome(*words) -> tuple[int, str, str]:
    """Exit code, stdout and stderr."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main([str(word) for word in words])
    return code, out.getvalue(), err.getvalue()


def said(*words, code=0) -> str:
    """What it printed on both streams; it must end with this exit code."""
    with contextlib.redirect_stdout(io.StringIO()) as output, contextlib.redirect_stderr(output):
        exit_code = main([str(word) for word in words])
    assert exit_code == code, output.getvalue()
    return output.getvalue()

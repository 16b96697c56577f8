"""Signals while something must not be left half done; event files, which are closed whatever happens."""

import os
import signal
import threading
import time

import pytest

from nnlab import interruption
from nnlab.records.events import EventFile, event_file
from nnlab.records.tensorboard import TensorBoard


def by_process():
    """A signal to the process: the thread of the block has it blocked."""
    os.kill(os.getpid(), signal.SIGINT)


def by_another_thread():
    """A signal that another thread, which does not block it, takes in: Python's handler runs in this one."""
    ready, end = threading.Event(), threading.Event()

    def wait():
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        ready.set()
        end.wait()

    thread = threading.Thread(target=wait)
    thread.start()
    ready.wait()
    signal.pthread_kill(thread.ident, signal.SIGINT)
    time.sleep(0.01)
    end.set()
    thread.join()


@pytest.mark.parametrize("send", [by_process, by_another_thread])
def test_a_signal_waits_for_the_end_of_the_block(send):
    steps = []
    with interruption.raise_on_signals(), pytest.raises(KeyboardInterrupt):
        with interruption.signals_deferred():
            with interruption.signals_deferred():
                send()
                steps.append("inner")
            steps.append("outer")
        steps.append("after")
    assert steps == ["inner", "outer"] and interruption.exit_code() == 130
    with interruption.raise_on_signals(), interruption.signals_deferred():
        pass  # nothing is left of it


def test_the_same_signal_that_others_got_before_is_not_a_second_one():
    with interruption.raise_on_signals(), interruption.stop_at_epoch_end(b""):
        for _ in range(2):  # other processes have told of theirs
            interruption.request_stop(signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGTERM)
        assert interruption.stop_requested() and interruption.exit_code() == 143
        time.sleep(interruption.REPEAT_SECONDS)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(1)


def test_an_event_file_is_closed_before_a_ctrl_c_ends_it(tmp_path):
    with interruption.raise_on_signals(), pytest.raises(KeyboardInterrupt):
        with event_file(tmp_path) as file:
            by_another_thread()
            file.scalars(1, {"loss": 0.5})
    assert file._file.closed and b"loss" in file.path.read_bytes()


def test_files_that_cannot_be_begun_are_closed(tmp_path, monkeypatch):
    opened = []

    def full(self, **event):
        opened.append(self)
        if len(opened) == 3:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(EventFile, "_write", full)
    with pytest.raises(OSError):
        TensorBoard(tmp_path, {}, rows=4)
    files = {id(file): file for file in opened}.values()
    assert len(files) == 2 and all(file._file.closed for file in files)

"""The thread pool: each task is done once, with the calling thread's settings."""

import threading

import pytest
import torch

from nnlab.runtime.threads import computing, run_all


@pytest.mark.parametrize("threads", [1, 2, 3, 8])
@pytest.mark.parametrize("count", [0, 1, 2, 7, 100])
def test_every_task_is_done_once(threads, count):
    done = []
    with computing():
        run_all([lambda i=i: done.append(i) for i in range(count)], threads)
    assert sorted(done) == list(range(count))


def meeting(settings_by_thread: dict, parties: int):
    """A task that waits until so many threads are in it at once, and then says how its thread computes."""
    barrier = threading.Barrier(parties, timeout=20)

    def task():
        barrier.wait()
        subnormal = torch.full((64,), 1e-30) * torch.full((64,), 1e-10)
        settings_by_thread[threading.get_ident()] = (
            torch.get_num_threads(),
            torch.is_inference_mode_enabled(),
            bool(subnormal.any()),
        )

    return task


@pytest.mark.parametrize("threads", [2, 3, 8])
def test_helpers_compute_as_the_calling_thread_does(threads):
    torch.ones(10**6).add_(1)  # torch's threads of its own are there, and know of no flushing
    seen = {}
    with computing():
        run_all([meeting(seen, threads)] * threads, threads)
    assert len(seen) == threads and set(seen.values()) == {(1, True, False)}


def test_helpers_end_with_computing():
    before = threading.active_count()
    with computing():
        run_all([lambda: None] * 4, 3)
        assert threading.active_count() == before + 2
        with computing():
            run_all([lambda: None] * 4, 2)
    assert threading.active_count() == before
    run_all([lambda: None] * 4, 3)  # outside: nobody is called
    assert threading.active_count() == before


def test_what_a_task_raises_is_raised_when_all_others_are_done():
    done, broken = [], ValueError("planted")

    def fail():
        raise broken

    with computing():
        for _ in range(3):
            with pytest.raises(ValueError, match="planted"):
                run_all([fail, *[lambda: done.append(1)] * 5], 3)
        run_all([lambda: done.append(1)] * 5, 3)
    assert len(done) == 20


def test_two_threads_of_the_caller_compute_at_once():
    """As when somebody trains two networks in threads of a program of theirs."""
    results = {}

    def caller(name):
        with computing():
            for _ in range(20):
                run_all([lambda: results.setdefault(name, []).append(name)] * 10, 3)

    callers = [threading.Thread(target=caller, args=(name,)) for name in "ab"]
    for thread in callers:
        thread.start()
    for thread in callers:
        thread.join()
    assert results == {"a": ["a"] * 200, "b": ["b"] * 200}

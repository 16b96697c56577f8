"""The processes of one run: what they sum and send each other, and what the others say once one is lost."""

import os
import signal
import subprocess
import sys

import pytest
import torch
from rank_processes import run_ranks
from torch.distributed import distributed_c10d

from nnlab import interruption
from nnlab.errors import MachineFault, UserError
from nnlab.runtime import ranks as ranks_module
from nnlab.runtime.ranks import NUMBERS, Ranks, ranks
from nnlab.runtime.threads import computing
from nnlab.training.rank_follower import follow
from nnlab.training.rank_leader import leader

ENVIRONMENT = dict(RANK="1", WORLD_SIZE="3", LOCAL_RANK="1", MASTER_ADDR="127.0.0.1", MASTER_PORT="1")


def test_alone_without_torchrun(monkeypatch):
    for name in ENVIRONMENT:
        monkeypatch.delenv(name, raising=False)
    assert ranks() is None
    for name, value in ENVIRONMENT.items():
        assert ranks() is None  # some of it is not torchrun's
        monkeypatch.setenv(name, value)
    assert (ranks().rank, ranks().size, ranks().is_first) == (1, 3, False)
    monkeypatch.setenv("WORLD_SIZE", "1")
    assert ranks() is None


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("value", ["", "-1", "one", "\u0663"])
def test_impossible_numbers_are_refused(monkeypatch, name, value):
    for other, number in ENVIRONMENT.items():
        monkeypatch.setenv(other, number)
    monkeypatch.setenv(name, value)
    with pytest.raises(UserError, match=name):
        ranks()


def test_asking_imports_no_torch():
    code = "import sys; from nnlab.runtime.ranks import ranks; ranks(); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def talk():
    r = ranks()
    with computing():  # as training does
        total = r.all_reduce(torch.arange(5, dtype=torch.float64) * (r.rank + 1)).tolist()
    own = bytes([r.rank]) * (1000 * r.rank)  # rank 0 has none
    said = (
        r.gather_bytes(own),
        r.broadcast_bytes(b"of %d" % r.rank),
        r.exchange_bytes(own),
        r.broadcast_bytes(),
    )
    flags = r.any(r.rank == 2), r.any(False)
    r.any(False)
    r.close()
    return total, said, flags


def test_tensors_are_summed_and_bytes_sent():
    contents = [b"", b"\1" * 1000, b"\2" * 2000]
    for rank, (total, (gathered, sent, exchanged, nothing), flags) in enumerate(run_ranks(3, talk)):
        assert total == [0, 6, 12, 18, 24]
        assert gathered == ([] if rank else contents)
        assert (sent, exchanged, nothing) == (b"of 0", contents, b"")
        assert flags == (True, False)


def die(victim: int):
    ranks_module.ROLL_CALL_SECONDS = 1.0
    r = ranks()
    r.any(False)
    if r.rank == victim:
        os.kill(os.getpid(), signal.SIGKILL)
    sentences = []
    for _ in range(2):  # it says the same at once
        try:
            for _ in range(100):
                r.all_reduce(torch.ones(1000))
        except MachineFault as fault:
            sentences.append(str(fault))
    return sentences


@pytest.mark.parametrize("victim", [0, 2])  # rank 0 also has what all ranks read and write
def test_the_rank_that_is_lost_is_named(victim):
    said = run_ranks(3, die, victim)
    assert said.pop(victim) is None
    sentence = f"rank {victim} of 3 is gone: it failed, was killed, or its machine is lost"
    assert said == [[sentence] * 2] * 2


class Busy:
    """Stands for an event of a card that ends its work after so many looks."""

    looks = 10**9

    def record(self):
        pass

    def query(self):
        Busy.looks -= 1
        return Busy.looks < 0


def wait(victim: int):
    ranks_module.ROLL_CALL_SECONDS, ranks_module.CARD_SECONDS = 0.5, 0.1
    torch.cuda.Event = Busy
    r = ranks()
    r.any(False)
    if r.rank == victim:
        os.kill(os.getpid(), signal.SIGKILL)
    Busy.looks = 10
    r.wait_for_card()  # no signal, and the card is ready
    interruption.request_stop()
    Busy.looks = 1000 if victim < 0 else 10**9
    try:
        r.wait_for_card()
    except MachineFault as fault:
        return str(fault)
    return "ready"


def test_a_card_is_waited_for_unless_a_rank_is_lost():
    """After a signal only: all are there, and it takes long; or one is not."""
    assert run_ranks(3, wait, -1) == ["ready"] * 3
    first, second, third = run_ranks(3, wait, 1)
    assert first == third == "rank 1 of 3 is gone: it failed, was killed, or its machine is lost"


def come_alone():
    ranks_module.START_SECONDS = 0.5
    with pytest.raises(MachineFault, match="rank 0 of 2 did not find the others"):
        ranks().any(False)
    return True


def test_a_rank_that_never_comes(monkeypatch):
    """Two of two are asked for, of which the second ends at once."""
    assert run_ranks(2, lambda: come_alone() if ranks().is_first else None) == [True, None]


@pytest.mark.parametrize("has_abort", [True, False])
def test_what_torch_raises_where_a_rank_is_lost_does_not_hide_the_loss(has_abort, monkeypatch):
    called = []

    def fail(name):
        called.append(name)
        raise ValueError("it has been destroyed")

    private, public = "_abort_process_group", "destroy_process_group"
    monkeypatch.setattr(distributed_c10d, "is_initialized", lambda: True)
    monkeypatch.setattr(distributed_c10d, public, lambda: fail(public))
    monkeypatch.setattr(distributed_c10d, private, (lambda: fail(private)) if has_abort else None)
    Ranks(0, 2, 0)._abort()
    assert called == [private if has_abort else public]


def lead_and_end(code: int) -> bool:
    if ranks().is_first:
        leader().end(code)
        return torch.distributed.is_initialized()
    assert follow(ranks()) == code
    return False


@pytest.mark.parametrize("code", [0, 1])
def test_rank_0_leaves_the_others_once_all_went_well(code):
    assert run_ranks(2, lead_and_end, code) == [bool(code), False]

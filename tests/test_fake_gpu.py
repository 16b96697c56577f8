"""The fake GPU behaves as a real one: what it refuses, a real GPU refuses too."""

import copy
import operator
import os
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torchgen
import yaml
from gpu_runs import REAL, gpu
from networks import one_thread  # noqa: F401

from nnlab.testing import fake_gpu, pretended_card
from nnlab.testing.fake_cuda_rules import ON_CPUS_ONLY, WITH_NUMBER


def tensors():
    """On the GPU, on the CPU, and scalars of both."""
    on_gpu = torch.arange(12.0, device="cuda").view(3, 4)
    on_cpu = torch.arange(12.0).view(3, 4)
    return SimpleNamespace(
        there=on_gpu, here=on_cpu, number=torch.tensor(2.0), number_there=on_gpu[0, 1], row=on_cpu[0],
        index=torch.tensor([0, 2]), index_there=torch.tensor([0, 2], device="cuda"),
        mask=on_cpu[:, 0] > 3, mask_there=on_gpu[:, 0] > 3,
    )  # fmt: skip


REFUSED = {
    "add": lambda v: v.there + v.here,
    "add-in-place": lambda v: v.there.add_(v.row),
    "add-to-the-host": lambda v: v.here.add_(v.there),
    "iadd": lambda v: v.there.__iadd__(v.row),
    "number-in-place": lambda v: v.number.add_(v.number_there),
    "number-of-the-gpu": lambda v: v.here * v.number_there,
    "out": lambda v: torch.mul(v.there, v.there, out=torch.empty(3, 4)),
    "out-on-the-gpu": lambda v: torch.mul(v.here, v.here, out=torch.empty(3, 4, device="cuda")),
    "matmul": lambda v: v.there @ v.here.T,
    "by-keyword": lambda v: torch.add(input=v.there, other=v.here),
    "bmm": lambda v: torch.bmm(v.there[None], v.here.T[None]),
    "addcmul": lambda v: v.there.addcmul_(v.there, v.row),
    "lerp": lambda v: v.there.lerp(v.there, v.row),
    "where": lambda v: torch.where(v.there > 0, v.there, v.here),
    "where-condition": lambda v: torch.where(v.here > 0, v.there, v.there),
    "cat": lambda v: torch.cat([v.there, v.here]),
    "stack": lambda v: torch.stack([v.there, v.here]),
    "stack-numbers": lambda v: torch.stack([v.number_there, v.number]),
    "clamp-number": lambda v: torch.clamp(v.there, v.number, v.there),
    "clamp": lambda v: torch.clamp(v.there, -v.row, v.row),
    "logaddexp-number": lambda v: torch.logaddexp(v.there, v.number),
    "equal": lambda v: torch.equal(v.there, v.here),
    "index-of-the-gpu": lambda v: v.here[v.index_there],
    "mask-of-the-gpu": lambda v: v.here[v.mask_there],
    "index-select": lambda v: v.there.index_select(0, v.index),
    "gather": lambda v: v.there.gather(0, v.index[None]),
    "put-value": lambda v: v.there.__setitem__(v.index, v.here[:2]),
    "put-value-by-mask": lambda v: v.there.__setitem__(v.mask, v.here[v.mask]),
    "put-on-the-host": lambda v: v.here.__setitem__(v.index, v.there[:2]),
    "clamp-min-number": lambda v: torch.clamp_min(v.there, v.number),
    "put-by-index-of-the-gpu": lambda v: v.here.__setitem__(v.index_there, 1.0),
    "index_put": lambda v: v.there.index_put_((v.index,), v.here[:2]),
    "index-add": lambda v: v.there.index_add_(0, v.index_there, v.here[:2]),
    "index-copy": lambda v: v.there.index_copy_(0, v.index, v.there[:2]),
    "scatter": lambda v: v.there.scatter_(0, v.index_there[None], v.here[:1]),
    "masked-fill": lambda v: v.there.masked_fill_(v.here > 0, 1.0),
    "numpy": lambda v: v.there.numpy(),
    "asarray": lambda v: np.asarray(v.there),
    "numpy-function": lambda v: np.isfinite(v.there),
    "numpy-assign": lambda v: np.zeros((3, 4)).__setitem__(slice(None), v.there),
    "numpy-of-a-list": lambda v: np.array([v.number_there, v.number_there]),
    "from-numpy": lambda v: v.there + torch.from_numpy(np.ones((3, 4))),
    "as-tensor": lambda v: v.there + torch.as_tensor(np.ones((3, 4))),
    "generator-of-the-host": lambda v: torch.rand(3, generator=torch.Generator(), device="cuda"),
    "generator-of-the-gpu": lambda v: torch.rand(3, generator=torch.Generator("cuda")),
    "generator-in-place": lambda v: v.there.normal_(generator=torch.Generator()),
    "randperm": lambda v: torch.randperm(3, generator=torch.Generator("cuda")),
    "pin-memory": lambda v: v.there.pin_memory(),
    "histogram": lambda v: torch.histogram(v.there, 3),
    "apply": lambda v: v.there.apply_(abs),
    "other-gpu": lambda v: v.here.to("cuda:31"),
    "grad": lambda v: setattr(v.there.detach(), "grad", v.here),
    "loss": lambda v: torch.nn.functional.mse_loss(v.there, v.here),
    "module-of-the-host": lambda v: torch.nn.Linear(4, 2)(v.there),
    "module-given-the-host": lambda v: torch.nn.Linear(4, 2).to("cuda")(v.here),
    "whole-numbers": lambda v: v.there.long() @ v.there.long().T,
    "whole-numbers-bmm": lambda v: torch.bmm(v.there.int()[None], v.there.int().T[None]),
    "truth-values": lambda v: torch.einsum("ij,j->i", v.there[:, :3] > 3, v.mask_there),
    "tensor-split": lambda v: v.there.tensor_split(v.index_there),
    "repeat-interleave": lambda v: v.there.repeat_interleave(v.index, 0),
    "take": lambda v: v.there.take(v.index),
    "masked-select": lambda v: v.there.masked_select(v.here > 3),
    "searchsorted": lambda v: torch.searchsorted(v.row, v.there),
    "foreach": lambda v: torch._foreach_add([v.there], [v.here]),
    "out-of-numpy": lambda v: torch.sum(v.there, 1, out=torch.from_numpy(np.zeros(3, np.float32))),
    "array-times": lambda v: v.there * np.ones(4),
    "another-thread": lambda v: _in_a_thread(lambda: torch.add(v.there, v.here)),
}  # fmt: skip
ALLOWED = {  # and where the result is
    "to": (lambda v: v.there.to(v.here), "cpu"),
    "to-the-gpu": (lambda v: v.here.to(v.there), "cuda"),
    "to-dtype": (lambda v: v.there.to(torch.float64), "cuda"),
    "to-both": (lambda v: v.here.to("cuda", torch.float64), "cuda"),
    "to-device": (lambda v: v.there.to(device=torch.device("cpu")), "cpu"),
    "to-number": (lambda v: v.here.to(0), "cuda"),
    "cuda": (lambda v: v.here.cuda(), "cuda"),
    "cpu": (lambda v: v.there.cpu(), "cpu"),
    "double": (lambda v: v.there.double(), "cuda"),
    "type-as": (lambda v: v.here.type_as(v.there), "cuda"),
    "copy": (lambda v: v.there.copy_(v.here), "cuda"),
    "copy-to-the-host": (lambda v: v.here.copy_(v.there), "cpu"),
    "copy-a-row": (lambda v: v.there.copy_(v.row), "cuda"),
    "slice": (lambda v: v.there.__setitem__(slice(1, 3), v.here[:2]) or v.there, "cuda"),
    "row": (lambda v: v.there.__setitem__(1, v.row) or v.there, "cuda"),
    "slice-of-the-host": (lambda v: v.here.__setitem__((..., slice(2)), v.there[:, :2]) or v.here, "cpu"),
    "index": (lambda v: v.there[v.index], "cuda"),
    "index-of-numpy": (lambda v: v.there[np.array([0, 2])], "cuda"),
    "index-by-list": (lambda v: v.there[[0, 2], :], "cuda"),
    "mask": (lambda v: v.there[v.mask], "cuda"),
    "index-of-the-gpu-that-is-a-number": (lambda v: v.here[v.index_there[1]], "cpu"),
    "index-that-is-a-number": (lambda v: v.there[v.index[1]], "cuda"),
    "put": (lambda v: v.there.__setitem__(v.mask, v.there[v.mask]) or v.there, "cuda"),
    "put-number": (lambda v: v.there.__setitem__(v.index, v.number) or v.there, "cuda"),
    "index_put": (lambda v: v.there.index_put_((v.index,), v.there[:2].clone()), "cuda"),
    "number": (lambda v: v.there * v.number, "cuda"),
    "number-by-keyword": (lambda v: torch.add(input=v.there, other=v.number), "cuda"),
    "tensor-by-keyword": (lambda v: torch.tensor(data=[1.0], device="cuda"), "cuda"),
    "number-first": (lambda v: v.number - v.there, "cuda"),
    "number-in-place": (lambda v: v.there.mul_(v.number), "cuda"),
    "number-out": (lambda v: torch.add(v.there, v.number, out=torch.empty(3, 4, device="cuda")), "cuda"),
    "number-compared": (lambda v: v.there > v.number, "cuda"),
    "numbers-of-both": (lambda v: v.number + v.number_there, "cuda"),
    "lerp-number": (lambda v: v.there.lerp(v.there, v.number), "cuda"),
    "where-number": (lambda v: torch.where(v.there > 3, v.there, v.number), "cuda"),
    "masked-fill-number": (lambda v: v.there.masked_fill(v.there > 3, v.number), "cuda"),
    "fill-number": (lambda v: v.there.fill_(v.number), "cuda"),
    "full-like-number": (lambda v: torch.full_like(v.there, v.number), "cuda"),
    "expand-as": (lambda v: v.row.expand_as(v.there), "cpu"),
    "empty-like": (lambda v: torch.empty_like(v.there), "cuda"),
    "zeros-like-on-the-host": (lambda v: torch.zeros_like(v.there, device="cpu"), "cpu"),
    "new-zeros": (lambda v: v.there.new_zeros(2), "cuda"),
    "new-tensor": (lambda v: v.there.new_tensor([1.0, 2.0]), "cuda"),
    "tensor-of-numbers": (lambda v: torch.tensor([v.number_there, v.number_there]), "cpu"),
    "as-tensor-of-numpy": (lambda v: torch.as_tensor(np.ones(3), device=v.there.device), "cuda"),
    "as-tensor-of-the-host": (lambda v: torch.as_tensor(v.here, device="cuda"), "cuda"),
    "generator": (lambda v: torch.rand(3, generator=torch.Generator("cuda"), device="cuda"), "cuda"),
    "generator-seeded": (lambda v: v.there.normal_(generator=torch.Generator("cuda").manual_seed(1)), "cuda"),
    "randperm": (lambda v: torch.randperm(3, generator=torch.Generator()), "cpu"),
    "sort": (lambda v: v.there.sort(1).indices, "cuda"),
    "max": (lambda v: v.there.max(1).values, "cuda"),
    "unbind": (lambda v: list(v.there)[1], "cuda"),
    "split": (lambda v: v.there.split(2, 1)[1], "cuda"),
    "transposed": (lambda v: v.there.T.mT[0, :2], "cuda"),
    "nonzero": (lambda v: v.there.nonzero(), "cuda"),
    "under-a-device": (lambda v: _under(v.there.device), "cuda"),
    "parameter": (lambda v: torch.nn.Parameter(v.there).detach(), "cuda"),
    "module": (lambda v: torch.nn.Linear(4, 2).to("cuda")(v.there).detach(), "cuda"),
    "module-made-there": (lambda v: torch.nn.LayerNorm(4, device="cuda")(v.there).detach(), "cuda"),
    "module-with-buffers": (lambda v: torch.nn.BatchNorm1d(4).cuda()(v.there).detach(), "cuda"),
    "module-back": (lambda v: torch.nn.Linear(4, 2).cuda().cpu()(v.here).detach(), "cpu"),
    "gradient": (lambda v: _stepped(torch.nn.Parameter(v.there)), "cuda"),
    "data": (lambda v: setattr(v.here, "data", v.there) or v.here, "cuda"),
    "deepcopy": (lambda v: copy.deepcopy({"x": v.there})["x"], "cuda"),
    "tensor-split": (lambda v: v.there.tensor_split(v.index)[0], "cuda"),
    "result-type": (lambda v: v.there.to(torch.result_type(v.there, v.here)), "cuda"),
    "numpy-number": (lambda v: np.float64(2) * v.there, "cuda"),
    "product-of-half": (lambda v: v.there.half() @ v.there.half().T, "cuda"),
    "another-thread": (lambda v: _in_a_thread(lambda: torch.ones(3, 4, device="cuda") + v.there), "cuda"),
}  # fmt: skip


def _under(device):
    with device:
        return torch.zeros(3)


def _stepped(parameter):
    """After a step of torch's own optimiser, whose state is made where the parameter is."""
    (parameter * 2).sum().backward()
    torch.optim.Adam([parameter]).step()
    return parameter.detach() + parameter.grad


def _in_a_thread(call):
    """What the call gives, or raises, in a thread of its own."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(call).result()


VERSIONS_DIFFER = {"clamp-min-number", "put-by-index-of-the-gpu"}  # torch 2.11 allows the second


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name):
    call = REFUSED[name]
    if REAL and name in VERSIONS_DIFFER:
        pytest.skip("versions of torch differ")
    with gpu():
        v = tensors()
        with pytest.raises((RuntimeError, TypeError, NotImplementedError)):
            call(v)


@pytest.mark.parametrize("call, where", ALLOWED.values(), ids=ALLOWED)
def test_allowed(call, where):
    """And the numbers are those of the CPU alone, if they are not random."""
    with gpu():
        result = call(tensors())
        assert result.device.type == where and result.is_cuda == (where == "cuda")
        assert (result + 1).device == result.device and result.get_device() == (0 if where == "cuda" else -1)


OPERATORS = [operator.add, operator.sub, operator.mul, operator.truediv, operator.floordiv, operator.mod,
             operator.pow, operator.lt, operator.ge, operator.eq, operator.and_, operator.or_, operator.xor,
             operator.lshift]  # fmt: skip


@pytest.mark.parametrize("act", OPERATORS)
def test_operators_take_one_number_of_the_host_and_change_none(act):
    in_place = getattr(operator, f"i{act.__name__.strip('_')}", None)
    with gpu():
        on_gpu, number = torch.arange(1, 4, device="cuda"), torch.tensor(2)
        assert act(on_gpu, number).is_cuda and act(number, on_gpu).is_cuda
        with pytest.raises(RuntimeError):
            act(on_gpu, number[None])
        if in_place and act is not operator.truediv:  # which makes no whole numbers
            assert in_place(on_gpu.clone(), number).is_cuda
            with pytest.raises(RuntimeError):
                in_place(number, on_gpu[0])


def test_numbers_may_be_read():
    with gpu():
        v = tensors()
        assert v.there.tolist() == v.here.tolist() and float(v.number_there) == v.there[0, 1].item() == 1
        assert bool((v.there >= 0).all()) and len(v.there) == 3 and int(v.number_there) == 1
        assert v.there.numpy(force=True).sum() == v.there.cpu().numpy().sum() == 66 and "cuda" in str(
            v.there.device
        )


def test_a_copy_is_one():
    """Between the memories and from numpy: what is written into it is not written elsewhere."""
    with gpu():
        numbers, host = np.zeros(3), torch.zeros(3)
        on_gpu = torch.as_tensor(numbers, device="cuda")
        for copy in (
            on_gpu,
            on_gpu.cpu(),
            host.to("cuda"),
            host.cuda(),
            torch.from_numpy(numbers).to("cuda"),
        ):
            copy.add_(1)
        assert not numbers.any() and not host.any() and on_gpu.tolist() == [1, 1, 1]
        assert on_gpu.to("cuda") is on_gpu and host.cpu() is host and on_gpu.to(on_gpu) is on_gpu


def test_a_generator_repeats_itself():
    with gpu():
        a, b, c = (
            torch.rand(5, generator=torch.Generator("cuda").manual_seed(seed), device="cuda").tolist()
            for seed in (3, 3, 4)
        )
    assert a == b != c


def test_a_fork_cannot_use_a_gpu_that_was_used():
    if REAL:
        pytest.skip("torch itself says so of a real one")
    with fake_gpu() as fake:
        assert _in_a_fork(lambda: torch.zeros(3, device="cuda")) == ""
        on_gpu = torch.zeros(3, device="cuda")
        assert fake.used_in == os.getpid() and _in_a_fork(lambda: torch.zeros(3) + 1) == ""
        for call in (lambda: torch.zeros(3, device="cuda"), lambda: on_gpu + 1, on_gpu.cpu):
            assert "forked subprocess" in _in_a_fork(call)


def _in_a_fork(call) -> str:
    """What it raises in a fork of this process, if anything."""
    ours, theirs = os.pipe()
    with warnings.catch_warnings(action="ignore"):
        child = os.fork()
    if not child:
        try:
            call()
        except BaseException as e:
            os.write(theirs, str(e).encode())
        os._exit(0)
    os.close(theirs)
    os.waitpid(child, 0)
    with open(ours) as file:
        return file.read()


def test_what_is_refused_is_what_torch_says_of_itself():
    """By the list that torch is generated from: these leave it to TensorIterator to check devices."""
    packaged = Path(torchgen.__file__).parent / "packaged/ATen/native/native_functions.yaml"
    unchecked, by_name = set(), {}
    for entry in yaml.load(packaged.read_text(), getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
        name = entry["func"].partition("(")[0].partition(".")[0]
        by_name.setdefault(name, []).append(entry)
        if entry.get("device_check") == "NoCheck":
            unchecked.add(name.strip("_"))
    assert WITH_NUMBER <= unchecked, WITH_NUMBER - unchecked
    assert {"clamp", "addcmul"} <= unchecked - WITH_NUMBER  # without `allow_cpu_scalars`, says their source
    for name in ("histogram", "_histogramdd_bin_edges"):
        assert not any("CUDA" in key for e in by_name[name] for key in e["dispatch"])
    assert "histogram" in ON_CPUS_ONLY


# ---- recording

NOT_RECORDED = {
    "item": lambda v: v.number_there.item(),
    "float": lambda v: float(v.number_there),
    "truth": lambda v: v.there.any() and 1,
    "list": lambda v: v.there.tolist(),
    "formatted": lambda v: f"{v.number_there:.3f}",
    "found-in": lambda v: 3 in v.there,
    "equal": lambda v: torch.equal(v.there, v.there),
    "nonzero": lambda v: v.there.nonzero(),
    "mask": lambda v: v.there[v.mask_there],
    "place-on-the-gpu": lambda v: v.there[v.index_there[1]],
    "to-the-host": lambda v: v.there.cpu(),
    "copy-to-the-host": lambda v: v.here.copy_(v.there),
    "from-the-host": lambda v: v.there.copy_(v.here),
    "made-there": lambda v: v.here.to("cuda"),
    "index-of-the-host": lambda v: v.there[v.index],
    "number-of-the-host": lambda v: v.there * v.number,
    "slice-of-the-host": lambda v: v.there.__setitem__(slice(2), v.here[:2]),
    "numpy": lambda v: v.there.numpy(force=True),
}
RECORDED = {
    "in-place": lambda v: v.there.mul_(2).add_(v.number_there.clone()),
    "out": lambda v: torch.mul(v.there, v.there, out=torch.empty(3, 4, device="cuda")),
    "index": lambda v: v.there[v.index_there],
    "slice": lambda v: v.there[1:, :2],
    "copy": lambda v: v.there.copy_(v.there.flip(0)),
    "where": lambda v: torch.where(v.there > 3, v.there, 0.0),
    "random": lambda v: v.there.uniform_(),
    "shapes": lambda v: v.there.new_zeros(v.there.shape).unbind(0),
}


@pytest.mark.skipif(REAL, reason="a real one would have to be set up for it: torch.cuda.graph")
@pytest.mark.parametrize("call", NOT_RECORDED.values(), ids=NOT_RECORDED)
def test_not_while_calls_are_recorded(call):
    with fake_gpu() as fake:
        call(tensors())
        v = tensors()
        with fake.recording(), pytest.raises(RuntimeError, match="capturing"):
            call(v)
        call(tensors())


@pytest.mark.skipif(REAL, reason="a real one would have to be set up for it: torch.cuda.graph")
@pytest.mark.parametrize("call", RECORDED.values(), ids=RECORDED)
def test_while_calls_are_recorded(call):
    with fake_gpu() as fake:
        v = tensors()
        with fake.recording():
            call(v)


def test_its_former_name_is_still_there():
    assert pretended_card is fake_gpu

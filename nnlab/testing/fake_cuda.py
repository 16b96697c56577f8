"""A fake GPU for tests: CPU memory that reports the device cuda:0, and raises what a GPU would.

    with fake_gpu():
        for record in nnlab.fit(nnlab.Experiment(device="cuda", epochs=2)): ...

So without a GPU one sees whether code would run on one. A tensor made on "cuda" is marked, and so is every
result computed from it; every call of torch is inspected before it is made. As on a real GPU (torch 2.6
and later)

refused  tensors of both memories in one call, `out` and the tensor that is changed in place included;
         numpy; an index on the GPU into CPU memory; a generator of the other device; pinned memory on the
         GPU; what torch has for CPUs only, products of integers among it; a process that was forked after
         the GPU had been used
allowed  copies (`to`, `cpu`, `copy_`, a slice that is assigned); indices from the host; one CPU number, a
         tensor without dimensions, in elementwise arithmetic; reading numbers (`item`, `tolist`, `float`)

and a copy is one: to write into `theta.cpu()` changes nothing on the GPU. Where versions of torch differ,
the stricter one is followed: see `fake_cuda_rules`. The values are those of the CPU: speed, memory and
rounding are not imitated. Within `recording` nothing may be read and nothing copied, as while a CUDA
graph is captured; and there are graphs (`fake_cuda_graphs`).

Calls are seen in the thread that pretends and in those that are started meanwhile, by way of
`torch.overrides`; not what an extension in C++, a derivative or an `autograd.Function` going backward does.
Streams, DLPack and a default device are not there.
"""

from __future__ import annotations

import os
import threading
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from unittest import mock

import torch
from torch._functorch import eager_transforms, vmap
from torch.overrides import TorchFunctionMode

from nnlab.testing.fake_cuda_graphs import Graph
from nnlab.testing.fake_cuda_rules import (
    COPIES,
    CPU,
    FILLED,
    GPU,
    SHAPED_LIKE,
    is_on_gpu,
    refuse,
    refuse_to_record,
    tensors_in,
)

MEMORY = 8 << 30  # bytes
ON_DEVICE_OF_FIRST = (
    COPIES | SHAPED_LIKE | FILLED | {"copy_", "__getitem__"}
)  # whose result is on the device of the first argument
DEVICE_PROPERTIES = {  # property of a tensor -> its value, by where the tensor is
    torch.Tensor.device.__get__: lambda on_gpu: GPU if on_gpu else CPU,
    torch.Tensor.is_cuda.__get__: lambda on_gpu: on_gpu,
    torch.Tensor.is_cpu.__get__: lambda on_gpu: not on_gpu,
    torch.Tensor.get_device: lambda on_gpu: 0 if on_gpu else -1,
    torch.Tensor.__dlpack_device__: lambda on_gpu: (2 if on_gpu else 1, 0),
    torch.Tensor.is_pinned: lambda on_gpu: False,
}
# Calls below those that a mode sees: into the tensors of torch.func, and out of them.
OF_TORCH_FUNC = (
    (eager_transforms, "_wrap_for_grad"),
    (eager_transforms, "_unwrap_for_grad"),
    (vmap, "_add_batch_dim"),
    (vmap, "_remove_batch_dim"),
)
SET_DATA = torch.Tensor.data.__set__  # as a module does that goes to a device


@contextmanager
def fake_gpu(memory: int = MEMORY) -> Iterator[FakeGpu]:
    """torch has one GPU, of so many bytes."""
    replacements = {
        "device_count": lambda: 1,
        "is_available": lambda: True,
        "current_device": lambda: 0,
        "mem_get_info": lambda device=GPU: _memory_of(device, memory),
        "synchronize": lambda device=None: None,
        "empty_cache": lambda: None,
        "get_device_capability": lambda device=GPU: (9, 0),
        "get_device_name": lambda device=GPU: "a fake GPU",
    }
    with ExitStack() as stack:
        for name, function in replacements.items():
            stack.enter_context(mock.patch.object(torch.cuda, name, function))
        fake, new, run = FakeGpu(), torch.nn.Parameter.__new__, threading.Thread.run
        stack.enter_context(mock.patch.object(torch.cuda, "CUDAGraph", Graph))
        stack.enter_context(mock.patch.object(torch.cuda, "get_sync_debug_mode", lambda: fake.warns_of_syncs))
        stack.enter_context(mock.patch.object(torch.cuda, "set_sync_debug_mode", fake.set_sync_debug_mode))
        stack.enter_context(mock.patch.object(torch.cuda, "graph", fake.recording_into))
        stack.enter_context(
            mock.patch("nnlab.runtime.compiling.compiled", lambda function, example: function)
        )

        def run_with_fake(thread):
            with fake:
                run(thread)

        def parameter(cls, data=None, requires_grad=True):  # torch itself makes it, and is not overridden
            made = new(cls, data, requires_grad)
            return _mark(made, ()) if is_on_gpu(data) else made

        for module, name in OF_TORCH_FUNC:
            stack.enter_context(mock.patch.object(module, name, _marking(getattr(module, name))))
        stack.enter_context(mock.patch.object(torch, "Generator", Generator))
        stack.enter_context(mock.patch.object(torch.nn.Parameter, "__new__", parameter))
        stack.enter_context(mock.patch.object(threading.Thread, "run", run_with_fake))
        yield stack.enter_context(fake)


def _memory_of(device, memory: int) -> tuple[int, int]:
    if not _is_gpu(device):
        raise ValueError(f"Expected a cuda device, but got: {device}")
    return memory, memory


class Generator(torch._C.Generator):
    """A generator that knows the device it was made for; its numbers are the CPU's."""

    def __new__(cls, device="cpu"):
        self = super().__new__(cls, "cpu")
        self.made_for = GPU if _is_gpu(device) else CPU
        return self

    def __init__(self, device="cpu"):
        pass

    @property
    def device(self) -> torch.device:
        return self.made_for

    def manual_seed(self, seed: int) -> Generator:
        super().manual_seed(seed)
        return self


class FakeGpu(TorchFunctionMode):
    """Inspects every call of torch; `fake_gpu` patches the rest of what belongs to a GPU."""

    used_in: int | None = None  # the process
    is_recording = False
    warns_of_syncs = 0  # torch.cuda.set_sync_debug_mode
    graph: Graph | None = None  # records the calls, while one is captured

    @contextmanager
    def recording(self, really: bool = True) -> Iterator[None]:
        """As while calls are recorded as a CUDA graph: what would wait for the GPU, or copy, raises."""
        self.is_recording = really
        try:
            yield
        finally:
            self.is_recording = False

    @contextmanager
    def recording_into(self, graph: Graph, pool=None, stream=None, capture_error_mode="global") -> Iterator:
        """Stands for torch.cuda.graph."""
        if self.graph is not None:
            raise RuntimeError("CUDA error: operation not permitted when stream is capturing")
        self.graph = graph
        try:
            with self.recording():
                yield
        finally:
            self.graph = None
        graph.end()

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs, name = dict(kwargs or {}), getattr(func, "__name__", "")
        if func is torch.device or name == "_parse_to":
            return func(*args, **kwargs)
        if func in DEVICE_PROPERTIES:
            return DEVICE_PROPERTIES[func](is_on_gpu(args[0]))
        if func == SET_DATA:
            args[0]._on_gpu = is_on_gpu(args[1])
            return func(*args)
        arguments = (*args, *kwargs.values())
        tensors = list(tensors_in(arguments))
        refuse(name, args, kwargs, tensors)
        on_gpu = self._destination(name, arguments, tensors)
        if on_gpu or any(map(is_on_gpu, tensors)):
            self._use()
        _refuse_another_generator(arguments, on_gpu)
        if kwargs.pop("pin_memory", False) and on_gpu:
            raise RuntimeError("Only dense CPU tensors can be pinned")
        if self.graph is not None:
            self.graph.keep(tensors)
        result = self._compute(func, name, args, kwargs, on_gpu, tensors)
        if self.is_recording:
            refuse_to_record(name, args, kwargs, result)
        elif self.warns_of_syncs:
            self._warn_of_syncs(name, args, kwargs, result)
        if self.graph is not None and name != "__get__":
            self.graph.add(partial(self._compute, func, name, args, kwargs, on_gpu, tensors), tensors, result)
        return result

    def _warn_of_syncs(self, name, args, kwargs, result) -> None:
        try:
            refuse_to_record(name, args, kwargs, result)
        except RuntimeError:
            warnings.warn("called a synchronizing CUDA operation", stacklevel=3)

    def set_sync_debug_mode(self, mode: int | str) -> None:
        self.warns_of_syncs = {"default": 0, "warn": 1, "error": 2}.get(mode, mode)

    @staticmethod
    def _compute(func, name: str, args, kwargs, on_gpu: bool, tensors):
        """The result of the call, computed on the CPU."""
        if name in ("cuda", "pin_memory"):
            return _copy(args[0], args[0], on_gpu)
        if name == "cpu":
            return _copy(func(args[0]), args[0], False)
        kwargs = dict(kwargs)
        if kwargs.pop("force", False) and is_on_gpu(args[0]):  # an argument of numpy()
            args = (args[0].clone(),)
        args = [CPU if _names_a_device(name, v) else v for v in args]
        kwargs = {key: CPU if _names_a_device(name, v) else v for key, v in kwargs.items()}
        if name == "bmm" and "out_dtype" in kwargs:  # which torch has for gpu_count only
            exact = kwargs.pop("out_dtype")
            args = [v.to(exact) for v in args]
        result = func(*args, **kwargs)
        if name in COPIES and isinstance(result, torch.Tensor):
            return _copy(result, [*args, *kwargs.values()][0], on_gpu)
        return _mark(result, tensors) if on_gpu else result

    @staticmethod
    def _destination(name: str, given, tensors) -> bool:
        """Whether the result of the call is on the GPU."""
        named = [v for v in given if _names_a_device(name, v)]
        if named or name in ("cpu", "cuda", "pin_memory"):
            return _is_gpu(named[0]) if named else name == "cuda"
        if name in ("to", "type_as"):
            return any(map(is_on_gpu, tensors[1:] or tensors))
        if name in ON_DEVICE_OF_FIRST:
            return is_on_gpu(given[0])
        return any(map(is_on_gpu, tensors))

    def _use(self) -> None:
        self.used_in = self.used_in or os.getpid()
        if self.used_in != os.getpid():
            raise RuntimeError(
                "Cannot re-initialize CUDA in forked subprocess. "
                "To use CUDA with multiprocessing, you must use the 'spawn' start method"
            )


# ---- which tensors are on the GPU


def _mark(result, given):
    """The result of a call, its tensors marked as on the GPU; an argument stays where it is."""
    for t in tensors_in(result):
        if not any(t is other for other in given):
            t._on_gpu = True
    return result


def _marking(function):
    """A function of a tensor, whose result is where the tensor is."""

    def marking(tensor, *arguments):
        result = function(tensor, *arguments)
        return _mark(result, (tensor,)) if is_on_gpu(tensor) else result

    return marking


def _copy(result: torch.Tensor, source, on_gpu: bool) -> torch.Tensor:
    """The result of a copy to this memory; `source` itself if it is there already."""
    if result is source and is_on_gpu(source) == on_gpu:
        return result
    if result is source or on_gpu:  # memory of its own, also where it came from numpy
        result = result.clone()
    if on_gpu:
        result._on_gpu = True
    return result


# ---- devices by name


def _is_gpu(device) -> bool:
    device = torch.device("cuda", device) if isinstance(device, int) else torch.device(device)
    if device.type == "cuda" and device.index not in (None, 0):
        raise RuntimeError("CUDA error: invalid device ordinal")
    return device.type == "cuda"


def _names_a_device(name: str, value) -> bool:
    if type(value) is str:
        return value.partition(":")[0] in ("cuda", "cpu")
    return type(value) is torch.device or (name == "to" and type(value) is int)


def _refuse_another_generator(given, on_gpu: bool) -> None:
    for value in given:
        if type(value) in (Generator, torch._C.Generator) and (value.device.type == "cuda") != on_gpu:
            expected = (GPU if on_gpu else CPU).type
            raise RuntimeError(
                f"Expected a '{expected}' device type for generator but found '{value.device.type}'"
            )

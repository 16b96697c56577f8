"""A pretended card: CPU memory that says it is on cuda:0, and refuses what a GPU refuses.

    with pretended_card():
        for record in nnlab.fit(nnlab.Experiment(device="cuda", epochs=2)): ...

So whoever has no GPU sees whether code would run on one. A tensor made on "cuda" is marked, and so is
whatever follows from it; every call of torch is looked at before it is made. As on a real card (torch 2.6
and later)

refused  tensors of both memories in one call, `out` and the tensor that is changed in place included;
         numpy; an index on the card into CPU memory; a generator of the other device; pinned memory on the
         card; what torch has for CPUs only; a process that was forked after the card had been used
allowed  copies (`to`, `cpu`, `copy_`, a slice that is assigned); indices from the host; one CPU number, a
         tensor without dimensions, in elementwise arithmetic; reading numbers (`item`, `tolist`, `float`)

and a copy is one: to write into `theta.cpu()` changes nothing on the card. Where versions of torch differ
the stricter one is meant. The numbers are those of the CPU: nothing is said of speed, memory or rounding.
Calls are seen in the thread that pretends, by way of `torch.overrides`; not what an extension in C++, a
transform of torch.func or an `autograd.Function` going backward does. Streams, graphs and DLPack are
not there.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from unittest import mock

import torch
from torch.overrides import TorchFunctionMode

CARD, CPU = torch.device("cuda", 0), torch.device("cpu")
MEMORY = 8 << 30  # bytes

# Elementwise arithmetic that takes one CPU number beside tensors on the card: torch's TensorIterator with
# `allow_cpu_scalars`. Not all that is elementwise does: clamp, logaddexp, addcmul before torch 2.7 do not.
WITH_NUMBER = frozenset(
    "add sub mul div true_divide floor_divide remainder fmod pow rsub maximum minimum fmax fmin max min "
    "atan2 hypot copysign heaviside xlogy eq ne lt le gt ge logical_and logical_or logical_xor "
    "bitwise_and bitwise_or bitwise_xor and or xor lshift rshift clamp_min clamp_max lerp where".split()
)
COPIES = frozenset("to type_as new_tensor tensor as_tensor asarray".split())  # between the memories
SHAPED_LIKE = frozenset("expand_as view_as reshape_as is_same_size".split())  # the second lends its shape
FILLED = frozenset("full full_like new_full fill_".split())  # with a number of either memory
TO_THE_FIRST = COPIES | SHAPED_LIKE | FILLED | {"copy_", "__getitem__"}  # the result is where that is
TO_NUMPY = frozenset(["numpy", "__array__"])
ON_CPUS_ONLY = frozenset("apply_ map_ map2_ histogram histogramdd pin_memory __dlpack__".split())
SAID = {  # properties that name the device
    torch.Tensor.device.__get__: lambda card: CARD if card else CPU,
    torch.Tensor.is_cuda.__get__: lambda card: card,
    torch.Tensor.is_cpu.__get__: lambda card: not card,
    torch.Tensor.get_device: lambda card: 0 if card else -1,
    torch.Tensor.__dlpack_device__: lambda card: (2 if card else 1, 0),
    torch.Tensor.is_pinned: lambda card: False,
}


@contextmanager
def pretended_card(memory: int = MEMORY) -> Iterator[PretendedCard]:
    """torch has one GPU, of so many bytes."""
    of_cuda = {
        "device_count": lambda: 1,
        "is_available": lambda: True,
        "current_device": lambda: 0,
        "mem_get_info": lambda device=CARD: _memory_of(device, memory),
        "synchronize": lambda device=None: None,
        "empty_cache": lambda: None,
    }
    with ExitStack() as stack:
        for name, function in of_cuda.items():
            stack.enter_context(mock.patch.object(torch.cuda, name, function))
        stack.enter_context(mock.patch.object(torch, "Generator", Generator))
        yield stack.enter_context(PretendedCard())


def _memory_of(device, memory: int) -> tuple[int, int]:
    if not _is_card(device):
        raise ValueError(f"Expected a cuda device, but got: {device}")
    return memory, memory


class Generator(torch._C.Generator):
    """A generator that knows the device it was made for; its numbers are the CPU's."""

    def __new__(cls, device="cpu"):
        self = super().__new__(cls, "cpu")
        self.made_for = CARD if _is_card(device) else CPU
        return self

    def __init__(self, device="cpu"):
        pass

    @property
    def device(self) -> torch.device:
        return self.made_for

    def manual_seed(self, seed: int) -> Generator:
        super().manual_seed(seed)
        return self


class PretendedCard(TorchFunctionMode):
    """Looks at every call of torch; `pretended_card` has the rest that belongs to a card."""

    used_in: int | None = None  # the process

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs, name = dict(kwargs or {}), getattr(func, "__name__", "")
        if func is torch.device:
            return func(*args, **kwargs)
        if func in SAID:
            return SAID[func](on_card(args[0]))
        given = (*args, *kwargs.values())
        tensors = list(_tensors(given))
        cards = sum(map(on_card, tensors))
        if cards and not kwargs.get("force"):
            _refuse_what_is_not_for_cards(name)
        if 0 < cards < len(tensors) and not _may_meet(name, args, kwargs, tensors):
            raise RuntimeError(
                f"{name}: Expected all tensors to be on the same device, "
                f"but found at least two devices, {CARD} and {CPU}!"
            )
        card = self._destination(name, given, tensors)
        if card or cards:
            self._use()
        _refuse_another_generator(given, card)
        if name in ("cuda", "pin_memory"):
            return _copied(args[0], args[0], card)
        if name == "cpu":
            return _copied(func(args[0]), args[0], False)
        if kwargs.pop("force", False) and cards:  # of numpy
            args = (args[0].clone(),)
        if kwargs.pop("pin_memory", False) and card:
            raise RuntimeError("Only dense CPU tensors can be pinned")
        args = [CPU if _names_a_device(name, v) else v for v in args]
        kwargs = {key: CPU if _names_a_device(name, v) else v for key, v in kwargs.items()}
        result = func(*args, **kwargs)
        if name in COPIES and isinstance(result, torch.Tensor):
            return _copied(result, given[0], card)
        return _marked(result, tensors) if card else result

    @staticmethod
    def _destination(name: str, given, tensors) -> bool:
        """Whether what the call makes is on the card."""
        named = [v for v in given if _names_a_device(name, v)]
        if named or name in ("cpu", "cuda", "pin_memory"):
            return _is_card(named[0]) if named else name == "cuda"
        if name in ("to", "type_as"):
            return any(map(on_card, tensors[1:] or tensors))
        if name in TO_THE_FIRST:
            return on_card(given[0])
        return any(map(on_card, tensors))

    def _use(self) -> None:
        self.used_in = self.used_in or os.getpid()
        if self.used_in != os.getpid():
            raise RuntimeError(
                "Cannot re-initialize CUDA in forked subprocess. "
                "To use CUDA with multiprocessing, you must use the 'spawn' start method"
            )


# ---- what is on the card


def on_card(value) -> bool:
    """Whether it is a tensor that was made on the pretended card."""
    return isinstance(value, torch.Tensor) and getattr(value, "_on_card", False)


def _marked(result, given):
    """The result of a call, its tensors on the card; one that was given to the call stays where it is."""
    for t in _tensors(result):
        if not any(t is other for other in given):
            t._on_card = True
    return result


def _copied(result: torch.Tensor, source, card: bool) -> torch.Tensor:
    """What a copy to the other memory gives; `source` itself where it is there already."""
    if result is source and on_card(source) == card:
        return result
    if result is source or card:  # memory of its own, also where it came from numpy
        result = result.clone()
    if card:
        result._on_card = True
    return result


def _tensors(values) -> Iterator[torch.Tensor]:
    """The tensors in arguments or results."""
    if isinstance(values, torch.Tensor):
        yield values
    elif isinstance(values, (list, tuple)):
        for value in values:
            yield from _tensors(value)
    elif isinstance(values, dict):
        yield from _tensors(list(values.values()))


# ---- devices by name


def _is_card(device) -> bool:
    device = torch.device("cuda", device) if isinstance(device, int) else torch.device(device)
    if device.type == "cuda" and device.index not in (None, 0):
        raise RuntimeError("CUDA error: invalid device ordinal")
    return device.type == "cuda"


def _names_a_device(name: str, value) -> bool:
    if type(value) is str:
        return value.partition(":")[0] in ("cuda", "cpu")
    return type(value) is torch.device or (name == "to" and type(value) is int)


# ---- what is refused


def _refuse_what_is_not_for_cards(name: str) -> None:
    if name in TO_NUMPY:
        raise TypeError(
            f"can't convert {CARD} device type tensor to numpy. "
            "Use Tensor.cpu() to copy the tensor to host memory first."
        )
    if name in ON_CPUS_ONLY:
        raise NotImplementedError(f"{name} is only there for CPU tensors")


def _refuse_another_generator(given, card: bool) -> None:
    for value in given:
        if type(value) in (Generator, torch._C.Generator) and (value.device.type == "cuda") != card:
            expected = (CARD if card else CPU).type
            raise RuntimeError(
                f"Expected a '{expected}' device type for generator but found '{value.device.type}'"
            )


def _may_meet(name: str, args, kwargs, tensors) -> bool:
    """Whether a card lets these tensors, of both memories, meet in this call."""
    if name in COPIES | SHAPED_LIKE or name == "copy_":
        return True
    first, *rest = (args[0] if args else None), *_tensors((args[1:], kwargs))
    if name in FILLED:
        return not any(t.dim() for t in rest)
    if name == "__getitem__":
        return on_card(first) or not any(map(on_card, _places(rest)))
    if name in ("__setitem__", "index_put_", "index_put"):
        return _may_be_put(name, *args, **kwargs)
    if name in ("masked_fill", "masked_fill_"):
        return on_card(first) and on_card(rest[0]) and not rest[-1].dim()
    plain = name[3:-2] if name.startswith("__i") else name.strip("_")
    elementwise = plain.replace("floordiv", "floor_divide") in WITH_NUMBER
    return elementwise and _is_one_number(name, args, kwargs, tensors)


def _may_be_put(name: str, tensor, indices, value, **kwargs) -> bool:
    """tensor[indices] = value: indices may be on the host; a value is copied where they are but slices."""
    if not on_card(tensor) and any(map(on_card, _places(indices))):
        return False
    if on_card(value) == on_card(tensor) or not isinstance(value, torch.Tensor):
        return True
    each = indices if isinstance(indices, tuple) else (indices,)
    slices = all(i is None or i is ... or isinstance(i, (int, slice)) or _is_whole_number(i) for i in each)
    return name == "__setitem__" and (slices or not value.dim())


def _places(indices) -> list[torch.Tensor]:
    """The tensors among the indices; one whole number is none: it is read, wherever it is."""
    return [t for t in _tensors(indices) if not _is_whole_number(t)]


def _is_whole_number(value) -> bool:
    if not isinstance(value, torch.Tensor) or value.dim():
        return False
    return not (value.is_floating_point() or value.dtype in (torch.bool, torch.uint8))


def _is_one_number(name: str, args, kwargs, tensors) -> bool:
    """All are on the card but one number, which is only read."""
    others = [t for t in tensors if not on_card(t)]
    changed = list(_tensors(kwargs.get("out")))
    if name.endswith("_") and not name.endswith("__") or name.startswith("__i"):
        changed.append(args[0])
    return len(others) == 1 and not others[0].dim() and not any(t is others[0] for t in changed)

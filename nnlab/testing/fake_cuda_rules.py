"""The rules of the fake GPU: which calls of torch it refuses, by name and by where each tensor is.

Most calls want all their tensors in one memory. The exceptions are listed here;
tests/test_fake_gpu.py asks a real GPU the same, where there is one.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch

GPU, CPU = torch.device("cuda", 0), torch.device("cpu")

# Elementwise arithmetic that takes one CPU number beside tensors on the GPU: torch's TensorIterator with
# `allow_cpu_scalars`. Not all that is elementwise does: clamp, clamp_min, logaddexp do not, nor addcmul
# before torch 2.7.
WITH_NUMBER = frozenset(
    "add sub mul div true_divide floor_divide remainder fmod pow rsub maximum minimum fmax fmin max min "
    "atan2 hypot copysign heaviside xlogy eq ne lt le gt ge logical_and logical_or logical_xor "
    "bitwise_and bitwise_or bitwise_xor and or xor lshift rshift lerp where".split()
)
COPIES = frozenset("to type_as new_tensor tensor as_tensor asarray".split())  # between the memories
SHAPED_LIKE = frozenset("expand_as view_as reshape_as is_same_size".split())  # the second lends its shape
OF_TYPES = frozenset("result_type can_cast _has_compatible_shallow_copy_type".split())  # no number is read
FILLED = frozenset("full full_like new_full fill_".split())  # with a number of either memory
# Of torch.autograd, called by torch.func on tensors of its own: what it computes is not seen here.
AUTOGRAD = frozenset(["grad"])
TO_NUMPY = frozenset(["numpy", "__array__"])
ON_CPUS_ONLY = frozenset("apply_ map_ map2_ histogram histogramdd to_mkldnn pin_memory __dlpack__".split())
PRODUCTS = frozenset(  # which a GPU has for floating-point and complex numbers only
    "mm bmm matmul rmatmul linear bilinear einsum tensordot mv dot vdot inner addmm addmv addbmm baddbmm "
    "chain_matmul multi_dot".split()
)
READ_BY_HOST = frozenset(  # which waits for the GPU
    "item tolist numpy __bool__ __int__ __float__ __complex__ __index__ __contains__ __repr__ __format__ "
    "is_nonzero equal allclose nonzero argwhere masked_select unique unique_consecutive bincount".split()
)


# ---- where tensors are


def is_on_gpu(value) -> bool:
    """Whether it is a tensor that was made on the fake GPU."""
    return isinstance(value, torch.Tensor) and getattr(value, "_on_gpu", False)


def tensors_in(values) -> Iterator[torch.Tensor]:
    """The tensors in arguments or results."""
    if isinstance(values, torch.Tensor):
        yield values
    elif isinstance(values, (list, tuple)):
        for value in values:
            yield from tensors_in(value)
    elif isinstance(values, dict):
        yield from tensors_in(list(values.values()))


# ---- what is refused


def refuse(name: str, args, kwargs, tensors: list[torch.Tensor]) -> None:
    """Raises what a GPU would for this call with these tensors.

    `force` is an argument of numpy: a copy to the CPU comes first.
    """
    gpu_count = sum(map(is_on_gpu, tensors))
    if gpu_count and not kwargs.get("force"):
        _refuse_unsupported(name, tensors)
    if 0 < gpu_count < len(tensors) and not _may_meet(name, args, kwargs, tensors):
        raise RuntimeError(
            f"{name}: Expected all tensors to be on the same device, "
            f"but found at least two devices, {GPU} and {CPU}!"
        )


def _refuse_unsupported(name: str, tensors) -> None:
    if name in TO_NUMPY:
        raise TypeError(
            f"can't convert {GPU} device type tensor to numpy. "
            "Use Tensor.cpu() to copy the tensor to host memory first."
        )
    if name in ON_CPUS_ONLY:
        raise NotImplementedError(f"{name} is only there for CPU tensors")
    if name.strip("_") in PRODUCTS and not any(t.is_floating_point() or t.is_complex() for t in tensors):
        raise RuntimeError(f'"{name}_cuda" not implemented for whole numbers')
    if name == "tensor_split" and any(map(is_on_gpu, tensors[1:])):
        raise RuntimeError("tensor_split expected tensor_indices_or_sections to be on cpu")


def _may_meet(name: str, args, kwargs, tensors) -> bool:
    """Whether a GPU allows tensors of both memories in this call."""
    if name in COPIES | SHAPED_LIKE | OF_TYPES | AUTOGRAD or name in ("copy_", "tensor_split"):
        return True
    first, *rest = (args[0] if args else None), *tensors_in((args[1:], kwargs))
    if name in FILLED:
        return not any(t.dim() for t in rest)
    if name == "__getitem__":
        return is_on_gpu(first) or not any(map(is_on_gpu, _places(rest)))
    if name in ("__setitem__", "index_put_", "index_put"):
        return _may_be_put(name, *args, **kwargs)
    if name in ("masked_fill", "masked_fill_"):
        return is_on_gpu(first) and is_on_gpu(rest[0]) and not rest[-1].dim()
    plain = name[3:-2] if name.startswith("__i") else name.strip("_")
    elementwise = plain.replace("floordiv", "floor_divide") in WITH_NUMBER
    return elementwise and _is_one_number(name, args, kwargs, tensors)


def _may_be_put(name: str, tensor, indices, value, **kwargs) -> bool:
    """tensor[indices] = value: indices may be on the host; a value is copied where they are but slices."""
    if not is_on_gpu(tensor) and any(map(is_on_gpu, _places(indices))):
        return False
    if is_on_gpu(value) == is_on_gpu(tensor) or not isinstance(value, torch.Tensor):
        return True
    each = indices if isinstance(indices, tuple) else (indices,)
    slices = all(i is None or i is ... or isinstance(i, (int, slice)) or _is_whole_number(i) for i in each)
    return name == "__setitem__" and (slices or not value.dim())


def _places(indices) -> list[torch.Tensor]:
    """The tensors among the indices; one whole number is none: it is read, wherever it is."""
    return [t for t in tensors_in(indices) if not _is_whole_number(t)]


def _is_whole_number(value) -> bool:
    if not isinstance(value, torch.Tensor) or value.dim():
        return False
    return not (value.is_floating_point() or value.dtype in (torch.bool, torch.uint8))


def _is_one_number(name: str, args, kwargs, tensors) -> bool:
    """All are on the GPU but one scalar, which is only read."""
    on_cpu = [t for t in tensors if not is_on_gpu(t)]
    changed = list(tensors_in(kwargs.get("out")))
    if name.endswith("_") and not name.endswith("__") or name.startswith("__i"):
        changed.append(args[0])
    return len(on_cpu) == 1 and not on_cpu[0].dim() and not any(t is on_cpu[0] for t in changed)


def refuse_to_record(name: str, args, kwargs, result) -> None:
    """Raises what a GPU would while its calls are recorded as a graph, to be replayed with other numbers:
    for whatever the host reads, and whatever is copied from one memory to the other."""
    tensors = list(tensors_in((args, kwargs, result)))
    gpu_count = sum(map(is_on_gpu, tensors))
    indices = tensors_in(args[1:2]) if name in ("__getitem__", "__setitem__") else ()
    chosen = any(i.dtype == torch.bool or _is_whole_number(i) for i in indices)
    if gpu_count and (gpu_count < len(tensors) or name in READ_BY_HOST or chosen):
        raise RuntimeError(f"{name}: CUDA error: operation not permitted when stream is capturing")

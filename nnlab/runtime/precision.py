"""Matrix products in reduced precision on a GPU. Sums, parameters, slots and losses stay float32.

float32    23 bits of fraction
tf32       10 bits, on tensor cores: some three times as quick (NVIDIA, since Ampere)
bfloat16    7 bits: half the memory to read, and two passes more to round the factors
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from functools import partial

import torch

from nnlab.errors import UserError

MIN_CAPABILITY = (8, 0)  # compute capability of Ampere, the first with tf32 and bfloat16


def refuse_precision(precision: str, device: torch.device) -> None:
    """Raise `UserError` if the device does not have this precision."""
    if precision == "float32":
        return
    setting = f"precision = '{precision}'"
    if device.type != "cuda":
        raise UserError(f"{setting} is for a GPU, and this is trained on the CPU; allowed there: float32")
    if torch.cuda.get_device_capability(device) < MIN_CAPABILITY:
        name = torch.cuda.get_device_name(device)
        raise UserError(f"{setting}: {name} does not have it; allowed on it: float32")
    if precision == "bfloat16" and "dtype_out" not in torch.ops.aten.bmm.overloads():
        raise UserError(f"{setting} needs torch 2.8, and this is {torch.__version__}; allowed: float32, tf32")


def gpu_product(precision: str, out: torch.Tensor) -> Callable[..., torch.Tensor]:
    """The kernel for a @ b -> out on a GPU, where `out` need not be contiguous."""
    return partial(KERNELS[precision], out=out)


def _float32(a, b, out):
    return torch.bmm(a, b, out=out)


def _tf32(a, b, out):
    with tf32():
        return torch.bmm(a, b, out=out)


def _bfloat16(a, b, out):
    return torch.bmm(a.bfloat16(), b.bfloat16(), out_dtype=torch.float32, out=out)


KERNELS = {"float32": _float32, "tf32": _tf32, "bfloat16": _bfloat16}


@contextlib.contextmanager
def tf32():
    """Compute float32 products in tf32."""
    matmul = torch.backends.cuda.matmul
    before, matmul.allow_tf32 = matmul.allow_tf32, True
    try:
        yield
    finally:
        matmul.allow_tf32 = before

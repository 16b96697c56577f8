"""A trained model as a program of torch.export: tensors and operators, without any code of nnlab's."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable

import numpy as np
import torch

from nnlab.autodiff.operators import TorchOperators
from nnlab.prediction.portable import PortableModel

NOTES_FILE = "nnlab.json"  # in the file, beside the program


class PortableModule(torch.nn.Module):
    """`PortableModel.outputs` as a module: every constant is a buffer."""

    def __init__(self, portable: PortableModel):
        super().__init__()
        self.portable, self.names = portable, []
        spec = portable.model.spec
        with torch.no_grad():  # one pass collects the constants
            portable.outputs(_Collected(self), self.example(1, spec.raw_shape))

    def example(self, count: int, shape: tuple[int, ...]) -> torch.Tensor:
        return torch.zeros(count, *shape, dtype=getattr(torch, self.portable.dtype))

    def forward(self, x):
        return self.portable.outputs(_Collected(self, iter(self.names)), x)


class _Collected(TorchOperators):
    """Constants become buffers of a module in the first pass, and are these in the others."""

    def __init__(self, module: PortableModule, names=None):
        self._module, self._names = module, names

    def constant(self, array, template=None, name=""):
        if self._names is not None:
            return getattr(self._module, next(self._names))
        name = f"c{len(self._module.names)}_{name.replace('.', '_')}"
        self._module.names.append(name)
        self._module.register_buffer(name, super().constant(array, template))
        return getattr(self._module, name)


def exported_program(portable: PortableModel):
    """The program, for any number of examples."""
    module = PortableModule(portable).eval()
    example = module.example(2, portable.model.spec.raw_shape)
    batch = torch.export.Dim("batch", min=1)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # torch's own, which change with its version
        return torch.export.export(module, (example,), dynamic_shapes=({0: batch},), strict=False)


def torch_bytes(program, notes: str) -> bytes:
    """The .pt2 file."""
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.export.save(program, buffer, extra_files={NOTES_FILE: notes})
    return buffer.getvalue()


def program_outputs(program) -> Callable[[np.ndarray], dict[str, np.ndarray]]:
    """The program as a function of inputs."""
    module = program.module()

    def outputs(x: np.ndarray) -> dict[str, np.ndarray]:
        with torch.no_grad():
            return {name: value.numpy() for name, value in module(torch.from_numpy(x)).items()}

    return outputs

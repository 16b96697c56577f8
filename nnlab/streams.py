"""Random streams: generators whose numbers depend on nothing but the name of the stream.

A stream is a counter-based generator (Philox 4x64, Salmon et al. 2011) keyed by a hash of its
name: (seed, purpose, name, epoch, ...). It does not depend on other draws, nor on how many rows share the
stack, so a row draws the same numbers alone, in a stack, and after a resume.
"""

import hashlib

import numpy as np


def stream(seed: int, purpose: str, *key) -> np.random.Generator:
    """The generator for `purpose` of `seed`; `key` (names, epoch, step) distinguishes its uses.

    >>> stream(0, "order", 3).random() == stream(0, "order", 3).random()
    True
    """
    digest = hashlib.blake2b(repr((int(seed), purpose, *key)).encode(), digest_size=16).digest()
    return np.random.Generator(np.random.Philox(key=int.from_bytes(digest, "little")))


def uniforms(shape: tuple[int, ...], template, seed: int, purpose: str, *key):
    """Uniform numbers of [0, 1) as a tensor on the device and in the dtype of `template`.

    On the CPU they come from the stream; a GPU draws them itself (other numbers, as reproducible), since
    copying them would cost more than the step that uses them.
    """
    import torch

    random = stream(seed, purpose, *key)
    if template.device.type == "cpu":
        dtype = np.float32 if template.dtype == torch.float32 else np.float64
        return torch.from_numpy(random.random(shape, dtype=dtype))
    generator = torch.Generator(template.device).manual_seed(int(random.integers(2**63)))
    return torch.rand(shape, generator=generator, device=template.device, dtype=template.dtype)

"""What a box caches: of all that `fprop` has left in its context, the tensors on which `bprop` depends."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch

from nnlab.autodiff.box import Context

DEEPEST = 3  # how far objects within the context are looked into, such as a convolution's kernels
CORRUPTIONS = (torch.nan, -1.0, 0.0, 2.0)  # what a tensor is filled with to see whether bprop depends on it


class Leftovers:
    """The tensors that a call leaves in a context: new ones, and those that it has written."""

    def __init__(self, ctx: Context):
        self.ctx, self.before = ctx, {path: _state(tensor) for path, tensor in _tensors(vars(ctx))}
        self.paths: list[str] = []

    def note(self) -> None:
        """Note what has changed since the beginning."""
        now = _tensors(vars(self.ctx))
        self.paths = [path for path, tensor in now if _state(tensor) != self.before.get(path)]

    def cached(self, known: dict[str, torch.Tensor], bprop: Callable[[], list]) -> dict[str, torch.Tensor]:
        """Those without which `bprop` gives other gradients, by their names in `known` or in the context.

        Each is spoilt and restored, to see it. Whole numbers, which are indices, are taken to be needed.
        """
        tensors, right = dict(_tensors(vars(self.ctx))), bprop()
        cached = {}
        for views in self._by_memory(tensors).values():
            if not next(iter(views.values())).is_floating_point() or _depends(
                bprop, right, [*views.values()]
            ):
                cached |= _named(views, known)
        return cached

    def _by_memory(self, tensors: dict[str, torch.Tensor]) -> dict[int, dict[str, torch.Tensor]]:
        """Views of the same memory together, by their paths."""
        groups: dict[int, dict[str, torch.Tensor]] = {}
        for path in self.paths:
            if path in tensors and tensors[path].numel():
                groups.setdefault(_memory(tensors[path]), {})[path] = tensors[path]
        return groups


def _depends(bprop: Callable[[], list], right: list, views: list[torch.Tensor]) -> bool:
    """Whether bprop gives something else where these views of one memory are spoilt."""
    originals, changed = [view.clone() for view in views], False
    for value in CORRUPTIONS:
        for view in views:
            view.copy_(torch.full((), value, dtype=view.dtype))
        changed = changed or not all(map(_equal, bprop(), right))
    for view, original in zip(views, originals, strict=True):
        view.copy_(original)
    return changed


def _equal(a: torch.Tensor | None, b: torch.Tensor | None) -> bool:
    return (a is None and b is None) or torch.equal(a, b)


def _named(views: dict[str, torch.Tensor], known: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The value of known name that these are views of; or the largest of them."""
    memory = _memory(next(iter(views.values())))
    same = {name: value for name, value in known.items() if _memory(value) == memory}
    if same:
        return same
    path = max(views, key=lambda path: (views[path].numel(), -path.count("."), -len(path)))
    return {path.rpartition(".")[2]: views[path]}


def _memory(tensor: torch.Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


def _state(tensor: torch.Tensor) -> tuple[int, int]:
    """Which memory it is, and how often that has been written."""
    return tensor.data_ptr(), tensor._version


def _tensors(attributes: dict, prefix: str = "") -> Iterator[tuple[str, torch.Tensor]]:
    """The path and the tensor of each attribute that is one, or has some: a tuple, an object of nnlab's."""
    for name, value in attributes.items():
        path = f"{prefix}{name}"
        if isinstance(value, torch.Tensor):
            yield path, value
        elif isinstance(value, (tuple, list)):
            yield from _tensors({f"{name}[{n}]": v for n, v in enumerate(value)}, prefix)
        elif path.count(".") < DEEPEST and name != "site" and _is_ours(value):
            yield from _tensors(vars(value), f"{path}.")


def _is_ours(value) -> bool:
    return type(value).__module__.startswith("nnlab.") and hasattr(value, "__dict__")

"""Plug-in classes of installed packages, found by entry point: docs/extending.md is the tutorial.

An installed package announces a class, `mine = "mylab.optimizers:Mine"` in the entry-point group
`nnlab.optimizer`, and `optimizer=mine` then means that class. A configuration can only say a name: what is
imported for it is what the owner of this Python has installed under it, and nothing else. nnlab's own names
come first, and for them nobody looks at what is installed.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Mapping
from dataclasses import MISSING, fields
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

from nnlab.errors import UserError, unknown

BASES = {  # group -> what its classes are derived from
    "data": "nnlab.data.dataset:Data",
    "split": "nnlab.data.splits:Split",
    "model": "nnlab.models:Model",
    "init": "nnlab.initializers:Init",
    "regularizer": "nnlab.regularizers:Regularizer",
    "optimizer": "nnlab.optimizers:Optimizer",
    "schedule": "nnlab.schedules:Schedule",
    "stopping": "nnlab.stopping:Stopping",
    "activation": "nnlab.autodiff.box:Box",
    "box": "nnlab.autodiff.box:Box",
    "module": "torch.nn:Module",
    "loss": "nnlab.losses:Loss",
    "sampler": "nnlab.search.samplers:Sampler",
    "pruner": "nnlab.search.pruners:Pruner",
}
COMBINABLE = {"regularizer"}  # groups that take several choices, regularizer=[l2,dropout], of one set of keys


def group_of(cls: type) -> str:
    """The group that a class is a choice of, or "".

    An instance may have a setting of the name `group`, as `data=table` has.
    """
    groups = (vars(base).get("group") for base in cls.__mro__)
    return next((group for group in groups if isinstance(group, str) and group), "")


def lookup(table: Mapping[str, Any], group: str, name: str) -> Any:
    """The class of that name: nnlab's own, from `table`, else an installed package's.

    Raises `UserError` if there is none, or if it cannot be used.
    """
    if not isinstance(name, str):
        raise unknown(group, name, table)
    if name in table:
        return table[name]
    installed = find(group, name)
    if installed is None:
        raise unknown(group, name, {*table, *names(group)})
    return installed


def find(group: str, name: str) -> type | None:
    """The class that an installed package announces by this name, or None.

    Raises `UserError` if it cannot be imported or is of the wrong kind, or if two packages announce it.
    """
    entries = [entry for entry in _entry_points_of_group(group) if entry.name == name]
    if len(entries) > 1:
        packages = " and ".join(sorted(repr(_package_name(entry)) for entry in entries))
        raise UserError(f"{group} '{name}' is announced by two packages, {packages}: uninstall one")
    return _load_class(group, entries[0]) if entries else None


def names(group: str) -> list[str]:
    """The names that installed packages announce for a group; nothing is imported."""
    return sorted({entry.name for entry in _entry_points_of_group(group)})


def source(group: str, name: str) -> tuple[Path, str] | None:
    """The file and the name of the class that an installed package announces; nothing is imported."""
    entry = next((entry for entry in _entry_points_of_group(group) if entry.name == name), None)
    if entry is None or not entry.attr:
        return None
    relative_path = entry.module.replace(".", "/")
    files = (
        Path(directory, f"{relative_path}{end}") for directory in sys.path for end in (".py", "/__init__.py")
    )
    return next(((file, entry.attr) for file in files if file.is_file()), None)


def settings(cls: Any) -> dict:
    """What a YAML for this part would say: its name, and its fields with their defaults (`???`: none).

    Of a group whose choices combine, only the fields that its base has not: those have a neutral value, over
    which the other choices go.
    """
    group = group_of(cls)
    shared = {f.name for f in fields(resolve_name(BASES[group]))} if group in COMBINABLE else set()
    own_fields = (f for f in fields(cls) if f.name not in shared)
    values = {f.name: "???" if f.default is MISSING else f.default for f in own_fields}
    return {"name": cls.name} | {k: list(v) if isinstance(v, tuple) else v for k, v in values.items()}


def _entry_points_of_group(group: str) -> tuple:
    return _entry_points(f"nnlab.{group}", tuple(sys.path)) if group in BASES else ()


@functools.cache
def _entry_points(group: str, path: tuple) -> tuple:
    """Found once for each state of `sys.path`, where packages are looked for."""
    from importlib.metadata import entry_points

    return tuple(entry_points(group=group))


def _load_class(group: str, entry) -> type:
    what = f"{group} '{entry.name}' of package '{_package_name(entry)}'"
    try:
        cls = entry.load()
    except Exception as e:
        raise UserError(f"{what} cannot be imported from {entry.value}: {type(e).__name__}: {e}") from e
    base = resolve_name(BASES[group])
    if not isinstance(cls, type) or not issubclass(cls, base) or cls is base:
        raise UserError(f"{what}: {entry.value} is not a subclass of {base.__module__}.{base.__name__}")
    own_name = getattr(cls, "name", entry.name)
    if own_name != entry.name:
        raise UserError(f"{what}: the class calls itself '{own_name}'; give both the same name")
    return cls


def _package_name(entry) -> str:
    return entry.dist.name if entry.dist else entry.value.partition(":")[0]

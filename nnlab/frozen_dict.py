"""`FrozenDict`: the value of a setting that is a mapping. It never changes, as keys of caches must not."""

from __future__ import annotations

from collections.abc import Mapping


class FrozenDict(dict):
    """A dict that is hashable, since nothing can change it; equal to every dict with the same items.

    >>> FrozenDict(a=1) == {"a": 1}, len({FrozenDict(a=1, b=2), FrozenDict(b=2, a=1)})
    (True, 1)
    """

    def __hash__(self):
        return hash(frozenset(self.items()))

    def __reduce__(self):
        return type(self), (dict(self),)

    def _refuse(self, *args, **kwargs):
        raise TypeError("the items of a setting do not change: make another one")

    __setitem__ = __delitem__ = __ior__ = _refuse
    clear = pop = popitem = setdefault = update = _refuse


def frozen(value):
    """A value of nested mappings and lists, as nested `FrozenDict`s and tuples."""
    if isinstance(value, Mapping):
        return FrozenDict({str(key): frozen(each) for key, each in value.items()})
    if isinstance(value, (list, tuple)):
        return tuple(map(frozen, value))
    return value


def plain(value):
    """The inverse: the dicts and lists that YAML and JSON write."""
    if isinstance(value, Mapping):
        return {key: plain(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(each) for each in value]
    return value

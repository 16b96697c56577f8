"""Reads a pickle of plain containers, texts and numbers; refuses every other one before any of it has run.

A pickle is a program, and some of its instructions import and call whatever they name. Those are not
among the ones allowed here, so nothing can be imported, called or rebuilt, whatever the file says.
"""

from __future__ import annotations

import io
import pickle
import pickletools

from nnlab.errors import UserError

# Instructions that make or fill dicts, lists, tuples, texts, numbers, booleans and None, or remember them.
PLAIN_INSTRUCTIONS = frozenset(
    "PROTO FRAME STOP MARK POP POP_MARK DUP MEMOIZE PUT BINPUT LONG_BINPUT GET BINGET LONG_BINGET "
    "EMPTY_DICT DICT SETITEM SETITEMS EMPTY_LIST LIST APPEND APPENDS EMPTY_TUPLE TUPLE TUPLE1 TUPLE2 TUPLE3 "
    "NONE NEWTRUE NEWFALSE INT BININT BININT1 BININT2 LONG LONG1 FLOAT BINFLOAT "
    "UNICODE SHORT_BINUNICODE BINUNICODE".split()
)


class _NothingImported(pickle.Unpickler):
    """A second lock, behind the list of instructions."""

    def find_class(self, module, name):
        raise pickle.UnpicklingError(f"it imports {module}.{name}")

    def persistent_load(self, key):
        raise pickle.UnpicklingError("it refers to another file")


def read_plain_pickle(content: bytes, where: str):
    """The value of a pickle. Raises `UserError` for one that is damaged, or not plain."""
    try:
        for instruction, _, _ in pickletools.genops(content):
            if instruction.name not in PLAIN_INSTRUCTIONS:
                raise UserError(
                    f"{where}: its instruction {instruction.name} could run code: only plain containers, "
                    f"texts and numbers are read"
                )
        return _NothingImported(io.BytesIO(content)).load()
    except UserError:
        raise
    except Exception as e:  # of a damaged file: ValueError, IndexError, EOFError, TypeError, ...
        raise UserError(f"{where} is no pickle, or a damaged one: {' '.join(str(e).split())[:200]}") from None

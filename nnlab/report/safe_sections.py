"""Makes sections of what may be damaged: one that cannot be made is a sentence, and costs no other."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator

from nnlab.errors import Advice, UserError, visible
from nnlab.report.page import Section


def safe_sections(heading: str, make: Callable[[], Section | Iterable[Section] | None]) -> Iterator[Section]:
    """The sections that `make()` gives: one, several or none. Advice is not shown: the page says it itself.

    Where it raises a `UserError`, the folder lacks something. Any other error is one of a damaged folder, or
    nnlab's own: the section has its name.
    """
    try:
        with warnings.catch_warnings(action="ignore", category=Advice):
            made = make()
            sections = [made] if isinstance(made, Section) else list(made or ())
    except UserError as e:
        sections = [Section(heading, note=f"Not here: {e}.")]
    except Exception as e:
        sections = [Section(heading, note=f"Not drawn: {type(e).__name__}: {visible(str(e))}")]
    yield from sections

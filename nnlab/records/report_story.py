"""What a sweep's report is about."""

from __future__ import annotations

from dataclasses import dataclass

from nnlab.search.trial import Trial

PLACE_OF_WINNER = "<!-- the winner beside what the search started from -->"


@dataclass(frozen=True)
class Story:
    """Plain data, so that another process can draw it."""

    title: str
    lines: list[str]  # what was asked for, the winner's line
    trials: list[Trial]
    distributions: dict
    signs: tuple[int, ...]
    objectives: tuple[str, ...]
    curves: dict[int, dict[str, list[float]]]
    task: str = "classification"

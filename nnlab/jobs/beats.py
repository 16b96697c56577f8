"""Whether others live, judged by whether what they say changes, on the clock of this process alone.

Clocks of machines differ, and the times of files on a network are anybody's. So nothing is compared but the
content of a beat with that of the last look, and time passes only while this process looks: one that was
asleep itself, or busy, has no right to call others late.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic

BEATS_PER_LEASE = 3  # of everybody who is to be heard within a lease


@dataclass
class _Heard:
    beat: bytes
    silent: float = 0.0  # seconds of looking during which nothing has changed


class Watch:
    """For how long each of several has said nothing new.

    `longest_gap`: of the seconds between two looks so many count at most.
    """

    def __init__(self, longest_gap: float, clock: Callable[[], float] = monotonic):
        self.longest_gap, self._clock = longest_gap, clock
        self._heard: dict[str, _Heard] = {}
        self._looked = clock()

    def look(self, beats: dict[str, bytes]) -> None:
        """These were the beats a moment ago; whoever is not among them is forgotten."""
        now = self._clock()
        gap, self._looked = min(now - self._looked, self.longest_gap), now
        for name in self._heard.keys() - beats.keys():
            del self._heard[name]
        for name, beat in beats.items():
            heard = self._heard.setdefault(name, _Heard(beat, -gap))
            if beat == heard.beat:
                heard.silent += gap
            else:
                self._heard[name] = _Heard(beat)

    def silent(self, name: str) -> float:
        """For how many seconds of looking this one has said nothing new."""
        return self._heard[name].silent if name in self._heard else 0.0

    def overdue(self, lease: float) -> list[str]:
        """Who has said nothing new for longer than a lease."""
        return [name for name, heard in self._heard.items() if heard.silent > lease]

    def living(self, lease: float) -> list[str]:
        """Who has been heard within a lease."""
        return [name for name, heard in self._heard.items() if heard.silent <= lease]

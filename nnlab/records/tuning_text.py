"""What `nnlab compare tune=32` says: the space of the arms, which settings won for each, and afterwards that
they were tuned, as compare.json has it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from nnlab.errors import visible
from nnlab.records.text import metric_formatter
from nnlab.records.text_columns import short_names, wrap_line
from nnlab.untrusted import is_count

FIRST_TRIALS = ("startup", "population")  # keys of samplers: how many trials come before they learn
TUNED_ONCE = (
    "each arm is tuned once, at one seed: intervals and p are of the settings that won, and leave out how "
    "lucky its tuning was"
)


@dataclass(frozen=True)
class TunedArm:
    """What the sweep of an arm on a data set found. `searched` are its keys with their values as text."""

    arm: str
    data: str
    folder: str  # below that of the comparison
    objective: str
    value: float
    trial: int
    trials: int
    failed: int
    params: dict[str, object]
    words: tuple[str, ...]  # of the winner, for nnlab train
    searched: dict[str, str]

    def to_json(self) -> dict:
        """The entry of the arm and data set in compare.json."""
        names = ("folder", "objective", "value", "trial", "trials", "failed", "words", "searched")
        return {name: getattr(self, name) for name in names}

    def line(self, name: str, width: int, task: str, asked: int) -> list[str]:
        """`  optimizer=sgd   0.0912  lr=0.0931 l2=1.2e-05 dropout=0.31`"""
        value = metric_formatter(self.objective, task)(self.value)
        keys = short_names([*self.params])
        params = " ".join(f"{key}={_short(v)}" for key, v in zip(keys, self.params.values(), strict=True))
        notes = [f"{self.trials} trials, all there are"] * (self.trials < asked)
        notes += [f"{self.failed} trials failed"] * bool(self.failed)
        note = f" ({'; '.join(notes)})" if notes else ""
        return wrap_line(f"  {visible(name):<{width}}  {value}  {visible(params)}{note}")


def _short(label: object) -> str:
    if label is None:
        return "null"
    return f"{label:.3g}" if isinstance(label, float) else str(label)


def space_lines(domains: Mapping[str, object], missing: Mapping[str, Sequence[str]]) -> list[str]:
    """A line for each searched key with its domain, and which arms do not search it."""
    width = max(map(len, domains))
    lines = []
    for key, domain in domains.items():
        arms = missing.get(key, ())
        note = f" (not of {', '.join(arms)})" if arms else ""
        lines += wrap_line(f"  {key:<{width}}  {domain}{note}")
    return lines


def tuned_note(entry: object) -> list[str]:
    """What a comparison says of its tuning, from compare.json, which may be a stranger's."""
    if not isinstance(entry, dict) or not is_count(entry.get("trials")) or not is_count(entry.get("seed")):
        return []
    sampler = entry["sampler"].get("name") if isinstance(entry.get("sampler"), dict) else None
    by = f" of {visible(sampler)}" if isinstance(sampler, str) else ""
    first = next((entry["sampler"][key] for key in FIRST_TRIALS if by and key in entry["sampler"]), 0)
    learns = not is_count(first) or entry["trials"] > first
    few = "" if learns else ", none of them chosen by the results of others,"
    tuned = (
        f"each arm tuned by {entry['trials']:,} trials{by}{few} at seed {entry['seed']}, which is not "
        f"compared; their winners are in compare.json"
    )
    return [*wrap_line(f"  {tuned}"), *wrap_line(f"  {TUNED_ONCE}")]

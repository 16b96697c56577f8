"""What `nnlab compare tune=32` says: the space of the arms, which settings won for each, and afterwards that
they were tuned, as compare.json has it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from nnlab.errors import list_names, visible
from nnlab.records.text import metric_formatter
from nnlab.records.text_columns import short_names, wrap_line
from nnlab.untrusted import is_count, is_number

MOST_ENDS = 4  # that are named

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
    ends: dict[str, str]  # of the winner's numbers at an end of their range: lower, upper

    def to_json(self) -> dict:
        """The entry of the arm and data set in compare.json."""
        names = ("folder", "objective", "value", "trial", "trials", "failed", "words", "searched", "ends")
        return {name: getattr(self, name) for name in names}

    @property
    def short_words(self) -> list[str]:
        """The words with three digits: `optimizer.lr=0.0931`."""
        pairs = (word.partition("=") for word in self.words)
        return [f"{key}={_short_text(value)}" for key, _, value in pairs]

    def line(self, name: str, width: int, task: str, asked: int) -> list[str]:
        """`  optimizer=sgd   0.0912  lr=0.0931 l2=1.2e-05 dropout=0.31`"""
        value = metric_formatter(self.objective, task)(self.value)
        keys = short_names([*self.params])
        params = " ".join(f"{key}={_short(v)}" for key, v in zip(keys, self.params.values(), strict=True))
        notes = [f"{self.trials} trials, all there are"] * (self.trials < asked)
        notes += [f"{self.failed} trials failed"] * bool(self.failed)
        notes += [f"{key} at the {end} end of its range" for key, end in self.ends.items()]
        note = f" ({'; '.join(notes)})" if notes else ""
        return wrap_line(f"  {visible(name):<{width}}  {value}  {visible(params)}{note}")


def _short(label: object) -> str:
    if label is None:
        return "null"
    return f"{label:.3g}" if isinstance(label, float) else str(label)


def _short_text(value: str) -> str:
    """A word's value, of numbers with a fraction three digits."""
    try:
        return value if value.lstrip("-").isdigit() else f"{float(value):.3g}"
    except ValueError:
        return value


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
    lines = [*wrap_line(f"  {tuned}"), *wrap_line(f"  {TUNED_ONCE}")]
    if note := ends_note(stored_winners(entry)):
        lines += wrap_line(f"  {visible(note)}")
    return lines


def _are_texts(value: object) -> bool:
    return isinstance(value, dict) and all(isinstance(text, str) for text in value.values())


def _is_text(value: object) -> bool:
    return isinstance(value, str)


STORED_TYPES = {
    "folder": _is_text, "objective": _is_text, "value": is_number, "trial": is_count, "trials": is_count,
    "failed": is_count, "words": lambda words: isinstance(words, list) and all(map(_is_text, words)),
    "searched": _are_texts, "ends": _are_texts,
}  # fmt: skip


def stored_winners(entry: Mapping) -> list[TunedArm]:
    """The winners in `tuning` of compare.json, as far as they are what nnlab writes."""
    arms = entry.get("arms")
    places = [
        (arm, data, {"ends": {}} | winner)  # older folders have no ends
        for arm, by_data in (arms.items() if isinstance(arms, dict) else ())
        for data, winner in (by_data.items() if isinstance(by_data, dict) else ())
        if isinstance(winner, dict)
    ]
    return [
        TunedArm(arm, data, params={}, **{key: winner[key] for key in STORED_TYPES})
        for arm, data, winner in places
        if all(fits(winner.get(key)) for key, fits in STORED_TYPES.items())
    ]


def ends_note(winners: Sequence[TunedArm]) -> str:
    """Which winners lie at an end of what was searched; empty if none does."""
    at_end = [f"{key} of {each.arm} ({end})" for each in winners for key, end in each.ends.items()]
    if not at_end:
        return ""
    listed = list_names(list(dict.fromkeys(at_end)), MOST_ENDS)
    return f"at an end of their ranges: {listed}; a wider range may have better"

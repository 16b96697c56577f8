"""Several runs beside each other: the table that `nnlab train -m` ends with, and their curves."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from nnlab.records import text_columns
from nnlab.records.console import board_line
from nnlab.records.stored_run import StoredRun
from nnlab.records.terminal import Terminal
from nnlab.records.text import form, interval_lines, label, spread

SHOWN = ("{}_loss", "{}_error", "test_accuracy", "test_rmse")  # of validation; see `_kind`
BRIEF = 36  # letters of a run's name in a line of progress
SEEDS = {"seed": "seeds=10", "split.seed": "split.repeats=10"}  # what gives the mean over them


def compare(runs: dict[str, Path], doubts: Sequence[str] = (), stream=None) -> None:
    """Print a table of the runs, {what differs: folder}, the best first; keep it as comparison.json. Below it
    stands what is to be said of their order: `doubts`.

    A run's numbers are those of its summary.json: means over its rows, with their 95% intervals. The
    validation losses of all are drawn in comparison.png; training losses, if no run has others.
    """
    found = {name: _summary(folder) for name, folder in runs.items()}
    order, screen = ranked(found), Terminal(stream)
    for line in [*table({name: found[name] for name in order}), *notes(found, doubts)]:
        screen.line(line)
    folder = next(iter(runs.values())).parent
    rows = [{"run": name, "folder": runs[name].name, **found[name]} for name in order]
    (folder / "comparison.json").write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")
    drawn = {name: found[name] for name in order}
    (folder / "comparison.png").write_bytes(picture({name: runs[name] for name in order}, drawn))
    ends = [
        *text_columns.labelled("all runs", folder),
        *text_columns.command("their curves", board_line(folder)),
    ]
    for line in ["", *ends]:
        screen.line(line)


def ranked(summaries: dict[str, dict]) -> list[str]:
    """The names of the runs, the best first; those on different data by themselves, in the order given.

    A diverged row counts as an infinite loss: a run with fewer of them comes first, and only among equals
    does the mean over the rows that survived decide. It is that of the validation loss; where the losses are
    of different kinds, that of the error, which all runs on the same data have in the same unit.
    """
    data, judge = list(dict.fromkeys(map(_data, summaries.values()))), _judge(summaries)

    def place(name: str) -> tuple:
        summary = summaries[name]
        rows, metric = summary["rows"], summary["metrics"].get(judge)
        mean = np.inf if metric is None or metric["mean"] is None else metric["mean"]
        return data.index(_data(summary)), rows["diverged"] / rows["total"], mean

    return sorted(summaries, key=place)


def notes(summaries: dict[str, dict], doubts: Sequence[str] = ()) -> list[str]:
    """Below the table: how it is ordered, and what stands behind the +-."""
    each = "of each data set " if len(set(map(_data, summaries.values()))) > 1 else ""
    judge, tasks = _judge(summaries), dict.fromkeys(map(_task, summaries.values()))
    metric = " or ".join(dict.fromkeys(label(judge, task) for task in tasks))
    why = " (their losses differ in kind)" if judge.endswith("error") else ""
    diverged = "fewest diverged, then " if any(map(_diverged, summaries.values())) else ""
    luck = _luck(summaries) or [line for text in doubts for line in text_columns.wrapped(f"  {text}")]
    lines = [f"  {each}the best first: {diverged}least {metric}{why}", *luck]
    lines += [line for s in summaries.values() for line in interval_lines(s)]
    if any(0 < s["rows"]["diverged"] < s["rows"]["total"] for s in summaries.values()):
        lines.append("  *: mean over the rows that did not diverge, which says nothing of the others")
    return ["", *dict.fromkeys(lines), *_refits(summaries)]


def _refits(found: dict[str, dict]) -> list[str]:
    """Whose the numbers are, if runs were trained twice."""
    twice = [name for name, summary in found.items() if "refit" in summary]
    if not twice:
        return []
    which = "each run was" if len(twice) == len(found) else f"{', '.join(twice)}:"
    lines = [
        f"  {which} trained twice (refit): first for the validation numbers and the best",
        "  epoch, again on the validation examples too for the weights and the test numbers",
    ]
    lost = [name for name in twice if found[name]["refit"]["diverged"]]
    return lines + [f"  {name}: rows diverged the second time and keep the first weights" for name in lost]


def _luck(runs) -> list[str]:
    """A note on runs that differ in a seed alone: their order means nothing."""
    every = [words(name) for name in runs]
    varied = {key for one in every for key in one if len({each.get(key) for each in every}) > 1}
    if not varied or not varied <= SEEDS.keys():
        return []
    names, means = sorted(varied), [SEEDS[key] for key in sorted(varied)]
    only = f"only {' and '.join(names)} differ{'s' * (len(names) == 1)}"
    return [f"  {only}: the order is luck; for the mean {' '.join(means)}"]


def picture(runs: dict[str, Path], found: dict[str, dict]) -> bytes:
    """All runs' losses over the epochs, and their results against a number that varies, as a PNG."""
    from nnlab.records.runs_picture import LETTERS, draw

    kind = _kind(found)
    names = [f"{name} ({n})" if n else name for name, n in _numbered(brief(list(runs), LETTERS))]
    curves = dict(zip(names, (losses(folder, kind) for folder in runs.values()), strict=True))
    return draw(curves, [_diverged(found[name]) for name in runs], _axis(found), against(found))


def _numbered(names: list[str]) -> list[tuple[str, int]]:
    """Each name, and how many stand before it that are the same."""
    return [(name, names[:i].count(name)) for i, name in enumerate(names)]


def against(found: dict[str, dict]):
    """The results against the number that varies most, if there are three of it or more, and they may stand
    beside each other."""
    from nnlab.records.runs_picture import Against

    each, judge = {name: words(name) for name in found}, _judge(found)
    if len(set(map(_data, found.values()))) > 1:
        return None
    keys = list(dict.fromkeys(key for one in each.values() for key in one))
    numbers = {key: [_number(one.get(key, "")) for one in each.values()] for key in keys}
    counts = {key: len(set(v)) for key, v in numbers.items() if None not in v and key not in SEEDS}
    if max(counts.values(), default=0) < 3:
        return None
    key, lines = max(counts, key=counts.__getitem__), {}
    for (name, summary), x in zip(found.items(), numbers[key], strict=True):
        metric = summary["metrics"].get(judge)
        if metric is not None and metric["mean"] is not None:
            ends = [metric["mean"] if metric.get(end) is None else metric[end] for end in ("low", "high")]
            others = " ".join(f"{k}={v}" for k, v in each[name].items() if k != key)
            lines.setdefault(others, []).append([x, metric["mean"], *ends])
    arrays = {name: np.array(points, float) for name, points in lines.items()}
    task = _task(next(iter(found.values())))
    return Against(key, f"{label(judge, task)} of the best epoch", arrays) if arrays else None


def _number(text: str) -> float | None:
    """`64` and `[64]` are numbers; `full` and `[64,32]` are not."""
    try:
        value = float(text.removeprefix("[").removesuffix("]"))
        return value if np.isfinite(value) else None
    except ValueError:
        return None


def losses(folder: Path, kind: str = "val") -> np.ndarray:
    """(rows, epochs) of a run folder, NaN where a row did not train, or a run has no validation set."""
    run, name = StoredRun(folder), f"{kind}_loss"
    return run.curves(name) if name in run.metrics else np.full_like(run.curves("train_loss"), np.nan)


def table(summaries: dict[str, dict]) -> list[str]:
    """One line a run: what it has of its own, and mean +- half the interval of every metric that some run
    has; a table for each task. Names that leave no room for the numbers become columns, one for each key, or
    else have lines of their own."""
    lines = []
    for task in dict.fromkeys(map(_task, summaries.values())):
        lines += ["", *_table({name: s for name, s in summaries.items() if _task(s) == task}, task)]
    return lines


def _table(summaries: dict[str, dict], task: str) -> list[str]:
    kind, runs = _kind(summaries), summaries.values()
    metrics = [name.format(kind) for name in SHOWN]
    metrics = [metric for metric in metrics if any(metric in s["metrics"] for s in runs)]
    heads, numbers = (
        [label(metric, task) for metric in metrics],
        [[_cell(s, m) for m in metrics] for s in runs],
    )
    names = [name + _diverged(summary) for name, summary in summaries.items()]
    for keys, cells in (([""], [[name] for name in names]), _by_key(summaries)):
        rows = [[*own, *row] for own, row in zip(cells, numbers, strict=True)]
        lines = text_columns.table([*keys, *heads], rows, len(keys))
        if "" not in lines and max(len(cell) for own in cells for cell in own) <= text_columns.LONGEST:
            return lines
    lines = text_columns.table(["", *heads], [["", *row] for row in numbers], 1)
    own = len(lines) - len(numbers)
    each = zip(names, lines[own:], strict=True)
    return [*lines[:own], *(text for name, row in each for text in (*text_columns.wrapped(f"  {name}"), row))]


def words(name: str) -> dict[str, str]:
    """A run's name as what was overridden: key -> value."""
    each = re.split(r" (?=[~+]*[A-Za-z_][\w./@-]*=)", name)
    return {key: value for key, _, value in (word.partition("=") for word in each)}


def brief(names: list[str], longest: int = BRIEF) -> list[str]:
    """The names with short keys; where one of them is too long, the values alone."""
    each = [words(name) for name in names]
    keys = list(dict.fromkeys(key for one in each for key in one))
    short = dict(zip(keys, text_columns.short_names(keys), strict=True))
    said = [" ".join(f"{short[key]}={value}" if value else key for key, value in one.items()) for one in each]
    return said if max(map(len, said)) <= longest else [", ".join(one.values()) for one in each]


def _by_key(summaries: dict[str, dict]) -> tuple[list[str], list[list[str]]]:
    """The keys that runs are named by, and each run's values; how many rows diverged, if any did."""
    each = [words(name) for name in summaries]
    keys = list(dict.fromkeys(key for one in each for key in one))
    values = [[one.get(key, "-") for key in keys] for one in each]
    lost = [f"{s['rows']['diverged']} of {s['rows']['total']}" for s in summaries.values()]
    if any(map(_diverged, summaries.values())):
        return [*keys, "diverged"], [[*v, n] for v, n in zip(values, lost, strict=True)]
    return keys, values


def _cell(summary: dict, name: str) -> str:
    metric = summary["metrics"].get(name)
    if metric is None or metric["mean"] is None:
        return "-"
    said = form(name, _task(summary))
    half = None if metric.get("low") is None else (metric["high"] - metric["low"]) / 2
    return spread(metric["mean"], half, said) + "*" * bool(_diverged(summary))


def _kind(summaries: dict[str, dict]) -> str:
    """Runs are ranked by validation; by training if no run that ended well has held anything back."""
    there = {name for s in summaries.values() for name in s["metrics"]}
    return "train" if "train_loss" in there and "val_loss" not in there else "val"


def _judge(summaries: dict[str, dict]) -> str:
    """The metric that orders the runs: the loss, if all on the same data have the same kind of it."""
    kinds: dict[str, set] = {}
    for summary in summaries.values():
        kinds.setdefault(_data(summary), set()).add(summary.get("loss_is"))
    what = "loss" if all(len(kind) == 1 for kind in kinds.values()) else "error"
    return f"{_kind(summaries)}_{what}"


def _task(summary: dict) -> str:
    """The run's task; of a folder that does not say it, what its metrics are of."""
    inferred = "regression" if "test_rmse" in summary["metrics"] else "classification"
    return summary.get("task", inferred)


def _data(summary: dict) -> str:
    return summary.get("data", "")


def _diverged(summary: dict) -> str:
    counts = summary["rows"]
    return f" ({counts['diverged']} of {counts['total']} diverged)" if counts["diverged"] else ""


def _axis(summaries: dict[str, dict]) -> str:
    """What the picture shows."""
    kinds = {(_data(s), s.get("loss_is")) for s in summaries.values()}
    mixed = ", of different data or kinds" if len(kinds) > 1 else ""
    return f"{label(f'{_kind(summaries)}_loss', '')}{mixed}"


def _summary(folder: Path) -> dict:
    return StoredRun(folder).summary

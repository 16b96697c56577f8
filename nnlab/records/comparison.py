"""Several runs beside each other: the table that `nnlab train -m` ends with, and their curves."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from nnlab.records.text import number, percent

SHOWN = ("{}_loss", "{}_error", "test_accuracy", "test_rmse")  # of validation; see `_kind`
WORDS = {"val": "validation", "train": "training"}
SHARES = {"val_error", "train_error", "test_accuracy"}  # shown as percentages for classification


def compare(runs: dict[str, Path], stream=None) -> None:
    """Print a table of the runs, {what differs: folder}, the best first; keep it as comparison.json.

    A run's numbers are those of its summary.json: means over its rows, with their 95% intervals. The
    validation losses of the eight best are drawn in comparison.png; training losses, if no run has others.
    """
    found = {name: _summary(folder) for name, folder in runs.items()}
    kind = _kind(found)
    order = sorted(runs, key=lambda name: _rank(found[name], kind))
    for line in table({name: found[name] for name in order}):
        print(line, file=stream)
    folder = next(iter(runs.values())).parent
    rows = [{"run": name, "folder": runs[name].name, **found[name]} for name in order]
    (folder / "comparison.json").write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")
    (folder / "comparison.png").write_bytes(picture({name: runs[name] for name in order[:8]}, kind))
    print(f"\n  all runs           {folder}", file=stream)


def picture(runs: dict[str, Path], kind: str = "val") -> bytes:
    """The runs' losses over the epochs, as a PNG."""
    from nnlab.records.picture import draw_beside

    return draw_beside({name: losses(folder, kind) for name, folder in runs.items()}, f"{WORDS[kind]} loss")


def losses(folder: Path, kind: str = "val") -> np.ndarray:
    """(rows, epochs) of a run folder's metrics.jsonl; NaN where a row did not train."""
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    lines = [line for line in lines if not line.get("refit")]
    values = np.full((1 + max(x["row"] for x in lines), max(x["epoch"] for x in lines)), np.nan)
    for line in lines:
        loss = line.get(f"{kind}_loss")
        values[line["row"], line["epoch"] - 1] = np.nan if loss is None else loss
    return values


def table(summaries: dict[str, dict]) -> list[str]:
    """One line a run: its name, and mean +- half the interval of every metric that some run has."""
    shown = [name.format(_kind(summaries)) for name in SHOWN]
    columns = [m for m in shown if any(m in s["metrics"] for s in summaries.values())]
    share = any("classification" in s or "test_accuracy" in s["metrics"] for s in summaries.values())
    words = [c.replace("val_", "validation ").replace("train_", "training ") for c in columns]
    cells = [["", *(c.replace("_", " ") for c in words)]]
    for name, summary in summaries.items():
        counts = summary["rows"]
        note = f" ({counts['diverged']} of {counts['total']} diverged)" if counts["diverged"] else ""
        cells.append([name + note, *(_cell(summary["metrics"].get(c), c, share) for c in columns)])
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = [
        f"  {first:{widths[0]}}  " + "  ".join(f"{c:>{w}}" for c, w in zip(rest, widths[1:], strict=True))
        for first, *rest in cells
    ]
    return ["", *lines]


def _cell(metric: dict | None, name: str, share: bool) -> str:
    if metric is None:
        return "-"
    form = percent if share and name in SHARES else number
    half = "" if metric.get("low") is None else f" ± {form((metric['high'] - metric['low']) / 2)}"
    return form(metric["mean"]) + half


def _kind(summaries: dict[str, dict]) -> str:
    """Runs are ranked by validation; by training if no run that ended well has held anything back."""
    there = {name for s in summaries.values() for name in s["metrics"]}
    return "train" if "train_loss" in there and "val_loss" not in there else "val"


def _rank(summary: dict, kind: str = "val") -> tuple:
    loss = summary["metrics"].get(f"{kind}_loss")
    return (loss is None, loss["mean"] if loss else 0.0)


def _summary(folder: Path) -> dict:
    return json.loads((folder / "summary.json").read_text(encoding="utf-8"))

"""A reproduction in words: the lines of its table on a screen of 80 columns, and in Markdown."""

from __future__ import annotations

import shlex

from nnlab.records.text import format_duration, format_number, shell_line
from nnlab.records.text_columns import command_lines, labelled_lines, table, wrap_line
from nnlab.reproduction.published import Published, PublishedTable
from nnlab.reproduction.reproduction import Reproduction
from nnlab.reproduction.verdicts import CellVerdict, ClaimPair, ClaimVerdict, Ours

MEASURE_WORDS = {"train": "training", "val": "validation", "test": "test"}


# ---- numbers and verdicts


def number(x: float | None, unit: str) -> str:
    """A value of a table: with two decimals in percent."""
    if x is None:
        return ""
    return f"{x:.2f}" if unit == "%" else format_number(x)


def published_text(published: Published | None, unit: str) -> str:
    if published is None:
        return "-"
    return number(published.mean, unit)


def sd_text(published: Published | None) -> str:
    """With a digit more than the means have."""
    return "" if published is None or published.sd is None else f"{published.sd:.3f}"


def ours_text(ours: Ours | None, unit: str) -> str:
    if ours is None:
        return ""
    if ours.mean is None:
        return "diverged"
    half = "" if ours.high is None else f" ± {number((ours.high - ours.low) / 2, unit)}"
    return number(ours.mean, unit) + half


def count_text(ours: Ours | None) -> str:
    if ours is None:
        return ""
    return f"{ours.n} of {ours.n + ours.diverged}" if ours.diverged else str(ours.n)


def seconds_text(seconds: float | None) -> str:
    if seconds is None:
        return ""
    return f"{seconds:.0f}" if seconds >= 9.5 else f"{seconds:.1f}"


def verdict_text(verdict: CellVerdict, unit: str) -> str:
    if verdict.status not in ("outside", "single"):
        return {"unpublished": "", "not judged": ""}.get(verdict.status, verdict.status)
    far = f"{number(abs(verdict.difference), unit)} {'above' if verdict.difference > 0 else 'below'}"
    if verdict.status == "single":
        return f"{far}, one value"
    return f"{far}, outside ± {number(verdict.margin, unit)}"


def pair_text(pair: ClaimPair, unit: str) -> str:
    """`-0.31 (-0.50 to -0.12), p = 0.01, 5 seeds`"""
    if pair.difference is None:
        return f"{pair.n} seeds"
    points = {"%": " points"}.get(unit, "")
    text = f"{number(pair.difference, unit)}{points}"
    if pair.low is not None:
        text += f" ({number(pair.low, unit)} to {number(pair.high, unit)})"
    return text + (f", p {_p_text(pair.p_holm)}" if pair.p_holm is not None else "") + f", {pair.n} seeds"


def _p_text(p: float) -> str:
    return f"= {p:.2g}" if p >= 1e-4 else "below 0.0001"


def measure_words(published: PublishedTable) -> str:
    """`test error in %`: what the cells measure, each once."""
    names = dict.fromkeys(cell.measure for cell in published.cells.values())
    texts = []
    for name in names:
        set_name, _, metric = name.partition("_")
        texts.append(f"{MEASURE_WORDS.get(set_name, set_name)} {metric.replace('_', ' ')}")
    return ", ".join(texts) + f" in {published.unit}" * bool(published.unit)


def _results(reproduction: Reproduction) -> tuple[list[str], list[list[str]]]:
    """Headings and rows: of the published job beside what was published, of another one alone."""
    plan, published, unit = reproduction.plan, reproduction.table, reproduction.table.unit
    columns: dict[str, list[str]] = {}
    for name in published.cells if plan.is_published_job else plan.cells:
        value, ours = published.cells[name].published, reproduction.ours(name)
        texts = {
            "cell": name,
            "published": published_text(value, unit),
            "sd": sd_text(value),
            "nnlab": ours_text(ours, unit),
            "n": count_text(ours),
            "best of": reproduction.chosen.get(name, ""),
            "CPU s": seconds_text(reproduction.cell_seconds(name)),
            "verdict": verdict_text(reproduction.cell_verdict(name), unit),
        }
        if not plan.is_published_job:
            texts = {key: text for key, text in texts.items() if key not in ("published", "sd", "verdict")}
        for key, text in texts.items():
            columns.setdefault(key, []).append(text)
    columns = {key: texts for key, texts in columns.items() if any(texts)}
    return [*columns], [*map(list, zip(*columns.values(), strict=True))]


def chosen_note(reproduction: Reproduction) -> str:
    """That the best of several settings is too good; "" where no cell has that."""
    if not reproduction.chosen:
        return ""
    return (
        f"each cell has the best of {len(reproduction.plan.best_of)} settings, chosen by the very values "
        f"that are shown and judged, so these are a little too good"
    )


# ---- the screen


def screen_lines(reproduction: Reproduction) -> list[str]:
    """The table of cells, then the claims."""
    plan, published = reproduction.plan, reproduction.table
    lines = [f"{published.name}: {published.title}", f"  {published.source}", f"  {plan.label}"]
    lines += [f"  {measure_words(published)}", "", *table(*_results(reproduction), 1)]
    if note := chosen_note(reproduction):
        lines += ["", *wrap_line(f"  {note}")]
    return [*lines, *claim_lines(reproduction)]


def claim_lines(reproduction: Reproduction) -> list[str]:
    """A line for each claim, and below it one for each of its pairs, if they are several."""
    lines = []
    verdicts = reproduction.claim_verdicts()
    for claim, verdict in zip(reproduction.table.claims, verdicts, strict=True):
        lines += wrap_line(f"  {claim.text}: {_status_text(verdict)}")
        for pair in verdict.pairs:
            names = f"{pair.first}, {pair.second}: {pair.status}, " if len(verdict.pairs) > 1 else ""
            lines += wrap_line(f"  - {names}{pair_text(pair, reproduction.table.unit)}")
    return ["", "  orders that were claimed (p by Holm, of paired differences)", *lines] if lines else []


def _status_text(verdict: ClaimVerdict) -> str:
    return {"reversed": "does not hold"}.get(verdict.status, verdict.status)


def closing_lines(reproduction: Reproduction, folder) -> list[str]:
    seconds = reproduction.seconds
    used = format_duration(seconds) if seconds is not None else "not known, since it was interrupted"
    lines = ["", *labelled_lines("processor time", f"{used} ({reproduction.machine})")]
    lines += labelled_lines("folder", folder)
    return lines + command_lines("to show it again", f"nnlab reproduce {folder}")


# ---- Markdown


def markdown(reproduction: Reproduction) -> str:
    """The content of reproduction.md."""
    published = reproduction.table
    parts = [f"# {published.title}", published.source + ".", markdown_results(reproduction)]
    if published.notes:
        parts.append("\n".join(f"- {note}" for note in published.notes))
    return "\n\n".join(parts) + "\n"


def markdown_results(reproduction: Reproduction) -> str:
    """The label, the table of cells, the claims, and the command."""
    label = reproduction.plan.label[0].upper() + reproduction.plan.label[1:]
    headings, rows = _results(reproduction)
    lines = [f"{label}; {measure_words(reproduction.table)}:", "", _row(headings)]
    lines += [_row(["---", *["--:"] * (len(headings) - 1)]), *map(_row, rows)]
    if note := chosen_note(reproduction):
        lines += ["", f"{note[0].upper()}{note[1:]}."]
    lines += ["", f"    {reproduction.command}", *not_run_lines(reproduction)]
    return "\n".join([*lines, *markdown_claims(reproduction)])


def not_run_lines(reproduction: Reproduction) -> list[str]:
    """The command of the cells that were not run, where the values of the others are judged."""
    left = [name for name in reproduction.table.cells if name not in reproduction.values]
    if not left or not reproduction.values or not reproduction.plan.is_published_job:
        return []
    words = [word for word in shlex.split(reproduction.command) if not word.startswith("cells=")]
    return [f"    {shell_line([*words, 'cells=' + ','.join(left)])}"]


def markdown_claims(reproduction: Reproduction) -> list[str]:
    lines = []
    verdicts = reproduction.claim_verdicts()
    for claim, verdict in zip(reproduction.table.claims, verdicts, strict=True):
        pairs = "; ".join(
            f"{pair.first}, {pair.second}: {pair_text(pair, reproduction.table.unit)}"
            for pair in verdict.pairs
        )
        lines.append(f"- {claim.text}: **{_status_text(verdict)}**" + f" ({pairs})" * bool(pairs))
    return ["", *lines] if lines else []


def _row(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"

"""What a summary says of the learning rate: how it fell, where a schedule lowered it, where it went back."""

from __future__ import annotations

from nnlab.records.text_columns import wrap_line

EPOCHS_NAMED = 8  # of those after which a schedule lowered the rate


def format_rate(rate: float) -> str:
    """`0.1`, `0.001563`, `9.766e-05`; in nine characters at most."""
    return f"{rate:.4g}" if rate == 0 or rate > 1e-99 else f"{rate:.2g}"


def rate_lines(summary: dict, width: int) -> list[str]:
    """The learning rate of a run in which it changed; labels take `width` characters."""
    rates = summary.get("learning_rate")
    if not rates:
        return []
    texts = {"learning rate": _course(rates)}
    lowered, back = rates.get("lowered_after", []), rates.get("went_back_after", [])
    verb = "halved" if rates.get("halved") else "lowered"
    if lowered and lowered in (back, back[:-1]):  # after the last epoch a row may go back, to no other rate
        texts[verb] = f"after {_epochs(back)}, going back each time"
    elif lowered or back:  # of a single row, whose epochs are known
        after = {verb: lowered, "went back": back}
        texts |= {what: f"after {_epochs(epochs)}" for what, epochs in after.items() if epochs}
    elif "lowered" in rates:
        texts[verb] = _times(rates["lowered"])
        if "went_back" in rates:
            texts["went back"] = _times(rates["went_back"])
    return [line for label, text in texts.items() for line in wrap_line(f"  {label:<{width}}{text}")]


def idle_note(summary: dict) -> str:
    """A sentence where the rate became so small that nothing changed any more; else empty."""
    idle = summary.get("learning_rate", {}).get("too_small")
    ended_by_schedule = any(why.startswith("schedule=") for why in summary.get("stopped_by", {}))
    if not idle or ended_by_schedule:  # the schedule itself has said that the rate is too small
        return ""
    total = summary["rows"]["total"]
    of_rows = f" of {idle['rows']} of {total} rows" if total > 1 else ""
    rate, epochs = idle["rate"]["median"], idle["epochs"]["median"]
    largest = summary["learning_rate"]["largest"]["median"]
    return (
        f"nothing changed in the last {epochs:.0f} epochs{of_rows}: the learning rate fell to "
        f"{format_rate(rate)}, {_fraction(rate / largest)} of the largest, and the loss moved by less than "
        f"0.1%; {idle['remedy']}"
    )


def _course(rates: dict) -> str:
    first, last, largest = (format_rate(rates[name]["median"]) for name in ("first", "last", "largest"))
    if largest in (first, last):
        return f"{first} to {last}"
    return f"{first}, then up to {largest}, at last {last}"


def _epochs(epochs: list[int]) -> str:
    """`epochs 12, 19 and 33`; of many the first, and how many there are."""
    if len(epochs) == 1:
        return f"epoch {epochs[0]}"
    if len(epochs) <= EPOCHS_NAMED:
        return f"epochs {', '.join(map(str, epochs[:-1]))} and {epochs[-1]}"
    return (
        f"epochs {', '.join(map(str, epochs[: EPOCHS_NAMED - 1]))}, ..., {epochs[-1]} ({len(epochs)} times)"
    )


def _times(counts: dict) -> str:
    low, median, high = (f"{counts[name]:g}" for name in ("min", "median", "max"))
    times = f"{median} time{'s' * (median != '1')}"
    return f"{times}  ({low} to {high})" if low < high else times


def _fraction(share: float) -> str:
    """`1/512` of a small share; of a tiny one `1e-08`."""
    return f"1/{1 / share:,.0f}" if share > 1e-7 else f"{share:.1g}"

"""How the arms of a comparison were tuned: what each one's sweep found."""

from __future__ import annotations

from nnlab.records.text import metric_formatter, metric_label
from nnlab.records.tuning_text import ends_note, stored_winners
from nnlab.report.page import Section
from nnlab.report.parts import Part, Table, Text

MOST_WINNERS = 60  # in the table


def tuning_section(entry: object, task: str) -> Section | None:
    """The winners in `tuning` of compare.json; None where nothing was tuned."""
    winners = stored_winners(entry) if isinstance(entry, dict) else []
    if not winners:
        return None
    several = len({each.data for each in winners}) > 1
    objective = winners[0].objective
    headings = ["arm", *["data"] * several, "settings that won", metric_label(objective, task)]
    rows = [
        [each.arm, *[each.data] * several, " ".join(each.short_words),
         metric_formatter(each.objective, task)(each.value), f"{each.trials}", f"{each.failed}"]
        for each in winners[:MOST_WINNERS]
    ]  # fmt: skip
    body: list[Part] = [Table([*headings, "trials", "failed"], rows, labels=2 + several)]
    searched = {key: text for each in winners for key, text in each.searched.items()}
    body.append(Text("Searched: " + "; ".join(f"{key} in {text}" for key, text in searched.items()) + "."))
    if note := ends_note(winners):
        body.append(Text(f"{note[0].upper()}{note[1:]}."))
    note = "Their sweeps are the folders in tuning/, and compare.json has all digits of what won."
    return Section("How arms were tuned", body, note)

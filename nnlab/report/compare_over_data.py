"""Arms over several data sets: their mean ranks, what these show, and a performance profile."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from nnlab.records.arms_table import shown_names
from nnlab.records.ranking_words import profile_of, ranking_of, ranking_sentences, ranks_on_data
from nnlab.report.colours import series
from nnlab.report.page import Section
from nnlab.report.parts import Part, PlotlyFigure, Table, Text
from nnlab.statistics.comparison import Comparison

NAME_CHARACTERS, NAMED_ARMS = 36, 12
LOG_FROM_RATIO = 5  # of an arm's result to that of the best


def over_data_section(
    compared: Mapping[str, Mapping[str, Comparison]], values: Sequence[Mapping[str, np.ndarray]]
) -> Section | None:
    """The ranking by the measure, the first quantity of each data set; `values` are the units of arms on each
    data set. None of a single data set."""
    firsts = {data: next(iter(of_data.values())) for data, of_data in compared.items() if of_data}
    ranking = ranking_of(firsts)
    if ranking is None:
        return None
    names = shown_names(ranking.arms)
    columns = ranks_on_data(firsts, ranking.arms).values()
    rows = [
        [names[arm], f"{rank:.2f}", *(f"{of_data[n]:g}" for of_data in columns)]
        for n, (arm, rank) in enumerate(zip(ranking.arms, ranking.mean_ranks, strict=True))
    ]
    body: list[Part] = [Table(["arm", "mean rank", *(f"rank on {data}" for data in firsts)], rows)]
    body += [Text(f"{sentence[0].upper()}{sentence[1:]}.") for sentence in ranking_sentences(ranking)]
    if not any(c.larger_is_better for c in firsts.values()):
        body += _profile(ranking.arms, values)
    note = "Ranks are of means; equal ones share one, and an arm that diverged is the last on its data set."
    return Section("Over all data sets", body, note)


def _profile(arms: Sequence[str], values: Sequence[Mapping[str, np.ndarray]]) -> list[PlotlyFigure]:
    """On which share of seeds and data sets an arm is within a ratio of the best (Dolan and More 2002)."""
    profile = profile_of(arms, values)
    if profile is None:
        return []
    names = shown_names(arms, NAME_CHARACTERS)
    traces = [
        {"x": profile.ratios, "y": [100 * share for share in profile.shares[arm]], "mode": "lines",
         "name": names[arm], "line": {"shape": "hv", "color": series(n), "width": 2}}
        for n, arm in enumerate(arms[:NAMED_ARMS])
    ]  # fmt: skip
    scale = "log" if profile.ratios[-1] > LOG_FROM_RATIO else "linear"
    layout = {
        "xaxis": {"title": "ratio to the best arm", "type": scale, "tickformat": "~g"},
        "yaxis": {"title": "runs within this ratio (%)", "range": [-2, 103]},
        "hovermode": "closest",
    }
    caption = (
        "Performance profile: on which share of all seeds and data sets an arm's result is at most so many "
        "times that of the best arm; at 1, how often it is the best."
    )
    return [PlotlyFigure(traces, layout, "performance profile of the arms", caption, max_width=760)]

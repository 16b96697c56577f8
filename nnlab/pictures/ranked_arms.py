"""compare_over_data.png: the critical-difference diagram of arms over data sets, and their profile."""

from __future__ import annotations

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from nnlab.errors import visible
from nnlab.records.arms_table import shown_names
from nnlab.records.picture import (
    BLACK,
    DOTS_PER_INCH,
    GREY,
    RUN_COLOURS,
    SIZE_INCHES,
    render_png,
    style_axes,
    with_default_style,
)
from nnlab.records.text_columns import elide_middle
from nnlab.statistics.over_data import Profile, Ranking

MOST_ARMS = 20
NAME_CHARACTERS = 34
LINE_INCHES, TOP_INCHES, BOTTOM_INCHES = 0.3, 0.2, 0.75
LEAST_INCHES = 3.6
LOG_FROM_RATIO = 5
FEW_LINES = 7  # of the profile that have a colour each


@with_default_style
def draw(ranking: Ranking, profile: Profile | None) -> bytes:
    """A PNG, 1200 pixels wide. Left: a dot for each arm at its mean rank, the best at the top, and bars that
    join arms not shown to differ (Demsar 2006). Right, if there is one: the profile (Dolan and More 2002).
    """
    arms = ranking.arms[:MOST_ARMS]
    height = max(LEAST_INCHES, TOP_INCHES + BOTTOM_INCHES + LINE_INCHES * (len(arms) + len(ranking.groups)))
    figure = Figure(figsize=(SIZE_INCHES[0], height), dpi=DOTS_PER_INCH, facecolor="white")
    FigureCanvasAgg(figure)
    left, right, *_ = figure.subplots(1, 2) if profile else (figure.subplots(1, 1), None)
    figure.subplots_adjust(left=0.24, right=0.98, bottom=BOTTOM_INCHES / height, top=1 - TOP_INCHES / height)
    _draw_ranks(left, ranking, arms)
    if profile:
        _draw_profile(right, profile, arms)
    return render_png(figure)


def _draw_ranks(axes, ranking: Ranking, arms: tuple[str, ...]) -> None:
    names = _names(arms)
    ranks = dict(zip(ranking.arms, ranking.mean_ranks, strict=True))
    places = {arm: -number for number, arm in enumerate(arms)}
    axes.plot([ranks[arm] for arm in arms], [*places.values()], "o", color=BLACK, markersize=5)
    for number, group in enumerate(ranking.groups):
        y = -len(arms) - 0.6 * number
        joined = [ranks[arm] for arm in group]
        axes.plot([min(joined), max(joined)], [y, y], color=BLACK, linewidth=3, solid_capstyle="round")
    if (difference := ranking.critical_difference) is not None:
        axes.plot([1, 1 + difference], [0.9, 0.9], color=GREY, linewidth=1.5)
        axes.text(1, 1.05, f"critical difference {difference:.2f}", fontsize=7, color=GREY, va="bottom")
    axes.set_yticks([*places.values()], [names[arm] for arm in arms])
    axes.set_xlim(0.8, max(len(ranking.arms), 1 + (difference or 0)) + 0.2)
    axes.set_ylim(-len(arms) - 0.6 * len(ranking.groups), 1.7)
    label = f"mean rank over {len(ranking.data)} data sets\nbars join arms that are not shown to differ"
    axes.set_xlabel(label, fontsize=8, color=BLACK)
    style_axes(axes)


def _draw_profile(axes, profile: Profile, arms: tuple[str, ...]) -> None:
    names = _names(arms)
    for number, arm in enumerate(arms[:FEW_LINES]):
        shares = [100 * share for share in profile.shares[arm]]
        colour = RUN_COLOURS[number % len(RUN_COLOURS)]
        axes.step([*profile.ratios, profile.ratios[-1] * 1.02], [*shares, shares[-1]], where="post",
                  color=colour, linewidth=1.6, label=names[arm])  # fmt: skip
    if profile.ratios[-1] > LOG_FROM_RATIO:
        axes.set_xscale("log")
    axes.set_ylim(-2, 103)
    axes.set_xlabel("ratio to the best arm of the seed", fontsize=8, color=BLACK)
    axes.set_ylabel("runs within this ratio (%)", fontsize=8, color=BLACK)
    axes.legend(framealpha=0.9, edgecolor="none", fontsize=7, labelcolor=BLACK, loc="lower right")
    style_axes(axes)


def _names(arms: tuple[str, ...]) -> dict[str, str]:
    shown = shown_names(list(arms), NAME_CHARACTERS)
    texts = {arm: elide_middle(visible(name), NAME_CHARACTERS) for arm, name in shown.items()}
    return {arm: text.replace("$", r"\$") for arm, text in texts.items()}

"""What of a comparison is seen beside its text: compare.png, and the run `comparison` of TensorBoard."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from nnlab.pictures import ranked_arms
from nnlab.pictures.compared_arms import ComparedArms, draw
from nnlab.records.arm_units import arm_units
from nnlab.records.compared_quantity import ComparedQuantity
from nnlab.records.comparison_file import Comparisons
from nnlab.records.comparison_tensorboard import write_comparison_events
from nnlab.records.files import atomic_write
from nnlab.records.stored_comparison import StoredComparison
from nnlab.statistics.over_data import Profile, Ranking

PICTURE_FILE, RANKING_FILE = "compare.png", "compare_over_data.png"


def draw_comparison(
    folder: Path, stored: StoredComparison, comparisons: Comparisons, lines: Sequence[str]
) -> None:
    """Draw compare.png of the measure, each data set's first quantity; `lines` are those of the screen."""
    panels = []
    for data, of_data in comparisons.items():
        measure, comparison = next(iter(of_data.items()))
        values = arm_units({arm: of_arm[data] for arm, of_arm in stored.runs.items()}, measure)
        name = data if len(comparisons) > 1 else ""
        panels.append(ComparedArms(comparison, ComparedQuantity(measure, stored.task(data)), values, name))
    png = draw(panels)
    with atomic_write(folder / PICTURE_FILE) as temporary:
        temporary.write_bytes(png)
    units = max(arm.n + arm.diverged for panel in panels for arm in panel.comparison.arms)
    write_comparison_events(folder, lines, png, units)


def draw_ranking(folder: Path, ranking: Ranking, profile: Profile | None) -> None:
    """Draw compare_over_data.png, of several data sets."""
    with atomic_write(folder / RANKING_FILE) as temporary:
        temporary.write_bytes(ranked_arms.draw(ranking, profile))

"""The parts of a report's sections: text, tables, plotly's figures, images; none has markup of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Text:
    """A paragraph; `muted` where it is a remark."""

    text: str
    muted: bool = False


@dataclass(frozen=True)
class Preformatted:
    """Lines as they are on a screen; `wrapped` where they may be broken, as a command."""

    text: str
    wrapped: bool = False


@dataclass(frozen=True)
class Table:
    """Cells as text, with the first `labels` columns to the left, the others, numbers, to the right.

    A table that is wider than the page scrolls.
    """

    headings: Sequence[str]
    rows: Sequence[Sequence[str]]
    labels: int = 1
    note: str = ""  # below the table, muted


@dataclass(frozen=True)
class PlotlyFigure:
    """Traces and a layout, as plotly.js takes them: dicts of plain values and numpy arrays.

    A colour is a name of `nnlab.report.colours`, `--series0`, or `--series0/0.2` to see through it: the
    browser looks it up for a light or a dark screen. Backgrounds, axes and fonts are those of the page.

        PlotlyFigure([{"x": epochs, "y": loss, "name": "training", "line": {"color": "--series0"}}],
                     {"xaxis": {"title": "epoch"}, "yaxis": {"title": "loss"}}, label="loss over the epochs")
    """

    data: Sequence[dict]
    layout: dict = field(default_factory=dict)
    label: str = ""  # what is drawn, for those who do not see it
    caption: str = ""  # below the figure, muted
    height: int = 340  # pixels, without the legend
    min_width: int = 0  # pixels; a figure that is wider than the page scrolls
    max_width: int = 0  # pixels; 0: as wide as there is room


@dataclass(frozen=True)
class Image:
    """A PNG; `pixelated` if its pixels are numbers, seen as squares; `width` in pixels, if not its own."""

    png: bytes
    label: str  # what is drawn, for those who do not see it
    caption: str = ""  # below the image, muted
    pixelated: bool = False
    width: int | None = None


@dataclass(frozen=True)
class Svg:
    """A drawing whose text is escaped already: that of `nnlab.records.graph_svg`."""

    markup: str
    label: str = ""


Part = Text | Preformatted | Table | PlotlyFigure | Image | Svg

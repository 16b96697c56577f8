"""What the pictures of this folder share."""

from __future__ import annotations

import io

import numpy as np

# Of samplers: random search is what the others are compared with.
COLOURS = {
    "random": "black", "grid": "tab:gray", "qmc": "tab:olive", "tpe": "tab:blue", "cmaes": "tab:green",
    "gp": "tab:red",
}  # fmt: skip


def line_with_band(axes, x, mean, half, label: str, colour: str, **style) -> None:
    """A line, and its interval as a band."""
    axes.plot(x, mean, color=colour, label=label, **style)
    half = np.nan_to_num(half)
    axes.fill_between(x, mean - half, mean + half, color=colour, alpha=0.15, linewidth=0)


def finished(figure, axes, legend: int = 0) -> bytes:
    """The figure as PNG: no frames, a legend on one panel, unused panels removed."""
    for i, panel in enumerate(axes):
        if not panel.has_data():
            panel.remove()
            continue
        panel.spines[["top", "right"]].set_visible(False)
        panel.title.set_fontsize(10)
        if i == legend:
            panel.legend(frameon=False, fontsize=8)
    figure.set_layout_engine("constrained")
    content = io.BytesIO()
    figure.savefig(content, format="png")
    return content.getvalue()

"""The picture of the rung gradients: the error of each box, and that of differences by their epsilon."""

from __future__ import annotations

import numpy as np
from matplotlib.ticker import LogLocator, NullFormatter

from nnlab.errors import shortened, visible
from nnlab.records.picture import (
    BLACK,
    GREY,
    RUN_COLOURS,
    blank_figure,
    render_png,
    style_axes,
    with_default_style,
)

BAD_COLOUR = "#D55E00"
MOST_GRADIENTS = 16  # lines of the left panel; of more, those with the largest errors
LONGEST_NAME = 26
SMALLEST_ERROR = 1e-17  # where an error of 0 is drawn
AUTOGRAD = {"marker": "s", "color": RUN_COLOURS[5], "markersize": 4.5}
DIFFERENCES = {"marker": "o", "color": RUN_COLOURS[0], "markersize": 5}
DTYPE_STYLES = {"float32": (RUN_COLOURS[4], "s--"), "float64": (RUN_COLOURS[0], "o-")}


@with_default_style
def gradients(details: dict, title: str) -> bytes:
    figure = blank_figure()
    left, right = figure.subplots(1, 2, width_ratios=[1.15, 1])
    figure.subplots_adjust(left=0.2, right=0.985, bottom=0.145, top=0.83, wspace=0.26)
    figure.text(0.0125, 0.945, title, fontsize=9.5, color=BLACK, va="center", parse_math=False)
    _draw_boxes(left, details)
    _draw_epsilons(right, details["epsilon"])
    return render_png(figure)


def _draw_boxes(axes, details: dict) -> None:
    """The errors of each gradient, box by box, on a line of its own, with their limits."""
    limit, autograd_limit = details["limits"]
    of_gradient = {name: (c["error"], c["autograd"]) for name, c in details["boxes"].items()}
    names = list(of_gradient)
    if len(names) > MOST_GRADIENTS:
        severity = {n: max(e / limit, (a or 0) / autograd_limit) for n, (e, a) in of_gradient.items()}
        worst = sorted(names, key=lambda name: -severity[name])[:MOST_GRADIENTS]
        names = [name for name in names if name in worst]
    for line, name in enumerate(names):
        error, autograd_error = of_gradient[name]
        for value, most, style in ((error, limit, DIFFERENCES), (autograd_error, autograd_limit, AUTOGRAD)):
            if value is not None:
                wrong = {"color": BAD_COLOUR, "markersize": 7} if not value <= most else {}
                axes.plot([_on_log(value)], [line], linestyle="", clip_on=False, **style | wrong)
    for most, style in ((limit, DIFFERENCES), (autograd_limit, AUTOGRAD)):
        axes.axvline(most, color=style["color"], linewidth=1.1, linestyle=":")
    _name_lines(axes, names, details)
    for label, style in (("central differences", DIFFERENCES), ("torch.autograd", AUTOGRAD)):
        axes.plot([], [], linestyle="", label=label, **style)
    axes.plot([], [], color=GREY, linewidth=1.1, linestyle=":", label="their limits")
    _legend(axes)
    axes.set_xscale("log")
    axes.set_xlim(SMALLEST_ERROR / 2, 10)
    _decades(axes.xaxis, 3)
    axes.text(SMALLEST_ERROR, -0.022, "0", fontsize=8, color=BLACK, ha="center", va="top",
              transform=axes.get_xaxis_transform())  # fmt: skip
    more = f" (the {len(names)} largest of {len(of_gradient)})" if len(names) < len(of_gradient) else ""
    axes.set_xlabel(f"relative error of each gradient of a box{more}", fontsize=9, color=BLACK)
    style_axes(axes)
    _colour_wrong(axes, names, of_gradient, (limit, autograd_limit))


def _name_lines(axes, names: list[str], details: dict) -> None:
    """Write the gradients' names along the y axis, the first at the top."""
    planted = details.get("planted")
    labels = []
    for name in names:
        text = shortened(visible(name), LONGEST_NAME)
        labels.append(f"{text}  (planted)" if planted and name.partition(":")[0] == planted else text)
    axes.set_yticks(range(len(names)), labels, parse_math=False)
    axes.set_ylim(len(names) - 0.4, -0.6)


def _colour_wrong(axes, names, of_gradient, limits) -> None:
    """The names of wrong gradients in the colour of their errors."""
    for label, name in zip(axes.get_yticklabels(), names, strict=True):
        errors = of_gradient[name]
        if any(e is not None and not e <= most for e, most in zip(errors, limits, strict=True)):
            label.set(color=BAD_COLOUR, fontweight="bold")


def _draw_epsilons(axes, details: dict) -> None:
    """The error of differences against epsilon: truncation falls as its square, rounding rises."""
    axes.set_xlabel("epsilon of (L(θ + εv) - L(θ - εv)) / 2ε", fontsize=9, color=BLACK)
    axes.set_ylabel("relative error", fontsize=9, color=BLACK)
    if not details:
        note = "not measured: the network is too large,\nor its gradient is 0"
        axes.text(0.5, 0.5, note, transform=axes.transAxes, fontsize=8, color=GREY, ha="center")
        axes.set_axis_off()
        return
    epsilons = np.asarray(details["epsilons"])
    for dtype, (colour, style) in DTYPE_STYLES.items():
        errors = np.array([_on_log(e) for e in details[dtype]])
        axes.loglog(epsilons, errors, style, color=colour, markersize=3.2, linewidth=1.3, label=dtype)
    axes.set_ylim(1e-13, 10)
    axes.axhline(details["limit"], color=DIFFERENCES["color"], linewidth=1.1, linestyle=":")
    chosen = details["chosen"]
    axes.axvline(chosen, color=BLACK, linewidth=1.1, label=f"chosen: {chosen:.0e}")
    if min(map(_on_log, details["float64"])) > details["limit"]:
        note = "the gradient is wrong:\nno epsilon brings differences to it"
        axes.text(0.5, 0.4, note, transform=axes.transAxes, fontsize=8, color=BAD_COLOUR, ha="center",
                  backgroundcolor="white")  # fmt: skip
    else:
        axes.text(2e-3, 3e-11, "truncation\n~ ε²", fontsize=8, color=GREY, ha="left")
        axes.text(1e-11, 3e-11, "rounding\n~ 1/ε", fontsize=8, color=GREY, ha="left")
    _legend(axes)
    _decades(axes.xaxis, 2)
    _decades(axes.yaxis, 3)
    style_axes(axes)


def _on_log(error: float | None) -> float:
    """A place on the axis: 0 is at its lower end, what is not finite at its upper one."""
    if error is None or not np.isfinite(error):
        return 5.0
    return min(max(float(error), SMALLEST_ERROR), 5.0)


def _decades(axis, step: int) -> None:
    axis.set_major_locator(LogLocator(base=10.0**step, numticks=12))
    axis.set_minor_formatter(NullFormatter())


def _legend(axes) -> None:
    axes.legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=3, frameon=False, fontsize=8,
                labelcolor=BLACK, borderaxespad=0.2, columnspacing=1.2, handletextpad=0.4)  # fmt: skip

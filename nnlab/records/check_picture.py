"""A check's pictures: the loss by learning rate, the subset's curves, what flows through the layers."""

from __future__ import annotations

import numpy as np
from matplotlib.ticker import NullFormatter, NullLocator

from nnlab.records.picture import BLACK, GREY, RUN_COLOURS, as_png, blank_figure, in_default_style, quiet

GOOD_COLOUR, BAD_COLOUR = "#009E73", "#D55E00"
TICKS_AT_MOST = 6  # names along an axis


@in_default_style
def rates(details: dict, title: str) -> bytes:
    """The loss after the steps by learning rate: median and range over the seeds, what works, the edge."""
    figure, axes = _one(title, "learning rate", f"training loss after {details['steps']} updates")
    lr, end = np.asarray(details["lr"]), np.asarray(details["end"])
    low, high = (np.asarray(details[name]) for name in ("low", "high"))
    start = details["start"]
    top = start
    if np.isfinite(end).any():
        top = 1.5 * max(start, details["chance"], np.median(end[np.isfinite(end)]))
    axes.set_xscale("log")
    axes.fill_between(
        lr, np.minimum(low, top), np.minimum(high, top), color=RUN_COLOURS[0], alpha=0.18, linewidth=0
    )
    axes.plot(lr, np.where(end < top, end, np.nan), color=RUN_COLOURS[0], linewidth=1.8)
    for name, level in (("at the start", start), ("by chance", details["chance"])):
        axes.axhline(level, color=GREY, linewidth=0.8, linestyle=":")
        axes.text(lr[-1], level, name, fontsize=7.5, color=GREY, va="bottom", ha="right")
    shown = {"this job": (details["own"], BLACK, "-")}
    if details["works"]:
        axes.axvspan(*details["works"], color=GOOD_COLOUR, alpha=0.12, linewidth=0)
        shown["suggestion"] = (details["suggestion"], GOOD_COLOUR, "--")
    if np.isfinite(details["edge"]):
        shown["edge"] = (details["edge"], BAD_COLOUR, ":")
    for name, (x, colour, style) in shown.items():
        axes.axvline(x, color=colour, linewidth=1.2, linestyle=style, label=f"{name}: {x:.2g}")
    axes.set_ylim(0, top)
    note = "green: half of the best fall or more" if details["works"] else "no rate learns"
    _legend(figure, axes, note)
    return as_png(figure)


@in_default_style
def subset(details: dict, title: str) -> bytes:
    """The loss of the small subset over the epochs, a curve for each factor of the job's learning rate."""
    label = f"loss on {details['examples']} examples"
    figure, axes = _one(title, "epoch", label)
    loss = np.asarray(details["loss"], float)
    order = np.argsort(details["factors"])
    axes.set_yscale("log")
    colours = [colour for colour in RUN_COLOURS if colour != "#000000"]  # black is this job's own
    for n, k in enumerate(order):
        values = np.where(loss[k] > 0, loss[k], np.nan)
        look = {"color": colours[n % len(colours)], "linewidth": 1.2}
        name = f"times {details['factors'][k]:.2g}"
        if details["factors"][k] == 1:
            look = {"color": BLACK, "linewidth": 2.2}
            name = "this job's rate"
        style = "-" if n < len(colours) else "--"
        axes.plot(np.arange(1, loss.shape[1] + 1), values, style, label=name, **look)
    axes.axhline(0.05 * details["chance"], color=GREY, linewidth=0.9, linestyle=":", label="limit")
    seen = loss[np.isfinite(loss) & (loss > 0)]
    if len(seen):
        axes.set_ylim(max(seen.min(), 1e-8) / 2, min(seen.max(), 100 * max(details["chance"], 1e-8)) * 2)
    _legend(figure, axes, "")
    return as_png(figure)


@in_default_style
def saturation(details: dict, title: str) -> bytes:
    """By depth, at the start and after some steps: variance of outputs, size of gradients, stuck units."""
    figure = blank_figure()
    panels = figure.subplots(1, 3)
    figure.subplots_adjust(left=0.07, right=0.985, bottom=0.2, top=0.75, wspace=0.32)
    figure.text(0.0125, 0.955, title, fontsize=9.5, color=BLACK, va="center", parse_math=False)
    looks = {"at the start": (details["start"], RUN_COLOURS[0], "o-"),
             f"after {details['steps']} updates": (details["after"], RUN_COLOURS[1], "s--")}  # fmt: skip
    shown = {
        "variance": "variance of outputs",
        "gradient": "size of gradient",
        "stuck": "share of stuck units",
    }
    for axes, (what, label) in zip(panels, shown.items(), strict=True):
        for name, (look, colour, style) in looks.items():
            part = look["activations"] if what == "stuck" else look["layers"]
            values = np.array([layer[what] for layer in part.values()], float)
            axes.plot(
                range(len(values)), values, style, color=colour, markersize=4, linewidth=1.4, label=name
            )
        _depth(axes, list(part), what)
        axes.set_title(label, fontsize=9, color=BLACK)
        quiet(axes)
    handles, names = panels[0].get_legend_handles_labels()
    figure.legend(handles, names, ncols=2, loc="center left", bbox_to_anchor=(0.005, 0.885), frameon=False,
                  fontsize=8, labelcolor=BLACK)  # fmt: skip
    return as_png(figure)


RUNG_PICTURES = {"rates": rates, "subset": subset, "saturation": saturation}


def _depth(axes, names: list[str], what: str) -> None:
    """Layers along the x axis, by name; a logarithmic scale but for shares."""
    every = max(1, -(-len(names) // TICKS_AT_MOST))
    look = {"rotation": 0, "ha": "center", "rotation_mode": "default"}
    if len(names) > 4:  # turned, they do not lie on each other
        look = {"rotation": 30, "ha": "right", "rotation_mode": "anchor"}
    axes.set_xticks(range(len(names))[::every], names[::every], **look)
    if not names:
        axes.text(0.5, 0.5, "no activations", transform=axes.transAxes, fontsize=8, color=GREY, ha="center")
    if what == "stuck":
        axes.set_ylim(-0.03, 1.03)
        return
    seen = np.concatenate([np.asarray(line.get_ydata(), float) for line in axes.lines])
    seen = seen[np.isfinite(seen)]
    if not (seen > 0).any():
        return
    least = seen[seen > 0].min()
    axes.set_yscale("log")
    axes.set_ylim(least / 3, seen.max() * 3)
    if (seen <= 0).any():
        _zeros(axes, least / 10)
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_minor_formatter(NullFormatter())


def _zeros(axes, level: float) -> None:
    """What is 0 has no place on a logarithmic scale: it is drawn at the bottom, on a line of its own."""
    for line in axes.lines:
        y = np.asarray(line.get_ydata(), float)
        line.set_ydata(np.where(y > 0, y, np.where(np.isfinite(y), level, np.nan)))
    axes.set_ylim(bottom=level / 3)
    axes.axhline(level, color=GREY, linewidth=0.7, linestyle=":")
    axes.text(
        1.0, level, "0", fontsize=8, color=GREY, va="bottom", ha="right", transform=axes.get_yaxis_transform()
    )


def _one(title: str, x: str, y: str):
    """A figure with one panel, its title above and room for a legend at the right."""
    figure = blank_figure()
    axes = figure.subplots()
    figure.subplots_adjust(left=0.085, right=0.76, bottom=0.145, top=0.88)
    figure.text(0.0125, 0.945, title, fontsize=9.5, color=BLACK, va="center", parse_math=False)
    axes.set_xlabel(x, fontsize=9, color=BLACK)
    axes.set_ylabel(y, fontsize=9, color=BLACK)
    quiet(axes)
    return figure, axes


def _legend(figure, axes, note: str) -> None:
    handles, names = axes.get_legend_handles_labels()
    figure.legend(handles, names, loc="upper left", bbox_to_anchor=(0.77, 0.88), frameon=False, fontsize=8,
                  labelcolor=BLACK)  # fmt: skip
    figure.text(0.778, 0.16, note, fontsize=7, color=GREY)

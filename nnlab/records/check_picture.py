"""The pictures of `nnlab check`: learning rate range test, overfitting a subset, flow through the layers."""

from __future__ import annotations

import numpy as np
from matplotlib.ticker import NullFormatter, NullLocator

from nnlab.records.data_picture import data
from nnlab.records.gradients_picture import gradients
from nnlab.records.picture import (
    BLACK,
    GREY,
    RUN_COLOURS,
    blank_figure,
    render_png,
    style_axes,
    with_default_style,
)

GOOD_COLOUR, BAD_COLOUR = "#009E73", "#D55E00"
TICKS_AT_MOST = 6  # layer names along an axis
FEW_ACTIVATIONS = 2  # whose shares of stuck units are written beside them


@with_default_style
def rates(details: dict, title: str) -> bytes:
    """Training loss by learning rate: median and range over the seeds, the working range, the edge."""
    figure, axes = _single_panel(title, "learning rate", f"training loss after {details['steps']} updates")
    lr, final_loss = np.asarray(details["lr"]), np.asarray(details["end"])
    low, high = (np.asarray(details[name]) for name in ("low", "high"))
    initial_loss = details["start"]
    y_max = initial_loss
    if np.isfinite(final_loss).any():
        y_max = 1.5 * max(initial_loss, details["chance"], np.median(final_loss[np.isfinite(final_loss)]))
    axes.set_xscale("log")
    axes.fill_between(
        lr, np.minimum(low, y_max), np.minimum(high, y_max), color=RUN_COLOURS[0], alpha=0.18, linewidth=0
    )
    axes.plot(lr, np.where(final_loss < y_max, final_loss, np.nan), color=RUN_COLOURS[0], linewidth=1.8)
    for name, level in (("at the start", initial_loss), ("by chance", details["chance"])):
        axes.axhline(level, color=GREY, linewidth=0.8, linestyle=":")
        axes.text(lr[-1], level, name, fontsize=7.5, color=GREY, va="bottom", ha="right")
    vertical_lines = {"this job": (details["own"], BLACK, "-")}
    if details["works"]:
        axes.axvspan(*details["works"], color=GOOD_COLOUR, alpha=0.12, linewidth=0)
        vertical_lines["suggestion"] = (details["suggestion"], GOOD_COLOUR, "--")
    if np.isfinite(details["edge"]):
        vertical_lines["edge"] = (details["edge"], BAD_COLOUR, ":")
    for name, (x, colour, style) in vertical_lines.items():
        axes.axvline(x, color=colour, linewidth=1.2, linestyle=style, label=f"{name}: {x:.2g}")
    axes.set_ylim(0, y_max)
    note = "green: half of the best fall or more" if details["works"] else "no rate learns"
    _legend(figure, axes, note)
    return render_png(figure)


@with_default_style
def subset(details: dict, title: str) -> bytes:
    """Loss on the small subset over the epochs, a curve for each multiple of the job's learning rate."""
    label = f"loss on {details['examples']} examples"
    figure, axes = _single_panel(title, "epoch", label)
    loss = np.asarray(details["loss"], float)
    order = np.argsort(details["factors"])
    axes.set_yscale("log")
    colours = [colour for colour in RUN_COLOURS if colour != "#000000"]  # black is for this job's rate
    for n, k in enumerate(order):
        values = np.where(loss[k] > 0, loss[k], np.nan)
        style_options = {"color": colours[n % len(colours)], "linewidth": 1.2}
        name = f"times {details['factors'][k]:.2g}"
        if details["factors"][k] == 1:
            style_options = {"color": BLACK, "linewidth": 2.2}
            name = "this job's rate"
        style = "-" if n < len(colours) else "--"
        axes.plot(np.arange(1, loss.shape[1] + 1), values, style, label=name, **style_options)
    axes.axhline(0.05 * details["chance"], color=GREY, linewidth=0.9, linestyle=":", label="limit")
    positive_losses = loss[np.isfinite(loss) & (loss > 0)]
    if len(positive_losses):
        axes.set_ylim(
            max(positive_losses.min(), 1e-8) / 2,
            min(positive_losses.max(), 100 * max(details["chance"], 1e-8)) * 2,
        )
    _legend(figure, axes, "")
    return render_png(figure)


@with_default_style
def saturation(details: dict, title: str) -> bytes:
    """By layer, before and after some updates: variance of outputs, size of gradients, stuck units."""
    figure = blank_figure()
    panels = figure.subplots(1, 3)
    figure.subplots_adjust(left=0.07, right=0.985, bottom=0.2, top=0.75, wspace=0.32)
    figure.text(0.0125, 0.955, title, fontsize=9.5, color=BLACK, va="center", parse_math=False)
    measurements = {"at the start": (details["start"], RUN_COLOURS[0], "o-"),
             f"after {details['steps']} updates": (details["after"], RUN_COLOURS[1], "s--")}  # fmt: skip
    quantities = {
        "variance": "variance of outputs",
        "gradient": "size of gradient",
        "stuck": "share of stuck units",
    }
    for axes, (quantity, label) in zip(panels, quantities.items(), strict=True):
        for name, (measurement, colour, style) in measurements.items():
            nodes = measurement["activations"] if quantity == "stuck" else measurement["layers"]
            values = np.array([layer[quantity] for layer in nodes.values()], float)
            axes.plot(
                range(len(values)), values, style, color=colour, markersize=4, linewidth=1.4, label=name
            )
        _format_layer_axis(axes, list(nodes), quantity)
        if quantity == "stuck":
            _draw_stuck_limits(axes, details.get("stuck_limits", ()))
        axes.set_title(label, fontsize=9, color=BLACK)
        style_axes(axes)
    handles, names = panels[0].get_legend_handles_labels()
    figure.legend(handles, names, ncols=2, loc="center left", bbox_to_anchor=(0.005, 0.885), frameon=False,
                  fontsize=8, labelcolor=BLACK)  # fmt: skip
    return render_png(figure)


RUNG_PICTURES = {
    "gradients": gradients,
    "rates": rates,
    "subset": subset,
    "saturation": saturation,
    "data": data,
}


def _draw_stuck_limits(axes, limits: tuple[float, ...]) -> None:
    """Lines at the limits of both times, in their colours; and the shares as numbers if there are few."""
    for limit, line in zip(limits, axes.lines[:], strict=False):
        axes.axhline(limit, color=line.get_color(), linewidth=0.9, linestyle=":")
        axes.text(1.0, limit, f"limit {limit:.0%}", fontsize=7.5, color=line.get_color(), ha="right",
                  va="bottom", transform=axes.get_yaxis_transform())  # fmt: skip
    if len(axes.get_xticks()) > FEW_ACTIVATIONS:
        return
    for line, side in zip(axes.lines[:2], (-1, 1), strict=False):
        for x, y in line.get_xydata():
            axes.annotate(
                f"{y:.0%}", (x, y), (side * 8, 0), textcoords="offset points", fontsize=8,
                color=line.get_color(), ha="left" if side > 0 else "right", va="center",
            )  # fmt: skip


def _format_layer_axis(axes, names: list[str], quantity: str) -> None:
    """Name the layers along the x axis; use a logarithmic y scale except for shares."""
    tick_step = max(1, -(-len(names) // TICKS_AT_MOST))
    tick_style = {"rotation": 0, "ha": "center", "rotation_mode": "default"}
    if len(names) > 4:  # rotated names do not overlap
        tick_style = {"rotation": 30, "ha": "right", "rotation_mode": "anchor"}
    axes.set_xticks(range(len(names))[::tick_step], names[::tick_step], **tick_style)
    if not names:
        axes.text(0.5, 0.5, "no activations", transform=axes.transAxes, fontsize=8, color=GREY, ha="center")
    if quantity == "stuck":
        axes.set_ylim(-0.03, 1.03)
        return
    values = np.concatenate([np.asarray(line.get_ydata(), float) for line in axes.lines])
    values = values[np.isfinite(values)]
    if not (values > 0).any():
        return
    smallest = values[values > 0].min()
    axes.set_yscale("log")
    axes.set_ylim(smallest / 3, values.max() * 3)
    if (values <= 0).any():
        _draw_zeros(axes, smallest / 10)
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_minor_formatter(NullFormatter())


def _draw_zeros(axes, level: float) -> None:
    """Draw zeros, which a logarithmic scale does not have, at the bottom on a line marked 0."""
    for line in axes.lines:
        y = np.asarray(line.get_ydata(), float)
        line.set_ydata(np.where(y > 0, y, np.where(np.isfinite(y), level, np.nan)))
    axes.set_ylim(bottom=level / 3)
    axes.axhline(level, color=GREY, linewidth=0.7, linestyle=":")
    axes.text(
        1.0, level, "0", fontsize=8, color=GREY, va="bottom", ha="right", transform=axes.get_yaxis_transform()
    )


def _single_panel(title: str, x: str, y: str):
    """A figure with one panel, its title above and space for a legend at the right."""
    figure = blank_figure()
    axes = figure.subplots()
    figure.subplots_adjust(left=0.085, right=0.76, bottom=0.145, top=0.88)
    figure.text(0.0125, 0.945, title, fontsize=9.5, color=BLACK, va="center", parse_math=False)
    axes.set_xlabel(x, fontsize=9, color=BLACK)
    axes.set_ylabel(y, fontsize=9, color=BLACK)
    style_axes(axes)
    return figure, axes


def _legend(figure, axes, note: str) -> None:
    handles, names = axes.get_legend_handles_labels()
    figure.legend(handles, names, loc="upper left", bbox_to_anchor=(0.77, 0.88), frameon=False, fontsize=8,
                  labelcolor=BLACK)  # fmt: skip
    figure.text(0.778, 0.16, note, fontsize=7, color=GREY)

"""Draws what the size of a mini-batch changes: the noise of its gradient, examples a second, and memory."""

from __future__ import annotations

import numpy as np
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter, NullLocator

from nnlab.errors import visible
from nnlab.experiment import Row
from nnlab.pictures import panels
from nnlab.pictures.base import Picture, ShownRun
from nnlab.pictures.gradient_noise import GradientNoise, measure
from nnlab.records.picture import (
    BLACK,
    GREY,
    RUN_COLOURS,
    blank_figure,
    render_png,
    style_axes,
    with_default_style,
)

FEW_SIZES = 3  # fewer batch sizes among the runs are no curve: then the noise is measured at powers of 4
MEGABYTE = 2**20
MARKERS = ("o", "s", "^", "D")  # of devices
NOISE_COLOUR, NORM_COLOUR = RUN_COLOURS[1], RUN_COLOURS[2]
MARGIN_FACTOR = 1.35  # of the axis of batch sizes


class BatchSizes(Picture):
    name = "batches"
    summary = "by batch size: the noise of the gradient, examples a second, and memory"

    def draw(self, runs: list[ShownRun]) -> bytes:
        return _draw(runs)


def batch_size(run: ShownRun) -> int:
    """The examples in a batch of its first row."""
    number = run.stored.rows[0]["row"]
    return Row(run.stored.experiment, 0, run.fold(number)).batch


@with_default_style
def _draw(runs: list[ShownRun]) -> bytes:
    sizes = [batch_size(run) for run in runs]
    measured = runs[int(np.argmax(sizes))]
    noise = measure(measured, _sizes_of_noise(sizes, measured), measured.stored.rows[0]["row"])
    figure = blank_figure()
    axes = [*figure.subplots(1, 3)]
    figure.subplots_adjust(left=0.075, right=0.98, bottom=0.2, top=0.87, wspace=0.44)
    _noise_panel(axes[0], noise)
    _by_device(axes[1], runs, sizes, lambda run: run.stored.speed.get("examples_per_second"), 1)
    _by_device(axes[2], runs, sizes, memory_of_row, MEGABYTE)
    labels = "distance from the full gradient", "examples a second, in the steps", "memory of a row (MB)"
    for panel, label in zip(axes, labels, strict=True):
        panel.set_xlabel("examples in a batch", fontsize=9, color=BLACK)
        panel.set_ylabel(label, fontsize=9, color=BLACK)
        style_axes(panel)
        _logarithmic(panel, [*noise.noise, *sizes, noise.examples])
    panels.legend(figure, _handles(runs), _note(measured, noise))
    return render_png(figure)


def _sizes_of_noise(sizes: list[int], run: ShownRun) -> list[int]:
    if len({*sizes}) >= FEW_SIZES:
        return sizes
    examples = len(run.fold(run.stored.rows[0]["row"]).train)
    return [*(4**power for power in range(20) if 4**power < examples), *sizes]


def memory_of_row(run: ShownRun) -> float | None:
    """Bytes of parameters, slots, gradients and activations, of one of its rows."""
    count = run.stored.speed.get("tensor_bytes")
    return count / len(run.stored.rows) if count else None


def _noise_panel(axes, noise: GradientNoise) -> None:
    """The noise, the line sigma / sqrt(B) through that of the smallest batch, and the gradient itself."""
    sizes = np.array([*noise.noise])
    values = np.array([*noise.noise.values()])
    axes.axhline(noise.norm, color=NORM_COLOUR, linewidth=1.2, linestyle=":")
    if len(sizes):
        line = np.array([sizes[0], noise.examples])
        sigma = values[0] * np.sqrt(sizes[0])
        axes.plot(line, sigma / np.sqrt(line), color=GREY, linewidth=1.0, linestyle=(0, (4, 1.5)))
        axes.plot(sizes, values, color=NOISE_COLOUR, linewidth=1.6, marker="o", markersize=4)


def _by_device(axes, runs: list[ShownRun], sizes: list[int], value_of, unit: float) -> None:
    """A line for each device: the mean of the runs of a batch size."""
    for number, device in enumerate(_devices(runs)):
        values: dict[int, list[float]] = {}
        for run, size in zip(runs, sizes, strict=True):
            value = value_of(run) if _device(run) == device else None
            if value:
                values.setdefault(size, []).append(value / unit)
        line = [(size, np.mean(each)) for size, each in sorted(values.items())]
        if line:
            axes.plot(*zip(*line, strict=True), **_style(number))
    if not axes.lines:
        note = {"transform": axes.transAxes, "ha": "center", "va": "center"}
        axes.text(0.5, 0.5, "not recorded", fontsize=9, color=GREY, **note)


def _device(run: ShownRun) -> str:
    return str(run.stored.summary.get("device", "cpu"))


def _devices(runs: list[ShownRun]) -> list[str]:
    return [*dict.fromkeys(map(_device, runs))]


def _style(number: int) -> dict:
    """Of the line of a device."""
    return {
        "color": (RUN_COLOURS[0], RUN_COLOURS[3])[number % 2], "marker": MARKERS[number % len(MARKERS)],
        "markersize": 4, "linewidth": 1.6,
    }  # fmt: skip


def _logarithmic(axes, sizes: list[int]) -> None:
    """Both axes; a tick at each batch size, as far as there is room."""
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.xaxis.set_major_locator(LogLocator(base=10, subs=(1,)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.set_xlim(min(sizes) / MARGIN_FACTOR, max(sizes) * MARGIN_FACTOR)
    low, high = axes.get_ylim()
    subs = (1, 2, 5) if high < 200 * low else (1,)
    axes.yaxis.set_major_locator(LogLocator(subs=subs))
    axes.yaxis.set_major_formatter(FuncFormatter(_number))
    axes.yaxis.set_minor_formatter(NullFormatter())


def _number(value: float, _) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:g}"


def _handles(runs: list[ShownRun]) -> list:
    dashed = {"color": GREY, "linewidth": 1.0, "linestyle": (0, (4, 1.5))}
    handles = [
        Line2D([], [], color=NOISE_COLOUR, marker="o", markersize=4, label="noise of the gradient"),
        Line2D([], [], label="1 / sqrt(batch)", **dashed),
        Line2D([], [], color=NORM_COLOUR, linestyle=":", linewidth=1.2, label="norm of the full gradient"),
    ]
    return handles + [
        Line2D([], [], label=visible(device), **_style(number))
        for number, device in enumerate(_devices(runs))
    ]


def _note(measured: ShownRun, noise: GradientNoise) -> str:
    where = f"the weights of {measured.name}" if measured.name else "the weights of the best epoch"
    return visible(f"noise at {where}, {noise.examples:,} training examples")

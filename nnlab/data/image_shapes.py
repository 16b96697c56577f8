"""Which axis of an array of examples has their channels, and examples in the order of a network's inputs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nnlab.errors import UserError, advise

# What has a mean and a scale of its own; auto: channel for a model of images, else input.
NORMALIZED_PER = ("auto", "input", "channel")
CHANNEL_AXES = ("auto", "first", "last", "none")
MOST_CHANNELS = 4  # of an image: grey, grey and alpha, colour, colour and alpha
MOST_NAMED_INPUTS = 10_000  # names of more pixels would only fill spec.json


@dataclass(frozen=True)
class ExampleAxes:
    """How an example of an array (N, *axes) is read.

    axes             its axes in the array
    shape            (channels, rows, columns) of an image, (channels, length) of a signal; else (d,)
    channels_last    whether the channels are the last axis of the array
    """

    axes: tuple[int, ...]
    shape: tuple[int, ...]
    channels_last: bool = False

    def flat(self, x: np.ndarray) -> np.ndarray:
        """Examples (n, *axes) as (n, d) in the order of `shape`: channel after channel, row after row."""
        if self.channels_last:
            x = np.moveaxis(x, -1, 1)
        return x.reshape(len(x), -1)

    @property
    def features(self) -> tuple[str, ...]:
        """A name of each input, its place in the array: `pixel_3_17`. None of vectors, or of very many."""
        count = int(np.prod(self.axes))
        if len(self.axes) == 1 or len(self.shape) > 1 and count > MOST_NAMED_INPUTS:
            return ()
        names = ["pixel_" + "_".join(map(str, index)) for index in np.ndindex(self.axes)]
        return tuple(names[i] for i in self.flat(np.arange(count).reshape(1, *self.axes))[0])


def example_axes(axes: tuple[int, ...], channels: str, what: str, key: str = "data.channels=") -> ExampleAxes:
    """How examples with these `axes` are read, by `channels`:

        auto   (rows, columns) is a grey image, (1, length) and (length, 1) are a signal of one channel, with
               advice; of three axes the first or the last has 1 to 4 channels
        first  (channels, rows, columns), or (channels, length) of a signal; (length,) is one channel
        last   (rows, columns, channels), or (length, channels)
        none   the numbers of an example are a vector

    Where `auto` finds no image, they are a vector too, with advice. `what` names the array and its shape.
    Raises `UserError` for channels that such axes do not have.
    """
    vector = ExampleAxes(axes, (int(np.prod(axes)),))
    if channels in ("first", "last"):
        if len(axes) == 1:
            return ExampleAxes(axes, (1, *axes))
        if len(axes) not in (2, 3):
            raise UserError(
                f"{what}: channels = '{channels}' is for images, three axes an example, or signals, two "
                f"or one; allowed here: {key}none"
            )
        return _with_channels(axes, channels == "last")
    if channels == "none" or len(axes) == 1:
        return vector
    if len(axes) == 2 and 1 in axes:
        end = "first" if axes[0] == 1 else "last"
        advise(f"{what}: the examples are signals of one channel, as {key}{end} says without this advice")
        return _with_channels(axes, end == "last")
    if len(axes) == 2:
        return ExampleAxes(axes, (1, *axes))
    may_be = [len(axes) == 3 and axes[end] <= MOST_CHANNELS for end in (0, -1)]
    if may_be[0] != may_be[1]:
        return _with_channels(axes, may_be[1])
    size = "x".join(map(str, axes))
    advice = f"{what}: the {size} numbers of an example are {vector.shape[0]:,} inputs"
    if len(axes) == 3:
        why = "both ends may be" if may_be[0] else "neither end is 1 to 4"
        advice += f"; {why} the channels of an image: {key}first or {key}last says which, {key}none neither"
    advise(advice)
    return vector


def _with_channels(axes: tuple[int, ...], last: bool) -> ExampleAxes:
    return ExampleAxes(axes, (axes[-1], *axes[:-1]) if last else axes, last)


def in_shape(x: np.ndarray, shape: tuple[int, ...], channels: str = "auto") -> np.ndarray | None:
    """New examples as (n, d) in the order of `shape`, (channels, ...) of images; None where they do not fit.

    They are vectors, or have that shape, perhaps without axes of length 1, or the channels at its end. Where
    both may be, `channels` of the training data decides.
    """
    axes, count = x.shape[1:], int(np.prod(shape))
    if int(np.prod(axes)) != count:
        return None
    last = (*shape[1:], shape[0])
    is_last = len(shape) > 1 and axes == last and (axes != shape or channels == "last")
    if is_last:
        return ExampleAxes(axes, shape, True).flat(x)
    is_vector = len(shape) == 1 or len(axes) == 1
    if is_vector or [n for n in axes if n > 1] == [n for n in shape if n > 1]:
        return x.reshape(len(x), -1)
    return None

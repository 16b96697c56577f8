"""Pixels of a report's images: examples as pictures, weights in colours, many of them side by side."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image, ImageDraw

from nnlab.report.colours import LIGHT

MOST_CHANNELS = 4  # grey, grey and alpha, colour, colour and alpha
MOST_PIXELS = 128  # along a side of an example: a larger one is made smaller
SIGNAL_SIZE = 160, 64  # pixels
SIGNAL_COLOURS = tuple(LIGHT[f"series{n}"] for n in range(8))


def png_of(pixels: np.ndarray) -> bytes:
    """The PNG of pixels (h, w) or (h, w, 1 to 4), uint8."""
    file = io.BytesIO()
    grey = pixels.ndim == 3 and pixels.shape[2] == 1
    Image.fromarray(pixels[..., 0] if grey else pixels).save(file, "PNG", optimize=True)
    return file.getvalue()


def is_image(shape: tuple[int, ...]) -> bool:
    """Whether examples of this shape are images: (channels, rows, columns)."""
    return len(shape) == 3 and shape[0] <= MOST_CHANNELS and min(shape[1:]) > 1


def is_signal(shape: tuple[int, ...]) -> bool:
    """Whether they are sequences: (channels, length), or images of one row."""
    return shape[-1] > 2 and (len(shape) == 2 or len(shape) == 3 and shape[1] == 1)


def image_pngs(x: np.ndarray) -> list[bytes]:
    """Examples (n, C, h, w) as PNGs: bytes as they are, and other numbers from the least to the largest."""
    if x.dtype != np.uint8:
        low, high = np.nanmin(x), np.nanmax(x)
        with np.errstate(invalid="ignore"):
            x = (255 * (x.astype(np.float64) - low) / max(high - low, 1e-300)).round()
        x = np.nan_to_num(x).astype(np.uint8)
    return [_png_of_example(np.moveaxis(example, 0, -1)) for example in x]


def _png_of_example(pixels: np.ndarray) -> bytes:
    if max(pixels.shape[:2]) > MOST_PIXELS:
        image = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
        image.thumbnail((MOST_PIXELS, MOST_PIXELS))
        pixels = np.atleast_3d(np.asarray(image))
    return png_of(pixels)


def signal_png(signal: np.ndarray) -> bytes:
    """A sequence (C, length) as curves, a colour for each channel."""
    width, height = SIGNAL_SIZE
    image = Image.new("RGB", (2 * width, 2 * height), "white")
    draw, length = ImageDraw.Draw(image), signal.shape[1]
    low, high = np.nanmin(signal), np.nanmax(signal)
    x = 4 + np.arange(length) * (2 * width - 8) / (length - 1)
    for channel, values in enumerate(np.nan_to_num(signal.astype(np.float64))[: len(SIGNAL_COLOURS)]):
        y = 2 * height - 4 - (values - low) / max(high - low, 1e-300) * (2 * height - 8)
        draw.line([*zip(x.tolist(), y.tolist(), strict=True)], SIGNAL_COLOURS[channel], width=3)
    return png_of(np.asarray(image))


def diverging(values: np.ndarray, limit: float) -> np.ndarray:
    """Numbers from -limit to limit (...,) as colours (..., 4): blue below 0, grey at 0, orange above."""
    low, middle, high = (_rgb(LIGHT[name]) for name in ("low", "middle", "high"))
    share = np.clip(np.nan_to_num(values) / max(limit, 1e-300), -1, 1)[..., None]
    colours = middle + np.where(share < 0, -share * (low - middle), share * (high - middle))
    return np.concatenate([colours, np.full((*values.shape, 1), 255.0)], -1).round().astype(np.uint8)


def tiled(tiles: np.ndarray, columns: int, gap: int = 1) -> np.ndarray:
    """Pictures (n, h, w, 4) in lines of so many, with nothing between them."""
    n, h, w, _ = tiles.shape
    lines, columns = -(-n // columns), min(n, columns)
    canvas = np.zeros((lines * (h + gap) - gap, columns * (w + gap) - gap, 4), np.uint8)
    for number, tile in enumerate(tiles):
        top, left = (h + gap) * (number // columns), (w + gap) * (number % columns)
        canvas[top : top + h, left : left + w] = tile
    return canvas


def _rgb(colour: str) -> np.ndarray:
    return np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)], float)

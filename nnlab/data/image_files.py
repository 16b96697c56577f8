"""Reads image files by Pillow: which there are in a folder, of what size, and their pixels as bytes."""

from __future__ import annotations

import logging
import os
import warnings
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nnlab.data.files import open_regular, read_errors_as_user_errors
from nnlab.errors import UserError, list_names
from nnlab.runtime.devices import thread_count
from nnlab.suggestions import IMAGE_EXTENSIONS

# Pillow reads many more, some by running other programs.
FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF", "PPM")
MOST_PIXELS = 2**26  # of an image: a small file may say any number of them
CHANNELS_OF_MODE = {"grey": 1, "rgb": 3, "rgba": 4}
PILLOW_MODES = {"grey": "L", "rgb": "RGB", "rgba": "RGBA"}
GREY_MODES = ("1", "L", "LA", "La", "I;16", "I;16B", "I;16L", "I")
FILTERS = ("bilinear", "nearest", "box", "hamming", "bicubic", "lanczos")
FITS = ("stretch", "crop")
ORIENTATION_TAG, TURNED = 0x0112, (5, 6, 7, 8)  # of EXIF: these exchange rows and columns
BITS_TO_DROP = 8  # of the 16 of a deep grey image
BACKGROUND = (255, 255, 255, 255)  # beneath what is transparent


@dataclass(frozen=True)
class ImageHeader:
    """What the beginning of a file says: rows and columns as they are shown, and whether it is grey."""

    size: tuple[int, int]
    is_grey: bool
    is_transparent: bool


@dataclass(frozen=True)
class PixelReader:
    """How files become arrays: the mode, the size (rows, columns), and how another size becomes it.

    resizes  whether another size is resized; else it raises `UserError`
    """

    mode: str
    size: tuple[int, int]
    resizes: bool
    filter: str = "bilinear"
    fit: str = "stretch"

    def read(self, file: Path) -> np.ndarray:
        """(channels, rows, columns) bytes."""
        with opened(file) as image:
            from PIL import Image, ImageOps

            image = _in_mode(ImageOps.exif_transpose(image), self.mode)
            rows, columns = self.size
            if image.size != (columns, rows):
                if not self.resizes:
                    raise UserError(
                        f"'{file}' has {image.height} x {image.width} pixels, expected {rows} x {columns}: "
                        f"only a run that trained with data.size=[{rows},{columns}] resizes"
                    )
                how = Image.Resampling[self.filter.upper()]
                if self.fit == "crop":
                    image = ImageOps.fit(image, (columns, rows), how)
                else:
                    image = image.resize((columns, rows), how)
            pixels = np.asarray(image)
        return pixels[None] if pixels.ndim == 2 else np.moveaxis(pixels, -1, 0)


def _in_mode(image, mode: str):
    """The image in grey, rgb or rgba; what is transparent is laid on white, unless alpha is kept."""
    from PIL import Image

    if image.mode.startswith("I"):  # 16 bits
        deep = np.asarray(image)
        if deep.min() < 0 or deep.max() >= 2**16:
            raise ValueError("it has numbers of more than 16 bits")
        image = Image.fromarray((deep.astype(np.uint16) >> BITS_TO_DROP).astype(np.uint8))
    if mode != "rgba" and _is_transparent(image):
        image = Image.alpha_composite(Image.new("RGBA", image.size, BACKGROUND), image.convert("RGBA"))
    if image.mode == "F":
        raise ValueError("its pixels are real numbers, not bytes")
    return image if image.mode == PILLOW_MODES[mode] else image.convert(PILLOW_MODES[mode])


def _is_transparent(image) -> bool:
    return image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info


@contextmanager
def opened(file: Path):
    """The image in a regular file; whatever is wrong with it is a `UserError` that names it."""
    try:
        from PIL import Image, UnidentifiedImageError
    except ImportError as e:
        raise UserError("images are read by the library Pillow: pip install pillow") from e

    with read_errors_as_user_errors(file), open_regular(file) as content:
        try:
            with Image.open(content, formats=FORMATS) as image:
                if image.width * image.height > MOST_PIXELS:
                    raise UserError(_too_many_pixels(file, image.width * image.height))
                yield image
        except UserError:
            raise
        except UnidentifiedImageError as e:
            raise UserError(f"'{file}' is not an image, or it is damaged: remove it, or copy it again") from e
        except Image.DecompressionBombError as e:
            raise UserError(_too_many_pixels(file, None)) from e
        except Exception as e:  # Pillow raises some ten kinds of errors for a damaged file
            reason = " ".join(str(e).split()) or type(e).__name__
            raise UserError(
                f"'{file}' cannot be read as an image: {reason}; copy it again, or remove it"
            ) from e


def _too_many_pixels(file: Path, count: int | None) -> str:
    number = f"{count:,}" if count else "too many"
    return f"'{file}' has {number} pixels; allowed are {MOST_PIXELS:,}: make it smaller"


def read_header(file: Path) -> ImageHeader:
    """Without its pixels. Raises `UserError`."""
    with opened(file) as image:
        turned = image.getexif().get(ORIENTATION_TAG) in TURNED
        columns, rows = reversed(image.size) if turned else image.size
        return ImageHeader((rows, columns), image.mode in GREY_MODES, _is_transparent(image))


def read_all(read: Callable, files: list[Path]) -> list:
    """read(file) of each file, in their order, several at a time."""
    # What is wrong is said in a sentence: Pillow's log is for those who set up logging.
    logging.getLogger("PIL").addHandler(logging.NullHandler())
    # Filters of warnings belong to the process, so threads must not set them.
    with warnings.catch_warnings(), ThreadPoolExecutor(thread_count("auto")) as pool:
        warnings.simplefilter("ignore")  # Pillow's, of odd metadata, and of sizes, which are judged here
        return list(pool.map(read, files))


def find_images(folder: Path) -> tuple[list[Path], list[Path]]:
    """(images, other files) in a folder and those below it, by their names and in their order; hidden ones
    are left out, and links to folders are not followed."""
    images, others = [], []
    for directory, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not is_hidden(name))
        for name in sorted(name for name in files if not is_hidden(name)):
            (images if is_image_name(name) else others).append(Path(directory, name))
    return images, others


def is_image_name(name: str) -> bool:
    return name.lower().endswith(IMAGE_EXTENSIONS)


def is_hidden(name: str) -> bool:
    """Also what systems leave behind in folders of pictures."""
    return name.startswith((".", "__MACOSX")) or name.lower() in ("thumbs.db", "desktop.ini")


def common_size(where: str, headers: list[ImageHeader]) -> tuple[int, int]:
    """(rows, columns) of all images. Raises `UserError` where they differ."""
    counts = Counter(header.size for header in headers).most_common()
    if len(counts) == 1:
        return counts[0][0]
    shown = [f"{count:,} of {rows} x {columns}" for (rows, columns), count in counts[:2]]
    others = len(headers) - counts[0][1] - counts[1][1]
    more = f" and {others:,} of other sizes" if others else ""
    rows, columns = counts[0][0]
    raise UserError(
        f"{where}: the images differ in size (rows x columns): {', '.join(shown)}{more}; "
        f"data.size=[{rows},{columns}] resizes all to the commonest"
    )


def named(files: list[Path], folder: Path) -> str:
    """The names of some files below a folder, for a sentence."""
    return list_names([str(file.relative_to(folder)) for file in files])

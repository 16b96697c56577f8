"""`Images`: pictures in folders, one for each class."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from nnlab.data.dataset import Data, Dataset
from nnlab.data.example_arrays import PARTS
from nnlab.data.files import data_path, file_kind, read_errors_as_user_errors, refuse_too_large
from nnlab.data.image_files import (
    CHANNELS_OF_MODE,
    FILTERS,
    FITS,
    ImageHeader,
    PixelReader,
    common_size,
    find_images,
    is_hidden,
    is_image_name,
    named,
    read_all,
    read_header,
)
from nnlab.data.image_shapes import NORMALIZED_PER, ExampleAxes
from nnlab.data.normalization import NORMALIZATION_NAMES
from nnlab.errors import UserError, advise, quote_names
from nnlab.hyperparameters import static
from nnlab.runtime.machine import available_memory

LARGEST_SIDE = 10_000  # pixels
PART_FOLDERS = {"train": 0, "validation": 1, "valid": 1, "val": 1, "test": 2}  # -> index in `PARTS`
EXPECTED = "FOLDER, with a folder of images for each class"


@dataclass(frozen=True)
class Images(Data):
    """A folder with a folder of images for each class, or with `train` and `test`, each of such folders, and
    perhaps `validation`: no split draws these then.

        photos/cats/1.jpg               photos/train/cats/1.jpg
        photos/dogs/2.png               photos/test/dogs/2.png

    Images are png, jpeg, bmp, gif, webp, tiff, ppm; as bytes in memory, turned as their EXIF says. Those in
    folders below a class's belong to it too; hidden files are left out.

    mode       grey, rgb, rgba; auto: grey if all are, else rgb. What is transparent is laid on white, unless
               the mode is rgba
    size       (rows, columns) to which all are resized, or one number for both; None: all must have one size
    filter     that resizes: bilinear, nearest, box, hamming, bicubic, lanczos
    fit        stretch: rows and columns each; crop: the middle of the image, in its proportions
    """

    name: ClassVar[str] = "images"
    needs: ClassVar[tuple[str, ...]] = ("path",)
    path: str | None = static(None)
    mode: str = static("auto", choices=("auto", *CHANNELS_OF_MODE))
    size: int | tuple[int, int] | None = static(None, low=1, high=LARGEST_SIDE)
    filter: str = static("bilinear", choices=FILTERS)
    fit: str = static("stretch", choices=FITS)
    normalization: str = static("standard", choices=NORMALIZATION_NAMES)
    normalization_per: str = static("channel", choices=NORMALIZED_PER)

    def read(self):
        folder = data_path(self.path, EXPECTED)
        kind = file_kind(folder)
        if kind != "folder":
            raise UserError(f"data.path = '{folder}' is a {kind}: write data.path={EXPECTED}")
        with read_errors_as_user_errors(folder):
            files, classes, y, parts = _classified(folder)
        reader = self.reader(str(folder), read_all(read_header, files))
        x = _pixels(folder, files, reader)
        keys = np.array([str(file.relative_to(folder)) for file in files])
        rows, columns = reader.size
        channels = CHANNELS_OF_MODE[reader.mode]
        axes = (rows, columns) if channels == 1 else (rows, columns, channels)
        names = ExampleAxes(axes, (channels, rows, columns), channels > 1).features
        return Dataset(
            x, y, classes, names, shape=(channels, rows, columns), parts=parts, keys=keys, key_name="file",
            target_names=("class",),
        )  # fmt: skip

    def reader(self, where: str, headers: list[ImageHeader]) -> PixelReader:
        """How images with these headers are read."""
        mode = self.mode
        if mode == "auto":
            mode = "grey" if all(header.is_grey for header in headers) else "rgb"
        if mode != "rgba" and (count := sum(header.is_transparent for header in headers)):
            verb = "is" if count == 1 else "are"
            advise(f"{where}: {count:,} of {len(headers):,} images {verb} transparent, and laid on white")
        size = (self.size, self.size) if isinstance(self.size, int) else self.size
        if size is None and (self.filter, self.fit) != (Images.filter, Images.fit):
            changed = "filter" if self.filter != Images.filter else "fit"
            value = getattr(self, changed)
            advise(f"data.{changed} = '{value}' has no effect: without data.size no image is resized")
        size = size or common_size(where, headers)
        return PixelReader(mode, size, self.size is not None, self.filter, self.fit)


def _pixels(folder: Path, files: list[Path], reader: PixelReader) -> np.ndarray:
    """(N, d) the bytes of all images. Raises `UserError` before they fill the memory."""
    width = CHANNELS_OF_MODE[reader.mode] * reader.size[0] * reader.size[1]
    refuse_too_large(folder, len(files) * width, available_memory())
    x = np.empty((len(files), width), np.uint8)

    def read(i: int) -> None:
        x[i] = reader.read(files[i]).reshape(-1)

    read_all(read, range(len(files)))
    return x


def _classified(folder: Path) -> tuple[list[Path], tuple[str, ...], np.ndarray, np.ndarray | None]:
    """(files, names of the classes, the class of each file, its part of the split if folders say so)."""
    parts = part_folders(folder)
    if not parts:
        files, classes, y = _of_classes(folder)
        return files, classes, y, None
    read = {part: _of_classes(path) for part, path in parts.items()}
    classes = read["train"][1]
    for part, (_, names, _) in read.items():
        for name in [name for name in names if name not in classes][:1]:
            raise UserError(f"{folder}: the class '{name}' is in {parts[part].name} alone, and not in train")
    files = [file for found, _, _ in read.values() for file in found]
    y = np.concatenate([np.searchsorted(classes, np.array(names)[y]) for _, names, y in read.values()])
    of_part = [np.full(len(found), PARTS.index(part)) for part, (found, _, _) in read.items()]
    return files, classes, y, np.concatenate(of_part)


def part_folders(folder: Path) -> dict[str, Path]:
    """Part -> the folder of its classes, in a folder with one `train` in which there are folders; else none.

    A class may be called train too: then images lie in it.
    """
    train = folder / "train"
    if not train.is_dir() or not subfolders(train):
        return {}
    found = {"train": train}
    for path in subfolders(folder):
        name = path.name.lower()
        if path == train:
            continue
        if name not in PART_FOLDERS or PARTS[PART_FOLDERS[name]] in found:
            raise UserError(
                f"{folder} has train, so that its folders are parts of a split, and '{path.name}' is none; "
                f"allowed: train, test, validation"
            )
        found[PARTS[PART_FOLDERS[name]]] = path
    return {part: found[part] for part in PARTS if part in found}


def subfolders(folder: Path) -> list[Path]:
    """Those in a folder, hidden ones left out, in the order of their names."""
    with os.scandir(folder) as entries:
        names = sorted(entry.name for entry in entries if entry.is_dir() and not is_hidden(entry.name))
    return [folder / name for name in names]


def _of_classes(folder: Path) -> tuple[list[Path], tuple[str, ...], np.ndarray]:
    """(files, names of the classes, the class of each file) of a folder with a folder for each class."""
    class_folders = subfolders(folder)
    beside = [name for name in sorted(os.listdir(folder)) if is_image_name(name) and not is_hidden(name)]
    if not class_folders:
        has = f"{len(beside):,} images" if beside else "nothing"
        raise UserError(f"{folder} has {has}, and no folders: expected a folder of images for each class")
    if beside:
        advise(f"{folder}: {quote_names(beside, 3)} lie in no folder of a class, and are left out")
    found = {path.name: find_images(path) for path in class_folders}
    for name, (images, _) in found.items():
        if not images:
            raise UserError(f"{folder}: there are no images in '{name}': remove it, or put its images there")
    if len(found) == 1:
        raise UserError(f"{folder} has one class alone, '{class_folders[0].name}': there is nothing to learn")
    others = [file for _, files in found.values() for file in files]
    if others:
        which = "has no name of an image, and is" if len(others) == 1 else "have no names of images, and are"
        advise(f"{folder}: {named(others, folder)} {which} left out")
    y = np.repeat(np.arange(len(found)), [len(images) for images, _ in found.values()])
    return [file for images, _ in found.values() for file in images], tuple(found), y

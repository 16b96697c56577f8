"""New examples that are image files: one, or all in a folder and those below it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nnlab.data.dataset import Data
from nnlab.data.image_files import CHANNELS_OF_MODE, PixelReader, find_images, is_image_name, read_all
from nnlab.data.image_folders import Images, part_folders, subfolders
from nnlab.data.spec import DataSpec
from nnlab.errors import UserError, shortened
from nnlab.prediction.array_examples import IMAGE_FILE, TEST_PART
from nnlab.prediction.blocks import Block, block_size


@dataclass(frozen=True)
class ImageExamples:
    """The images in `files`, which are named by their paths below `folder`; each in the folder of its class
    where they are `labelled`."""

    folder: Path
    files: list[Path]
    reader: PixelReader
    labelled: bool

    identifier, target = "file", "class"

    def where(self, line: int, column: str = "") -> str:
        return f"'{self.files[line]}'" + f", input '{column}'" * bool(column)

    def blocks(self) -> Iterator[Block]:
        channels = CHANNELS_OF_MODE[self.reader.mode]
        size = block_size(channels * self.reader.size[0] * self.reader.size[1])
        for start in range(0, len(self.files), size):
            files = self.files[start : start + size]
            places = [file.relative_to(self.folder) for file in files]
            targets = [place.parts[0] for place in places] if self.labelled else None
            x = np.stack(read_all(self.reader.read, files))
            yield Block(x, targets, [str(place) for place in places], range(start, start + len(files)))


def is_of_images(path: Path, kind: str, spec: DataSpec) -> bool:
    """Whether it is an image, or, where a run was trained on images, a folder without IDX files."""
    if kind != "folder":
        return is_image_name(path.name)
    names = (f"{TEST_PART}-{IMAGE_FILE}{ending}" for ending in ("", ".gz"))
    return len(spec.shape) == 3 and not any((path / name).exists() for name in names)


def image_examples(path: Path, spec: DataSpec, training_data: Data, labelled: bool) -> ImageExamples:
    """All images there; of a folder with `train` and `test` those of `test`, where they are `labelled`.

    They are resized as those of training were; to a run that was not trained on image files they must have
    its size. Raises `UserError`.
    """
    where = shortened(str(path))
    channels, *size = spec.shape if len(spec.shape) == 3 else (0,)
    mode = next((mode for mode, count in CHANNELS_OF_MODE.items() if count == channels), None)
    if mode is None:
        shape = " x ".join(map(str, spec.shape))
        raise UserError(f"'{where}': images have 1, 3 or 4 channels; the run knows {shape}")
    how = training_data if isinstance(training_data, Images) else Images()
    reader = PixelReader(mode, tuple(size), how.size is not None, how.filter, how.fit)
    if path.is_file():
        if labelled:
            raise UserError(f"'{where}' is one image: expected a folder, with one for each class")
        return ImageExamples(path.parent, [path], reader, False)
    if labelled:
        path = part_folders(path).get("test", path)
        if not subfolders(path):
            raise UserError(f"'{where}' has no folders: expected a folder of images for each class")
    files, _ = find_images(path)
    if labelled:
        files = [file for file in files if file.parent != path]
    if not files:
        raise UserError(f"there are no images in '{where}'")
    return ImageExamples(path, files, reader, labelled)

"""Makes the PNGs of docs/pictures small enough for a repository: at most 80 kB each, by fewer colours.

    python scripts/shrink_pictures.py                  # all that are larger
    python scripts/shrink_pictures.py a/fit.png ...    # these, in place

Lines and dots lose nothing that can be seen at 128 colours, tints little at 64. What is still too large is
made smaller, to 3/4 of its sides.
"""

import io
import sys
from pathlib import Path

from PIL import Image

LARGEST_BYTES = 80_000
COLOUR_COUNTS = (256, 128, 64, 32)
SMALLER_SIDES = 0.75
PICTURES = Path(__file__).resolve().parents[1] / "docs" / "pictures"


def shrunk(png: bytes) -> bytes:
    """The picture with as many colours as fit into `LARGEST_BYTES`."""
    image = Image.open(io.BytesIO(png)).convert("RGB")
    while True:
        for colours in COLOUR_COUNTS:
            quantised = image.quantize(colours, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
            file = io.BytesIO()
            quantised.save(file, "PNG", optimize=True)
            if file.tell() <= LARGEST_BYTES:
                return file.getvalue()
        image = image.resize([round(SMALLER_SIDES * side) for side in image.size], Image.Resampling.LANCZOS)


def main(files: list[Path]) -> None:
    for file in files:
        png = file.read_bytes()
        if len(png) > LARGEST_BYTES:
            small = shrunk(png)
            file.write_bytes(small)
            print(f"{file}: {len(png) / 1000:.0f} kB, now {len(small) / 1000:.0f} kB")


if __name__ == "__main__":
    main([*map(Path, sys.argv[1:])] or sorted(PICTURES.glob("*.png")))

"""Starts TensorBoard, patched so that SCALARS shows more than 40 runs (it would select none of them).

`python -m nnlab.commands.board_server FLAGS` is `python -m tensorboard.main FLAGS`, with its page's constant
raised to what its other tab, TIME SERIES, takes, and without notices of no use here. Its main.py says how:
"Those wishing to customize the set of plugins or static assets that TensorBoard uses can swap out this file
with their own."
"""

import io
import sys
import zipfile

STARTUP_NOISE = ("TensorFlow installation not found", "Using experimental fast data loading logic")
PAGE_FILE = "index.js"
THEIR_LIMIT = b"maxNamesToEnableByDefault=40"
OUR_LIMIT = b"maxNamesToEnableByDefault=500"


def with_more_runs(assets):
    """TensorBoard's page, a zip archive, with the constant raised; as it is if that is not in there."""
    changed = io.BytesIO()
    with assets, zipfile.ZipFile(assets) as old, zipfile.ZipFile(changed, "w") as new:
        for entry in old.infolist():
            content = old.read(entry)
            if entry.filename == PAGE_FILE:
                content = content.replace(THEIR_LIMIT, OUR_LIMIT)
            # Stored, since it is unpacked again at once.
            new.writestr(entry, content, compress_type=zipfile.ZIP_STORED)
    changed.seek(0)
    return changed


class WithoutNoise:
    """A stream without the `STARTUP_NOISE` that TensorBoard begins with; all else of it goes on as it is."""

    def __init__(self, stream):
        self._stream, self._drops_end = stream, False

    def write(self, text: str) -> int:
        is_noise = any(noise in text for noise in STARTUP_NOISE) or self._drops_end and text == "\n"
        self._drops_end = is_noise and not text.endswith("\n")
        if is_noise:
            return len(text)
        return self._stream.write(text)

    def __getattr__(self, name: str):
        return getattr(self._stream, name)


def main() -> None:
    from absl import app
    from tensorboard import assets, default, main_lib, program
    from tensorboard.plugins import base_plugin

    sys.stderr = WithoutNoise(sys.stderr)
    main_lib.global_init()
    theirs = assets.get_default_assets_zip_provider()
    ours = theirs and (lambda: with_more_runs(theirs()))
    board = program.TensorBoard(plugins=default.get_plugins(), assets_zip_provider=ours)
    try:
        app.run(board.main, flags_parser=board.configure)
    except base_plugin.FlagsError as e:
        sys.exit(f"nnlab board: {e}")


if __name__ == "__main__":
    main()

"""TensorBoard as it is, but that SCALARS shows more than 40 runs: of more it selects none, and is empty.

`python -m nnlab.commands.board_server FLAGS` is `python -m tensorboard.main FLAGS`, with its page's constant
raised to what its other tab, TIME SERIES, takes. tensorboard/main.py says how: "Those wishing to customize
the set of plugins or static assets that TensorBoard uses can swap out this file with their own."
"""

import io
import sys
import zipfile

PAGE, THEIRS, OURS = "index.js", b"maxNamesToEnableByDefault=40", b"maxNamesToEnableByDefault=500"


def with_more_runs(assets):
    """TensorBoard's page, a zip archive, with the constant raised; as it is if that is not in there."""
    changed = io.BytesIO()
    with assets, zipfile.ZipFile(assets) as old, zipfile.ZipFile(changed, "w") as new:
        for entry in old.infolist():
            content = old.read(entry)
            new.writestr(entry, content.replace(THEIRS, OURS) if entry.filename == PAGE else content,
                         compress_type=zipfile.ZIP_STORED)  # fmt: skip
    changed.seek(0)
    return changed


def main() -> None:
    from absl import app
    from tensorboard import assets, default, main_lib, program
    from tensorboard.plugins import base_plugin

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

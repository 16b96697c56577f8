"""Path of nnlab's configuration folder."""

from pathlib import Path

_PACKAGE_DIR = Path(__file__).resolve().parent


def config_dir(package: Path) -> Path:
    """The packaged copy of the configurations if there is one, else the checkout's."""
    packaged = package / "configs"
    return packaged if packaged.is_dir() else package.parent / "configs"


CONFIG_DIR = config_dir(_PACKAGE_DIR)

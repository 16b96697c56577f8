"""Configuration files as Hydra is given them: read within bounds, whoever wrote them."""

import os
from pathlib import Path

from hydra.plugins.config_source import ConfigLoadError, ConfigResult
from omegaconf import OmegaConf

from nnlab.commands.hydra_private import FilesOfFolder, read_files_by, yaml_loader
from nnlab.errors import UserError
from nnlab.untrusted import LARGEST_FILES, text_of, yaml_of

HEADER = 512  # characters at a file's start in which Hydra looks for `# @package`


class BoundedFiles(FilesOfFolder):
    """Hydra's folder of YAML files; what a file says is checked before OmegaConf copies it."""

    def load_config(self, config_path: str) -> ConfigResult:
        path = Path(os.path.realpath(os.path.join(self.path, self._normalize_file_name(config_path))))
        if not path.exists():
            raise ConfigLoadError(f"Config not found : {path}")
        tree = yaml_of(path, yaml_loader())
        if isinstance(tree, dict) and not isinstance(tree.get("hydra", {}), dict):
            raise UserError(f"{path.name}: hydra is no mapping: a configuration file may not replace it")
        return ConfigResult(
            config=OmegaConf.create({} if tree is None else tree),
            path=f"{self.scheme()}://{self.path}",
            provider=self.provider,
            header=self._get_header_dict(text_of(path, LARGEST_FILES["YAML"])[:HEADER]),
        )


def install() -> None:
    """Let Hydra read every file so, in this process."""
    read_files_by(BoundedFiles)

"""Removes passwords from the overrides of a command line, so that none is shown or written."""

from __future__ import annotations

from nnlab.masking import mask_password, mask_passwords


def without_passwords(words: list[str]) -> tuple[list[str], str | None]:
    """The words of a command line with every password in a URL masked; and `storage=` as it was typed.

    A variable of the environment in `storage=` is read here, since what it holds is masked as well.
    """
    typed, shown = None, []
    for word in words:
        key, equals, text = word.partition("=")
        if equals and key.strip().lstrip("+") == "storage":
            whole = _resolved(text.strip("'\""))
            if "${" in text or mask_password(text) != text:
                typed = whole
                word = f"{key}='{mask_password(whole)}'"
        shown.append(mask_passwords(word))
    return shown, typed


def _resolved(text: str) -> str:
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    try:
        return str(OmegaConf.to_container(OmegaConf.create([text]), resolve=True)[0])
    except OmegaConfBaseException:
        return text  # it is of a setting, which is not known yet

"""Shell completion for bash, zsh and fish: the scripts to install, and the answers in each shell's format.

The name of a file may be anything, even `$(...)`. So the scripts never let the shell evaluate an offer, as
bash's `compgen -W` does; and bash, which inserts offers unchanged, gets them quoted.
"""

from __future__ import annotations

import contextlib
import os
import re

from nnlab import tab
from nnlab.errors import UserError, unknown

_BASH_SCRIPT = """\
_nnlab_tab() {
    local offer
    COMPREPLY=()
    while IFS= read -r offer; do
        COMPREPLY+=("$offer")
    done < <(COMP_LINE="$COMP_LINE" COMP_POINT="$COMP_POINT" NNLAB_WORD="$2" "$1" -sc query=bash 2>/dev/null)
    type compopt &>/dev/null && compopt -o nosort 2>/dev/null
    if [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == *[!=./,[] ]] && type compopt &>/dev/null; then
        compopt +o nospace
    fi
}
complete -o nospace -F _nnlab_tab nnlab
"""
# zsh takes an unquoted open `[` for the subscript of a variable, and asks the completion of subscripts.
_ZSH_SCRIPT = """\
_nnlab_tab() {
    local -a offers done open
    local offer line="${(j: :)words[1,CURRENT-1]} $QIPREFIX$PREFIX"
    offers=("${(@f)$(COMP_LINE="$line" COMP_POINT="${#line}" "${(Q)words[1]}" -sc query=zsh 2>/dev/null)}")
    for offer in $offers; do
        if [[ "$offer" == *[=./,\\[] ]]; then open+=("$offer"); else done+=("$offer"); fi
    done
    (( ${#done} )) && compadd -V nnlab -- $done
    (( ${#open} )) && compadd -V nnlab-open -S '' -- $open
}
_nnlab_subscript() {
    if [[ "$LBUFFER" != (|*[[:space:]/])nnlab[[:space:]]* ]]; then
        _subscript
        return
    fi
    local -a inside
    local offer line="nnlab ${LBUFFER##*nnlab[[:space:]]}"
    local -i before=$(( ${#${line##*[[:space:]]}} - ${#PREFIX} ))
    for offer in "${(@f)$(COMP_LINE="$line" COMP_POINT="${#line}" nnlab -sc query=zsh 2>/dev/null)}"; do
        inside+=("${offer[before+1,-1]}")
    done
    (( ${#${(j::)inside}} )) && compadd -S '' -- $inside
}
(( ${+functions[compdef]} )) || { autoload -Uz compinit && compinit -u; }
compdef _nnlab_tab nnlab
compdef _nnlab_subscript -subscript-
"""
_FISH_SCRIPT = """\
function _nnlab_tab
    set -l line (commandline -cp)
    env COMP_LINE="$line" COMP_POINT=(string length -- "$line") nnlab -sc query=fish 2>/dev/null
end
complete -c nnlab -f -k -a '(_nnlab_tab)'
"""
INSTALL_SCRIPTS = {"bash": _BASH_SCRIPT, "zsh": _ZSH_SCRIPT, "fish": _FISH_SCRIPT}
UNINSTALL_SCRIPTS = {
    "bash": "complete -r nnlab; unset -f _nnlab_tab\n",
    "zsh": "compdef -d nnlab; compdef _subscript -subscript-; unfunction _nnlab_tab _nnlab_subscript\n",
    "fish": "complete -c nnlab -e; functions -e _nnlab_tab\n",
}


def answer(request: str, commands: dict[str, str], options: tuple[str, ...]) -> str:
    """What `-sc REQUEST` prints, for `install=bash`, `uninstall=bash` or `query=bash`. Raises `UserError`.

    `commands` and `options` may be the first word after `nnlab`.
    """
    action, _, shell = request.partition("=")
    if shell not in INSTALL_SCRIPTS:
        raise unknown("shell", shell, INSTALL_SCRIPTS) if shell else _usage(request)
    if action == "install":
        return INSTALL_SCRIPTS[shell]
    if action == "uninstall":
        return UNINSTALL_SCRIPTS[shell]
    if action != "query":
        raise _usage(request)
    line, cursor = os.environ.get("COMP_LINE", ""), os.environ.get("COMP_POINT", "")
    if cursor.isdigit():
        line = line[: int(cursor)]
    completions = _completions(line, commands, options)
    if shell == "bash" and "NNLAB_WORD" in os.environ:
        completions = quote_for_bash(completions, line, os.environ["NNLAB_WORD"])
    return "".join(f"{completion}\n" for completion in completions)


def _usage(request: str) -> UserError:
    return UserError(
        f"-sc {request}: expected install=SHELL or uninstall=SHELL, of {', '.join(INSTALL_SCRIPTS)}"
    )


def _completions(line: str, commands: dict[str, str], options: tuple[str, ...]) -> list[str]:
    words = tab.split(line)
    if len(words) < 3:
        word = words[1] if len(words) == 2 else ""
        first_words = options if word.startswith("-") else commands
        return [name for name in first_words if name.startswith(word)]
    if words[1] not in commands:
        return []
    # Whatever goes wrong, a prompt is not the place for an error.
    with contextlib.suppress(Exception):
        return tab.completions(line)
    return []


_SPECIAL_CHARACTERS = re.compile(r"([^\w@%+=:,./\[\]~-])", re.ASCII)
_SPECIAL_IN_QUOTES = re.compile(r'([$`"\\!])')


def quote_for_bash(completions: list[str], line: str, word: str) -> list[str]:
    """The offers as bash inserts them in place of `word`.

    For bash a word begins after `=` and `:`, so `word` is only the end of what was typed, without the quote
    that it may begin with. Offers are cut accordingly, and quoted.
    """
    typed, quote = tab.split(line)[-1], _open_quote(line)
    ending = word.removeprefix(quote) if quote else tab.split(word)[-1]
    cut = len(typed) - len(ending) if typed.endswith(ending) else 0
    endings = [completion[cut:] for completion in completions]
    if quote == "'":
        # Within single quotes nothing can be escaped, so a name with such a quote is not offered.
        return [
            ending for ending, completion in zip(endings, completions, strict=True) if "'" not in completion
        ]
    special = _SPECIAL_IN_QUOTES if quote == '"' else _SPECIAL_CHARACTERS
    return [special.sub(r"\\\1", ending) for ending in endings]


def _open_quote(line: str) -> str:
    """The quote that is open at the end of the line, if one is."""
    quote = ""
    for character in re.sub(r"\\.", "", line):
        if character == quote:
            quote = ""
        elif not quote and character in "'\"":
            quote = character
    return quote

"""Completion in bash, zsh and fish: what `nnlab -sc install=SHELL` prints, and answers in each shell's form.

A name of a file may be anything, `$(...)` too. So the scripts never let the shell read an offer as code, as
bash's `compgen -W` does, and bash, which inserts offers as they are, gets them quoted.
"""

from __future__ import annotations

import contextlib
import os
import re

from nnlab import tab
from nnlab.errors import UserError, unknown

_BASH = """\
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
# zsh takes an open `[` without a quote for a subscript of a variable, and asks whoever completes those.
_ZSH = """\
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
_FISH = """\
function _nnlab_tab
    set -l line (commandline -cp)
    env COMP_LINE="$line" COMP_POINT=(string length -- "$line") nnlab -sc query=fish 2>/dev/null
end
complete -c nnlab -f -k -a '(_nnlab_tab)'
"""
INSTALL = {"bash": _BASH, "zsh": _ZSH, "fish": _FISH}
UNINSTALL = {
    "bash": "complete -r nnlab; unset -f _nnlab_tab\n",
    "zsh": "compdef -d nnlab; compdef _subscript -subscript-; unfunction _nnlab_tab _nnlab_subscript\n",
    "fish": "complete -c nnlab -e; functions -e _nnlab_tab\n",
}


def answer(asked: str, first: dict[str, str], options: tuple[str, ...]) -> str:
    """What `-sc ASKED` prints: `install=bash`, `uninstall=bash`, `query=bash`. Raises `UserError`.

    `first` are the commands, and `options` those before any command.
    """
    what, _, shell = asked.partition("=")
    if shell not in INSTALL:
        raise unknown("shell", shell, INSTALL) if shell else _usage(asked)
    if what in ("install", "uninstall"):
        return (INSTALL if what == "install" else UNINSTALL)[shell]
    if what != "query":
        raise _usage(asked)
    line, point = os.environ.get("COMP_LINE", ""), os.environ.get("COMP_POINT", "")
    line = line[: int(point)] if point.isdigit() else line
    offers = _offers(line, first, options)
    word = os.environ.get("NNLAB_WORD") if shell == "bash" else None
    return "".join(f"{offer}\n" for offer in (offers if word is None else in_bash(offers, line, word)))


def _usage(asked: str) -> UserError:
    return UserError(f"-sc {asked}: expected install=SHELL or uninstall=SHELL, of {', '.join(INSTALL)}")


def _offers(line: str, first: dict[str, str], options: tuple[str, ...]) -> list[str]:
    words = tab.split(line)
    if len(words) < 3:
        word = words[1] if len(words) == 2 else ""
        return [name for name in (options if word.startswith("-") else first) if name.startswith(word)]
    with contextlib.suppress(Exception):  # never an error into a prompt
        return tab.offers(line) if words[1] in first else []
    return []


_SPECIAL = re.compile(r"([^\w@%+=:,./\[\]~-])", re.ASCII)


def in_bash(offers: list[str], line: str, word: str) -> list[str]:
    """The offers as bash inserts them in place of `word`: the end of what was typed, from the last sign that
    breaks words on (`=`, `:`), without the quote that it may begin with."""
    typed, quote = tab.split(line)[-1], _open_quote(line)
    ending = tab.split(word)[-1] if not quote else word.removeprefix(quote)
    cut = len(typed) - len(ending) if typed.endswith(ending) else 0
    escaped = {"": _SPECIAL, '"': re.compile(r'([$`"\\!])')}
    rest = [offer[cut:] for offer in offers if quote != "'" or "'" not in offer]
    return [escaped[quote].sub(r"\\\1", o) if quote in escaped else o for o in rest]


def _open_quote(line: str) -> str:
    """The quote that is open at the end of the line, if one is."""
    quote = ""
    for sign in re.sub(r"\\.", "", line):
        quote = "" if sign == quote else sign if not quote and sign in "'\"" else quote
    return quote

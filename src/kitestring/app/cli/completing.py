"""Answers to the TAB key: the words of commands and the names in the ledger at once, without loading a command;
options and choices by click, which loads the one command that has them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import click
from click.shell_completion import (
    BashComplete,
    CompletionItem,
    FishComplete,
    ShellComplete,
    ZshComplete,
    add_completion_class,
)

from kitestring.app.cli.examples import EXAMPLES
from kitestring.app.cli.summaries import SUMMARIES
from kitestring.app.home.place import default_data_dir
from kitestring.ledger.sqlite.names import names

#: Set by the script in the shell: the question of the TAB key.
VARIABLE: Final = "_KITESTRING_COMPLETE"
#: Arguments that are names: of what, by the command (or its first word) and the place of the argument.
_ARGUMENTS: Final[Mapping[tuple[str, int], str]] = {
    ("link", 0): "connection",
    ("revoke", 0): "connection",
    ("connection", 0): "connection",
    ("balance", 0): "account",
    ("account", 0): "account",
    ("account transfer", 1): "account",
    ("offer", 0): "offer",
    ("offer forward", 1): "offer",
}
#: Options whose values are names.
_OPTIONS: Final[Mapping[str, str]] = {"--account": "account", "--connection": "connection", "--offer": "offer"}
#: Commands that are given something new, or no name.
_NEW: Final = frozenset({"account create", "offer create", "offer resend"})
#: Commands whose arguments are choices or files, which click knows.
_BY_CLICK: Final = frozenset({"completion", "backup", "restore", "debit pointer policy", "manage policy"})
#: click's own takes backslashes away from what it reads.
_BASH: Final = """\
%(complete_func)s() {
    local kind value
    COMPREPLY=()
    while IFS=, read -r kind value; do
        case "$kind" in
            dir) compopt -o dirnames ;;
            file) compopt -o default ;;
            plain) COMPREPLY+=("$value") ;;
        esac
    done < <(env COMP_WORDS="${COMP_WORDS[*]}" COMP_CWORD="$COMP_CWORD" %(complete_var)s=bash_complete "$1")
}
complete -o nosort -F %(complete_func)s %(prog_name)s
"""
_PLAIN: Final = re.compile(r"[\w./:@%+=,-]")


def script_of(shell: str, program: click.Command, variable: str) -> str:
    """The script for a shell, by its name."""
    return ShellComplete.source(_SHELLS[shell](program, {}, "kitestring", variable))


def register() -> None:
    """Have click answer by the classes of this module."""
    for name, kind in _SHELLS.items():
        add_completion_class(kind, name)


def quick(args: list[str], incomplete: str, summaries: Mapping[str, str]) -> list[CompletionItem[str]] | None:
    """Answer without loading a command; None: click has to be asked. ``args`` are the words before."""
    data_dir, words = _global(args)
    if incomplete.startswith("-"):
        return None
    if words and words[-1] in _OPTIONS:
        return _of_names(_OPTIONS[words[-1]], data_dir, incomplete)
    if any(word.startswith("-") for word in words):
        return None
    following = dict.fromkeys(_following(words))
    if following:
        helped = summaries if not words else {}
        return [CompletionItem(word, help=helped.get(word)) for word in following if word.startswith(incomplete)]
    command = next((" ".join(words[:end]) for end in range(len(words), 0, -1) if " ".join(words[:end]) in EXAMPLES), "")
    if command in _BY_CLICK:
        return None
    kind = _kind(command, len(words) - len(command.split()))
    return _of_names(kind, data_dir, incomplete) if kind else []


def _kind(command: str, place: int) -> str:
    """Say of what an argument is a name; "" of nothing that is known."""
    if command in _NEW:
        return ""
    return _ARGUMENTS.get((command, place)) or _ARGUMENTS.get((command.partition(" ")[0], place), "")


def _global(args: list[str]) -> tuple[Path | None, list[str]]:
    """The data directory that is named, and the words without the options of every command."""
    found, words, rest = None, [], iter(args)
    for word in rest:
        if word == "--data-dir":
            found = next(rest, None)
        elif word not in {"--json", "--debug"}:
            words.append(word)
    return (Path(found).expanduser() if found else None), words


def _following(words: list[str]) -> Iterator[str]:
    """The words that follow these in any command."""
    for command in EXAMPLES:
        parts = command.split()
        if parts[: len(words)] == words and len(parts) > len(words):
            yield parts[len(words)]


def _of_names(kind: str, data_dir: Path | None, incomplete: str) -> list[CompletionItem[str]]:
    """Complete a name; one that cannot be typed on one line is left out."""
    found = names((data_dir or default_data_dir()) / "kitestring.db", kind)
    return [CompletionItem(name) for name in found if name.startswith(incomplete) and name.isprintable()]


class _Quick(ShellComplete):
    """Asks click for what is not known at once."""

    def get_completions(self, args: list[str], incomplete: str) -> list[CompletionItem[Any]]:
        found = quick(args, incomplete, SUMMARIES)
        return super().get_completions(args, incomplete) if found is None else found


class _Bash(_Quick, BashComplete):
    source_template = _BASH

    def format_completion(self, item: CompletionItem[Any]) -> str:
        """bash puts words on the line as they are: what the name of a stranger's offer has in it must stay a name."""
        safe = "".join(sign if _PLAIN.fullmatch(sign) else f"\\{sign}" for sign in str(item.value))
        return f"{item.type},{safe}"


class _Zsh(_Quick, ZshComplete):
    pass


class _Fish(_Quick, FishComplete):
    pass


_SHELLS: Final[Mapping[str, type[ShellComplete]]] = {"bash": _Bash, "zsh": _Zsh, "fish": _Fish}

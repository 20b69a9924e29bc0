"""Mistakes on the command line, each in one sentence of ours: click's own words are those of a library."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import click

#: The beginning of click's sentence about what is left over; the words themselves stand in brackets after it.
_TOO_MANY: Final = "Got unexpected extra argument"


def in_one_sentence(error: click.ClickException) -> str:
    """``error`` with the command whose help tells more, unless it says already what may be meant."""
    context = getattr(error, "ctx", None)
    words = next((_WORDS[kind] for kind in type(error).__mro__ if kind in _WORDS), _other)
    sentence = words(error).rstrip(".")
    if context is None or sentence.endswith("?"):
        return sentence
    return f"{sentence}; see `{context.command_path} --help`"


def _no_option(error: Any) -> str:
    if error.option_name[1:2].isdigit():
        return "an amount or a number has no sign: write it as in 21"
    near = " or ".join(sorted(error.possibilities or ())[:2])
    return f"there is no option {error.option_name!r}" + (f"; did you mean {near}?" if near else "")


def _no_value(error: Any) -> str:
    return f"the option {error.option_name!r} needs a value"


def _missing(error: Any) -> str:
    if error.param is None:
        return _other(error)
    name = error.param.make_metavar(error.ctx) if error.param.param_type_name == "argument" else error.param.opts[-1]
    return f"{name} is missing"


def _bad_value(error: Any) -> str:
    """The sentence alone: those of ours name what they are about."""
    return _lower(error.message)


def _other(error: Any) -> str:
    sentence: str = error.format_message()
    if sentence.startswith(_TOO_MANY):
        rest = sentence.partition("(")[2].rstrip(").")
        return f"the command ends before {rest!r}: put words that belong together in quotes"
    return _lower(sentence)


def _lower(sentence: str) -> str:
    is_currency = sentence[:3].isalpha() and sentence[:3].isupper()  # its code stays as it is
    return sentence if is_currency else sentence[:1].lower() + sentence[1:]


#: Exceptions of click, and our words for them; the nearest class counts.
_WORDS: Final[Mapping[type[BaseException], Callable[[Any], str]]] = {
    click.NoSuchOption: _no_option,
    click.BadOptionUsage: _no_value,
    click.MissingParameter: _missing,
    click.BadParameter: _bad_value,
}

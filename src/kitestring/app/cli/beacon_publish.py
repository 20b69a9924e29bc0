"""``kitestring beacon publish``: what the service says to everybody, and that it says it now."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import click

from kitestring.app.cli.beacon_show import fee_words, kind_words, work_words
from kitestring.app.cli.shell import Shell, common
from kitestring.app.cli.values import facts
from kitestring.base.errors import Exit

if TYPE_CHECKING:
    from kitestring.app.service.execute import Result

_LABELS: Final = {
    "name": "name", "description": "about", "website": "website", "avatarUrl": "picture", "relays": "relays",
    "fees": "fee", "enroll_difficulty": "new accounts", "supported_kinds": "answers",
}  # fmt: skip


@click.command("publish")
@click.option("--preview", is_flag=True, help="Only show what it says, also while it is switched off.")
@common
def command(shell: Shell, preview: bool) -> int:
    """Publish the beacon of the running service now. What it says is shown, and which relays have it.

    With beacon.publish = true the service does that by itself, once a minute. The exit code is 4 when the node or every
    relay is away, or no relay takes it.
    """
    result = shell.call("beacon_publish", {"preview": preview})
    shell.show(result, f"{_head(result, preview)}\n\n{facts(_rows(result))}")
    return Exit.OK if preview or result["published"] else Exit.UNAVAILABLE


def _head(result: Result, preview: bool) -> str:
    if not preview:
        return "published" if result["published"] else "no relay has taken it"
    if result["is_on"]:
        return "said every minute while the service works:"
    return "switched off; with `publish = true` in the section [beacon] of the settings everybody is told:"


def _rows(result: Result) -> list[tuple[str, str]]:
    content: dict[str, Any] = result["content"]
    rows = [(label, _WORDS.get(name, _text)(content[name])) for name, label in _LABELS.items() if name in content]
    rows += [("operator", result["operator"])] if result["operator"] else []
    rows += [(row["relay"], "has it" if row["has_it"] else f"has not: {row['words']}") for row in result["relays"]]
    return rows


def _text(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


#: The words of ``beacon show`` for members that are numbers.
_WORDS: Final[dict[str, Callable[[Any], str]]] = {
    "fees": lambda fees: fee_words(fees["serviceFeeFloor"], fees["serviceFeeBps"]),
    "enroll_difficulty": work_words,
    "supported_kinds": kind_words,
}

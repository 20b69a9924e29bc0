"""``kitestring up``: the service in the foreground."""

from __future__ import annotations

import shlex
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import click

from kitestring.app.cli.connect import missing_lines
from kitestring.app.cli.qr import drawing
from kitestring.app.cli.shell import Shell, common, person_looks
from kitestring.app.cli.values import facts
from kitestring.app.owner.stops import spending_is_stopped
from kitestring.base.text import clean

if TYPE_CHECKING:
    from kitestring.app.card import Card


#: The networks on which money is not real; on any other one it is taken for real.
TEST_NETWORKS: Final = frozenset({"testnet", "testnet4", "signet", "regtest", "simnet"})
#: What a node may call itself at most, by the protocol.
MAX_ALIAS_CHARS: Final = 32


@click.command("up")
@click.option("--relay", "relays", multiple=True, metavar="URL", help="A relay to be reached through; may repeat.")
@click.option("--node", metavar="URL", help="The Lightning node, such as lnd+https://HOST:PORT?cert=…&macaroon=…")
@click.option("--qr/--no-qr", default=False, help="Show the offer and the link of the first start as QR codes too.")
@click.option("--quiet", is_flag=True, help="Show no line for each payment, refusal and change (see log_activity).")
@common
def command(shell: Shell, relays: tuple[str, ...], node: str | None, qr: bool, quiet: bool) -> None:
    """Start the service, show its card, and serve until Ctrl-C.

    Without settings it runs a sandbox node with 1,000,000 sat and its own relay. With --relay it listens on no TCP
    port at all, unless a link or a code still names its own relay. On a terminal each payment in, out or refused is a
    line on standard error.
    """
    from kitestring.app.up import run

    if relays:
        shell.options["relays"] = relays
    if node:
        shell.options["node"] = node
    if quiet:
        shell.options["log_activity"] = "off"
    config = shell.config
    sandbox = config.node_url.startswith("sandbox:")

    def show(card: Card) -> None:
        if not person_looks():  # a file or a journal keeps what is written into it
            card = replace(card, nwc_uri=None)
        extra = shell.directory_words
        again = f"{_link(card, extra)}, while it runs" if card.nwc_uri else ""
        shell.show(card_json(card), card_parts(card, sandbox=sandbox, qr=qr, extra=extra), again=again)

    run(config, show)


def card_json(card: Card) -> dict[str, object]:
    return {
        "relay": card.relays[0] if card.relays else None,
        "relays": list(card.relays),
        "service_pubkey": card.service_pubkey,
        "noffer": card.noffer,
        "ndebit": card.ndebit,
        "network": card.network or None,
        "node": card.node or None,
        "nwc_uri": card.nwc_uri,
        "socket": str(card.socket),
        "unused": card.unused or None,
        "missing_on": card.missing_on,
        "old_relays": [kept.url for kept in card.kept],
        "spending_stopped": [{"cause": stop.cause.value, "why": stop.why} for stop in card.stops],
    }


def card_parts(card: Card, *, sandbox: bool, qr: bool = False, extra: str = "") -> list[str]:
    """The card for people, part after part. ``extra`` is the option they must repeat in what they type next."""
    parts = [
        f"kitestring is up {_where(card, sandbox=sandbox)}",
        "",
        *(line for stop in card.stops for line in (spending_is_stopped(stop.cause, stop.why), "")),
        facts(
            [
                ("relay", ", ".join(card.relays)),
                ("old relay", ", ".join(f"{kept.url} (for the {kept.users})" for kept in card.kept)),
                ("service key", card.service_pubkey),
            ]
        ),
    ]
    if card.noffer:
        parts += ["", "Your offer: anybody can pay this code, as often as they like.", "", card.noffer]
        parts += ["", drawing(card.noffer, f"kitestring {extra}offer show OFFER --qr-file FILE.png")] if qr else []
    if card.ndebit:
        parts += [
            "",
            f"Your debit code: whoever has it may ask you for money; `kitestring {extra}approvals` shows who does.",
        ]
        parts += ["", card.ndebit]
    if card.nwc_uri:
        parts += ["", "A wallet connection with a budget of 10,000 sat per day, for an app that pays:"]
        parts += [f"keep it secret; until its first use `{_link(card, extra)}` shows it again.", "", card.nwc_uri]
        parts += ["", drawing(card.nwc_uri, f"{_link(card, extra)} --qr-file FILE.png")] if qr else []
    parts += ["", *missing] if (missing := missing_lines(card.missing_on, every=_nobody_has(card))) else []
    tries = [*_activation(), *_next(card, sandbox, extra)]
    return [*parts, "", "What to type next, in a second shell:", "", *tries, "", "Ctrl-C stops it."]


def _where(card: Card, *, sandbox: bool) -> str:
    """The node in front of which it is up, and whether its money is real."""
    if sandbox:
        return "(sandbox: no real money)"
    money = "no real money" if card.network in TEST_NETWORKS else "real money"
    node = clean(card.node, MAX_ALIAS_CHARS) or "a node"
    return f"in front of {node} ({card.network or 'unknown network'}: {money})"


def _link(card: Card, extra: str) -> str:
    return f"kitestring {extra}link {shlex.quote(card.unused)}"


def _nobody_has(card: Card) -> bool:
    return set(card.relays) <= card.missing_on.keys()


def _next(card: Card, sandbox: bool, extra: str) -> list[str]:
    unused = [("the link of the first start, until an app uses it", f"link {shlex.quote(card.unused)}")]
    tries = [
        *(unused if card.unused and not card.nwc_uri else []),
        ("a wallet connection for an app", "connect NAME --budget 5000/day"),
        ("what came and went", "transactions"),
    ]
    if sandbox:
        tries = [
            ("somebody out there pays you 21 sat", f"sandbox pay {card.noffer or 'noffer1…'} 21"),
            ("you pay somebody out there 50 sat", f"pay $(kitestring {extra}sandbox invoice 50)"),
            *tries,
        ]
    return [line for why, text in tries for line in (f"  # {why}", f"  kitestring {extra}{text}")]


def _activation() -> list[str]:
    """For a program that the shell would not find: how to put it on the path (``make run`` starts such a one)."""
    import shutil
    import sys
    from pathlib import Path

    prefix = Path(sys.prefix)
    if sys.prefix == sys.base_prefix or shutil.which("kitestring"):
        return []
    activate = prefix / "bin" / "activate"
    if activate.is_relative_to(Path.cwd()):
        activate = activate.relative_to(Path.cwd())
    return ["  # so that this shell finds kitestring", f"  . {activate}"]

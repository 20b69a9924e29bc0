"""``kitestring beacon show``: whether a service works, what it says about itself, and who operates it."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from math import inf
from typing import TYPE_CHECKING, Any, Final

import click

from kitestring.app.cli.shell import Shell, common
from kitestring.app.cli.values import facts
from kitestring.base.errors import Exit

if TYPE_CHECKING:
    from kitestring.client.beacon import ServiceAddress, ServiceBeacon
    from kitestring.client.net import Net

relay_option: Final = click.option(
    "--relay", "relays", multiple=True, metavar="URL", help="A relay to ask as well; may repeat, and may be your own."
)

_STATES: Final = {
    "fresh": "works: its beacon is {age}",
    "stale": "has not been heard of lately: its beacon is {age}",
    "ahead": "says nothing that counts: its beacon is dated {age}",
    "none": "has no beacon on these relays, which many services do not have",
}
_OPERATED: Final = {
    "verified": "{npub} (that key says so too)",
    "claimed": "nobody who says so; the service alone names {npub}",
    "revoked": "not {npub}: that key has taken it back, though the service names it",
    "none": "",
}
#: Units of an age, each with the seconds below which it is used.
_UNITS: Final = ((1, "s", 120), (60, "min", 7_200), (3_600, "h", 172_800), (86_400, "days", inf))
_KINDS: Final = {21001: "offers", 21002: "debits", 21003: "manage", 21004: "enroll"}


@click.command("show")
@click.argument("service", required=False, default="")
@relay_option
@common
def command(shell: Shell, service: str, relays: tuple[str, ...]) -> int:
    """Show whether SERVICE works, and who operates it. What it says about itself is shown too.

    SERVICE is an npub, nprofile, public key, noffer or ndebit (default: the service of this data directory). A key
    alone is asked for at --relay, else at your own relays. The exit code is 0 for a beacon of the last three minutes,
    and 4 for an older one, one from the future, or none.
    """
    import asyncio

    from kitestring.client.beacon import ask_beacon

    address = address_of(shell, service)
    shell.note_left_out(address.left_out)
    shell.note_waiting("asking the relays …")
    found = asyncio.run(ask_beacon(address, net_of(shell), relays))
    shell.show(as_json(found), as_text(found))
    return Exit.OK if found.is_fresh else Exit.UNAVAILABLE


def address_of(shell: Shell, service: str) -> ServiceAddress:
    """The service that was typed, or that of the data directory. Raises KitestringError."""
    from kitestring.client.beacon import ServiceAddress, read_service

    if service:
        return read_service(service)
    card = shell.read("card")
    return ServiceAddress(card["service_pubkey"], tuple(card["relays"]))


def net_of(shell: Shell) -> Net:
    """The way to the relays of others; those of the service in this directory are one's own."""
    from kitestring.client.net import Net
    from kitestring.transport.clock import SystemClock

    config = shell.config
    return Net(
        SystemClock(), secrets.token_bytes, config.proxies, own_relays=shell.own_relays(),
        allow_private=config.allow_private_relays,
    )  # fmt: skip


def as_json(found: ServiceBeacon) -> dict[str, Any]:
    """The answer for programs. ``operator`` is the key that the beacon names, ``operated`` what that is worth."""
    from kitestring.app.owner.params import npub

    content, beacon = found.content, found.beacon
    fees = content.fees
    return {
        "service_pubkey": found.service,
        "npub": npub(found.service),
        "state": found.state,
        "age_s": found.age_s,
        "created_at": None if beacon is None else beacon.created_at,
        "legacy": beacon is not None and beacon.legacy,
        "name": content.name or None,
        "description": content.description or None,
        "website": content.website or None,
        "avatar_url": content.avatar_url or None,
        "relays": list(content.relays),
        "fees": None if fees is None else {"floor_msat": fees.floor_sats * 1_000, "bps": fees.bps},
        "enroll_difficulty": content.enroll_difficulty,
        "supported_kinds": None if content.supported_kinds is None else list(content.supported_kinds),
        "operator": None if beacon is None or not beacon.operator else npub(beacon.operator),
        "operated": found.operated,
        "told_by": list(found.told_by),
    }


def as_text(found: ServiceBeacon) -> str:
    """The answer for people: its state first, then what it says, as far as it says anything."""
    told, content = as_json(found), found.content
    rows = [
        ("name", told["name"]),
        ("about", told["description"]),
        ("website", told["website"]),
        ("service key", told["npub"]),
        ("operated by", _OPERATED[found.operated].format(npub=told["operator"])),
        ("fee", "" if content.fees is None else fee_words(content.fees.floor_sats, content.fees.bps)),
        ("answers", "" if content.supported_kinds is None else kind_words(content.supported_kinds)),
        ("new accounts", "" if content.enroll_difficulty is None else work_words(content.enroll_difficulty)),
        ("relays", ", ".join(told["relays"])),
        ("form", "from before the text of CLINK: for display only" if told["legacy"] else ""),
    ]
    state = _STATES[found.state].format(age=_age(found.age_s or 0))
    return f"the service {state}\n\n{facts([(name, text) for name, text in rows if text])}"


def _age(age_s: int) -> str:
    """``12 s old``, ``3 min old``, ``2 days old``, ``40 s ahead of this clock``."""
    span_s = abs(age_s)
    unit_s, unit = next((unit_s, unit) for unit_s, unit, below_s in _UNITS if span_s < below_s)
    return f"{span_s // unit_s} {unit} {'old' if age_s >= 0 else 'ahead of this clock'}"


def fee_words(floor_sats: int, bps: int) -> str:
    """A fee in words: at least so many sats, and so many hundredths of a percent."""
    if not (floor_sats or bps):
        return "none"
    part = f"{bps // 100}.{bps % 100:02} % of the amount" if bps else ""
    floor = f"{floor_sats:,} sat" if floor_sats else ""
    return f"{part}, at least {floor}" if part and floor else part or floor


def kind_words(kinds: Sequence[int]) -> str:
    """Kinds of requests, with what they are about."""
    return ", ".join(f"{kind} ({_KINDS[kind]})" if kind in _KINDS else str(kind) for kind in kinds) or "nothing"


def work_words(bits: int) -> str:
    """The price of a new account in words."""
    return f"proof of work of {bits} bits" if bits else "without proof of work"

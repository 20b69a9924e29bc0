"""Every setting is one row: its name, type, default and what it does.

The commented TOML of ``kitestring init`` and the reference page are made from :data:`SETTINGS`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final

from kitestring.base.errors import KitestringError, Reason
from kitestring.base.money import MAX_MSAT, MSAT_PER_SAT

FILE_NAME: Final = "kitestring.toml"


class Kind(Enum):
    """What a value must be; the text is what people are told."""

    TEXT = "a text"
    COUNT = "a whole number of at least 0"
    RATE = "a whole number of at least 1"
    PORT = "a whole number from 0 to 65535"
    SATS = "a whole number of sats"
    SWITCH = "true or false"
    TEXTS = "a list of texts"
    KINDS = "a list of event kinds (whole numbers from 0 to 65535)"


Value = str | int | bool | tuple[str, ...] | tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Setting:
    """``key`` is the dotted name in the file, ``variable`` the environment variable that overrides it, if any."""

    key: str
    kind: Kind
    default: Value
    doc: str
    variable: str = ""
    choices: tuple[str, ...] = ()

    @property
    def expected(self) -> str:
        return f"one of {', '.join(self.choices)}" if self.choices else self.kind.value


SETTINGS: Final = (
    Setting(
        "node",
        Kind.TEXT,
        "sandbox://",
        "The Lightning node: sandbox:// (a simulated network), or lnd+https://HOST:PORT?cert=PATH&macaroon=PATH.",
        variable="KITESTRING_NODE",
    ),
    Setting(
        "relays",
        Kind.TEXTS,
        (),
        "Relays to be reached through, the preferred one first. Empty: the embedded relay is started. "
        "With relays named here the service listens on no TCP port at all.",
        variable="KITESTRING_RELAYS",
    ),
    Setting(
        "log_level",
        Kind.TEXT,
        "warning",
        "How much is logged on standard error.",
        variable="KITESTRING_LOG_LEVEL",
        choices=("debug", "info", "warning", "error"),
    ),
    Setting("relay.host", Kind.TEXT, "127.0.0.1", "The address on which the embedded relay listens."),
    Setting(
        "relay.port",
        Kind.PORT,
        0,
        "The port of the embedded relay. 0: a free one is chosen at the first start and kept, because it is inside "
        "every code that was handed out.",
    ),
    Setting(
        "relay.kinds",
        Kind.KINDS,
        (),
        "Event kinds that the embedded relay takes. Empty: those that kitestring itself uses.",
    ),
    Setting(
        "relay.auth",
        Kind.SWITCH,
        False,
        "Whether the embedded relay shows requests and answers only to those they concern (NIP-42). Clients that "
        "cannot authenticate then see no answer.",
    ),
    Setting(
        "nip69.accept",
        Kind.SWITCH,
        True,
        "Whether offers also answer wallets that speak the protocol of 2024 (NIP-69), which name no version.",
    ),
    Setting(
        "limits.requests_per_min",
        Kind.COUNT,
        600,
        "Requests of one connection in a minute; more are answered with RATE_LIMITED. 0: no limit.",
    ),
    Setting("limits.payments_per_min", Kind.COUNT, 120, "Payments of one connection in a minute. 0: no limit."),
    Setting(
        "limits.open_payments",
        Kind.COUNT,
        1_000,
        "Payments under way at the same time in the whole service; bounds memory and channel slots.",
    ),
    Setting(
        "limits.open_payments_per_connection",
        Kind.COUNT,
        100,
        "Payments of one connection under way at the same time; more are answered with RATE_LIMITED. 0: no limit.",
    ),
    Setting("limits.open_invoices", Kind.COUNT, 200, "Unpaid invoices that one connection may have open. 0: no limit."),
    Setting(
        "limits.offer_requests_per_min",
        Kind.RATE,
        60,
        "Invoices that strangers may ask from one offer in a minute.",
    ),
    Setting(
        "limits.all_offers_requests_per_min",
        Kind.RATE,
        600,
        "Invoices that strangers may ask from all offers together in a minute.",
    ),
    Setting("fees.cap_ppm", Kind.COUNT, 10_000, "The most that routing may cost, in millionths of the amount."),
    Setting("fees.cap_min_sat", Kind.SATS, 10, "The routing fee that is allowed even where the line above gives less."),
    Setting(
        "network.proxy_wss",
        Kind.TEXT,
        "",
        "Proxy for wss:// relays: http://, https://, socks5:// or socks4://.",
        variable="HTTPS_PROXY",
    ),
    Setting("network.proxy_ws", Kind.TEXT, "", "Proxy for ws:// relays.", variable="HTTP_PROXY"),
    Setting(
        "network.no_proxy",
        Kind.TEXTS,
        (),
        "Hosts that are reached without the proxy; a leading dot covers subdomains. This machine always is.",
        variable="NO_PROXY",
    ),
    Setting(
        "network.allow_private_relays",
        Kind.SWITCH,
        False,
        "Whether a relay named in somebody else's code may be on a private address. The guard against being sent to "
        "your own router; leave it closed outside of tests.",
    ),
)
BY_KEY: Final[Mapping[str, Setting]] = {setting.key: setting for setting in SETTINGS}
_SECTIONS: Final = frozenset(key.partition(".")[0] for key in BY_KEY if "." in key)
_LEAST: Final[Mapping[Kind, int]] = {Kind.RATE: 1}
_MOST: Final[Mapping[Kind, int]] = {
    Kind.COUNT: 2**53 - 1,
    Kind.RATE: 2**53 - 1,
    Kind.PORT: 65_535,
    Kind.SATS: MAX_MSAT // MSAT_PER_SAT,
}
#: More relays than this are refused by the clients that read our codes.
MAX_LIST: Final = 64


def read_table(table: Mapping[str, object], source: str) -> dict[str, Value]:
    """The settings in a parsed TOML file. Raises KitestringError naming ``source``, the key and what is expected."""
    found: dict[str, Value] = {}
    for name, value in table.items():
        if name in _SECTIONS and not isinstance(value, dict):
            raise _wrong(source, name, f"must be a section, written [{name}]")
        members = value if isinstance(value, dict) and name in _SECTIONS else {"": value}
        for member, inner in members.items():
            key = f"{name}.{member}" if member else name
            if key not in BY_KEY:
                raise _wrong(source, key, f"is not a setting; {_nearest(key)}")
            found[key] = read_value(BY_KEY[key], inner, source)
    return found


def read_value(setting: Setting, value: object, source: str) -> Value:
    """``value`` checked against its row. Raises KitestringError."""
    checked = _check(setting.kind, value)
    if checked is None or (setting.choices and checked not in setting.choices):
        raise _wrong(source, setting.key, f"must be {setting.expected}")
    return checked


def read_variable(setting: Setting, text: str) -> Value:
    """The value in an environment variable: lists are separated by commas or spaces. Raises KitestringError."""
    value: object = text.strip()
    if setting.kind is Kind.TEXTS:
        value = text.replace(",", " ").split()
    return read_value(setting, value, f"the environment variable {setting.variable}")


def commented_toml() -> str:
    """The file that ``kitestring init`` writes: every setting with its meaning, all at their defaults."""
    lines = ["# Settings of kitestring. Every line is a default: remove the # to change it.", ""]
    section = ""
    for setting in SETTINGS:
        head, _, member = setting.key.rpartition(".")
        if head != section:
            lines += [f"[{head}]", ""]
            section = head
        lines += [f"# {line}" for line in _wrap(setting.doc)]
        if setting.variable:
            lines.append(f"# The environment variable {setting.variable} overrides it.")
        lines += [f"#{member or setting.key} = {toml_value(setting.default)}", ""]
    return "\n".join(lines)


def reference_markdown() -> str:
    """The page docs/reference/configuration.md."""
    rows = [
        "# Configuration",
        "",
        f"kitestring reads `{FILE_NAME}` in its data directory; `kitestring init` writes one with every setting.",
        "An environment variable wins over the file, a command-line option over both.",
        "",
        "The data directory itself comes from `--data-dir`, else from `KITESTRING_DATA_DIR`, else it is the usual",
        "place for application data of your system.",
        "",
        "| setting | type | default | environment | meaning |",
        "|---|---|---|---|---|",
    ]
    for setting in SETTINGS:
        variable = f"`{setting.variable}`" if setting.variable else ""
        default = f"`{toml_value(setting.default)}`"
        rows.append(f"| `{setting.key}` | {setting.expected} | {default} | {variable} | {setting.doc} |")
    rows += ["", "A setting `a.b` is the line `b = …` in the section `[a]`.", ""]
    return "\n".join(rows)


def toml_value(value: Value) -> str:
    """``value`` as TOML writes it."""
    return json.dumps(list(value) if isinstance(value, tuple) else value)


def _check(kind: Kind, value: object) -> Value | None:
    if kind is Kind.SWITCH:
        return value if isinstance(value, bool) else None
    if kind is Kind.TEXT:
        return value if isinstance(value, str) else None
    if kind in _MOST:
        return value if _is_whole(value, _MOST[kind], _LEAST.get(kind, 0)) else None  # type: ignore[return-value]
    if not isinstance(value, list | tuple) or len(value) > MAX_LIST:
        return None
    if kind is Kind.KINDS:
        return tuple(value) if all(_is_whole(item, 65_535) for item in value) else None
    return tuple(value) if all(isinstance(item, str) for item in value) else None


def _is_whole(value: object, most: int, least: int = 0) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most


def _wrong(source: str, key: str, what: str) -> KitestringError:
    return KitestringError(Reason.MALFORMED, f"{source}: {key} {what}", key=key)


def _nearest(key: str) -> str:
    from difflib import get_close_matches  # noqa: PLC0415 - only needed for a hint

    close = get_close_matches(key, BY_KEY, n=1, cutoff=0.5)
    return f"did you mean {close[0]}?" if close else f"the settings are {', '.join(BY_KEY)}"


def _wrap(text: str) -> list[str]:
    from textwrap import wrap  # noqa: PLC0415 - only needed by init

    return wrap(text, 100)

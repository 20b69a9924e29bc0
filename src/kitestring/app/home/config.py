"""All settings, read once: the file in the data directory, then the environment, then what the command line says.

No other module reads settings or the environment, but for the place of the data directory (``place.py``).
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import gettempdir
from types import MappingProxyType
from typing import Final

from kitestring.app.home.beacon import BeaconSettings
from kitestring.app.home.place import default_data_dir
from kitestring.app.home.settings import FILE_NAME, build, read_environment, read_table, read_value, rows_of
from kitestring.app.home.zones import ZONE, load_zone
from kitestring.base.errors import CodecError, KitestringError, Reason
from kitestring.base.setting import (
    NOSTR_KINDS,
    PORT,
    SWITCH,
    TEXT,
    TEXTS,
    Value,
    ValueKind,
    choice,
    list_of,
    setting,
    whole,
)
from kitestring.base.zones import UTC, Zone
from kitestring.codec.tickers import DEFAULT_TICKERS, TICKERS, Ticker, own_ticker
from kitestring.engine.limits import Limits
from kitestring.policy.enrolling import EnrollTerms
from kitestring.transport.proxies import LOOPBACK, Proxies

#: A settings file is a few KB; more is a mistake in the path.
MAX_FILE_BYTES: Final = 262_144
#: More than any machine for a service has; SQLite counts in KiB, in 31 bits.
MAX_CACHE_MIB: Final = 65_536
#: A name or an address, IPv6 with or without brackets, and a port.
_HOST: Final = re.compile(
    r"([\w-]+(\.[\w-]+)*|\[[\da-f:.]+\])(:\d{1,5})?|[\da-f]*:[\da-f:.]+", re.ASCII | re.IGNORECASE
)
_NO_ENVIRONMENT: Final[Mapping[str, str]] = MappingProxyType({})


# ------------------------------------------------------------ kinds of values with rules of their own


def _check_relays(value: object) -> tuple[str, ...] | None:
    relays = TEXTS.check(value)
    if not relays:
        return relays
    from kitestring.codec.pointers import MAX_RELAYS  # noqa: PLC0415 - codecs load the crypto library
    from kitestring.codec.relay_url import require_relay_url  # noqa: PLC0415 - codecs load the crypto library

    if len(relays) > MAX_RELAYS:
        raise KitestringError(Reason.MALFORMED, f"name at most {MAX_RELAYS}, that is what a payment code holds")
    for relay in relays:
        try:
            require_relay_url(relay)
        except CodecError as error:
            raise KitestringError(Reason.MALFORMED, f"{relay!r} cannot be used: {error}") from error
    return relays


def _check_proxy(value: object) -> str | None:
    """Check a proxy's URL. The error never shows it, because it may hold a password."""
    proxy = TEXT.check(value)
    try:
        Proxies(wss=proxy)
    except KitestringError as error:
        raise KitestringError(error.reason, f"{error.message}, such as http://proxy.lan:3128") from error
    return proxy


def _check_hosts(value: object) -> tuple[str, ...] | None:
    hosts = TEXTS.check(value)
    for host in hosts or ():
        if _HOST.fullmatch(host) is None:
            sentence = f"{host!r} is no host: write shop.lan, or shop.lan:8080, without https:// and path"
            raise KitestringError(Reason.MALFORMED, sentence)
    return hosts


def _check_rate_urls(value: object) -> tuple[str, ...] | None:
    urls = TEXTS.check(value)
    hosts: set[str] = set()
    for number, url in enumerate(urls or (), 1):
        try:
            name = own_ticker(url).name
        except CodecError as error:  # the URL is not repeated: a key for the server may stand in it
            raise KitestringError(Reason.MALFORMED, f"number {number} cannot be used: {error}") from error
        if name in hosts:
            raise KitestringError(Reason.MALFORMED, f"two of {name} are one opinion: name one of them")
        hosts.add(name)
    return urls


RELAYS: Final = ValueKind(TEXTS.expected, _check_relays, TEXTS.parse)
PROXY: Final = ValueKind(TEXT.expected, _check_proxy)
RATE_SOURCES: Final = list_of(choice(*TICKERS), f"a list of {', '.join(TICKERS)}")
RATE_URLS: Final = ValueKind(TEXTS.expected, _check_rate_urls, TEXTS.parse)
HOSTS: Final = ValueKind(TEXTS.expected, _check_hosts, TEXTS.parse)


# ------------------------------------------------------------ the settings


@dataclass(frozen=True, slots=True)
class RelaySettings:
    """The embedded relay."""

    host: str = setting("relay.host", TEXT, "127.0.0.1", "The address on which the embedded relay listens.")
    port: int = setting(
        "relay.port",
        PORT,
        0,
        "The port of the embedded relay. 0: a free one is chosen at the first start and kept, because it is inside "
        "every code that was handed out.",
    )
    kinds: tuple[int, ...] = setting(
        "relay.kinds",
        NOSTR_KINDS,
        (),
        "Event kinds that the embedded relay takes. Empty: those that kitestring itself uses.",
    )
    auth: bool = setting(
        "relay.auth",
        SWITCH,
        False,
        "Whether the embedded relay shows requests and answers only to those they concern (NIP-42). Clients that "
        "cannot authenticate then see no answer.",
    )


@dataclass(frozen=True, slots=True)
class RequestLimits:
    """Requests that are taken in a minute."""

    requests_per_min: int = setting(
        "limits.requests_per_min",
        whole("requests per minute"),
        600,
        "Requests of one connection in a minute; more are answered with RATE_LIMITED. 0: no limit.",
    )
    payments_per_min: int = setting(
        "limits.payments_per_min",
        whole("payments per minute"),
        120,
        "Payments of one connection in a minute. 0: no limit.",
    )
    offer_requests_per_min: int = setting(
        "limits.offer_requests_per_min",
        whole("invoices per minute", least=1),
        600,
        "Invoices that strangers may ask from one offer in a minute, each a call of the node; debits at one pointer.",
    )
    all_offers_requests_per_min: int = setting(
        "limits.all_offers_requests_per_min",
        whole("invoices per minute", least=1),
        1_200,
        "Invoices that strangers may ask from all offers together in a minute; and their debits at all pointers.",
    )


@dataclass(frozen=True, slots=True)
class NwcSettings:
    """Methods of Nostr Wallet Connect that are served only where the owner wants them."""

    legacy_methods: bool = setting(
        "nwc.legacy_methods",
        SWITCH,
        False,
        "Whether methods that the text of NIP-47 has dropped are served, for apps that still ask for them: "
        "multi_pay_invoice and multi_pay_keysend (several payments in one request), sign_message (the node signs a "
        "text), and with nwc.connection_requests create_connection (an app asks you for a connection of another one).",
    )

    draft_methods: bool = setting(
        "nwc.draft_methods",
        SWITCH,
        False,
        "Whether methods are served whose text may still change: lookup_payment (extension 09).",
    )

    @property
    def features(self) -> frozenset[str]:
        """The switches that are on, by the names in which the table of methods says what a method needs."""
        switches = {"legacy_methods": self.legacy_methods, "draft_methods": self.draft_methods}
        return frozenset(name for name, is_on in switches.items() if is_on)


@dataclass(frozen=True, slots=True)
class RateSettings:
    """The sources that tell what a currency is worth."""

    sources: tuple[str, ...] = setting(
        "rates.sources",
        RATE_SOURCES,
        DEFAULT_TICKERS,
        "Exchanges that are asked what a bitcoin costs, when something is priced in a currency. Two must answer, where "
        "as many are named, and none may differ from another by more than 3 %.",
    )
    urls: tuple[str, ...] = setting(
        "rates.urls",
        RATE_URLS,
        (),
        "Sources of your own, such as https://example.com/btc-{currency}#/result/price: {currency} and {CURRENCY} "
        "stand for the code, what follows # is the place of the price in the JSON answer.",
    )

    @property
    def tickers(self) -> tuple[Ticker, ...]:
        """All of them, each once."""
        return (*(TICKERS[name] for name in dict.fromkeys(self.sources)), *map(own_ticker, self.urls))


@dataclass(frozen=True, slots=True)
class Config:
    """Everything that can be set: a new setting is a new field here, or in the class of the part that is given it.

    ``environment`` is where ``env:NAME`` in the node's address is looked up; ``runtime_dir`` is for sockets only.
    """

    data_dir: Path
    node_url: str = setting(
        "node",
        TEXT,
        "sandbox://",
        "The Lightning node: sandbox:// (a simulated network), lnd+https://HOST:PORT?cert=PATH&macaroon=PATH, the "
        "link of a wallet, nostr+walletconnect://KEY?relay=URL&secret=file:PATH, or its CLINK codes, "
        "clink://?noffer=CODE&ndebit=CODE.",
        variables=("KITESTRING_NODE",),
    )
    relays: tuple[str, ...] = setting(
        "relays",
        RELAYS,
        (),
        "Relays to be reached through, the preferred one first. Empty: the embedded relay is started. "
        "With relays named here the service listens on no TCP port, unless a link or a code still names the embedded "
        "one.",
        variables=("KITESTRING_RELAYS",),
    )
    log_level: str = setting(
        "log_level",
        choice("debug", "info", "warning", "error"),
        "warning",
        "How much is logged on standard error.",
        variables=("KITESTRING_LOG_LEVEL",),
    )
    log_format: str = setting(
        "log_format",
        choice("text", "json"),
        "text",
        "The form of the log: lines for people, or one JSON object per line with time (UTC), level, logger, message, "
        "and payment_hash, amount_msat, connection and others where there are.",
        variables=("KITESTRING_LOG_FORMAT",),
    )
    log_activity: str = setting(
        "log_activity",
        choice("auto", "on", "off"),
        "auto",
        "Whether each payment, refusal, connection that changes and command of yours is a line of the log. auto: where "
        "the log is a terminal, or log_level is info or debug.",
        variables=("KITESTRING_LOG_ACTIVITY",),
    )
    relay: RelaySettings = field(default_factory=RelaySettings)
    accept_legacy_offers: bool = setting(
        "nip69.accept",
        SWITCH,
        True,
        "Whether offers also answer wallets that speak the protocol of 2024 (NIP-69), which name no version.",
    )
    connection_requests: bool = setting(
        "nwc.connection_requests",
        SWITCH,
        False,
        "Whether apps may ask for a connection (a draft of NIP-47), which you then approve or deny.",
    )
    unverified_requests: bool = setting(
        "nwc.unverified_requests",
        SWITCH,
        False,
        "Whether older apps may too, which cannot tell our answer from that of somebody else.",
    )
    nwc: NwcSettings = field(default_factory=NwcSettings)
    request_limits: RequestLimits = field(default_factory=RequestLimits)
    limits: Limits = field(default_factory=Limits)
    enroll: EnrollTerms = field(default_factory=EnrollTerms)
    exchange: RateSettings = field(default_factory=RateSettings)
    beacon: BeaconSettings = field(default_factory=BeaconSettings)
    zone_name: str = setting(
        "zone",
        ZONE,
        UTC.name,
        "Your time zone: times are shown in it, a day that is typed is a day there, and calendar budgets renew at its "
        "midnight. A budget that has begun keeps its period when this is changed.",
        variables=("KITESTRING_ZONE",),
    )
    ledger_cache_mib: int = setting(
        "ledger.cache_mib",
        whole("MiB", 1, MAX_CACHE_MIB),
        16,
        # Six times what the largest batch writes; measured: bench/README.md.
        "Memory for pages of the ledger, taken as the ledger grows. More saves nothing measurable, because the system "
        "caches the file besides.",
    )
    # Lower-case variables are those that curl and most Unix tools read.
    proxy_wss: str = setting(
        "network.proxy_wss",
        PROXY,
        "",
        "Proxy for wss:// relays and https:// servers: http://, https://, socks5:// or socks4://.",
        variables=("HTTPS_PROXY", "https_proxy"),
    )
    proxy_ws: str = setting(
        "network.proxy_ws",
        PROXY,
        "",
        "Proxy for ws:// relays and http:// servers.",
        variables=("HTTP_PROXY", "http_proxy"),
    )
    no_proxy: tuple[str, ...] = setting(
        "network.no_proxy",
        TEXTS,
        (),
        "Hosts that are reached without the proxy; a leading dot covers subdomains. This machine always is.",
        variables=("NO_PROXY", "no_proxy"),
    )
    allow_private_relays: bool = setting(
        "network.allow_private_relays",
        SWITCH,
        False,
        "Whether a relay named in somebody else's code may be on a private address, and somebody else's URL be asked "
        "through a proxy, where its address cannot be checked. The guard against being sent to your own router; leave "
        "it closed outside of tests.",
    )
    private_hosts: tuple[str, ...] = setting(
        "network.private_hosts",
        HOSTS,
        (),
        "Web servers in your own network, such as shop.lan or 127.0.0.1:8080, that URLs in these settings "
        "and webhooks of your own offers may lead to, "
        "also without encryption. URLs of others never lead there.",
    )
    environment: Mapping[str, str] = field(default_factory=lambda: _NO_ENVIRONMENT, repr=False)
    runtime_dir: Path = Path("/tmp")  # noqa: S108 - replaced by load(); the directory inside is checked for its owner

    @property
    def zone(self) -> Zone:
        """The owner's time zone as one value."""
        return load_zone(self.zone_name)

    @property
    def features(self) -> frozenset[str]:
        """All switches that are on, by the names in which the table of methods says what a method needs."""
        asks = {"connection_requests"} if self.connection_requests else set()
        return self.nwc.features | asks

    @property
    def proxies(self) -> Proxies:
        """The three settings as one value for transport."""
        return Proxies(
            wss=self.proxy_wss or None,
            ws=self.proxy_ws or None,
            bypass=(*LOOPBACK, *self.no_proxy),
            allow_foreign=self.allow_private_relays,
        )

    def __repr__(self) -> str:
        """Without the node's address, which may carry a password."""
        return (
            f"Config(data_dir={str(self.data_dir)!r}, node={self.node_url.partition(':')[0]!r}, relays={self.relays})"
        )


#: Every setting by its key.
ROWS: Final = rows_of(Config)


def load(
    data_dir: Path | None = None,
    *,
    options: Mapping[str, Value] | None = None,
    environment: Mapping[str, str] | None = None,
) -> Config:
    """Read the settings of one data directory, which need not exist. ``options`` are command-line values by key.

    Raises KitestringError with one sentence that names the source, the key and what is expected.
    """
    variables = os.environ if environment is None else environment
    home = (data_dir or default_data_dir(variables)).expanduser().absolute()
    values = _read_file(home / FILE_NAME) | read_environment(ROWS, variables)
    for key, value in (options or {}).items():
        values[key] = read_value(ROWS[key], value, f"the command line: {key}")
    environment = MappingProxyType(dict(variables))
    return build(Config, values, data_dir=home, environment=environment, runtime_dir=_runtime_dir(variables))


def _read_file(path: Path) -> dict[str, Value]:
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise KitestringError(Reason.MALFORMED, f"{path} is larger than {MAX_FILE_BYTES} bytes")
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except IsADirectoryError as error:
        sentence = f"{path} is a directory, where the settings file is expected: move it away"
        raise KitestringError(Reason.MALFORMED, sentence) from error
    except PermissionError as error:
        raise KitestringError(Reason.MALFORMED, f"{path} cannot be read: give yourself the right to") from error
    except RecursionError:
        raise KitestringError(Reason.MALFORMED, f"{path} is nested too deeply") from None
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        sentence = f"{path} is not UTF-8 text (line {line}): save it in this encoding"
        raise KitestringError(Reason.MALFORMED, sentence) from error
    except tomllib.TOMLDecodeError as error:
        raise KitestringError(Reason.MALFORMED, f"{path} is not valid TOML: {error}") from error
    except ValueError as error:
        raise KitestringError(Reason.MALFORMED, f"{path} has a number of too many digits") from error
    return read_table(ROWS, table, str(path))


def _runtime_dir(variables: Mapping[str, str]) -> Path:
    """A short path of this user's own; whether it really is their own, is checked before a socket is put there."""
    named = variables.get("XDG_RUNTIME_DIR", "")
    return Path(named) / "kitestring" if named else Path(gettempdir()) / f"kitestring-{os.getuid()}"

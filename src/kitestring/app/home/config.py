"""All settings, read once: the file in the data directory, then the environment, then what the command line says.

No other module reads settings or the environment.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import gettempdir
from types import MappingProxyType
from typing import Any, Final

from kitestring.app.home.settings import (
    BY_KEY,
    FILE_NAME,
    SETTINGS,
    Value,
    read_table,
    read_value,
    read_variable,
    reference_markdown,
)
from kitestring.base.errors import CodecError, KitestringError, Reason
from kitestring.base.money import Msat, sat
from kitestring.transport.proxies import LOOPBACK, Proxies

__all__ = ["Config", "Fees", "Limits", "RelaySettings", "default_data_dir", "load", "reference_markdown"]

DATA_DIR_VARIABLE: Final = "KITESTRING_DATA_DIR"
#: A settings file is a few KB; more is a mistake in the path.
MAX_FILE_BYTES: Final = 262_144
COMMAND_LINE: Final = "the command line"
#: Lower-case spellings are those that curl and most Unix tools read.
_OTHER_SPELLINGS: Final = {"HTTPS_PROXY": "https_proxy", "HTTP_PROXY": "http_proxy", "NO_PROXY": "no_proxy"}
_PROXY_KEYS: Final = frozenset({"network.proxy_wss", "network.proxy_ws"})
_NO_ENVIRONMENT: Final[Mapping[str, str]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class RelaySettings:
    """The embedded relay. ``port`` 0 = chosen at the first start and kept; empty ``kinds`` = those of this product."""

    host: str = "127.0.0.1"
    port: int = 0
    kinds: tuple[int, ...] = ()
    auth: bool = False


@dataclass(frozen=True, slots=True)
class Limits:
    """Per minute, or at the same time; 0 = no limit where the setting says so."""

    requests_per_min: int = 600
    payments_per_min: int = 120
    open_payments: int = 1_000
    open_payments_per_connection: int = 100
    open_invoices: int = 200
    offer_requests_per_min: int = 60
    all_offers_requests_per_min: int = 600


@dataclass(frozen=True, slots=True)
class Fees:
    """The routing fee is capped at the larger of ``cap_ppm`` millionths of the amount and ``cap_min_msat``."""

    cap_ppm: int = 10_000
    cap_min_msat: Msat = sat(10)  # noqa: RUF009 - an int, immutable


@dataclass(frozen=True, slots=True)
class Config:
    """Everything that can be set. Empty ``relays`` = the embedded relay.

    ``environment`` is where ``env:NAME`` in the node's address is looked up; ``runtime_dir`` is for sockets only.
    """

    data_dir: Path
    node_url: str = "sandbox://"
    relays: tuple[str, ...] = ()
    log_level: str = "warning"
    relay: RelaySettings = RelaySettings()
    limits: Limits = Limits()
    fees: Fees = Fees()
    accept_legacy_offers: bool = True
    proxies: Proxies = Proxies()  # noqa: RUF009 - frozen
    allow_private_relays: bool = False
    environment: Mapping[str, str] = field(default_factory=lambda: _NO_ENVIRONMENT, repr=False)
    runtime_dir: Path = Path("/tmp")  # noqa: S108 - replaced by load(); the directory inside is checked for its owner

    def __repr__(self) -> str:
        """Without the node's address, which may carry a password."""
        return (
            f"Config(data_dir={str(self.data_dir)!r}, node={self.node_url.partition(':')[0]!r}, relays={self.relays})"
        )


def default_data_dir(environment: Mapping[str, str] | None = None) -> Path:
    """``KITESTRING_DATA_DIR``, else the usual place for application data of this system."""
    named = (os.environ if environment is None else environment).get(DATA_DIR_VARIABLE, "")
    if named:
        return Path(named).expanduser()
    from platformdirs import user_data_path  # noqa: PLC0415 - not needed where the directory is named

    return user_data_path("kitestring", appauthor=False)


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
    values: dict[str, Value] = {setting.key: setting.default for setting in SETTINGS}
    values |= _read_file(home / FILE_NAME)
    values |= _read_environment(variables)
    for key, value in (options or {}).items():
        values[key] = read_value(BY_KEY[key], value, COMMAND_LINE)
    return _build(home, values, variables)


def _read_file(path: Path) -> dict[str, Value]:
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise KitestringError(Reason.MALFORMED, f"{path} is larger than {MAX_FILE_BYTES} bytes")
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except PermissionError as error:
        raise KitestringError(Reason.MALFORMED, f"{path} cannot be read: give yourself the right to") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise KitestringError(Reason.MALFORMED, f"{path} is not valid TOML: {error}") from error
    found = read_table(table, str(path))
    for key in _PROXY_KEYS & found.keys():
        _check_proxy(found[key], f"{path}: {key}")
    return found


def _read_environment(variables: Mapping[str, str]) -> dict[str, Value]:
    found: dict[str, Value] = {}
    for setting in SETTINGS:
        names = (setting.variable, _OTHER_SPELLINGS.get(setting.variable, ""))
        name = next((name for name in names if name and variables.get(name)), "")
        if name:
            found[setting.key] = read_variable(setting, variables[name])
            if setting.key in _PROXY_KEYS:
                _check_proxy(found[setting.key], f"the environment variable {name}")
    return found


def _check_proxy(value: Value, source: str) -> None:
    """Here, where it is known who said it: a variable may have been set for other programs, long ago."""
    try:
        Proxies(wss=str(value))
    except KitestringError as error:
        raise KitestringError(error.reason, f"{source}: {error.message}, such as http://proxy.lan:3128") from error


def _build(home: Path, values: Mapping[str, Any], variables: Mapping[str, str]) -> Config:
    if values["relays"]:
        _check_relays(values["relays"])
    return Config(
        data_dir=home,
        node_url=values["node"],
        relays=values["relays"],
        log_level=values["log_level"],
        relay=RelaySettings(**_section(values, "relay")),
        limits=Limits(**_section(values, "limits")),
        fees=Fees(values["fees.cap_ppm"], sat(values["fees.cap_min_sat"])),
        accept_legacy_offers=values["nip69.accept"],
        proxies=_proxies(values),
        allow_private_relays=values["network.allow_private_relays"],
        environment=MappingProxyType(dict(variables)),
        runtime_dir=_runtime_dir(variables),
    )


def _section(values: Mapping[str, Any], name: str) -> dict[str, Any]:
    return {key.removeprefix(f"{name}."): value for key, value in values.items() if key.startswith(f"{name}.")}


def _proxies(values: Mapping[str, Any]) -> Proxies:
    return Proxies(
        wss=values["network.proxy_wss"] or None,
        ws=values["network.proxy_ws"] or None,
        bypass=(*LOOPBACK, *values["network.no_proxy"]),
        allow_foreign=values["network.allow_private_relays"],
    )


def _check_relays(relays: tuple[str, ...]) -> None:
    from kitestring.codec.pointers import MAX_RELAYS  # noqa: PLC0415 - codecs load the crypto library
    from kitestring.codec.relay_url import require_relay_url  # noqa: PLC0415

    if len(relays) > MAX_RELAYS:
        raise KitestringError(Reason.MALFORMED, f"relays: name at most {MAX_RELAYS}, that is what a payment code holds")
    for relay in relays:
        try:
            require_relay_url(relay)
        except CodecError as error:
            raise KitestringError(Reason.MALFORMED, f"relays: {relay!r} cannot be used: {error}") from error


def _runtime_dir(variables: Mapping[str, str]) -> Path:
    """A short path of this user's own; whether it really is their own, is checked before a socket is put there."""
    named = variables.get("XDG_RUNTIME_DIR", "")
    return Path(named) / "kitestring" if named else Path(gettempdir()) / f"kitestring-{os.getuid()}"

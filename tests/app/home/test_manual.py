"""The file of ``kitestring init`` and the reference say every setting, and the file is read as it was written."""

from __future__ import annotations

import tomllib
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kitestring.app.home.config import ROWS, Config, load
from kitestring.app.home.manual import commented_toml, reference_markdown, toml_value
from kitestring.app.home.settings import build
from kitestring.base.money import MAX_MSAT, MSAT_PER_SAT, Msat, sat
from kitestring.base.setting import MAX_LIST, Setting, Value
from kitestring.base.text import is_safe
from kitestring.codec import nip19
from kitestring.codec.tickers import TICKERS

_PROXIES: Final = st.sampled_from(["", "http://proxy.lan:3128", "socks5://me:hunter2@[::1]:9050"])
#: What a name or a description in a beacon may be.
_LINE: Final = st.text(max_size=40).filter(is_safe).map(str.strip)
KEY: Final = "79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798"
#: Values of rows whose kind takes less than its type has.
_SPECIAL: Final[dict[str, st.SearchStrategy[Any]]] = {
    "relays": st.lists(st.sampled_from(["ws://127.0.0.1:7777", "wss://relay.example"]), max_size=4).map(tuple),
    "log_level": st.sampled_from(["debug", "info", "warning", "error"]),
    "log_format": st.sampled_from(["text", "json"]),
    "log_activity": st.sampled_from(["auto", "on", "off"]),
    "network.proxy_wss": _PROXIES,
    "network.proxy_ws": _PROXIES,
    "enroll.mode": st.sampled_from(["off", "open"]),
    "enroll.difficulty": st.integers(0, 22),
    "zone": st.sampled_from(["UTC", "Europe/Berlin", "Asia/Kathmandu"]),
    "network.private_hosts": st.lists(
        st.sampled_from(["shop.lan", "127.0.0.1:8080", "::1", "[::1]:80"]), max_size=MAX_LIST
    ).map(tuple),
    "rates.sources": st.lists(st.sampled_from(sorted(TICKERS)), max_size=MAX_LIST).map(tuple),
    "rates.urls": st.lists(
        st.sampled_from(["https://a.example/{currency}#/a~1b/*", "http://127.0.0.1:8080/{CURRENCY}"]), unique=True
    ).map(tuple),
    "fees.service_floor_sat": st.integers(0, 10_000).map(sat),
    "fees.service_bps": st.integers(0, 1_000),
    "beacon.name": _LINE,
    "beacon.description": _LINE,
    "beacon.avatar_url": st.sampled_from(["", "https://shop.example/a.png"]),
    "beacon.website": st.sampled_from(["", "http://shop.example:8080/?x=1"]),
    "beacon.operator": st.sampled_from(["", KEY, nip19.encode(nip19.PublicKey(KEY))]),
    "relay.kinds": st.lists(st.integers(0, 65_535), max_size=MAX_LIST).map(tuple),
}
_BY_TYPE: Final[dict[type, st.SearchStrategy[Any]]] = {
    str: st.text(),
    bool: st.booleans(),
    int: st.integers(1, 65_535),
    Msat: st.integers(0, MAX_MSAT // MSAT_PER_SAT).map(sat),
    tuple: st.lists(st.text(), max_size=MAX_LIST).map(tuple),
}
#: Texts of environment variables, and what each means.
OTHER: Final[dict[str, tuple[str, Value]]] = {
    "node": ("sandbox://other", "sandbox://other"),
    "relays": ("ws://a.example, ws://b.example", ("ws://a.example", "ws://b.example")),
    "zone": ("Europe/Berlin", "Europe/Berlin"),
    "log_level": ("debug", "debug"),
    "log_format": ("json", "json"),
    "log_activity": ("off", "off"),
    "network.proxy_wss": ("http://proxy.lan:3128", "http://proxy.lan:3128"),
    "network.proxy_ws": ("socks5://proxy.lan", "socks5://proxy.lan"),
    "network.no_proxy": ("relay.lan .lan", ("relay.lan", ".lan")),
}


def opened(text: str) -> str:
    """The written file with the # of every setting removed."""
    lines = text.split("\n")
    return "\n".join(line if line.startswith("# ") else line.removeprefix("#") for line in lines)


def changed(row: Setting[Any], value: Value) -> str:
    """The written file with the line of one setting changed, as somebody edits it."""
    section, _, name = row.key.rpartition(".")
    lines = commented_toml().split("\n")
    start = lines.index(f"[{section}]") if section else 0
    line = next(number for number in range(start, len(lines)) if lines[number].startswith(f"#{name} = "))
    lines[line] = f"{name} = {toml_value(row.kind.plain(value))}"
    return "\n".join(lines)


def read(text: str) -> Config:
    with TemporaryDirectory() as place:
        (Path(place) / "kitestring.toml").write_text(text, encoding="utf-8")
        return load(Path(place), environment={})


def expected(config: Config, values: dict[str, Value]) -> Config:
    return build(Config, values, data_dir=config.data_dir, runtime_dir=config.runtime_dir)


@settings(max_examples=15)
@given(st.data())
@pytest.mark.parametrize("key", ROWS)
def test_every_setting_is_read_from_the_line_that_was_written_for_it(key: str, data: st.DataObject) -> None:
    row = ROWS[key]
    value = data.draw(_SPECIAL.get(key, _BY_TYPE[type(row.default)]))
    config = read(changed(row, value))
    assert config == expected(config, {key: value})


def test_every_line_of_the_written_file_is_a_default() -> None:
    text = commented_toml()
    assert tomllib.loads(text).keys() == {
        "relay", "nip69", "nwc", "limits", "fees", "payments", "enroll", "rates", "beacon", "ledger",
        "network",
    }  # fmt: skip
    for file in (text, opened(text)):
        config = read(file)
        assert config == expected(config, {})
    assert sum(len(part) if isinstance(part, dict) else 1 for part in tomllib.loads(opened(text)).values()) == len(ROWS)


def test_the_written_file_tells_meaning_type_unit_and_variables() -> None:
    wanted = (
        "\n\n# Memory for pages of the ledger, taken as the ledger grows. More saves nothing measurable, because\n"
        "# the system caches the file besides.\n# Type: a whole number from 1 to 65536; unit: MiB.\n#cache_mib = 16\n\n"
    )
    assert wanted in commented_toml()
    assert "# Type: a string.\n# The environment variable HTTP_PROXY or http_proxy overrides it.\n" in commented_toml()


@pytest.mark.parametrize("key", ROWS)
def test_every_setting_is_in_the_reference(key: str) -> None:
    row, page = ROWS[key], reference_markdown().splitlines()
    variables = ", ".join(f"`{name}`" for name in row.variables)
    default = toml_value(row.kind.plain(row.default))
    assert f"| `{key}` | {row.kind.expected} | {row.kind.unit} | `{default}` | {variables} | {row.doc} |" in page


@pytest.mark.parametrize(("key", "name"), [(key, name) for key, row in ROWS.items() for name in row.variables])
def test_every_variable_overrides_its_setting(key: str, name: str, tmp_path: Path) -> None:
    text, value = OTHER[key]
    config = load(tmp_path, environment={name: text})
    assert value != ROWS[key].default
    assert config == build(
        Config, {key: value}, data_dir=tmp_path, runtime_dir=config.runtime_dir, environment={name: text}
    )  # fmt: skip

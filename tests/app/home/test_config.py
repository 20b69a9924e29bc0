"""Settings: file, environment, command line; every mistake is one sentence."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Final

import pytest

from kitestring.app.home.beacon import BeaconSettings
from kitestring.app.home.config import (
    ROWS,
    Config,
    NwcSettings,
    RateSettings,
    RelaySettings,
    RequestLimits,
    load,
)
from kitestring.base.errors import KitestringError, Reason
from kitestring.base.money import Msat, sat
from kitestring.base.setting import ROW
from kitestring.engine.limits import Limits
from kitestring.policy.enrolling import EnrollTerms

PARTS: Final = (Config, BeaconSettings, RelaySettings, NwcSettings, RequestLimits, RateSettings, Limits, EnrollTerms)


def loaded(home: Path, toml: str = "", environment: dict[str, str] | None = None) -> Config:
    (home / "kitestring.toml").write_text(toml, encoding="utf-8")
    return load(home, environment=environment or {})


def test_without_any_setting_it_is_a_sandbox_with_its_own_relay(tmp_path: Path) -> None:
    config = load(tmp_path / "new", environment={})
    assert (config.node_url, config.relays, config.relay.host, config.relay.port) == ("sandbox://", (), "127.0.0.1", 0)
    assert not (tmp_path / "new").exists()


def test_without_any_setting_it_is_the_plain_config(tmp_path: Path) -> None:
    config = load(tmp_path, environment={})
    assert config == Config(tmp_path, runtime_dir=config.runtime_dir)


def test_the_environment_wins_over_the_file_and_the_command_line_over_both(tmp_path: Path) -> None:
    toml = 'node = "sandbox://file"\nrelays = ["wss://file.example"]'
    environment = {"KITESTRING_NODE": "sandbox://environment", "KITESTRING_RELAYS": "wss://a.example, wss://b.example"}
    assert loaded(tmp_path, toml).node_url == "sandbox://file"
    config = loaded(tmp_path, toml, environment)
    assert (config.node_url, config.relays) == ("sandbox://environment", ("wss://a.example", "wss://b.example"))
    chosen = load(tmp_path, options={"relays": ("ws://c.example",)}, environment=environment)
    assert chosen.relays == ("ws://c.example",)


def test_sections_and_units_are_read(tmp_path: Path) -> None:
    config = loaded(
        tmp_path, "[fees]\ncap_min_sat = 3\n[ledger]\ncache_mib = 24\n[relay]\nport = 7777\nkinds = [1, 21001]\n"
    )
    assert (config.limits.fee_min_msat, config.relay.port, config.relay.kinds) == (sat(3), 7777, (1, 21001))
    assert isinstance(config.limits.fee_min_msat, Msat)
    assert config.ledger_cache_mib == 24


def test_a_new_account_costs_18_bits_of_work_and_the_owner_may_ask_for_22_at_most(tmp_path: Path) -> None:
    assert loaded(tmp_path).enroll.difficulty == 18
    for bits in (0, 22):
        assert loaded(tmp_path, f"[enroll]\ndifficulty = {bits}\n").enroll.difficulty == bits
    with pytest.raises(KitestringError, match="from 0 to 22"):
        loaded(tmp_path, "[enroll]\ndifficulty = 23\n")


def test_the_relay_may_ask_for_authentication_and_offers_may_refuse_the_old_protocol(tmp_path: Path) -> None:
    assert (load(tmp_path, environment={}).relay.auth, load(tmp_path, environment={}).accept_legacy_offers) == (
        False,
        True,
    )
    config = loaded(tmp_path, "[relay]\nauth = true\n[nip69]\naccept = false\n")
    assert (config.relay.auth, config.accept_legacy_offers) == (True, False)


def test_proxies_come_from_the_usual_variables(tmp_path: Path) -> None:
    environment = {"https_proxy": "http://proxy:3128", "HTTP_PROXY": "socks5://proxy:1080", "NO_PROXY": "relay.lan"}
    config = load(tmp_path, environment=environment)
    assert config.proxies.for_url("wss://far.example") == "http://proxy:3128"
    assert config.proxies.for_url("ws://far.example") == "socks5://proxy:1080"
    assert config.proxies.for_url("wss://relay.lan") is None
    assert config.proxies.for_url("wss://127.0.0.1") is None


def test_who_allows_private_relays_allows_them_behind_a_proxy_too(tmp_path: Path) -> None:
    assert not load(tmp_path, environment={}).proxies.allow_foreign
    assert loaded(tmp_path, "[network]\nallow_private_relays = true\n").proxies.allow_foreign


@pytest.mark.parametrize(
    "host",
    ["shop", "shop.lan", "Shop.lan:8080", "127.0.0.1", "127.0.0.1:80", "::1", "[::1]", "[fe80::1]:8443", "a_b.lan"],
)
def test_a_private_host_is_a_name_or_an_address_with_or_without_a_port(tmp_path: Path, host: str) -> None:
    assert loaded(tmp_path, f"[network]\nprivate_hosts = ['{host}']\n").private_hosts == (host,)


@pytest.mark.parametrize(
    ("toml", "words"),
    [
        ("nodes = 1", ("kitestring.toml", "nodes is not a setting", "did you mean node?")),
        ("[relay]\nporte = 1", ("relay.porte", "did you mean relay.port?")),
        ("relay = 1", ("relay must be a section",)),
        ("node = 5", ("node must be a string",)),
        ("relays = 'x'", ("relays must be a list of strings",)),
        ("relays = ['http://x']", ("http://x", "ws:// or wss://")),
        ("relays = ['ws://a','ws://b','ws://c','ws://d','ws://e']", ("kitestring.toml: relays: name at most 4",)),
        ("[relay]\nport = 70000", ("relay.port must be a whole number from 0 to 65535",)),
        ("[relay]\nport = true", ("relay.port must be",)),
        ("[relay]\nkinds = [1.5]", ("relay.kinds must be",)),
        ("[relay]\nauth = 1", ("relay.auth must be true or false",)),
        ("[limits]\noffer_requests_per_min = 0", ("offer_requests_per_min must be a whole number of at least 1",)),
        ("[limits]\nall_offers_requests_per_min = 0", ("must be a whole number of at least 1",)),
        ("[fees]\ncap_ppm = -1", ("fees.cap_ppm must be",)),
        ("[fees]\ncap_min_sat = 1.0", ("whole number of sats",)),
        ("[ledger]\ncache_mib = 0", ("kitestring.toml: ledger.cache_mib must be a whole number from 1 to 65536",)),
        ("zone = 1", ("zone must be the name of a time zone, such as Europe/Berlin",)),
        (
            "zone = 'Berlin'",
            ("zone: there is no time zone 'Berlin'; did you mean 'Europe/Berlin'?",),
        ),
        (f"[network]\nno_proxy = {['a'] * 65}", ("network.no_proxy: name at most 64",)),
        ("[network]\nallow_private_relays = 'yes'", ("true or false",)),
        ("[network]\nprivate_hosts = ['http://shop.lan/']", ("network.private_hosts: 'http://shop.lan/' is no host",)),
        ("[network]\nprivate_hosts = ['shop.lan:http']", ("is no host: write shop.lan, or shop.lan:8080",)),
        ("[rates]\nsources = ['mtgox']", ("rates.sources must be a list of kraken, coinbase, ",)),
        (
            "[rates]\nurls = ['ftp://x']",
            ("rates.urls: number 1 cannot be used: it must look like https://example.com/",),
        ),
        ("[rates]\nurls = ['https://x/a', 'https://x/b']", ("rates.urls: two of x are one opinion",)),
        ("[beacon]\npublish = 1", ("beacon.publish must be true or false",)),
        ("[beacon]\nname = 'a\tb'", ("kitestring.toml: beacon.name: the name stands on one line",)),
        (f"[beacon]\ndescription = '{'a' * 1_001}'", ("beacon.description: the description has at most 1000",)),
        ("[beacon]\navatar_url = 'http://x/a.png'", ("beacon.avatar_url: an avatar is an https:// address",)),
        ("[beacon]\nwebsite = 'shop.example'", ("beacon.website: a website is an https:// or http://",)),
        ("[beacon]\noperator = 'me'", ("beacon.operator: this is no public key: name it as npub1",)),
        ("log_level = 'loud'", ("one of debug, info, warning, error",)),
        ("log_level = loud", ("not valid TOML", "line 1")),
        ("log_level = " + 5_000 * "[" + 5_000 * "]", ("kitestring.toml is nested too deeply",)),
        ("[relay]\nport = " + 5_000 * "9", ("kitestring.toml has a number of too many digits",)),
    ],
)
def test_a_wrong_setting_is_named_with_what_is_expected(tmp_path: Path, toml: str, words: tuple[str, ...]) -> None:
    with pytest.raises(KitestringError) as caught:
        loaded(tmp_path, toml)
    assert caught.value.reason is Reason.MALFORMED
    assert all(word in caught.value.message for word in words)
    assert "\n" not in caught.value.message


def test_a_settings_file_in_another_encoding_is_named_with_the_line(tmp_path: Path) -> None:
    (tmp_path / "kitestring.toml").write_bytes("# settings\n# café\n".encode("latin-1"))
    with pytest.raises(KitestringError, match=r"kitestring\.toml is not UTF-8 text \(line 2\): save it"):
        load(tmp_path, environment={})


def test_a_directory_in_the_place_of_the_settings_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "kitestring.toml").mkdir()
    with pytest.raises(KitestringError, match=r"kitestring\.toml is a directory, where the settings file is") as caught:
        load(tmp_path, environment={})
    assert caught.value.reason is Reason.MALFORMED


@pytest.mark.parametrize(
    ("name", "text", "rest"),
    [
        ("KITESTRING_LOG_LEVEL", "loud", " must be one of debug, info, warning, error"),
        ("KITESTRING_RELAYS", "http://x", ": 'http://x' cannot be used: "),
        ("KITESTRING_RELAYS", "ws://a ws://b ws://c ws://d ws://e", ": name at most 4, "),
    ],
)
def test_a_wrong_variable_is_named(tmp_path: Path, name: str, text: str, rest: str) -> None:
    with pytest.raises(KitestringError) as caught:
        load(tmp_path, environment={name: text})
    assert caught.value.message.startswith(f"the environment variable {name}{rest}")


def test_a_wrong_option_is_named(tmp_path: Path) -> None:
    with pytest.raises(KitestringError, match=r"^the command line: relay\.port must be a whole number from 0"):
        load(tmp_path, options={"relay.port": 70_000}, environment={})


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"])
def test_a_proxy_without_a_scheme_is_refused_by_the_name_of_its_variable(name: str, tmp_path: Path) -> None:
    with pytest.raises(KitestringError, match=f"the environment variable {name}: a proxy must begin") as caught:
        load(tmp_path, environment={name: "me:hunter2@proxy.lan:3128"})
    assert "hunter2" not in caught.value.message


def test_a_proxy_in_the_file_is_refused_by_its_key(tmp_path: Path) -> None:
    (tmp_path / "kitestring.toml").write_text('[network]\nproxy_ws = "proxy.lan:3128"\n')
    with pytest.raises(KitestringError, match=r"kitestring\.toml: network\.proxy_ws: a proxy must begin"):
        load(tmp_path, environment={})


def test_no_password_of_a_node_is_in_the_repr(tmp_path: Path) -> None:
    config = load(tmp_path, environment={"KITESTRING_NODE": "phoenixd+http://:hunter2@host", "X": "hunter2"})
    assert "hunter2" not in repr(config)


def test_every_setting_has_one_name_and_every_number_a_unit() -> None:
    declared = [row for part in PARTS for one in fields(part) if (row := one.metadata.get(ROW)) is not None]
    assert len(declared) == len(ROWS) > 20
    for row in declared:
        assert ROWS[row.key] is row
        assert row.kind.check(row.kind.plain(row.default)) == row.default
        assert not is_number(row.default) or row.kind.unit
        assert row.doc.endswith(".")


def is_number(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)

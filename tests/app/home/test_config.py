"""Settings: file, environment, command line; every mistake is one sentence."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from kitestring.app.home.config import Config, default_data_dir, load, reference_markdown
from kitestring.app.home.settings import SETTINGS, commented_toml, toml_value
from kitestring.base.errors import KitestringError, Reason
from kitestring.base.money import Msat, sat


def loaded(home: Path, toml: str = "", environment: dict[str, str] | None = None) -> Config:
    (home / "kitestring.toml").write_text(toml, encoding="utf-8")
    return load(home, environment=environment or {})


def test_without_any_setting_it_is_a_sandbox_with_its_own_relay(tmp_path: Path) -> None:
    config = load(tmp_path / "new", environment={})
    assert (config.node_url, config.relays, config.relay.host, config.relay.port) == ("sandbox://", (), "127.0.0.1", 0)
    assert not (tmp_path / "new").exists()


def test_the_defaults_of_the_table_are_those_of_the_dataclasses(tmp_path: Path) -> None:
    config = load(tmp_path, environment={})
    plain = Config(tmp_path)
    assert (config.limits, config.fees, config.relay, config.proxies) == (
        plain.limits,
        plain.fees,
        plain.relay,
        plain.proxies,
    )


def test_the_environment_wins_over_the_file_and_the_command_line_over_both(tmp_path: Path) -> None:
    toml = 'node = "sandbox://file"\nrelays = ["wss://file.example"]'
    environment = {"KITESTRING_NODE": "sandbox://environment", "KITESTRING_RELAYS": "wss://a.example, wss://b.example"}
    assert loaded(tmp_path, toml).node_url == "sandbox://file"
    config = loaded(tmp_path, toml, environment)
    assert (config.node_url, config.relays) == ("sandbox://environment", ("wss://a.example", "wss://b.example"))
    chosen = load(tmp_path, options={"relays": ("ws://c.example",)}, environment=environment)
    assert chosen.relays == ("ws://c.example",)


def test_sections_and_units_are_read(tmp_path: Path) -> None:
    config = loaded(tmp_path, "[fees]\ncap_min_sat = 3\n[relay]\nport = 7777\nkinds = [1, 21001]\n")
    assert (config.fees.cap_min_msat, config.relay.port, config.relay.kinds) == (sat(3), 7777, (1, 21001))
    assert isinstance(config.fees.cap_min_msat, Msat)


def test_the_relay_may_ask_for_authentication_and_offers_may_refuse_the_old_protocol(tmp_path: Path) -> None:
    assert (load(tmp_path, environment={}).relay.auth, load(tmp_path, environment={}).accept_legacy_offers) == (
        False,
        True,
    )
    config = loaded(tmp_path, "[relay]\nauth = true\n[nip69]\naccept = false\n")
    assert (config.relay.auth, config.accept_legacy_offers) == (True, False)


def test_proxies_come_from_the_usual_variables(tmp_path: Path) -> None:
    config = load(tmp_path, environment={"https_proxy": "http://proxy:3128", "NO_PROXY": "relay.lan"})
    assert config.proxies.for_url("wss://far.example") == "http://proxy:3128"
    assert config.proxies.for_url("wss://relay.lan") is None
    assert config.proxies.for_url("wss://127.0.0.1") is None


@pytest.mark.parametrize(
    ("toml", "words"),
    [
        ("nodes = 1", ("kitestring.toml", "nodes is not a setting", "did you mean node?")),
        ("[relay]\nporte = 1", ("relay.porte", "did you mean relay.port?")),
        ("relay = 1", ("relay must be a section",)),
        ("node = 5", ("node must be a text",)),
        ("relays = 'x'", ("relays must be a list of texts",)),
        ("relays = ['http://x']", ("http://x", "ws:// or wss://")),
        ("relays = ['ws://a','ws://b','ws://c','ws://d','ws://e']", ("at most 4",)),
        ("[relay]\nport = 70000", ("relay.port must be a whole number from 0 to 65535",)),
        ("[relay]\nport = true", ("relay.port must be",)),
        ("[relay]\nkinds = [1.5]", ("relay.kinds must be",)),
        ("[relay]\nauth = 1", ("relay.auth must be true or false",)),
        ("[limits]\noffer_requests_per_min = 0", ("offer_requests_per_min must be a whole number of at least 1",)),
        ("[limits]\nall_offers_requests_per_min = 0", ("must be a whole number of at least 1",)),
        ("[fees]\ncap_ppm = -1", ("fees.cap_ppm must be",)),
        ("[fees]\ncap_min_sat = 1.0", ("whole number of sats",)),
        ("[network]\nallow_private_relays = 'yes'", ("true or false",)),
        ("log_level = 'loud'", ("one of debug, info, warning, error",)),
        ("log_level = loud", ("not valid TOML", "line 1")),
    ],
)
def test_a_wrong_setting_is_named_with_what_is_expected(tmp_path: Path, toml: str, words: tuple[str, ...]) -> None:
    with pytest.raises(KitestringError) as caught:
        loaded(tmp_path, toml)
    assert caught.value.reason is Reason.MALFORMED
    assert all(word in caught.value.message for word in words)
    assert "\n" not in caught.value.message


def test_a_wrong_variable_is_named(tmp_path: Path) -> None:
    with pytest.raises(KitestringError, match="environment variable KITESTRING_LOG_LEVEL"):
        load(tmp_path, environment={"KITESTRING_LOG_LEVEL": "loud"})


def test_the_written_file_says_every_setting_and_changes_nothing(tmp_path: Path) -> None:
    text = commented_toml()
    assert tomllib.loads(text).keys() == {"relay", "nip69", "limits", "fees", "network"}
    opened = "\n".join(line.removeprefix("#") if not line.startswith("# ") else line for line in text.splitlines())
    config = loaded(tmp_path, opened)
    assert (config.limits, config.fees, config.relay) == (
        Config(tmp_path).limits,
        Config(tmp_path).fees,
        Config(tmp_path).relay,
    )


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"])
def test_a_proxy_without_a_scheme_is_refused_by_the_name_of_its_variable(name: str, tmp_path: Path) -> None:
    with pytest.raises(KitestringError, match=f"the environment variable {name}: a proxy must begin") as caught:
        load(tmp_path, environment={name: "me:hunter2@proxy.lan:3128"})
    assert "hunter2" not in caught.value.message


def test_a_proxy_in_the_file_is_refused_by_its_key(tmp_path: Path) -> None:
    (tmp_path / "kitestring.toml").write_text('[network]\nproxy_ws = "proxy.lan:3128"\n')
    with pytest.raises(KitestringError, match=r"kitestring\.toml: network\.proxy_ws: a proxy must begin"):
        load(tmp_path, environment={})


def test_the_reference_page_has_every_setting() -> None:
    page = reference_markdown()
    for setting in SETTINGS:
        assert f"| `{setting.key}` |" in page
        assert toml_value(setting.default) in page


def test_the_data_directory_comes_from_the_environment(tmp_path: Path) -> None:
    assert default_data_dir({"KITESTRING_DATA_DIR": str(tmp_path)}) == tmp_path
    assert default_data_dir({}).name == "kitestring"


def test_no_password_of_a_node_is_in_the_repr(tmp_path: Path) -> None:
    config = load(tmp_path, environment={"KITESTRING_NODE": "phoenixd+http://:hunter2@host", "X": "hunter2"})
    assert "hunter2" not in repr(config)

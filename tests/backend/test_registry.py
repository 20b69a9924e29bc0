import secrets
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path

import pytest

from kitestring.backend import registry
from kitestring.backend.registry import BackendUrl, open_backend
from kitestring.backend.sandbox.node import SandboxNode
from kitestring.base.errors import KitestringError, Reason
from kitestring.base.node import Backend
from kitestring.codec.uri import encode_nwc
from kitestring.transport.clock import SystemClock
from tests.kit.changed import replace
from tests.kit.client.hostile import nwc_uri

SECRET = "0201c0ffee"


def open_url(url: str, directory: Path, **environment: str) -> Backend:
    return open_backend(
        url, clock=SystemClock(), entropy=secrets.token_bytes, data_dir=directory, environment=environment
    )


def test_the_sandbox_lives_in_the_data_directory_or_at_its_path(tmp_path: Path) -> None:
    at_home, elsewhere = open_url("sandbox://", tmp_path), open_url("sandbox:///srv/x.db?balance_sat=5", tmp_path)
    assert isinstance(at_home, SandboxNode)
    assert isinstance(elsewhere, SandboxNode)
    assert (at_home.path, elsewhere.path) == (tmp_path / "sandbox.db", Path("/srv/x.db"))


def test_a_macaroon_comes_from_the_environment_that_was_given(tmp_path: Path) -> None:
    backend = open_url("lnd+https://node:8080?macaroon=env:MAC", tmp_path, MAC=SECRET)
    assert repr(backend) == "Lnd(NodeHttp('https://node:8080'))"


def test_an_unknown_scheme_is_answered_with_those_that_exist(tmp_path: Path) -> None:
    with pytest.raises(KitestringError, match=r"no backend for eclair://.*lnd, nostr, sandbox") as error:
        open_url(f"eclair://:{SECRET}@host", tmp_path)
    assert error.value.reason is Reason.UNSUPPORTED
    assert SECRET not in str(error.value)
    with pytest.raises(KitestringError, match=r"no backend for snadbox://; did you mean sandbox\?"):
        open_url("snadbox://", tmp_path)


def test_a_backend_of_another_package_comes_in_by_its_entry_point(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = EntryPoint("outside", "kitestring.backend.sandbox.node:from_url", registry.GROUP)
    monkeypatch.setattr(registry, "entry_points", lambda **which: EntryPoints([entry]).select(**which))
    assert isinstance(open_url("outside://", tmp_path), SandboxNode)
    assert registry.names() == ["clink", "lnd", "nostr", "outside", "sandbox"]


@pytest.mark.parametrize(
    "url",
    [
        f"sandbox://?balance_sat={SECRET}",
        f"sandbox://?token={SECRET}&balance_sat=-1",
        "sandbox://?balance_sat=1&balance_sat=2",
        "sandbox://?balance_sat=2100000000000001",
        "sandbox://host/",
        "sandbox://?latency_ms=99999999",
        f"lnd+https://user:{SECRET}@node:port",
        f"lnd+https://user:{SECRET}@node",
        f"lnd+https://node?macaroon={SECRET}x",
        "lnd+https://node?macaroon=env:NOT_SET",
        f"lnd+http://node?macaroon=/{SECRET}",
        f"lnd+https://node?cert=/not/there&macaroon={SECRET}",
    ],
)
def test_a_wrong_url_is_refused_in_one_sentence(tmp_path: Path, url: str) -> None:
    with pytest.raises(KitestringError) as error:
        open_url(url, tmp_path)
    assert "\n" not in error.value.message


def test_a_wallets_link_is_a_backend_and_shows_its_relays_alone(tmp_path: Path) -> None:
    link = encode_nwc(replace(nwc_uri(""), relays=("wss://one.example", "wss://two.example")))
    assert repr(open_url(link, tmp_path)).startswith("NwcWallet(")
    url = BackendUrl.parse(link)
    assert str(url).endswith("?relay=wss://two.example&secret=***")
    assert url.host == nwc_uri("").service_pubkey


def test_a_parsed_url_hides_what_could_be_a_credential() -> None:
    url = BackendUrl.parse(f"lnbits+https://user:{SECRET}@[::1]:5000/path?key={SECRET}&cert=/a")
    assert repr(url) == str(url) == "lnbits+https://[::1]:5000/path?key=***&cert=/a"

"""Where a URL may lead, before anything is sent."""

from __future__ import annotations

import re
import socket

import pytest
from yarl import URL

from kitestring.base.errors import Exit, Reason
from kitestring.transport.border import Border, FetchError, FetchFault, Pinned, parse_url
from kitestring.transport.proxies import Proxies
from tests.codec.test_hosts import PRIVATE, PUBLIC
from tests.kit.transport.web import leads_to

#: As a resolver tells them.
LITERALS = [text for text in PRIVATE if text.count(".") == 3 or (":" in text and "%" not in text)]


def border(*addresses: str, proxies: Proxies | None = None, private_hosts: tuple[str, ...] = ()) -> Border:
    return Border(proxies or Proxies(), private_hosts, leads_to(*addresses))


async def refusal(at: Border, url: str, *, own: bool = False) -> FetchError:
    with pytest.raises(FetchError) as caught:
        await at.admit(parse_url(url), own=own)
    return caught.value


@pytest.mark.parametrize(
    "text",
    ["", "example.com", "ftp://example.com", "wss://example.com", "https://", "https:///path", "https://host:0",
     "https://host:99999", "https://host:x", "https://[::1", "https://a b", "https://host/\n", "\x00https://host",
     "file:///etc/passwd", "https://host/" + "x" * 9_000, "javascript:alert(1)", "https://\udcff"],
)  # fmt: skip
def test_what_is_no_address_is_refused_in_one_sentence(text: str) -> None:
    with pytest.raises(FetchError, match=r"must look like https://example\.com/path$") as caught:
        parse_url(text)
    assert (caught.value.fault, caught.value.reason) == (FetchFault.ADDRESS, Reason.MALFORMED)


@pytest.mark.parametrize("text", ["https://me:secret@host/", "https://me@host", "https://:secret@host"])
def test_credentials_in_a_url_are_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(FetchError, match="at host holds a user name or a password") as caught:
        parse_url(text)
    assert "secret" not in caught.value.message


def test_what_follows_the_hash_is_nobodys_business() -> None:
    assert str(parse_url("https://host/a?b=c#secret")) == "https://host/a?b=c"


@pytest.mark.parametrize("address", LITERALS)
async def test_a_name_that_leads_to_a_private_address_is_not_asked(address: str) -> None:
    error = await refusal(border(address), "https://shop.example/path?secret")
    assert error.fault is FetchFault.REFUSED
    assert error.message == (
        "shop.example is not on a public address; if it is your own, name shop.example in network.private_hosts"
    )


@pytest.mark.parametrize(
    ("url", "named"),
    [
        ("http://127.0.0.1:8081/paid", "127.0.0.1:8081"),
        ("http://shop.lan/paid", "shop.lan"),
        ("https://[::1]:8443/paid", "[::1]:8443"),
        ("https://[::1]/paid", "[::1]"),
    ],
)
def test_what_is_to_be_named_is_told_as_the_setting_takes_it(url: str, named: str) -> None:
    with pytest.raises(FetchError, match=re.escape(f"if it is your own, name {named} in network.private_hosts")):
        Border(Proxies(), ("127.0.0.1:8080",)).check(URL(url), own=True)
    Border(Proxies(), (named,)).check(URL(url), own=True)


@pytest.mark.parametrize("address", PUBLIC)
async def test_a_name_on_public_addresses_is_asked_at_exactly_these(address: str) -> None:
    admitted = await border(address).admit(URL("https://shop.example"), own=False)
    assert [row[4][0] for row in admitted.addresses] == [address]
    assert admitted.proxy is None


@pytest.mark.parametrize(
    "addresses", [("1.1.1.1", "127.0.0.1"), ("10.0.0.1", "1.1.1.1"), ("1.1.1.1", "::ffff:127.0.0.1")]
)
async def test_one_private_address_among_public_ones_refuses_the_whole_name(addresses: tuple[str, ...]) -> None:
    assert (await refusal(border(*addresses), "https://shop.example")).fault is FetchFault.REFUSED


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "[::1]", "[::ffff:7f00:1]", "[64:ff9b::7f00:1]", "[2002:7f00:1::1]", "127.1", "2130706433",
     "localhost", "LOCALHOST", "localhost.", "x.localhost", "printer.local", "db.internal", "169.254.169.254"],
)  # fmt: skip
async def test_what_is_private_by_its_text_is_refused_before_any_resolver_or_proxy_is_asked(host: str) -> None:
    async def nobody(_host: str, _port: int) -> list[object]:
        raise AssertionError("it was resolved")

    for proxies in (Proxies(), Proxies(wss="http://proxy:3128", bypass=(), allow_foreign=True)):
        at = Border(proxies, (), nobody)  # type: ignore[arg-type]  # it never answers
        for own in (False, True):
            assert (await refusal(at, f"https://{host}/", own=own)).fault is FetchFault.REFUSED


@pytest.mark.parametrize("host", ["0x7f.1", "0177.0.0.1", "0x7f000001"])
async def test_odd_spellings_of_an_address_are_judged_by_what_the_system_makes_of_them(host: str) -> None:
    assert (await refusal(Border(Proxies()), f"https://{host}/")).fault in {FetchFault.REFUSED, FetchFault.UNREACHABLE}


async def test_without_encryption_nobody_is_asked() -> None:
    error = await refusal(border("1.1.1.1"), "http://shop.example/path", own=True)
    assert error.message.startswith("shop.example would be asked without encryption: https is needed")
    assert (error.reason, error.exit_code) == (Reason.NOT_PERMITTED, Exit.REFUSED)


@pytest.mark.parametrize(
    ("listed", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:8080/"),
        ("127.0.0.1:8080", "http://127.0.0.1:8080/"),
        ("Shop.lan", "http://shop.lan"),
        ("shop.lan:80", "http://shop.lan"),
        ("::1", "https://[::1]/"),
        ("[::1]:8443", "https://[::1]:8443/"),
    ],
)
async def test_a_listed_host_is_open_to_urls_of_the_owner_and_to_no_others(listed: str, url: str) -> None:
    at = border("127.0.0.1", private_hosts=(listed,))
    assert (await at.admit(parse_url(url), own=True)).addresses
    assert (await refusal(at, url)).fault is FetchFault.REFUSED


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:8081/", "http://127.0.0.2:8080/", "http://x.127.0.0.1.example:8080/"]
)
async def test_a_listed_port_opens_no_other_port_and_no_other_host(url: str) -> None:
    at = border("127.0.0.1", private_hosts=("127.0.0.1:8080",))
    assert (await refusal(at, url, own=True)).fault is FetchFault.REFUSED


async def test_behind_a_proxy_only_urls_of_the_owner_are_asked_unless_all_are_allowed() -> None:
    url = parse_url("https://shop.example")
    at = border(proxies=Proxies(wss="http://proxy:3128"))
    assert (await at.admit(url, own=True)).proxy == "http://proxy:3128"
    error = await refusal(at, "https://shop.example")
    assert error.message == "where shop.example leads to cannot be checked behind a proxy, so it is not asked"
    allowed = border(proxies=Proxies(wss="http://proxy:3128", allow_foreign=True))
    assert (await allowed.admit(url, own=False)).proxy == "http://proxy:3128"


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_an_onion_address_goes_through_its_proxy_and_no_other_way(scheme: str) -> None:
    tor = Proxies(wss="socks5://127.0.0.1:9050", ws="socks5://127.0.0.1:9050")
    assert (await border(proxies=tor).admit(URL(f"{scheme}://abc.onion"), own=False)).proxy == "socks5://127.0.0.1:9050"
    error = await refusal(border("1.1.1.1"), f"{scheme}://abc.onion")
    assert error.message == "abc.onion is reached through Tor alone: name its proxy in network.proxy_wss and proxy_ws"


async def test_a_name_that_nobody_knows_is_told_as_such() -> None:
    async def unknown(_host: str, _port: int) -> list[object]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    at = Border(Proxies(), (), unknown)  # type: ignore[arg-type]  # it never answers
    assert (await refusal(at, "https://nobody.example")).message == (
        "nobody.example cannot be found: Name or service not known"
    )
    assert (await refusal(border(), "https://nobody.example")).message == "nobody.example has no address"
    assert (await refusal(Border(Proxies()), f"https://{'x' * 64}.example")).fault is FetchFault.UNREACHABLE


async def test_no_other_address_than_a_checked_one_is_connected_to() -> None:
    rows = await leads_to("127.0.0.1", "::1")("shop.example", 443)
    pinned = Pinned(rows)
    assert [row["host"] for row in await pinned.resolve("shop.example", 443)] == ["127.0.0.1", "::1"]
    for row in rows:
        pinned.open_socket(row).close()
    (other,) = await leads_to("127.0.0.2")("shop.example", 443)
    with pytest.raises(OSError, match="none of the addresses that were checked"):
        pinned.open_socket(other)

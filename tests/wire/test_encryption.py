from __future__ import annotations

import pytest

from kitestring.base import grants
from kitestring.nostr import kinds
from kitestring.nostr.event import Event, sign_event
from kitestring.wire.encryption import allowed_ciphers, choose_cipher, spoken_ciphers
from kitestring.wire.envelope import encrypt, shared_secret
from kitestring.wire.reply_to import Cipher
from tests.kit.chance import Counted
from tests.kit.clock import NOW
from tests.kit.wire.samples import CLIENT, SERVICE


def request(tag: str | None, shape: Cipher | None) -> Event:
    content = "garbage"
    if shape is not None:
        content = encrypt("{}", shape, shared_secret(CLIENT, SERVICE.public_hex, shape), Counted())
    tags = [] if tag is None else [["encryption", tag]]
    return sign_event(CLIENT, kind=kinds.NWC_REQUEST, tags=tags, content=content, created_at=NOW)


@pytest.mark.parametrize(
    ("tag", "shape", "setting", "seen", "expected"),
    [
        ("nip44_v2", "nip44", "auto", False, ("nip44", True)),
        (None, "nip04", "auto", False, ("nip04", True)),
        (None, "nip04", "legacy", True, ("nip04", True)),
        (None, "nip04", "auto", True, ("nip04", False)),
        (None, "nip04", "nip44", False, ("nip04", False)),
        ("nip44_v2", "nip44", "legacy", False, ("nip44", False)),
        (None, "nip04", "both", True, ("nip04", True)),
        ("nip44_v2", "nip44", "both", True, ("nip44", True)),
        ("nip44_v2", "nip04", "both", True, ("nip04", True)),
        # the shape wins over the tag where the connection allows it
        (None, "nip44", "auto", True, ("nip44", True)),
        ("nip44_v2", "nip04", "auto", False, ("nip04", True)),
        ("nip44_v2", "nip04", "nip44", False, ("nip44", True)),
        ("nip04", "nip44", "nip44", False, ("nip44", True)),
        ("nip04", "nip44", "legacy", False, ("nip04", True)),
        # a tag nobody knows, a text of no shape
        ("nip99", "nip44", "auto", False, ("nip44", True)),
        ("nip99", None, "auto", False, ("nip44", False)),
        ("nip44_v2", None, "auto", False, ("nip44", True)),
        (None, None, "auto", True, ("nip04", False)),
    ],
)
def test_the_cipher_of_a_request(
    tag: str | None, shape: Cipher | None, setting: grants.CipherSetting, seen: bool, expected: tuple[Cipher, bool]
) -> None:
    choice = choose_cipher(request(tag, shape), setting, seen)
    assert (choice.cipher, choice.allowed) == expected


@pytest.mark.parametrize(
    ("tag", "setting", "seen", "preferred", "unread"),
    [
        (None, "auto", False, "nip44", "nip04"),
        ("nip44_v2", "auto", True, "nip44", "nip44"),
        (None, "auto", True, "nip44", "nip44"),
        (None, "legacy", False, "nip04", "nip04"),
        ("nip44_v2", "legacy", False, "nip44", "nip44"),
    ],
)
def test_what_nobody_has_read_is_answered_in_a_cipher_that_the_connection_may_use(
    tag: str | None, setting: grants.CipherSetting, seen: bool, preferred: Cipher, unread: Cipher
) -> None:
    choice = choose_cipher(request(tag, None), setting, seen)
    assert (choice.preferred, choice.unread) == (preferred, unread)


def test_the_first_nip44_request_raises_a_connection_that_was_made_for_both() -> None:
    assert choose_cipher(request("nip44_v2", "nip44"), "auto", nip44_seen=False).raises
    assert not choose_cipher(request(None, "nip04"), "auto", nip44_seen=False).raises
    assert not choose_cipher(request("nip44_v2", "nip44"), "auto", nip44_seen=True).raises
    assert not choose_cipher(request("nip44_v2", "nip44"), "nip44", nip44_seen=False).raises
    assert not choose_cipher(request("nip44_v2", "nip44"), "both", nip44_seen=False).raises


def test_nip_44_once_seen_is_never_lowered() -> None:
    assert allowed_ciphers("auto", nip44_seen=False) == ("nip44", "nip04")
    assert allowed_ciphers("auto", nip44_seen=True) == ("nip44",)


def test_the_owner_may_allow_both_for_an_app_that_mixes_them() -> None:
    assert allowed_ciphers("both", nip44_seen=True) == allowed_ciphers("both", nip44_seen=False) == ("nip44", "nip04")


@pytest.mark.parametrize(
    ("setting", "seen", "is_used", "expected"),
    [
        ("auto", True, True, ("nip44",)),
        ("auto", True, False, ("nip44",)),
        ("auto", False, True, ("nip04",)),
        ("auto", False, False, ("nip44", "nip04")),
        ("nip44", False, True, ("nip44",)),
        ("legacy", False, True, ("nip04",)),
        ("legacy", True, False, ("nip04",)),
        ("both", False, True, ("nip44", "nip04")),
    ],
)
def test_who_is_spoken_to_unasked_hears_the_cipher_that_it_uses_and_both_while_nobody_knows(
    setting: grants.CipherSetting, seen: bool, is_used: bool, expected: tuple[Cipher, ...]
) -> None:
    assert spoken_ciphers(setting, seen, is_used=is_used) == expected

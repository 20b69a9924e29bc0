"""Answers of every wire: signed with the key that was spoken to, and signed again when they have grown old."""

from __future__ import annotations

import msgspec
import pytest

from kitestring.app.home.keyring import Keyring
from kitestring.app.service import wires as wires_module
from kitestring.app.service.wires import Wires
from kitestring.base.errors import CodecError, Reason
from kitestring.base.grants import Grant
from kitestring.base.outcomes import Refused
from kitestring.base.ports import Encoded
from kitestring.base.records import Message
from kitestring.crypto.keys import SecretKey
from kitestring.nostr.event import decode_event, verify_event
from kitestring.wire.envelope import decrypt, shared_secret
from kitestring.wire.grammar import Wire
from kitestring.wire.registry import WIRES
from kitestring.wire.reply_to import Cipher, ReplyTo
from tests.kit.chance import Counted
from tests.kit.clock import NOW
from tests.kit.wire.samples import CLIENT, reply_to

KEYRING = Keyring(b"\x09" * 32)


def wires() -> Wires:
    return Wires(KEYRING, Counted())


def read(to: ReplyTo, encoded: Encoded) -> str:
    event = decode_event(encoded.event)
    assert verify_event(event)
    return decrypt(event.content, to.cipher, shared_secret(CLIENT, event.pubkey, to.cipher))


@pytest.mark.parametrize("wire", WIRES, ids=lambda wire: wire.name)
def test_an_answer_is_signed_by_the_key_that_was_spoken_to_and_can_be_signed_again(wire: Wire) -> None:
    to, made = reply_to(wire.name), wires()
    answer = made.encode(to.freeze(), "reply", Refused(Reason.INTERNAL), NOW)
    assert answer is not None
    event = decode_event(answer.event)
    key = KEYRING.service_key if to.key_id == "service" else KEYRING.connection_key("g1")
    assert (event.kind, event.pubkey, event.created_at) == (wire.reply_kind, key.public_hex, NOW)
    assert event.tags == [["p", CLIENT.public_hex], ["e", to.event_id], *wire.reply_tags]
    assert read(to, answer).encode() == answer.plaintext
    stored = Message(to.event_id, "reply", answer.plaintext, answer.event, answer.signed_at, to.freeze())
    again = made.resign(stored, NOW + 100)
    assert (again.plaintext, again.signed_at) == (answer.plaintext, NOW + 100)
    assert decode_event(again.event).created_at == NOW + 100


@pytest.mark.parametrize("wire", WIRES, ids=lambda wire: wire.name)
def test_silence_makes_no_event(wire: Wire) -> None:
    assert wires().encode_to(reply_to(wire.name), Refused(Reason.PAYMENT_IN_FLIGHT), NOW) is None


def test_many_strangers_make_nobody_who_is_known_work_out_a_secret_again(monkeypatch: pytest.MonkeyPatch) -> None:
    worked_out: list[str] = []

    def shared(key: SecretKey, peer: str, cipher: Cipher) -> bytes:
        worked_out.append(peer)
        return shared_secret(key, peer, cipher)

    monkeypatch.setattr(wires_module, "shared_secret", shared)
    monkeypatch.setattr(wires_module, "MAX_STRANGERS", 2)
    made, connection, stranger = wires(), reply_to("nwc"), reply_to("offers")
    known = msgspec.structs.replace(reply_to("debits"), peer=SecretKey(bytes([9]) * 32).public_hex)
    peers = [SecretKey(bytes([number]) * 32).public_hex for number in range(1, 5)]
    for peer in peers:
        made.secret(connection)
        made.secret(known, is_known=True)
        made.secret(msgspec.structs.replace(stranger, peer=peer))
    made.secret(msgspec.structs.replace(stranger, peer=peers[-1]))
    assert worked_out == [connection.peer, known.peer, *peers]
    made.secret(msgspec.structs.replace(stranger, peer=peers[0]))
    assert worked_out[-1] == peers[0], "of strangers only the newest are kept"


def test_a_peer_that_is_no_public_key_shares_no_secret() -> None:
    with pytest.raises(CodecError):
        wires().secret(ReplyTo("offers", "service", "ff" * 32, "nip44", "ab" * 32, NOW))


@pytest.mark.parametrize("cipher", ["nip44", "nip04"])
def test_an_app_is_spoken_to_by_the_key_of_its_connection(cipher: Cipher) -> None:
    grant = Grant(grant_id="g1", name="app", wire="nwc", caller=CLIENT.public_hex)
    encoded = wires().notify(grant, 23_197, cipher, b"{}", NOW)
    event = decode_event(encoded.event)
    assert (event.pubkey, event.kind, encoded.signed_at) == (KEYRING.connection_key("g1").public_hex, 23_197, NOW)
    assert read(ReplyTo("nwc", "", "", cipher, "", NOW), encoded) == "{}"

"""nostr-tools as a second oracle: ids, signatures and NIP-44 of what kitestring publishes, and of random texts."""

import asyncio
import json
import random
import subprocess
from pathlib import Path

import msgspec
import nostr_sdk
import pytest

from kitestring.crypto import nip44
from kitestring.crypto.keys import SecretKey
from tests.conftest import NodeJs
from tests.kit.app.beacons import station
from tests.kit.interop.program import PROGRAM, Json, Kitestring, Witness, running
from tests.kit.relay.client import client_of


class Oracle:
    """nostr-tools, unmodified, in a script of ours."""

    def __init__(self, command: list[str]) -> None:
        self._command = command

    async def ask(self, **questions: object) -> Json:
        async with running(self._command, questions) as script:
            answers = await script.line()
            await script.end()
        return answers

    async def verifies(self, events: list[Json]) -> None:
        """Every id and every signature is right, and a changed one is not."""
        bad = {**events[0], "content": events[0]["content"] + " "}
        *verdicts, refused = (await self.ask(events=[*events, bad]))["events"]
        assert verdicts == [{"hash": event["id"], "valid": True} for event in events]
        assert not refused["valid"]


@pytest.fixture
def oracle(node_js: NodeJs, scripts: Path) -> Oracle:
    return Oracle(node_js.command(scripts / "oracle.mjs"))


async def test_every_event_kitestring_publishes_has_the_right_id_and_signature(
    shop: Kitestring, far: Kitestring, witness: Witness, oracle: Oracle
) -> None:
    before = {event["id"] for event in witness.events}
    uri = nostr_sdk.NostrWalletConnectUri.parse(shop.connect("watched"))
    paid, _ = await asyncio.gather(
        shop.ask_apart("pay", "--yes", far.card["noffer"], "21", "--description", 'été "\\\n\t☕'),
        nostr_sdk.NostrWalletConnect(uri).get_balance(),
    )
    assert paid["amount_msat"] == 21_000
    service = uri.public_key().to_hex()
    await witness.one(23195, author=service)
    offer = far.card["service_pubkey"]
    await witness.until(lambda: len(witness.of(21001, author=offer)) >= 2, "reply and receipt of the offer")
    client = uri.secret()
    of_client = nostr_sdk.Keys(client).public_key().to_hex()
    ours = [event for event in witness.events if event["id"] not in before and event["pubkey"] != of_client]
    assert {13194, 21001, 23195} <= {event["kind"] for event in ours}
    await oracle.verifies(ours)


async def test_a_wallet_request_written_by_nostr_tools_is_answered_so_that_nostr_tools_reads_it(
    shop: Kitestring, witness: Witness, oracle: Oracle
) -> None:
    uri = nostr_sdk.NostrWalletConnectUri.parse(shop.connect("foreign pen"))
    secret, service = uri.secret().to_hex(), uri.public_key().to_hex()
    params = {"amount": 21_000, "description": "ümläut ☕"}
    command = {"method": "make_invoice", "params": params}
    request = (await oracle.ask(request={"secret": secret, "service": service, "command": command}))["request"]
    await witness.publish(request)
    reply = await witness.one(23195, author=service, answers=request["id"])
    (text,) = (await oracle.ask(decrypt=[{"secret": secret, "peer": service, "payload": reply["content"]}]))["decrypt"]
    said = json.loads(text)
    assert said.keys() == {"result_type", "result"}
    assert said["result_type"] == "make_invoice"
    assert said["result"]["description"] == params["description"]


async def test_a_beacon_and_the_documents_of_its_operator_have_the_right_ids_and_signatures(
    oracle: Oracle, tmp_path: Path
) -> None:
    with station(tmp_path) as shop:
        relay, key = shop.card["relay"], f"file:{tmp_path / 'operator.key'}"
        await asyncio.to_thread(shop.ok, "beacon", "publish")
        for word in ("attest", "revoke"):
            await asyncio.to_thread(shop.ok, "beacon", word, "--key", key)
        async with client_of(relay) as reader:
            wanted = {"kinds": [30_078], "#d": ["clink-node", "clink-node-operator", "clink-node-operator-revoke"]}
            kept = await reader.ask("beacons", wanted)
    assert len(kept) == 3
    await oracle.verifies([msgspec.to_builtins(event) for event in kept])


async def test_random_texts_are_encrypted_alike_and_read_by_each_other(oracle: Oracle) -> None:
    chance = random.Random(44)
    alphabet = 'aZ09 "\\\n\x00é☕𝄞\u2028'
    entries = []
    for size in [1, 31, 32, 33, 255, 256, 257, 1_000, 10_000, *(chance.randrange(1, 3_000) for _ in range(30))]:
        secret, peer = (SecretKey(chance.randbytes(32)) for _ in range(2))
        text = "".join(chance.choice(alphabet) for _ in range(size))
        entries.append((secret, peer, text, chance.randbytes(32)))
    keys = [nip44.conversation_key(secret, peer.public_hex) for secret, peer, *_ in entries]
    ours = [nip44.encrypt(text, key, nonce) for key, (_, _, text, nonce) in zip(keys, entries, strict=True)]
    answers = await oracle.ask(
        keys=[secret.hex() for secret, *_ in entries],
        encrypt=[
            {"secret": secret.hex(), "peer": peer.public_hex, "text": text, "nonce": nonce.hex()}
            for secret, peer, text, nonce in entries
        ],
        decrypt=[
            {"secret": peer.hex(), "peer": secret.public_hex, "payload": payload}
            for (secret, peer, *_), payload in zip(entries, ours, strict=True)
        ],
    )
    assert answers["keys"] == [secret.public_hex for secret, *_ in entries]
    assert answers["encrypt"] == ours
    assert answers["decrypt"] == [text for _, _, text, _ in entries]
    theirs = answers["encrypt"]
    assert [nip44.decrypt(p, key) for p, key in zip(theirs, keys, strict=True)] == answers["decrypt"]


async def test_the_events_that_the_demonstration_prints_verify(oracle: Oracle) -> None:
    command = [*PROGRAM, "demo", "--json"]
    done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, timeout=60, check=True)
    printed = [json.loads(line) for line in done.stdout.splitlines()]
    events = [line["event"] for line in printed if "event" in line]
    assert {21001, 23194, 23195} <= {event["kind"] for event in events}
    await oracle.verifies(events)

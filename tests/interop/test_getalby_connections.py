"""The sdk of Alby asks for one more connection, and signs a text: methods that the text of NIP-47 has dropped."""

from __future__ import annotations

import asyncio

from kitestring.codec.signed_message import signer
from kitestring.codec.uri import NwcUri, decode_nwc, encode_nwc
from kitestring.crypto.keys import SecretKey
from tests.interop.conftest import ForeignWallet
from tests.kit.chance import entropy
from tests.kit.interop.program import Kitestring
from tests.kit.waiting import until


async def test_a_connection_is_made_by_the_owners_word_and_used_by_its_own_key(
    stall: Kitestring, foreign_wallet: ForeignWallet
) -> None:
    link = stall.connect("sdk makes", "--methods", "create_connection,get_balance,get_info")
    key = SecretKey(entropy(32))
    wanted = {"pubkey": key.public_hex, "name": "made by sdk", "request_methods": ["get_balance", "get_info"]}
    async with foreign_wallet("sdk", link) as client:
        asking = asyncio.create_task(client("createConnection", wanted))

        async def is_asked() -> bool:
            return bool((await stall.ask_apart("approvals"))["approvals"])

        await until(is_asked, pause_s=0.1)
        (question,) = stall.ask("approvals")["approvals"]
        assert (question["pointer"], question["connection"]["name"]) == ("sdk makes", "made by sdk")
        stall.ask("approve", question["id"])
        made = await asking
    names = [one["name"] for one in stall.ask("connections")["connections"]]
    assert names.count("made by sdk") == 1
    uri = encode_nwc(NwcUri(made["wallet_pubkey"], decode_nwc(link).relays, bytes.fromhex(key.hex())))
    async with foreign_wallet("sdk", uri) as client:
        assert (await client("getBalance"))["balance"] > 0
        assert sorted((await client("getInfo"))["methods"]) == ["get_balance", "get_info"]


async def test_a_text_is_signed_with_the_key_that_get_info_tells(
    stall: Kitestring, foreign_wallet: ForeignWallet
) -> None:
    async with foreign_wallet("sdk", stall.connect("sdk signs", "--methods", "sign_message,get_info")) as client:
        signed = await client("signMessage", {"message": "tea"})
        node = (await client("getInfo"))["pubkey"]
    assert (signed["message"], signer("tea", signed["signature"])) == ("tea", node)

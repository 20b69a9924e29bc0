"""Every method of the client of Alby's sdk is asked for in a test, or it is said why not. A new release adds to it."""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import Final

from kitestring.codec.uri import decode_nwc
from kitestring.crypto.keys import SecretKey
from kitestring.nostr.event import decode_event, verify_event
from tests.interop.conftest import ForeignWallet
from tests.kit.interop.program import Kitestring

FILES: Final = sorted(Path(__file__).parent.glob("test_getalby_sdk*.py"))
_EACH_REQUEST: Final = "no caller's: each request goes through it"
_ALBYS_PAGE: Final = "opens the page of a wallet that has one; what it leads to is a link like any other"
#: What no test calls by its name, and why.
UNCALLED: Final = {
    "constructor": "makes the client of every test, of a link",
    "parseWalletConnectUrl": "reads the link for the constructor",
    "subscribeNotifications": "called by `listen` of the script, because no callback crosses to another process",
    "executeNip47Request": _EACH_REQUEST,
    "executeMultiNip47Request": "no caller's: the requests of several payments go through it",
    "_checkConnected": _EACH_REQUEST,
    "_selectEncryptionType": _EACH_REQUEST,
    "_findPreferredEncryptionType": _EACH_REQUEST,
    "getAuthorizationUrl": _ALBYS_PAGE,
    "fromAuthorizationUrl": _ALBYS_PAGE,
}


def words_of_functions(file: Path) -> set[str]:
    """The strings that stand in the functions of a file."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    nodes = (node for function in functions for node in ast.walk(function))
    return {node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)}


async def test_every_method_that_it_has_is_called_by_a_test_or_has_a_reason_not_to_be(
    stall: Kitestring, foreign_wallet: ForeignWallet
) -> None:
    async with foreign_wallet("sdk", stall.connect("sdk lists its methods")) as client:
        methods = set(await client("methods"))
    called = methods & set().union(*map(words_of_functions, FILES))
    assert {"payInvoice", "settleHoldInvoice"} <= called
    assert methods - called == set(UNCALLED)


async def test_what_it_makes_of_a_link_by_itself_is_what_we_read_of_it(
    stall: Kitestring, foreign_wallet: ForeignWallet
) -> None:
    uri = stall.connect("sdk by itself")
    ours = decode_nwc(uri)
    own_key = SecretKey(ours.secret).public_hex
    draft = {"kind": 1, "created_at": 1_790_000_000, "tags": [["t", "kite"]], "content": "ümläut ☕"}
    async with foreign_wallet("sdk", uri) as client:
        links = [await client("get", "nostrWalletConnectUrl"), await client("getNostrWalletConnectUrl")]
        assert [decode_nwc(link) for link in links] == [ours, ours]
        assert [await client("get", "publicKey"), await client("getPublicKey")] == [own_key, own_key]
        signed = decode_event(json.dumps(await client("signEvent", draft)))
        assert verify_event(signed)
        assert await client("getEventHash", {**draft, "pubkey": own_key}) == signed.id
        await client("getBalance")
        assert await client("get", "connected") is True
        hidden = await client("encrypt", ours.service_pubkey, "ümläut ☕")
        assert await client("decrypt", ours.service_pubkey, hidden) == "ümläut ☕"
        await client("close")
        assert await client("get", "connected") is False

"""Texts that the node signs: for whom, how long, and what is said where it does not."""

from __future__ import annotations

import pytest

from kitestring.base.commands import MAX_MESSAGE_BYTES, OWNER_GRANT, SignMessage
from kitestring.base.errors import Reason
from kitestring.base.outcomes import Outcome, Refused, Signed
from kitestring.codec.signed_message import signer
from kitestring.crypto import secp
from tests.kit.changed import replace
from tests.kit.clock import virtual
from tests.kit.engine.node import ABILITIES, NODE_SECRET
from tests.kit.engine.rig import Life

NODE = secp.compressed_public(NODE_SECRET).hex()
TEA = SignMessage(message="tea")


def why(outcome: Outcome) -> tuple[Reason, str]:
    assert isinstance(outcome, Refused), outcome
    return outcome.reason, outcome.message


@virtual
async def test_the_owner_and_a_connection_with_the_permission_get_a_signature_of_the_node(life: Life) -> None:
    async with life.service() as rig:
        await rig.grant("app", methods="sign_message")
        for grant_id in ("app", OWNER_GRANT):
            signed = await rig.engine.ask(grant_id, TEA)
            assert isinstance(signed, Signed)
            assert (signed.message, signer("tea", signed.signature)) == ("tea", NODE)


@virtual
async def test_nobody_else_speaks_for_the_node(life: Life) -> None:
    async with life.service() as rig:
        await rig.account("shop", 1_000)
        await rig.grant("till", account="shop", methods="sign_message")
        await rig.grant("payer", methods="pay_invoice get_info")
        assert why(await rig.engine.ask("till", TEA)) == (
            Reason.NOT_PERMITTED, "the key is that of the node, and a sub-account does not speak for it",
        )  # fmt: skip
        assert why(await rig.engine.ask("payer", TEA))[0] is Reason.NOT_PERMITTED
        assert "sign_message" not in life.node.calls


@pytest.mark.parametrize(("length", "is_signed"), [(MAX_MESSAGE_BYTES, True), (MAX_MESSAGE_BYTES + 1, False)])
@virtual
async def test_a_text_has_a_length(length: int, is_signed: bool, life: Life) -> None:
    async with life.service() as rig:
        told = await rig.engine.ask(OWNER_GRANT, SignMessage(message="x" * length))
        assert isinstance(told, Signed) is is_signed


@virtual
async def test_a_node_that_does_not_sign_or_is_away_is_told_as_such(life: Life) -> None:
    async with life.service() as rig:
        life.node.offline = True
        assert why(await rig.engine.ask(OWNER_GRANT, TEA))[0] is Reason.UNAVAILABLE
    life.node.offline = False
    life.node.capabilities = replace(ABILITIES, sign_message=False)
    async with life.service() as rig:
        assert why(await rig.engine.ask(OWNER_GRANT, TEA)) == (
            Reason.UNSUPPORTED, "the node of this wallet signs no texts",
        )  # fmt: skip

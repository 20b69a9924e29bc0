"""Texts signed by lnd and by us: each reads what the other has signed."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import cast

import pytest

from kitestring.base.node import SigningBackend
from kitestring.codec.signed_message import sign, signer
from kitestring.crypto import secp
from tests.kit.backend.sides import open_url
from tests.rig.network import LightningRig

SECRET = b"\x05" * 32


@pytest.mark.real
@pytest.mark.parametrize("text", ["tea", "ä 🪁\n"])
async def test_lnd_finds_the_key_that_has_signed(rig: LightningRig, text: str, tmp_path: Path) -> None:
    body = {"msg": base64.b64encode(text.encode()).decode(), "signature": sign(text, SECRET)}
    assert (await rig.c.post("/v1/verifymessage", body))["pubkey"] == secp.compressed_public(SECRET).hex()
    backend = cast(SigningBackend, open_url(rig.a.backend_url, tmp_path))
    await backend.open()
    try:
        signature = await backend.sign_message(text)
    finally:
        await backend.close()
    body["signature"] = signature
    told = await rig.c.post("/v1/verifymessage", body)
    assert (told["valid"], told["pubkey"], signer(text, signature)) == (True, await rig.a.pubkey(), told["pubkey"])

"""The one failure of decryption tells nobody why."""

from __future__ import annotations

import pytest

from kitestring.base.errors import CodecError
from kitestring.crypto import nip04, nip44
from kitestring.crypto.failure import MAX_TEXT_BYTES, DecryptError
from kitestring.crypto.keys import SecretKey
from tests.kit.chance import entropy

ALICE, BOB = SecretKey(b"\x01" * 32), SecretKey(b"\x02" * 32)
KEY_44, KEY_04 = nip44.conversation_key(ALICE, BOB.public_hex), ALICE.shared_x(BOB.public_hex)
SPOILED = {
    "empty": "",
    "no base64": "%",
    "too short": "Ag==",
    "another version": "AQ" + "A" * 200,
    "forged": "A" * 132,
    "nip04 without iv": "AAAA",
    "nip04 of half a block": "AAAA?iv=" + "A" * 22 + "==",
    "nip04 forged": "A" * 24 + "?iv=" + "A" * 22 + "==",
}


@pytest.mark.parametrize("content", SPOILED.values(), ids=SPOILED)
def test_whatever_is_wrong_the_words_are_the_same_and_no_cause_is_told(content: str) -> None:
    for decrypt, key in ((nip44.decrypt, KEY_44), (nip04.decrypt, KEY_04)):
        with pytest.raises(DecryptError) as caught:
            decrypt(content, key)
        assert str(caught.value) == "the content cannot be decrypted"
        assert isinstance(caught.value, CodecError)


def test_no_text_that_can_be_decrypted_is_longer_than_the_bound_of_all_schemes() -> None:
    assert nip44.decrypt(nip44.encrypt("x" * 65_535, KEY_44, entropy(32)), KEY_44) == "x" * 65_535
    assert MAX_TEXT_BYTES == 65_536

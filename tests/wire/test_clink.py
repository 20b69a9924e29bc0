from __future__ import annotations

import json

import msgspec
import pytest

from kitestring.base.errors import KitestringError, Reason
from kitestring.base.outcomes import Refused
from kitestring.nostr import kinds
from kitestring.wire.clink import always_nip44, read_version, refuser
from tests.kit.wire.samples import event, reply_to

NAMES = {1: "Request Denied", 6: "Invalid Request"}
REFUSE = refuser(
    NAMES, {Reason.MALFORMED: 6, Reason.NOT_PERMITTED: 1, Reason.PAYMENT_IN_FLIGHT: None}, {Reason.MALFORMED: 1}
)
TO = reply_to("offers")


def test_a_refusal_names_its_code_and_shows_only_what_belongs_on_the_wire() -> None:
    refused = Refused(Reason.NOT_PERMITTED, "no\x00t you", {"retry_after": 7, "max_fee_msat": 1})
    assert REFUSE(refused, TO) == b'{"res":"GFY","code":1,"error":"Request Denied: no t you","retry_after":7}'
    long = json.loads(REFUSE(Refused(Reason.MALFORMED, "x" * 500), TO) or b"")
    assert len(long["error"]) == 200


def test_a_wire_may_say_itself_which_members_stand_behind_the_text() -> None:
    refuse = refuser(NAMES, {Reason.MALFORMED: 6}, members_of=lambda refused, code: {"a": [code, refused.message]})
    refused = Refused(Reason.MALFORMED, "no", {"retry_after": 7})
    assert refuse(refused, TO) == b'{"res":"GFY","code":6,"error":"Invalid Request: no","a":[6,"no"]}'


def test_silence_and_the_codes_of_2024() -> None:
    assert REFUSE(Refused(Reason.PAYMENT_IN_FLIGHT), TO) is None
    legacy = REFUSE(Refused(Reason.MALFORMED), msgspec.structs.replace(TO, version="legacy"))
    assert json.loads(legacy or b"")["code"] == 1


@pytest.mark.parametrize("tags", [[], [["clink_version"]], [["clink_version", "2"]], [["clink_version", ""]]])
def test_a_request_without_version_1_is_refused_unless_the_form_of_2024_is_served(tags: list[list[str]]) -> None:
    assert read_version(event(kinds.DEBIT, ["clink_version", "1"])) == "tagged"
    with pytest.raises(KitestringError) as caught:
        read_version(event(kinds.DEBIT, *tags))
    assert caught.value.reason is Reason.UNSUPPORTED_VERSION


def test_there_is_no_other_encryption_than_nip44() -> None:
    choice = always_nip44(event(kinds.DEBIT, ["encryption", "nip04"]), None)
    assert (choice.cipher, choice.allowed, choice.preferred, choice.unread, choice.raises) == (
        "nip44", True, "nip44", "nip44", False,
    )  # fmt: skip

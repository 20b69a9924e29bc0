"""A wire is a value: it writes outcomes and refusals by different rules, and what it leaves out has one meaning."""

from __future__ import annotations

from kitestring.base.commands import GetBalance
from kitestring.base.errors import Reason
from kitestring.base.money import Msat
from kitestring.base.outcomes import Balance, Refused
from kitestring.wire.encryption import Choice
from kitestring.wire.grammar import Announcement, Asked, Draft, Facts, Speakers, Wire
from tests.kit.wire.samples import reply_to

TO = reply_to("nwc")
BARE = Wire(
    name="bare", title="A wire with nothing but what it must have", speakers=Speakers.STRANGERS, windows={},
    reply_kind=1, codes={}, cipher=lambda _event, _grant: Choice("nip44", True), unreadable=Reason.MALFORMED,
    read=lambda _text, _event, to, _facts: Asked(GetBalance(), to),
    encode=lambda outcome, _to: b"outcome" if isinstance(outcome, Balance) else None,
    refuse=lambda refused, _to: b"refused" if refused.reason is Reason.INTERNAL else None,
)  # fmt: skip


def test_an_outcome_is_encoded_and_a_refusal_refused() -> None:
    assert BARE.answer(Balance(Msat(1)), TO) == b"outcome"
    assert BARE.answer(Refused(Reason.INTERNAL), TO) == b"refused"
    assert BARE.answer(Refused(Reason.BUSY), TO) is None


def test_what_a_wire_leaves_out_adds_nothing_to_its_answers() -> None:
    assert (BARE.reply_tags, BARE.older_codes, BARE.method('{"method":"pay_invoice"}')) == ((), {}, "")
    assert (BARE.announces, BARE.notifies) == (None, None)
    assert BARE.read("", None, TO, Facts("regtest")).target == ""  # type: ignore[arg-type]  # no event is looked at


def test_older_forms_of_offers_are_accepted_unless_the_owner_says_otherwise() -> None:
    assert Facts("bitcoin").accept_legacy_offers


def test_what_was_announced_is_deleted_by_its_address_and_by_its_id_where_that_is_known() -> None:
    announcement = Announcement(13194, lambda grant, _: Draft(13194, [], grant.name))
    address, kind = ["a", f"13194:{'cd' * 32}:"], ["k", "13194"]
    assert announcement.deletion("cd" * 32, "ab" * 32) == Draft(5, [["e", "ab" * 32], address, kind], "")
    assert announcement.deletion("cd" * 32) == Draft(5, [address, kind], "")

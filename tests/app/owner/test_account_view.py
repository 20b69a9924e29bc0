"""One account with its codes."""

from __future__ import annotations

from kitestring.app.owner.params import npub
from kitestring.base.enrolments import account_id_of
from kitestring.base.errors import Reason
from kitestring.codec import pointers
from kitestring.crypto.keys import SecretKey
from tests.kit.app.desk import Office

ALICE = SecretKey(b"\x01" * 32).public_hex


async def test_an_enrolled_account_is_shown_by_its_key_with_the_codes_that_the_key_was_told(office: Office) -> None:
    await office.rig.enroll("r1", ALICE)
    shown = await office.run("account_show", account=npub(ALICE))
    assert (shown["account"], shown["npub"]) == (account_id_of(ALICE), npub(ALICE))
    (offer,), (pointer,) = shown["offers"], shown["pointers"]
    noffer, ndebit = pointers.decode(offer["noffer"]), pointers.decode(pointer["ndebit"])
    assert isinstance(noffer, pointers.Noffer)
    assert isinstance(ndebit, pointers.Ndebit)
    assert (noffer.offer, ndebit.pointer) == (offer["offer_id"], pointer["pointer_id"])
    assert shown == await office.run("account_show", account=account_id_of(ALICE))


async def test_an_account_of_the_owners_is_shown_with_what_it_has_and_no_other_accounts_codes(office: Office) -> None:
    await office.run("account_create", name="bob")
    await office.run("offer_create", "k2", label="tea", account="bob")
    await office.run("offer_create", "k3", label="coffee")
    shown = await office.run("account_show", account="bob")
    assert (shown["npub"], [offer["label"] for offer in shown["offers"]], shown["pointers"]) == (None, ["tea"], [])


async def test_the_owners_own_account_is_the_node_and_others_must_be_there(office: Office) -> None:
    assert (await office.refused("account_show", account="owner")).reason is Reason.MALFORMED
    assert (await office.refused("account_show", account="eve")).reason is Reason.UNKNOWN_TARGET

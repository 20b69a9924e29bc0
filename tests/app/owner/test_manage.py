"""The owner's commands about links for apps, and about the apps that manage offers over them."""

from __future__ import annotations

from typing import Any

import pytest

from kitestring.base.commands import CreateOffer, Deed, DeleteOffer, GetOffer, ListOffers, OfferFields, UpdateOffer
from kitestring.base.errors import Reason
from kitestring.base.grants import Offer, OfferState
from kitestring.base.money import ZERO, sat
from kitestring.base.store import OffersOf
from kitestring.codec.pointers import Nmanage, decode, encode
from kitestring.crypto.keys import SecretKey
from tests.kit.app.desk import RELAY, Office

ALICE = "a1" * 32
LEFT = "wss://left.example"
MUG = OfferFields(
    label="Mug", price_msat=sat(12_000), callback_url="https://shop.example/{?amount}", payer_data=("email",)
)


async def approved(office: Office, verdict: str = "always", *, request: str = "r1") -> dict[str, Any]:
    """A link, and an app that has asked to make an offer over it and was let."""
    made = await office.run("manage_link", label="shop")
    await office.rig.manage(request, ALICE, CreateOffer(MUG), link=made["link_id"])
    (asked,) = (await office.run("approvals"))["approvals"]
    done: dict[str, Any] = await office.run("approve", f"yes-{request}", id=asked["id"], verdict=verdict)
    return done


async def test_a_link_becomes_a_code_whose_id_nobody_can_guess(office: Office) -> None:
    made = await office.run("manage_link", label="shop")
    assert decode(made["nmanage"]) == Nmanage(office.desk.service_id, (RELAY,), made["link_id"])
    assert len(bytes.fromhex(made["link_id"])) == 16
    assert (made["policy"], made["account"], made["grants"], made["offers"]) == ("ask", "owner", 0, 0)
    again = await office.run("manage_link", "k2", label="shop")
    assert (again["link_id"], again["created"]) == (made["link_id"], False)
    assert (await office.run("manage_links"))["links"] == [{k: v for k, v in made.items() if k != "created"}]
    other = await office.refused("manage_link", "k3", label="shop", policy="deny")
    assert (other.reason, other.details["differs"]) == (Reason.CONFLICT, ["policy"])


@pytest.mark.parametrize(
    ("params", "word"),
    [({"policy": "budget"}, "cannot be"), ({"label": " shop"}, "one line"), ({"account": "nobody"}, "no account")],
)
async def test_a_wrong_link_is_refused(office: Office, params: dict[str, Any], word: str) -> None:
    assert word in (await office.refused("manage_link", **{"label": "shop", **params})).message


async def test_a_policy_is_changed_and_a_code_made_anew_over_the_relays_of_today(office: Office) -> None:
    made = await office.run("manage_link", label="shop")
    for name in ("shop", made["link_id"], made["nmanage"]):
        changed = await office.run("manage_policy", f"p-{name[:9]}", link=name, policy="deny")
        assert changed["policy"] == "deny"
    assert (await office.run("manage_policy", "again", link="shop", policy="deny"))["changed"] is False
    assert (await office.run("manage_relink", link="shop"))["changed"] is False
    foreign = encode(Nmanage(SecretKey(b"\x07" * 32).public_hex, (RELAY,), made["link_id"]))
    for name, words in ((foreign, "another service"), ("nowhere", "no link 'nowhere'")):
        refused = await office.refused("manage_policy", f"x-{name[:9]}", link=name, policy="ask")
        assert words in refused.message


async def test_a_question_is_shown_with_the_key_the_action_and_the_fields(office: Office) -> None:
    made = await office.run("manage_link", label="shop")
    await office.rig.manage("r1", ALICE, CreateOffer(MUG), link=made["link_id"])
    (asked,) = (await office.run("approvals"))["approvals"]
    assert (asked["kind"], asked["wire"], asked["caller"], asked["pointer"]) == ("manage", "manage", ALICE, "shop")
    assert asked["manage"] == {
        "action": "create", "offer_id": None, "offer": None,
        "fields": {
            "label": "Mug", "price_sats": 12_000, "callback_url": "https://shop.example/{?amount}",
            "payer_data": ["email"],
        },
    }  # fmt: skip
    refused = await office.refused("approve", id=asked["id"], verdict="budget", budget_msat=1_000)
    assert "takes no money" in refused.message


@pytest.mark.parametrize(("verdict", "grants"), [("once", 0), ("as_asked", 0), ("always", 1)])
async def test_a_yes_makes_the_offer_and_only_always_gives_a_grant(office: Office, verdict: str, grants: int) -> None:
    done = await approved(office, verdict)
    assert (done["outcome"], done["state"]) == ("granted", "approved")
    rows = (await office.run("manage_grants"))["grants"]
    assert [(row["caller"], row["link"], row["offers"]) for row in rows] == [(ALICE, "shop", 1)] * grants
    (link,) = (await office.run("manage_links"))["links"]
    assert (link["grants"], link["offers"]) == (grants, 1)


async def test_every_deed_is_shown_with_the_offer_that_it_is_about(office: Office) -> None:
    await approved(office, "once")
    (offer,) = await office.store.offers()
    deeds: dict[str, Deed] = {
        "update": UpdateOffer(offer.offer_id, OfferFields(label="Cup")),
        "get": GetOffer(offer.offer_id),
        "delete": DeleteOffer(offer.offer_id),
    }
    for name, deed in deeds.items():
        await office.rig.manage(name, ALICE, deed, link="")
        (asked,) = (await office.run("approvals"))["approvals"]
        assert (asked["manage"]["action"], asked["manage"]["offer"]) == (name, "Mug")
        await office.run("deny", f"no-{name}", id=asked["id"])


async def test_the_list_is_a_question_too(office: Office) -> None:
    made = await office.run("manage_link", label="shop")
    await office.rig.manage("r1", ALICE, ListOffers(), link=made["link_id"])
    (asked,) = (await office.run("approvals"))["approvals"]
    assert asked["manage"] == {
        "action": "list",
        "offer_id": None,
        "offer": None,
        "fields": dict.fromkeys(("label", "price_sats", "callback_url", "payer_data")),
    }


@pytest.mark.parametrize("name", ["manage a1a1a1a1", ALICE, "by id"])
async def test_revoking_an_app_leaves_its_offers_selling_unless_they_are_to_go(office: Office, name: str) -> None:
    await approved(office)
    (row,) = (await office.run("manage_grants", link="shop"))["grants"]
    ended = await office.run("manage_revoke", grant=row["grant_id"][-8:] if name == "by id" else name)
    assert (ended["deleted_offers"], ended["left_offers"]) == (0, 1)
    (offer,) = await office.store.offers()
    assert offer.state is OfferState.OPEN
    assert (await office.run("manage_grants"))["grants"] == []
    gone = await office.refused("manage_revoke", "again", grant=ALICE)
    assert "kitestring manage grants" in gone.message


@pytest.mark.parametrize(
    ("change", "terms"),
    [
        ({"price_msat": 9_000}, (sat(9), True, "")),
        ({"price_msat": None}, (None, False, "")),
        ({"currency": "EUR", "price_minor": 350}, (None, False, "EUR")),
        ({"new_label": "Cup", "payer_data": ["email?", "Shoe size"]}, (sat(12_000), True, "")),
    ],
)
async def test_what_the_owner_edits_keeps_the_id_by_which_the_app_knows_it_and_what_it_says_as_told_changes_nothing(
    office: Office, change: dict[str, Any], terms: tuple[Any, ...]
) -> None:
    await approved(office)
    (made,) = await office.store.offers()
    edited = await office.run("offer_edit", offer=made.offer_id, **change)
    (offer,) = await office.store.offers()
    assert (offer.offer_id, offer.state) == (made.offer_id, OfferState.OPEN)
    assert (offer.price_msat, offer.price_on_request, offer.currency) == terms
    assert edited["old_noffer"] is None
    assert ("noffer" in edited["changed"]) is (offer.pricing is not made.pricing or offer.currency != "")
    told = OfferFields(
        label=offer.label, price_msat=offer.price_msat or ZERO, callback_url=offer.callback_url, payer_data=offer.asked
    )
    await office.rig.manage("u1", ALICE, UpdateOffer(offer.offer_id, told), link="")
    assert await office.store.offers() == [offer]
    await office.rig.manage("u2", ALICE, UpdateOffer(offer.offer_id, MUG), link="")
    (anew,) = await office.store.offers()
    assert (anew.price_msat, anew.label) == (sat(12_000), "Mug")


async def test_an_offer_that_the_owner_has_let_forward_is_gone_for_its_app_and_leads_on(office: Office) -> None:
    await approved(office)
    (made,) = await office.store.offers()
    tea = await office.run("offer_create", label="tea", price_msat=5_000)
    await office.run("offer_forward", offer=made.offer_id, to="tea")
    moved = await office.store.offer(made.offer_id)
    assert moved is not None
    assert (moved.state, moved.latest) == (OfferState.MOVED, tea["noffer"])
    deeds: dict[str, Deed] = {
        "u": UpdateOffer(made.offer_id, OfferFields(price_msat=sat(1))),
        "g": GetOffer(made.offer_id),
        "d": DeleteOffer(made.offer_id),
    }
    for name, deed in deeds.items():
        await office.rig.manage(name, ALICE, deed, link="")
    assert await office.store.offer(made.offer_id) == moved
    assert await office.store.offers_of(OffersOf(made.pointer_id, ALICE), limit=9) == []
    ended = await office.run("manage_revoke", grant=ALICE, delete_offers=True)
    assert (ended["deleted_offers"], ended["left_offers"]) == (0, 0)
    assert await office.store.offer(made.offer_id) == moved


@pytest.mark.parametrize(
    ("command", "change"), [("offer_edit", {"new_label": "Cup"}), ("offer_off", {}), ("offer_webhook", {"off": True})]
)
async def test_what_an_app_changes_while_the_owner_looks_is_not_undone(
    office: Office, command: str, change: dict[str, Any]
) -> None:
    await approved(office)
    (made,) = await office.store.offers()
    seen = office.store.offers

    async def changed_meanwhile() -> list[Offer]:
        found: list[Offer] = await seen()
        office.store.offers = seen
        await office.rig.manage("u", ALICE, UpdateOffer(made.offer_id, OfferFields(price_msat=sat(13))), link="")
        return found

    office.store.offers = changed_meanwhile
    refused = await office.refused(command, offer=made.offer_id, **change)
    assert refused.reason is Reason.BUSY
    assert (await office.store.offer(made.offer_id)).price_msat == sat(13)
    await office.run(command, "again", offer=made.offer_id, **change)
    assert (await office.store.offer(made.offer_id)).price_msat == sat(13)


async def test_an_app_and_a_link_can_end_with_their_offers(office: Office) -> None:
    await approved(office)
    ended = await office.run("manage_revoke", grant=ALICE, delete_offers=True)
    assert (ended["deleted_offers"], ended["left_offers"]) == (1, 0)
    await office.rig.manage(
        "r2", ALICE, CreateOffer(MUG), link=(await office.run("manage_links"))["links"][0]["link_id"]
    )
    (asked,) = (await office.run("approvals"))["approvals"]
    await office.run("approve", "yes-r2", id=asked["id"], verdict="always")
    unlinked = await office.run("manage_unlink", link="shop", delete_offers=True)
    assert (unlinked["grants"], unlinked["deleted_offers"]) == (1, 1)
    assert {offer.state for offer in await office.store.offers()} == {OfferState.DELETED}
    assert ((await office.run("manage_links"))["links"], (await office.run("manage_grants"))["grants"]) == ([], [])


async def test_a_link_that_ends_alone_leaves_its_offers(office: Office) -> None:
    await approved(office)
    unlinked = await office.run("manage_unlink", link="shop")
    assert (unlinked["grants"], unlinked["left_offers"]) == (1, 1)
    (offer,) = await office.store.offers()
    assert offer.state is OfferState.OPEN

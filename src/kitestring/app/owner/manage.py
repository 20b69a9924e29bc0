"""The owner's commands about CLINK Manage: links over which apps make offers, and the grants of apps at them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from shlex import quote
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from kitestring.app.owner.accounts import need_account
from kitestring.app.owner.command import Call, Change, Commands, Manage, Read
from kitestring.app.owner.desk import Managing, Reading
from kitestring.app.owner.near import none_named, none_of_code
from kitestring.app.owner.params import MIN_ID_CHARS, Name, NoParams, npub, only, plain_line, public_key
from kitestring.app.owner.results import manage as results
from kitestring.app.service.execute import Result
from kitestring.app.service.kept_relays import old_relays
from kitestring.base.commands import MANAGE_WIRE, OWNER_ACCOUNT
from kitestring.base.errors import KitestringError, Reason
from kitestring.base.grants import Grant
from kitestring.base.transactions.owner import EndOffers, SaveGrant, Write
from kitestring.codec.nip19 import MAX_LENGTH
from kitestring.codec.pointers import MAX_RELAYS, Nmanage, decode, encode
from kitestring.policy.managing import MAX_OFFERS
from kitestring.transport.guard import normalise

#: 128 random bits: only who was given the code can ask by it.
LINK_BYTES: Final = 16
CODE_START: Final = "nmanage1"
#: What two links of one label can differ in, as people call it.
_TERMS: Final = {"account_id": "account", "strangers": "policy"}

LinkRef = Annotated[str, Meta(min_length=1, max_length=MAX_LENGTH)]
Policy = Literal["deny", "ask"]


class AppLinkParams(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """``policy`` is what a key without a grant gets: the owner is asked, or the answer is no. What the offers earn
    fills ``account``."""

    label: Name
    account: Name = OWNER_ACCOUNT
    policy: Policy = "ask"


class AppLinkName(msgspec.Struct, forbid_unknown_fields=True):
    """``link`` is the label, the id or the code."""

    link: LinkRef


class LinkPolicyParams(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    link: LinkRef
    policy: Policy


class UnlinkParams(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Offers go on selling, unless ``delete_offers``."""

    link: LinkRef
    delete_offers: bool = False


class ManagersParams(msgspec.Struct, forbid_unknown_fields=True):
    link: Annotated[str, Meta(max_length=MAX_LENGTH, description="Those of one link (default: all).")] = ""


class RevokeParams(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """``grant`` is the id (at least six characters from its beginning or end), the name, or the key where that has one
    grant. Offers go on selling, unless ``delete_offers``."""

    grant: Annotated[str, Meta(min_length=1, max_length=128)]
    delete_offers: bool = False


# ------------------------------------------------------------ links


async def manage_link(desk: Managing, params: AppLinkParams, _call: Call) -> Change | Result:
    """Make a link for apps that manage offers. One of that label is returned, with other values it is refused."""
    link_id = desk.entropy(LINK_BYTES).hex()
    account = await need_account(desk, params.account)
    link = Grant(
        grant_id=link_id,
        name=plain_line(params.label, "a label"),
        wire=MANAGE_WIRE,
        service_pubkey=desk.service_id,
        account_id=account.account_id,
        relays=desk.relays_for_codes()[:MAX_RELAYS],
        pointer_id=link_id,
        strangers=params.policy,
        created_at=desk.clock.now(),
    )
    found = _find(await _links(desk), params.label)
    if found is not None:
        _need_same(found, link)
        return {**await show_link(desk, found), "created": False}
    return Change((SaveGrant(link),), {**await show_link(desk, link), "created": True}, link_id)


async def manage_links(desk: Reading, _params: NoParams, _call: Call) -> Result:
    """List the links over which apps manage offers, with their codes."""
    return {"links": [await show_link(desk, link) for link in await _links(desk)]}


async def manage_policy(desk: Managing, params: LinkPolicyParams, _call: Call) -> Change | Result:
    """Change what a link says to keys without a grant; grants that it has stay as they are."""
    found = await _need_link(desk, params.link)
    if found.strangers == params.policy:
        return {**await show_link(desk, found), "changed": False}
    anew = replace(found, strangers=params.policy, version=found.version + 1)
    return Change((SaveGrant(anew),), {**await show_link(desk, anew), "changed": True}, anew.grant_id)


async def manage_relink(desk: Managing, params: AppLinkName, _call: Call) -> Change | Result:
    """Make the code of a link anew, over the relays of today; offers made from then on name them too."""
    found = await _need_link(desk, params.link)
    anew = replace(found, relays=desk.relays_for_codes()[:MAX_RELAYS], version=found.version + 1)
    if {normalise(url) for url in anew.relays} == {normalise(url) for url in found.relays}:
        return {**await show_link(desk, found), "changed": False, "left_relays": []}
    left = list(old_relays(found.relays, anew.relays))
    return Change(
        (SaveGrant(anew),), {**await show_link(desk, anew), "changed": True, "left_relays": left}, anew.grant_id
    )


async def manage_unlink(desk: Managing, params: UnlinkParams, _call: Call) -> Change:
    """End a link and every grant of it forever. Its offers go on selling, unless they are to be deleted with it."""
    found, now = await _need_link(desk, params.link), desk.clock.now()
    grants = [grant for grant in await _grants(desk) if grant.pointer_id == found.grant_id]
    ended = [replace(one, revoked_at=now, version=one.version + 1) for one in (found, *grants)]
    offers = await desk.store.count_offers(found.grant_id)
    end: tuple[Write, ...] = (EndOffers(found.grant_id),) if params.delete_offers else ()
    result = {
        "link_id": found.grant_id, "label": found.name, "revoked_at": now, "grants": len(grants),
        **_of_offers(offers, deleted=params.delete_offers),
    }  # fmt: skip
    return Change((*end, *(SaveGrant(one) for one in ended)), result, found.grant_id)


# ------------------------------------------------------------ grants


async def manage_grants(desk: Reading, params: ManagersParams, _call: Call) -> Result:
    """List the apps that may manage offers without asking, with the number of those that each has made."""
    link_id = (await _need_link(desk, params.link)).grant_id if params.link else ""
    labels = {link.grant_id: link.name for link in await _links(desk)}
    grants = [one for one in await _grants(desk) if link_id in {"", one.pointer_id}]
    return {"grants": [await _show_grant(desk, grant, labels) for grant in grants]}


async def manage_revoke(desk: Managing, params: RevokeParams, _call: Call) -> Change:
    """End the grant of an app forever; it may ask again. Its offers go on selling, unless they are to be deleted."""
    found = await _need_grant(desk, params.grant)
    ended = replace(found, revoked_at=desk.clock.now(), version=found.version + 1)
    offers = await desk.store.count_offers(found.pointer_id, found.caller)
    end: tuple[Write, ...] = (EndOffers(found.pointer_id, found.caller),) if params.delete_offers else ()
    result = {
        "grant_id": found.grant_id, "name": found.name, "caller": found.caller, "npub": npub(found.caller),
        "revoked_at": ended.revoked_at, **_of_offers(offers, deleted=params.delete_offers),
    }  # fmt: skip
    return Change((*end, SaveGrant(ended)), result, found.grant_id)


# ------------------------------------------------------------ what is shown


async def show_link(desk: Reading, link: Grant) -> Result:
    """One link as JSON. Times are Unix seconds."""
    grants = [grant for grant in await _grants(desk) if grant.pointer_id == link.grant_id]
    return {
        "link_id": link.grant_id,
        "label": link.name,
        "nmanage": encode(Nmanage(desk.service_id, link.relays, link.grant_id)),
        "policy": link.strangers,
        "account": link.account_id,
        "grants": len(grants),
        "offers": await desk.store.count_offers(link.grant_id),
        "created_at": link.created_at,
        "old_relays": list(old_relays(link.relays, desk.relay_urls())),
    }


async def _show_grant(desk: Reading, grant: Grant, labels: dict[str, str]) -> Result:
    return {
        "grant_id": grant.grant_id,
        "name": grant.name,
        "caller": grant.caller,
        "npub": npub(grant.caller),
        "link_id": grant.pointer_id,
        "link": labels.get(grant.pointer_id),
        "account": grant.account_id,
        "offers": await desk.store.count_offers(grant.pointer_id, grant.caller),
        "most_offers": MAX_OFFERS,
        "expires_at": grant.expires_at,
        "created_at": grant.created_at,
    }


def _of_offers(number: int, *, deleted: bool) -> Result:
    return {"deleted_offers": number if deleted else 0, "left_offers": 0 if deleted else number}


# ------------------------------------------------------------ what is found


async def _links(desk: Reading) -> list[Grant]:
    """The links that were not ended, the oldest first."""
    return [grant for grant in await _living(desk) if not grant.caller]


async def _grants(desk: Reading) -> list[Grant]:
    """The grants of apps that were not revoked, the oldest first."""
    return [grant for grant in await _living(desk) if grant.caller]


async def _living(desk: Reading) -> list[Grant]:
    found = [grant for grant in await desk.store.grants() if grant.wire == MANAGE_WIRE and grant.revoked_at is None]
    return sorted(found, key=lambda grant: (grant.created_at, grant.name))


async def _need_link(desk: Reading, name: str) -> Grant:
    """The link of that label, id or code. Raises KitestringError when there is none."""
    links = await _links(desk)
    is_code = CODE_START in name.lower()
    found = _find(links, name) or (_find(links, _own_id(desk, name)) if is_code else None)
    if found is None:
        if is_code:
            raise none_of_code("link", "manage links")
        raise none_named("link", name, (one.name for one in links), "manage links")
    return found


async def _need_grant(desk: Reading, typed: str) -> Grant:
    """The grant of that id, name or key, or with an id that begins or ends so. Raises KitestringError."""
    grants = await _grants(desk)
    key = _key(typed)
    for found in (
        [one for one in grants if typed in (one.grant_id, one.name)],
        [one for one in grants if one.caller == key],
        [one for one in grants if len(typed) >= MIN_ID_CHARS and _begins_or_ends(one.grant_id, typed)],
    ):
        if found:
            only([one.grant_id for one in found], typed, "grants")
            return found[0]
    raise none_named("grant to manage offers named", typed, (one.name for one in grants), "manage grants")


def _find(links: Sequence[Grant], name: str) -> Grant | None:
    return next((link for link in links if name in (link.grant_id, link.name)), None)


def _begins_or_ends(grant_id: str, typed: str) -> bool:
    return grant_id.startswith(typed) or grant_id.endswith(typed)


def _key(typed: str) -> str:
    """The public key that was typed, "" if it is none."""
    try:
        return public_key(typed)
    except KitestringError:
        return ""


def _own_id(desk: Reading, code: str) -> str:
    """The id in a code of ours. Raises CodecError, or KitestringError for a code of somebody else."""
    pointer = decode(code)
    if not isinstance(pointer, Nmanage) or pointer.pubkey != desk.service_id:
        raise KitestringError(Reason.UNKNOWN_TARGET, "this code belongs to another service")
    return pointer.pointer or ""


def _need_same(found: Grant, wanted: Grant) -> None:
    """Raise KitestringError(CONFLICT) where ``wanted`` is another link."""
    differs = [words for field, words in _TERMS.items() if getattr(found, field) != getattr(wanted, field)]
    if differs:
        raise KitestringError(
            Reason.CONFLICT,
            f"there is a link {wanted.name!r} already, with another {' and another '.join(differs)}, and it was left "
            f"as it is: choose another label, or see `kitestring manage policy {quote(wanted.name)}`",
            link_id=found.grant_id,
            differs=differs,
        )


COMMANDS: Final[Commands] = (
    Manage("manage_link", AppLinkParams, manage_link, results.LinkMadeJson),
    Read("manage_links", NoParams, manage_links, results.LinkListJson),
    Manage("manage_policy", LinkPolicyParams, manage_policy, results.LinkChangedJson),
    Manage("manage_relink", AppLinkName, manage_relink, results.LinkRelinkedJson),
    Manage("manage_unlink", UnlinkParams, manage_unlink, results.LinkEndedJson),
    Read("manage_grants", ManagersParams, manage_grants, results.ManagerListJson),
    Manage("manage_revoke", RevokeParams, manage_revoke, results.ManagerRevokedJson),
)

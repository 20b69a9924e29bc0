"""The answers of the commands about links for apps that manage offers."""

from __future__ import annotations

from typing import Annotated, Literal

from kitestring.app.owner.results.words import (
    AccountName,
    AnswerJson,
    Changed,
    Created,
    CreatedAt,
    ExpiresAt,
    LeftRelays,
    Npub,
    OldRelays,
    RevokedAt,
    says,
)


class LinkJson(AnswerJson):
    """A link over which apps manage offers."""

    link_id: Annotated[str, says("Its id.")]
    label: Annotated[str, says("Its label.")]
    nmanage: Annotated[str, says("Its code.")]
    policy: Annotated[Literal["deny", "ask"], says("What a key without a grant gets.")]
    account: AccountName
    grants: Annotated[int, says("How many apps may manage offers by it without asking.")]
    offers: Annotated[int, says("How many offers were made by it.")]
    created_at: CreatedAt
    old_relays: OldRelays


class LinkMadeJson(LinkJson):
    """A link, whether it was made now or before."""

    created: Created


class LinkListJson(AnswerJson):
    """All links."""

    links: Annotated[list[LinkJson], says("The links, the oldest first.")]


class LinkChangedJson(LinkJson):
    """A link after a change."""

    changed: Changed


class LinkRelinkedJson(LinkChangedJson):
    """A link with its code of today."""

    left_relays: LeftRelays


class _OffersLeftJson(AnswerJson):
    deleted_offers: Annotated[int, says("How many offers were deleted with it.")]
    left_offers: Annotated[int, says("How many offers go on selling.")]


class LinkEndedJson(_OffersLeftJson):
    """A link that was ended."""

    link_id: Annotated[str, says("Its id.")]
    label: Annotated[str, says("Its label.")]
    revoked_at: RevokedAt
    grants: Annotated[int, says("How many grants ended with it.")]


class ManagerJson(AnswerJson):
    """An app that may manage offers without asking."""

    grant_id: Annotated[str, says("The id of its grant.")]
    name: Annotated[str, says("The name of its grant.")]
    caller: Annotated[str, says("The public key of the app.")]
    npub: Npub
    link_id: Annotated[str, says("The id of the link.")]
    link: Annotated[str | None, says("The label of the link.")]
    account: AccountName
    offers: Annotated[int, says("How many offers it has made.")]
    most_offers: Annotated[int, says("How many it may have.")]
    expires_at: ExpiresAt
    created_at: CreatedAt


class ManagerListJson(AnswerJson):
    """The apps that may manage offers."""

    grants: Annotated[list[ManagerJson], says("Their grants, the oldest first.")]


class ManagerRevokedJson(_OffersLeftJson):
    """The grant of an app that was ended."""

    grant_id: Annotated[str, says("Its id.")]
    name: Annotated[str, says("Its name.")]
    caller: Annotated[str, says("The public key of the app.")]
    npub: Npub
    revoked_at: RevokedAt

"""The parts that all types of answers are made of."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta


class AnswerJson(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """An object in an answer. Every field is there, and has a description."""


def says(description: str) -> Meta:
    """The description of a field: ``Annotated[int, says("…")]``."""
    return Meta(description=description)


#: Fields that mean the same wherever they stand.
AccountName = Annotated[str, says("The account whose money it is; `owner` is the node's own.")]
CreatedAt = Annotated[int, says("When it was made.")]
ExpiresAt = Annotated[int | None, says("When it ends; null: never.")]
RevokedAt = Annotated[int, says("When it was ended.")]
PerPaymentMsat = Annotated[int | None, says("The most that one payment may cost; null: no such limit.")]
PaymentHash = Annotated[str, says("The payment hash.")]
InvoiceText = Annotated[str, says("The invoice.")]
FeeMsat = Annotated[int, says("The fee for routing that was paid.")]
ServiceFeeMsat = Annotated[int, says("The fee that the service itself has taken.")]
Key = Annotated[str, says("The public key that it belongs to.")]
Npub = Annotated[str, says("The same key as an npub.")]
ServicePubkey = Annotated[str, says("The public key of the service.")]
OldRelays = Annotated[list[str], says("Relays in it that the settings do not name any more.")]
LeftRelays = Annotated[list[str], says("Relays that the old code named and the new one does not.")]
Created = Annotated[bool, says("Whether it was made now; false: it was there already.")]
Changed = Annotated[bool, says("Whether anything is another now.")]


class ChangeJson(AnswerJson):
    """A value that was changed."""

    before: Annotated[Any, says("The value before.")]
    after: Annotated[Any, says("The value from now on.")]


ChangedFields = Annotated[dict[str, ChangeJson], says("What is another now, by the name of the field; empty: nothing.")]

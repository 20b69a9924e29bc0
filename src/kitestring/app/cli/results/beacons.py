"""A service by its beacon, and the word of its operator."""

from __future__ import annotations

from typing import Annotated, Literal

from kitestring.app.owner.results.words import AnswerJson, Npub, ServicePubkey, says


class BeaconFeesJson(AnswerJson):
    """The fees that a service takes."""

    floor_msat: Annotated[int, says("At least so much.")]
    bps: Annotated[int, says("So many hundredths of a percent.")]


class BeaconJson(AnswerJson):
    """A service by its beacon; the exit code is 4 unless its state is `fresh`."""

    service_pubkey: ServicePubkey
    npub: Npub
    state: Annotated[Literal["fresh", "stale", "ahead", "none"], says("`fresh` alone means that it works.")]
    age_s: Annotated[int | None, says("The age of the beacon; less than 0: it is from the future.")]
    created_at: Annotated[int | None, says("The time in the beacon.")]
    legacy: Annotated[bool, says("Whether it is in the form from before the text of CLINK.")]
    name: Annotated[str | None, says("What it calls itself.")]
    description: Annotated[str | None, says("What it says about itself.")]
    website: Annotated[str | None, says("Its website.")]
    avatar_url: Annotated[str | None, says("Its picture.")]
    relays: Annotated[list[str], says("Its relays.")]
    fees: Annotated[BeaconFeesJson | None, says("Its fees; null: it says nothing.")]
    enroll_difficulty: Annotated[int | None, says("The work that an account costs, in bits; null: it opens none.")]
    supported_kinds: Annotated[list[int] | None, says("Kinds of requests that it answers; null: it says nothing.")]
    operator: Annotated[str | None, says("The key that it names as its operator.")]
    operated: Annotated[Literal["verified", "claimed", "revoked", "none"], says("What that is worth.")]
    told_by: Annotated[list[str], says("The relays that have it.")]


class RelayHasJson(AnswerJson):
    """A relay's word about the operator's word."""

    relay: Annotated[str, says("The relay.")]
    has_it: Annotated[bool, says("Whether it has it.")]
    words: Annotated[str | None, says("Its own words.")]


class OperatorJson(AnswerJson):
    """The word of an operator about services."""

    operator: Annotated[str, says("The operator, as an npub.")]
    service_pubkey: ServicePubkey
    attested: Annotated[list[str], says("Services that it operates.")]
    revoked: Annotated[list[str], says("Services that it operates no more.")]
    relays: Annotated[list[RelayHasJson], says("What each relay said.")]

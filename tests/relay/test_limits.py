"""The relay takes what wallets say to each other, gives away no proof of identity, and its numbers fit together."""

from __future__ import annotations

from kitestring.nostr import kinds
from kitestring.nostr.kinds import is_ephemeral
from kitestring.nostr.relay import MAX_FRAME_BYTES
from kitestring.relay import limits
from kitestring.relay.limits import NEVER_PUBLISHED, PRIVATE_KINDS, PRODUCT_KINDS, RelayLimits


def test_what_only_two_may_read_is_taken_and_what_everybody_must_find_is_not_private() -> None:
    assert PRIVATE_KINDS < PRODUCT_KINDS
    assert {
        kinds.NWC_INFO,
        kinds.BEACON,
        kinds.METADATA,
        kinds.RELAY_LIST,
        kinds.DELETE,
    } == PRODUCT_KINDS - PRIVATE_KINDS


def test_a_proof_of_identity_is_taken_by_nobody() -> None:
    assert not NEVER_PUBLISHED & PRODUCT_KINDS
    assert {kinds.AUTH, kinds.HTTP_AUTH} == NEVER_PUBLISHED


def test_every_request_and_reply_of_a_wallet_passes_by_default() -> None:
    wallets = {kinds.NWC_REQUEST, kinds.NWC_RESPONSE, kinds.NWC_NOTIFY, kinds.NWC_NOTIFY_NIP04, kinds.OFFER}
    taken = RelayLimits().kinds
    assert taken is not None
    assert wallets <= taken
    assert all(is_ephemeral(kind) for kind in wallets)


def test_a_reader_that_is_waited_for_is_given_up_before_a_dead_one_and_both_after_a_turn() -> None:
    assert limits.PACE_S < limits.PUBLISH_WAIT_S < limits.HEARTBEAT_S / 2
    assert limits.STALLED_S >= limits.HEARTBEAT_S


def test_one_connection_fits_into_what_there_is_for_all() -> None:
    for bounds in (RelayLimits(), RelayLimits.beside_service()):
        _fit_together(bounds)


def _fit_together(bounds: RelayLimits) -> None:
    assert MAX_FRAME_BYTES < limits.MAX_MESSAGE_BYTES < bounds.max_total_received_bytes
    assert bounds.max_connections_per_address < bounds.max_connections
    assert limits.OWN_MAIL_COST < bounds.max_strangers_per_s <= bounds.max_strangers_burst
    assert MAX_FRAME_BYTES - 200 <= bounds.max_event_bytes <= MAX_FRAME_BYTES
    assert limits.WINDOW_BYTES < bounds.max_queued_bytes < bounds.max_total_queued_bytes
    assert bounds.max_filter_cost < bounds.max_total_filter_cost
    assert bounds.max_subscriptions * limits.FILTER_COST <= bounds.max_filter_cost
    assert bounds.max_results <= bounds.max_looked_at
    assert bounds.max_durable_events_per_author < bounds.max_durable_events <= bounds.max_looked_at
    assert bounds.max_events_per_s < bounds.max_events_burst

"""The limits of the embedded relay on what it takes and keeps, each number with its reason."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Final

from kitestring.nostr import kinds
from kitestring.nostr.relay import MAX_FRAME_BYTES

#: Kinds of this product: payments, their discovery, deletion, and remote signing. Others are refused by default, so
#: that a relay started for a wallet does not become somebody's file store.
PRODUCT_KINDS: Final = kinds.PUBLIC | kinds.CONVERSATIONS
#: Kinds that only their author and the keys in their ``p`` tags may read where authentication is on.
PRIVATE_KINDS: Final = kinds.CONVERSATIONS
#: Refused also by a relay that takes every kind.
NEVER_PUBLISHED: Final = kinds.PROOFS
#: Seconds between pings, so that a dead peer's connection ends.
HEARTBEAT_S: Final = 30.0
#: Seconds for a complete HTTP request; a connection that has sent none by then is closed.
REQUEST_TIMEOUT_S: Final = 10.0
#: Bytes of one HTTP request, its largest header and the number of them: a browser behind two proxies sends 3 kB.
MAX_REQUEST_BYTES: Final = 16_384
LARGEST_HEADER_BYTES: Final = 4_096
MAX_HEADERS: Final = 64
#: WebSocket messages above this end the connection unread; smaller ones beyond what is obeyed are answered.
MAX_MESSAGE_BYTES: Final = MAX_FRAME_BYTES + 1_024
#: Frames of one message: libraries cut it up by 16 kB or more, or not at all.
MAX_FRAGMENTS: Final = 256
#: Seconds for a message to come to its end: the largest event needs 3 kB/s.
MESSAGE_TIMEOUT_S: Final = 20.0
#: Bytes of finished messages of one connection that wait for their turn; then no more is read from its socket …
WAITING_BYTES: Final = 65_536
#: … from which the system takes no more than so much ahead, which also bounds what one read brings.
RECEIVE_BUFFER_BYTES: Final = 16_384
#: Unread bytes of one connection after which its further commands, and stored events for it, wait for it to read.
WINDOW_BYTES: Final = 262_144
#: Seconds without one frame taken after which a reader that is waited for is cut off.
STALLED_S: Final = 30.0
#: The cost of a filter beside its values, in values: to look at one takes about as long as to find it by 50 of them.
FILTER_COST: Final = 50
#: Stored events looked at, and values of filters taken in, that weigh as much as one event (some 50 µs).
WORK_PER_TOKEN: Final = 50
#: Bytes of an event that weigh as much as one event: parsing, hashing and copying them.
BYTES_PER_TOKEN: Final = 8_192
#: What a stranger's event for the owner costs, in events: his service decrypts, decides and answers (some 450 µs).
OWN_MAIL_COST: Final = 6
#: Seconds that a stranger waits for his turn; then he is told to come again.
TURN_WAIT_S: Final = 10.0
#: What one author may publish over all connections, in what one connection may: both of a client that changes it.
AUTHOR_FACTOR: Final = 2
#: Authors whose pace is known (some 300 bytes each).
MAX_PACED_AUTHORS: Final = 10_000
#: Commands of one connection obeyed before others have their turn: some milliseconds; a REQ always gives it.
COMMANDS_PER_TURN: Final = 32
#: Bytes of one connection taken before others have their turn: also some milliseconds, for hashes and signatures.
BYTES_PER_TURN: Final = 262_144
#: Seconds after which a reader that publishers wait for must have taken so many bytes or so many frames; one that is
#: slower is not waited for, so that nobody holds up others by subscribing to what they get. Any service is faster.
PACE_S: Final = 1.0
PACE_BYTES: Final = 524_288
PACE_FRAMES: Final = 250
#: Seconds that an event waits for those it is for; then it is refused, and its author knows. Less than the half of
#: HEARTBEAT_S after which a connection that has not taken its pong is given up as dead.
PUBLISH_WAIT_S: Final = 10.0
#: Stored events looked at before others have their turn: about a millisecond.
LOOKED_AT_PER_TURN: Final = 500
#: The oldest durable events among which the one that goes is looked for.
EVICTION_LOOKS: Final = 64
#: Readers of a key among which the smallest one is looked for.
LISTENERS_LOOKED_AT: Final = 16
#: Connections that have the standing of one known key at once: those of an app, on several devices.
MAX_MET: Final = 16
#: Seconds for a closing handshake before the connection is cut.
CLOSE_TIMEOUT_S: Final = 2.0


#: Around an event in a frame: ``["EVENT",`` with a subscription's id, of which each character may take two bytes.
FRAME_ROOM_BYTES: Final = 160


@dataclass(frozen=True, slots=True)
class RelayLimits:
    """Sizes in bytes, times in seconds. ``kinds=None`` takes every kind."""

    kinds: frozenset[int] | None = field(default=PRODUCT_KINDS)
    #: What fits into a frame (:data:`kitestring.nostr.relay.MAX_FRAME_BYTES`, as NIP-11 tells) as it comes, and with
    #: the name of a subscription when it goes. Others carry as much, and wallets write it.
    max_event_bytes: int = MAX_FRAME_BYTES - FRAME_ROOM_BYTES
    #: Seconds by which the event loop may be late before strangers are held up for those who are known. A relay alone
    #: knows nobody, so there is nobody to be preferred.
    max_lag_s: float = math.inf
    #: Events (or as much other work) of all strangers together, per second and at once.
    max_strangers_per_s: int = 10_000
    max_strangers_burst: int = 20_000
    #: Bytes of what was received and not yet obeyed, of all strangers together: the one with most of it has to go.
    max_total_received_bytes: int = 8 * 1_048_576
    #: Connections at once, of whatever state (some 50 kB each); fewer where the process may not open as many files.
    max_connections: int = 4_000
    #: … and those of one address, if it is not this machine's own.
    max_connections_per_address: int = 1_000
    #: Tags of one event: a relay list or a deletion has dozens, and each is a place to look at for every event.
    max_event_tags: int = 500
    #: Events (or as much other work) per second of one connection, so that none has a core to itself …
    max_events_per_s: int = 1_000
    #: … beyond this many at once, as after a reconnect.
    max_events_burst: int = 5_000
    #: Subscriptions of one connection: a service with 100,000 keys needs 500.
    max_subscriptions: int = 1_000
    #: Values in all filters of one connection (each some 500 bytes of memory, each filter counting 50 besides): a
    #: service with 100,000 keys needs 126,000 …
    max_filter_cost: int = 200_000
    #: … and of all connections: this also bounds what one event can cost to some 30 ms. The largest one has to go.
    max_total_filter_cost: int = 500_000
    #: Stored events given to one filter of a REQ …
    max_results: int = 500
    #: … and looked at for one REQ: every event there is, once.
    max_looked_at: int = 200_000
    #: Unread frames and bytes of one connection, after which it is a slow reader and closed. From half of it on,
    #: publishers to it wait until it is down to a quarter.
    max_queued_frames: int = 8_192
    max_queued_bytes: int = 8 * 1_048_576
    #: Multiplier of both for subscribers to the relay owner's keys: a service that everybody writes to.
    own_queue_factor: int = 8
    #: Unread bytes of all connections: the slowest has to go.
    max_total_queued_bytes: int = 256 * 1_048_576
    #: Ephemeral events are kept this long, for a client that subscribes after the reply was sent …
    ephemeral_ttl_s: int = 300
    #: … but no more than this many and this much, of vouched authors and of all others each: the oldest go first.
    max_ephemeral_events: int = 20_000
    max_ephemeral_bytes: int = 32 * 1_048_576
    #: Durable events of strangers, in number and bytes of memory, and of one author: anybody may publish, so the disk
    #: must have an end. A service with 100,000 connections, somewhere else, keeps an info event for each.
    max_durable_events: int = 120_000
    max_durable_bytes: int = 384 * 1_048_576
    max_durable_events_per_author: int = 200
    #: How far ahead of our clock ``created_at`` may be.
    max_ahead_s: int = 900

    @classmethod
    def beside_service(cls) -> RelayLimits:
        """Of a relay in the process of a service, which gives strangers no more than it does not need: some 15 % of a
        core, and memory in the order of its own.
        """
        return cls(
            max_lag_s=0.03, max_strangers_per_s=1_500, max_strangers_burst=1_500, max_durable_events=20_000,
            max_durable_bytes=64 * 1_048_576, max_total_queued_bytes=64 * 1_048_576,
        )  # fmt: skip

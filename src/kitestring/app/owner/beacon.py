"""The owner's command about the beacon: what the service says to everybody, and that it says it now."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from msgspec import Meta

from kitestring.app.owner.command import Call, Commands, Speak
from kitestring.app.owner.desk import Speaking
from kitestring.app.owner.params import npub
from kitestring.app.owner.results import node as results
from kitestring.app.service.beacon import BeaconPublisher, Said
from kitestring.app.service.execute import Result
from kitestring.codec.json import loads_object
from kitestring.transport.publications import RelayAnswer, Verdict


class BeaconParams(msgspec.Struct, forbid_unknown_fields=True):
    preview: Annotated[bool, Meta(description="Only show what would be published.")] = False


async def beacon_publish(desk: Speaking, params: BeaconParams, _call: Call) -> Result:
    """Publish the beacon of the service now, or only show what it says."""
    beacon = desk.beacon
    said = None if params.preview else await beacon.publish()
    return {
        "is_on": beacon.is_on,
        "published": said is not None and said.is_taken,
        "service_pubkey": desk.service_id,
        "operator": npub(beacon.operator) if beacon.operator else None,
        "content": loads_object(beacon.draft().content),
        **(_of_last(beacon) if said is None else _told(said)),
    }


def _of_last(beacon: BeaconPublisher) -> Result:
    """The last one that was published, for whoever only looks."""
    return {"event_id": None, "created_at": None, "relays": []} if beacon.said is None else _told(beacon.said)


def _told(said: Said) -> Result:
    words = [
        {"relay": url, "has_it": _has_it(verdict), "words": _words(verdict)} for url, verdict in said.relays.items()
    ]
    return {"event_id": said.event.id, "created_at": said.event.created_at, "relays": words}


def _has_it(verdict: Verdict) -> bool:
    return verdict.answer is RelayAnswer.ACCEPTED


def _words(verdict: Verdict) -> str | None:
    """Its own words, else what is known where it does not have the beacon."""
    return verdict.message or (None if _has_it(verdict) else verdict.answer.value)


COMMANDS: Final[Commands] = (Speak("beacon_publish", BeaconParams, beacon_publish, results.BeaconSaidJson),)

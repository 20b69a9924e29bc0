"""The operator of services says with a key of his own which are his: an attestation, and a revocation that wins.

Each is one document that replaces the one before, so what is there already is read first and kept.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from kitestring.base.errors import CodecError, KitestringError, Reason
from kitestring.client.beacon import ServiceAddress, pool_to
from kitestring.client.documents import find_documents
from kitestring.client.net import Net
from kitestring.client.session import MAX_TROUBLE_CHARS, reach
from kitestring.crypto.keys import SecretKey
from kitestring.nostr import kinds
from kitestring.nostr.event import Event, sign_event
from kitestring.transport.publications import RelayAnswer, Verdict
from kitestring.transport.relays import RelayPool
from kitestring.wire.beacon import ATTEST_D, REVOKE_D, attested, operator_draft, revoked

_NAMES: Final = {ATTEST_D: "attestation", REVOKE_D: "revocation"}
_READ: Final = {ATTEST_D: attested, REVOKE_D: revoked}


@dataclass(frozen=True, slots=True)
class OperatorWord:
    """The services (64 hex digits) that an operator attests and revokes now, and each relay's word about what was
    published last."""

    operator: str
    attested: tuple[str, ...]
    revoked: tuple[str, ...]
    relays: Mapping[str, Verdict] = field(default_factory=dict)

    def taken_by(self) -> tuple[str, ...]:
        """The relays that have it."""
        return tuple(url for url, verdict in self.relays.items() if verdict.answer is RelayAnswer.ACCEPTED)


async def attest_service(service: ServiceAddress, key: SecretKey, net: Net, relays: Sequence[str] = ()) -> OperatorWord:
    """Say with ``key`` that its owner operates the service, at its relays and ``relays``, and take back a revocation.

    Every relay must have told what that key says already, because the new document replaces it. Raises KitestringError:
    UNAVAILABLE where one does not answer, or none takes it; MALFORMED for too many services.
    """
    async with pool_to(service, net, relays, key) as pool:
        said = await _read(pool, key, net)
        await said.publish(ATTEST_D, {*said.listed(ATTEST_D), service.pubkey})
        if service.pubkey in said.listed(REVOKE_D):
            await said.publish(REVOKE_D, {*said.listed(REVOKE_D)} - {service.pubkey})
        return said.word()


async def revoke_service(service: ServiceAddress, key: SecretKey, net: Net, relays: Sequence[str] = ()) -> OperatorWord:
    """Say with ``key`` that its owner does not operate the service, whatever was attested. Raises as
    :func:`attest_service`."""
    async with pool_to(service, net, relays, key) as pool:
        said = await _read(pool, key, net)
        await said.publish(REVOKE_D, {*said.listed(REVOKE_D), service.pubkey})
        return said.word()


async def _read(pool: RelayPool, key: SecretKey, net: Net) -> _Said:
    """All that the key says at these relays. Raises KitestringError where one of them does not answer."""
    await reach(pool, net.waits)
    found = await find_documents(pool, kinds.BEACON, key.public_hex, tuple(_READ), net.waits)
    if found.refusals:
        why = found.trouble[:MAX_TROUBLE_CHARS]
        sentence = f"not every relay tells what your key says already ({why}), and that would be lost; try again later"
        raise KitestringError(Reason.UNAVAILABLE, sentence)
    return _Said(pool, key, net, dict(found.newest))


@dataclass(slots=True)
class _Said:
    """The documents of one key, and what relays say of those that are published."""

    pool: RelayPool
    key: SecretKey
    net: Net
    documents: dict[str, Event]
    verdicts: Mapping[str, Verdict] = field(default_factory=dict)

    def listed(self, d: str) -> tuple[str, ...]:
        """The services in the document ``d`` as it is now."""
        return tuple(sorted(_READ[d](self.documents.get(d))))

    async def publish(self, d: str, services: Collection[str]) -> None:
        """Have every relay take a document that names these services; one that does already is only sent again."""
        before = self.documents.get(d)
        if before is None or set(self.listed(d)) != set(services):
            self.documents[d] = self._signed(d, services, before)
        result = await self.pool.publish(self.documents[d], deadline_s=self.net.waits.publish_s, every=True)
        self.verdicts = result.relays
        if not self.word().taken_by():
            words = "; ".join(f"{url}: {word.message or word.answer.value}" for url, word in self.verdicts.items())
            raise KitestringError(Reason.UNAVAILABLE, f"no relay takes the {_NAMES[d]} ({words[:MAX_TROUBLE_CHARS]})")

    def _signed(self, d: str, services: Collection[str], before: Event | None) -> Event:
        """Newer than the one before, whatever the clock says: relays keep the newest."""
        try:
            draft = operator_draft(d, sorted(services))
        except CodecError as error:
            raise KitestringError(Reason.MALFORMED, str(error)) from error
        at = max(self.net.clock.now(), 0 if before is None else before.created_at + 1)
        return sign_event(
            self.key, kind=draft.kind, tags=draft.tags, content=draft.content, created_at=at,
            aux=self.net.entropy(32),
        )  # fmt: skip

    def word(self) -> OperatorWord:
        return OperatorWord(self.key.public_hex, self.listed(ATTEST_D), self.listed(REVOKE_D), self.verdicts)

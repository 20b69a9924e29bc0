"""A running service that publishes its beacon, and its operator's key in a file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kitestring.codec import nip19
from kitestring.crypto.keys import SecretKey
from tests.kit.app.console import Service

OPERATOR = SecretKey(b"\x0c" * 32)
OPERATOR_NPUB = nip19.encode(nip19.PublicKey(OPERATOR.public_hex))


@contextmanager
def station(room: Path) -> Iterator[Service]:
    """The service; the operator's secret key is in ``operator.key`` beside its directory."""
    home = room / "data"
    home.mkdir(mode=0o700)
    toml = f'[beacon]\npublish = true\nname = "Corner shop"\ndescription = "Tea"\noperator = "{OPERATOR_NPUB}"\n'
    (home / "kitestring.toml").write_text(toml)
    (room / "operator.key").write_text(nip19.encode(nip19.Nsec(bytes.fromhex(OPERATOR.hex()))) + "\n")
    running = Service.start(home)
    try:
        yield running
    finally:
        assert running.stop() == 0
